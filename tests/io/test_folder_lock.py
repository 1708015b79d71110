"""One run at a time in a folder; the lock of a process that died is no hindrance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carve.io.folder_lock import NAME, FolderLock, refuse_if_locked
from carve.io.run_folder import RunFolder, check_folder
from carve.records import CarveError

OWNER = """
import sys, time
from pathlib import Path
from carve.io.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder `out`."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    return process


def test_a_second_run_is_told_whose_the_folder_is(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    before = sorted((tmp_path / "out").rglob("*"))
    for existing in ("refuse", "resume", "overwrite"):
        with pytest.raises(CarveError, match=rf"process {owner.pid}\) is writing into .*out;"):
            check_folder(tmp_path / "out", existing)  # type: ignore[arg-type]
    assert sorted((tmp_path / "out").rglob("*")) == before
    owner.kill()
    owner.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_owner_s_lock_is_taken_over(owner: subprocess.Popen[str], tmp_path: Path, number: int) -> None:
    owner.send_signal(number)
    owner.wait()
    assert (tmp_path / "out" / "stages" / NAME).exists()
    with RunFolder(tmp_path / "out", "resume") as folder:
        assert (folder.stages / NAME).read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / "out" / "stages" / NAME).exists()


def test_a_lock_is_held_by_one_until_it_is_released(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    with pytest.raises(CarveError, match="writing into"):
        second.take()
    first.release()
    second.take()
    first.release()  # of no effect
    with pytest.raises(CarveError):
        refuse_if_locked(tmp_path)
    second.release()
    refuse_if_locked(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError):
        FolderLock(tmp_path).take()
    assert (tmp_path / "mine").read_text() == "mine"
