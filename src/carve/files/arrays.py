"""Arrays out of .npz archives: every size that is declared is checked before memory is taken, and no Python object is made."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable

import numpy as np

from carve.files.fence import OversizeError

MAX_MEMBER = 512 << 20
"""Bytes of one array."""
MAX_HEADER = 10_000
"""Characters of an array's header (NumPy's own limit)."""


def read_member(archive: zipfile.ZipFile, key: str, limit: int = MAX_MEMBER) -> np.ndarray:
    """The array `key` of an archive; inside a `fence`.

    Raises:
        KeyError: there is no such array.
        OversizeError: it declares more than `limit` bytes.
        ValueError: its header and its length do not fit, or it holds Python objects. The libraries raise more.
    """
    info = archive.getinfo(f"{key}.npy")
    if info.file_size > limit:
        raise OversizeError(f"declares {info.file_size / 2**20:.0f} MiB for '{key}', more than carve takes")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"array '{key}' is of an unknown version")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(member, max_header_size=MAX_HEADER)
        if dtype.hasobject:
            raise ValueError(f"Object arrays cannot be loaded ('{key}')")
        length = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or length != info.file_size - member.tell():
            raise ValueError(f"the header of array '{key}' does not fit its length")
        data = bytearray(length)
        filled = 0
        while filled < length:
            chunk = member.read(min(1 << 24, length - filled))
            if not chunk:
                raise EOFError(f"array '{key}' is cut off")
            data[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        if member.read(1):  # which also compares the checksum
            raise ValueError(f"array '{key}' goes on beyond its length")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def check_total(archive: zipfile.ZipFile, keys: Iterable[str], limit: int) -> None:
    """Raise OversizeError if the arrays `keys` that an archive holds declare more than `limit` bytes together."""
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    total = sum(sizes.get(f"{key}.npy", 0) for key in keys)
    if total > limit:
        raise OversizeError(f"declares {total / 2**20:.0f} MiB of arrays, more than carve takes")
