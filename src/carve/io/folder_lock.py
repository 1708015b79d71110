"""One run at a time in an output folder.

The lock is the system's (flock): it goes when its owner does, however that ends, so a dead owner's is taken over without being asked for.
The owner's process id stands in the file for the one that comes second.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from carve.records import CarveError

NAME = ".lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""File systems without locks: there the process id decides."""


class FolderLock:
    """The lock of one folder; `take` and `release` it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            CarveError: another run has it; the message names its process.
            OSError: the file cannot be made.
        """
        while True:
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)
            try:
                _lock(handle, self.path)
                if _is_at(handle, self.path):
                    os.truncate(handle, 0)
                    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                    self._handle = handle
                    return
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # the owner before removed the file between our opening and our locking it

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None


def refuse_if_locked(folder: Path) -> None:
    """Raise a CarveError if another run has the folder's lock; changes nothing."""
    try:
        handle = os.open(folder / NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return  # what is wrong with the folder is told by those who write there
    try:
        _lock(handle, folder / NAME)
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except OSError as error:
        owner = _owner(handle)
        if error.errno in _UNSUPPORTED and not _lives(owner):
            return
    where = path.parents[1]
    by = f" (process {owner})" if owner else ""
    raise CarveError(f"Another run of carve{by} is writing into {where}; wait for it or choose another --out.")


def _owner(handle: int) -> int | None:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _lives(pid: int | None) -> bool:
    if pid is None or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        at = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (mine.st_dev, mine.st_ino) == (at.st_dev, at.st_ino)
