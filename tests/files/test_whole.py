"""Files appear whole or not at all, and nothing that lies in the way is followed or replaced by mistake."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from carve.files.whole import whole, write_whole
from carve.records import CarveError


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    path.write_text("old")
    with whole(path) as pending:
        assert pending.suffix == ".glb" and pending.parent == tmp_path
        pending.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("bad"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.glb"
    path.write_text("old")
    with pytest.raises((CarveError, ValueError, KeyboardInterrupt)), whole(path) as pending:
        pending.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_not_followed_and_names_not_foreseen(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out.glb").symlink_to(tmp_path / "mine")
    names = set()
    for _ in range(3):
        with whole(tmp_path / "out.glb") as pending:
            names.add(pending.name)
            pending.write_text("new")
    assert len(names) == 3
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "out.glb").read_text() == "new" and not (tmp_path / "out.glb").is_symlink()


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(CarveError, match="no ordinary file"):
            write_whole(path, b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 251 + ".glb"), b"x")
    with pytest.raises(CarveError, match="too long"):
        write_whole(tmp_path / ("x" * 300), b"x")
