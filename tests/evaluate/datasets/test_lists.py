"""Lists of a data set's people: read in any Unicode, refused in one sentence where they name nobody or are no text."""

from pathlib import Path

import pytest

from carve.evaluate.datasets.scan import listed
from carve.records import CarveError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_says_who_is_meant(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "test.txt").write_text("set/0002\n\n0001\n", encoding=encoding)
    assert listed(tmp_path, ("test.txt",), ("0001", "0002", "0003"), "people") == ["0002", "0001"]
    assert listed(tmp_path, ("other.txt",), ("0003", "0001"), "people") == ["0001", "0003"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00", b"\x80\x81"])
def test_a_list_of_nobody_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.txt").write_bytes(content)
    with pytest.raises(CarveError, match=r"test\.txt"):
        listed(tmp_path, ("test.txt",), ("0001",), "people")
