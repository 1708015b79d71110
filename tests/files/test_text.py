"""Text in the encodings that programs write; JSON and TOML within bounds; what is no ordinary file is never opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from carve.files.fence import OversizeError, fence
from carve.files.text import MAX_DEPTH, MAX_TOML, check_depth, decoded, read_bytes, read_json, read_toml, readable
from carve.records import CarveError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_read_in_every_usual_encoding(encoding: str) -> None:
    assert decoded("HIERARCHY\nROOT Hüfte".encode(encoding)) == "HIERARCHY\nROOT Hüfte"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decoded(bytes(range(128, 256)))


def test_depth_is_counted_without_recursion() -> None:
    def nested(levels: int) -> list[object]:
        value: list[object] = []
        for _ in range(levels - 1):
            value = [value]
        return value

    check_depth(nested(MAX_DEPTH))
    check_depth({"a": [{"b": 1}], "c": "[[["})
    for levels in (MAX_DEPTH + 2, 100_000):
        deep = nested(levels)
        with pytest.raises(OversizeError, match="too deeply"):
            check_depth(deep)
        while deep:  # else freeing it would recurse
            deep = deep.pop()  # type: ignore[assignment]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "NaN", "[1e999]", '{"a": Infinity}', "1" * 5000, "\ud800", '"'])
def test_json_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CarveError, match=r"^The file a (is nested too deeply|cannot be read)"):
        read_json(path, "The file a")


def test_toml_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for text, says in (
        ("a = " + "[" * 20_000, "deeply"),
        (".".join("a" * 500) + " = 1", "deeply"),
        ("a = ", "as TOML"),
        ("#" * (MAX_TOML + 1), "MiB"),
    ):
        path.write_text(text)
        with pytest.raises(CarveError, match=says):
            read_toml(path, "The settings a")


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CarveError, match="no ordinary file"), fence("It"):
            read_bytes(path)


def test_names_that_are_no_text_become_one_readable_line() -> None:
    name = os.fsdecode(b"a\xff\n\x1b[31m[red]\xc3\xa9")
    assert readable(name) == "a\\xff\\n\\x1b[31m[red]é"
    assert readable("a\ud800") == "a\\ud800"
