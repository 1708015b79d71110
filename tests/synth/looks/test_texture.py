"""Pictures that textures are made from: whatever their files declare, they are read or refused by name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from carve.io.image import write_png
from carve.records import CarveError
from carve.synth.looks.texture import decode
from carve.synth.store.view_codec import encode_png

CLOTH = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)


def test_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", CLOTH)
    assert np.array_equal(decode(tmp_path / "a.png"), CLOTH)


def wide() -> bytes:
    """A picture of 10 gigapixels by its header."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = encode_png(CLOTH)
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize(
    "data", [b"", b"no picture", encode_png(CLOTH)[:60], encode_png(CLOTH)[:33] + b"\xf0\0\0\0" + encode_png(CLOTH)[37:], wide()]
)
def test_what_cannot_be_used_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(CarveError, match=r"a\.png .*put a \.webp, \.png or \.jpg file in its place"):
        decode(tmp_path / "a.png")
