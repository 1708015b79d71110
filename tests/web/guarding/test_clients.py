"""Keys and sessions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the web tests need the extra `web`")

from carve.records import CarveError
from carve.web.guarding import clients
from carve.web.guarding.clients import Clients, read_keys, read_secret

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["", "ann", "ann:short", "a b:" + KEY, f"ann:{KEY}\nann:{KEY}2", f"ann:{KEY}\nbob:{KEY}", "# only a remark\n", "\0:" + KEY]
)
def test_a_file_of_keys_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(CarveError):
        read_keys(tmp_path / "keys")


def test_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# ours\n\nann: {KEY}\nbob:{KEY}:with-colon\n")
    assert read_keys(tmp_path / "keys") == {"ann": KEY, "bob": f"{KEY}:with-colon"}


def test_a_session_is_of_its_client_its_key_and_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Clients({"ann": KEY, "bob": KEY + "b"}, b"secret")
    cookie = ours.session("ann")
    assert ours.by_session(cookie) == "ann"
    for wrong in (
        "",
        "ann",
        cookie[:-1],
        cookie.replace("ann", "bob"),
        "a" + cookie,
        cookie + "\u00e9",
        "..",
        "ann.9999999999." + "0" * 64,
    ):
        assert ours.by_session(wrong) is None
    assert Clients({"ann": KEY}, b"another").by_session(cookie) is None
    assert Clients({"ann": KEY + "new"}, b"secret").by_session(cookie) is None, "a new key ends old sessions"
    now = time.time()
    monkeypatch.setattr(clients.time, "time", lambda: now + clients.SESSION_SECONDS + 1)
    assert ours.by_session(cookie) is None


def test_the_secret_is_made_once_for_the_owner_only(tmp_path: Path) -> None:
    first = read_secret(tmp_path / "secret")
    assert len(first) == 32 and read_secret(tmp_path / "secret") == first
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
