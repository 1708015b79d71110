"""Bytes, text, JSON and TOML from files, within bounds."""

from __future__ import annotations

import codecs
import json
import math
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from carve.files.fence import OversizeError, fence
from carve.records import CarveError

MAX_JSON = 16 << 20
"""Bytes of a JSON file of the user's."""
MAX_TOML = 1 << 20
"""Bytes of a settings file."""
MAX_DEPTH = 32
"""Levels of objects and lists; no file of carve's has ten."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def check_file(path: Path, limit: int | None = None) -> int:
    """The size of an ordinary file, bytes; inside a `fence`.

    Raises:
        OSError: there is none, or it cannot be looked at.
        OversizeError: it is larger than `limit` bytes, or no ordinary file: a pipe or a device would never end.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise OversizeError("is no ordinary file")
    if limit is not None and status.st_size > limit:
        raise OversizeError(f"is larger than {limit / 2**20:g} MiB")
    return status.st_size


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """The bytes of an ordinary file of at most `limit` bytes; inside a `fence`."""
    size = check_file(path, limit)
    with path.open("rb") as file:
        return file.read(size)


def read_text(path: Path, limit: int | None = None, fallback: str | None = None) -> str:
    """The text of a file in UTF-8, or in what its byte order mark says; inside a `fence`.

    Bytes that are no such text are read in the encoding `fallback`, or are an error without one.
    """
    data = read_bytes(path, limit)
    try:
        return decoded(data)
    except UnicodeDecodeError:
        if fallback is None:
            raise
        return data.decode(fallback)


def decoded(data: bytes) -> str:
    """Text from bytes by their byte order mark, else UTF-8, else UTF-16 if every other byte of the beginning is zero."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name)
    head = data[:256]
    if len(head) >= 8 and (not any(head[1::2]) or not any(head[::2])):
        return data.decode("utf-16-le" if not any(head[1::2]) else "utf-16-be")
    return data.decode("utf-8")


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """JSON of at most `MAX_DEPTH` levels, with `finite` numbers only; inside a `fence`."""
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite) if finite else json.loads(text)
    check_depth(value)
    return value


def read_json(path: Path, what: str, limit: int = MAX_JSON) -> Any:
    """A JSON file; `what` names it in errors (`The landmarks file a.json`).

    Raises:
        CarveError: it is missing, too large, nested too deeply, no JSON, or holds numbers that are not finite.
    """
    with fence(what, "correct it or write it anew"):
        text = read_text(path, limit)
        try:
            return parse_json(text)
        except (json.JSONDecodeError, UnicodeDecodeError, ValueError) as error:
            raise CarveError(f"{what} cannot be read as JSON: {error}.") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file; `what` names it in errors.

    Raises:
        CarveError: it is missing, larger than `MAX_TOML`, nested too deeply or no TOML.
    """
    with fence(what, "correct it or write it anew"):
        text = read_text(path, MAX_TOML)
        try:
            value = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CarveError(f"{what} cannot be read as TOML: {error}.") from error
        check_depth(value)
        return value


def check_depth(value: Any, deepest: int = MAX_DEPTH) -> None:
    """Raise OversizeError if lists and objects lie more than `deepest` levels inside each other. Needs no recursion itself."""
    level = [value]
    for _ in range(deepest + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise OversizeError("is nested too deeply")


def readable(text: str) -> str:
    """Text that any terminal and any UTF-8 file takes, on one line: what a file's name may hold besides is escaped."""
    try:
        shown = os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte, such as JSON may hold
        shown = text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value
