"""PNG files are looked at before a native decoder is."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from carve.files.png import SIGNATURE, check_png
from carve.synth.store.view_codec import encode_png

WHOLE = encode_png(np.zeros((4, 6), np.uint8))


def test_what_is_whole_passes() -> None:
    check_png(WHOLE, (6, 4))
    check_png(WHOLE + b"what a phone puts behind the end")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GIF89a", "no PNG"),
        (SIGNATURE, "within a chunk"),
        (WHOLE[:-1], "within a chunk"),
        (WHOLE[:8] + struct.pack(">I", 2**32 - 1) + WHOLE[12:], "within a chunk"),
        (WHOLE[:8] + WHOLE[33:], "no header"),
        (WHOLE[:33] + WHOLE[8:], "twice"),
        (encode_png(np.zeros((6, 4), np.uint8)), "another size"),
    ],
)
def test_what_is_not_is_told(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_png(data, (6, 4))
