"""Where the heavy pose network lies: whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from carve.networks.detectors import pose_models
from carve.records import CarveError


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stand-in for the network's bytes, in an empty cache."""
    data = b"a network"
    monkeypatch.setenv("CARVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pose_models, "HEAVY_BYTES", len(data))
    return data


def test_it_is_put_in_place_once_it_is_the_right_one(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pose_models, "HEAVY_SHA256", hashlib.sha256(small).hexdigest())
    assert not pose_models.has_heavy()
    with pytest.raises(CarveError, match="run `carve models`"):
        pose_models.model_bytes("heavy")
    path = pose_models.install_heavy(small, "a file")
    assert path == pose_models.heavy_path() and path.read_bytes() == small
    assert pose_models.has_heavy() and pose_models.model_bytes("heavy") == small
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.write_bytes(small[:-1] + b"!")  # as long, but another file
    with pytest.raises(CarveError, match="not whole"):
        pose_models.model_bytes("heavy")


@pytest.mark.parametrize("data", [b"", b"something else", b"a networK"])
def test_other_bytes_are_refused_and_leave_nothing(small: bytes, data: bytes) -> None:
    with pytest.raises(CarveError, match="a page is not the pose network"):
        pose_models.install_heavy(data, "a page")
    assert not pose_models.heavy_path().exists()


def test_the_bundled_network_is_always_there() -> None:
    assert pose_models.model_bytes("full")[4:8] == b"TFL3"
