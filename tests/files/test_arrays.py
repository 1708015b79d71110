"""Arrays come back as NumPy wrote them; what a header declares is checked against what is there."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from carve.files.arrays import check_total, read_member
from carve.files.fence import OversizeError


def archive(**arrays: np.ndarray) -> zipfile.ZipFile:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return zipfile.ZipFile(buffer)


def with_member(content: bytes) -> zipfile.ZipFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("a.npy", content)
    return zipfile.ZipFile(buffer)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float64).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
        np.array(3.5, np.float16),
        np.zeros((0, 3), np.uint8),
        np.array([True, False]),
    ],
)
def test_a_round_trip(array: np.ndarray) -> None:
    back = read_member(archive(a=array), "a")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("shape", ["(10000000000,)", "(-1,)", "(2,)", "(4,)", "(3, 3)"])
def test_a_header_that_lies(shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(24)
    with pytest.raises(ValueError, match="does not fit its length"):
        read_member(with_member(content), "a")


def test_objects_and_unknown_versions_are_refused() -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        read_member(archive(a=np.array([{}], object)), "a")
    with pytest.raises(ValueError, match="unknown version"):
        read_member(with_member(b"\x93NUMPY\x09\x00" + bytes(100)), "a")
    with pytest.raises(KeyError):
        read_member(archive(a=np.zeros(1)), "b")


def test_sizes_are_checked_before_memory_is_taken() -> None:
    large = archive(a=np.zeros(1 << 16, np.uint8), b=np.zeros(1 << 16, np.uint8))
    with pytest.raises(OversizeError):
        read_member(large, "a", 1 << 15)
    check_total(large, ("a", "b", "none"), 1 << 18)
    with pytest.raises(OversizeError):
        check_total(large, ("a", "b"), 1 << 16)


def test_a_wrong_checksum_is_noticed() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(1000))
    data = bytearray(buffer.getvalue())
    data[2000] ^= 1
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_member(zipfile.ZipFile(io.BytesIO(bytes(data))), "a")
