"""Whatever is raised inside the fence comes out as one sentence that names the file; interrupts and the fence's own pass."""

from __future__ import annotations

import errno
import struct
import tokenize
import zlib

import pytest

from carve.files.fence import OversizeError, fence
from carve.records import CarveError, StageError


class PanicException(BaseException):
    """What extensions in Rust raise."""


@pytest.mark.parametrize(
    "error",
    [
        zlib.error("bad"),
        struct.error("short"),
        tokenize.TokenError("EOF", (2, 0)),
        RuntimeError("decoder"),
        NotImplementedError("method 99"),
        KeyError("v_template"),
        OverflowError("large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
        OSError("image file is truncated"),
        AssertionError(),
        PanicException("index out of range"),
    ],
)
def test_what_libraries_raise_is_damage(error: BaseException) -> None:
    with (
        pytest.raises(CarveError, match=r"^The photo a\.jpg cannot be read \(damaged or cut off: .+\); get it again") as told,
        fence("The photo a.jpg"),
    ):
        raise error
    assert "\n" not in str(told.value)
    assert told.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), "does not exist"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "does not exist"),
        (PermissionError(errno.EACCES, "x"), "may not be read"),
        (IsADirectoryError(errno.EISDIR, "x"), "is a folder"),
        (OSError(errno.ENAMETOOLONG, "x"), "rename it"),
        (OSError(errno.EIO, "Input/output error"), r"cannot be read \(Input/output error\)"),
        (MemoryError(), "more memory than there is"),
        (RecursionError(), "nested too deeply"),
        (OversizeError("declares 9 GiB"), "declares 9 GiB"),
    ],
)
def test_what_the_system_says_is_told_apart(error: Exception, says: str) -> None:
    with pytest.raises(CarveError, match=says), fence("The photo a.jpg"):
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), CarveError("as it is"), StageError("as it is")])
def test_what_is_no_damage_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as told, fence("The photo a.jpg"):
        raise error
    assert told.value is error
