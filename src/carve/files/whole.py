"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carve.records import CarveError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing under `path` into one sentence for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CarveError(f"The disk that holds {path} is full; free some space and run again with --resume.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise CarveError(f"{path} is not writable; choose another --out or change its permissions.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise CarveError(f"{path} cannot be written: its name is too long for this system; choose a shorter --out.") from error
        raise CarveError(f"{path} cannot be written: {error.strerror or error}.") from error


def check_place(path: Path) -> None:
    """Raise a CarveError if nothing can be written to `path`, as far as that shows before the work is done."""
    with writing(path):
        if not path.parent.is_dir():
            raise CarveError(f"{path} cannot be written: there is no folder {path.parent}; make it or choose another name.")
        if _is_special(path):
            raise CarveError(f"{path} is no ordinary file; choose another name to write to.")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` to write into, with its ending; it takes the place of `path` if the block ends well, else it goes.

    Its name cannot be foreseen and it is made only where nothing is, so that no link planted there is followed.

    Raises:
        CarveError: the system refuses to write, or `path` is something else than a file.
    """
    with writing(path):
        if _is_special(path):
            raise CarveError(f"{path} is no ordinary file; choose another name to write to.")
        pending = path.parent / f".carve-{secrets.token_hex(6)}{path.suffix[:16]}"
        os.close(os.open(pending, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield pending
            with pending.open("rb") as file:
                os.fsync(file.fileno())  # some disks say only now that they are full
            pending.replace(path)
        finally:
            pending.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | str) -> None:
    """Write bytes, or text as UTF-8, to `path`, whole or not at all."""
    with whole(path) as pending:
        pending.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace"))


def _is_special(path: Path) -> bool:
    """Whether a path leads to a folder, a device or a pipe."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
