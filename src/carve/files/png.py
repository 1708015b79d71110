"""PNG files before a native decoder sees them (ISO/IEC 15948, chapter 5: signature, then chunks of length, kind, data, checksum)."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_png(data: bytes, size: tuple[int, int] | None = None) -> None:
    """Raise ValueError unless all chunks lie within the file and one header, the first chunk, tells the `size` (width, height).

    OpenCV takes memory for as many bytes as a chunk declares, up to 4 GiB, and believes the first header where Pillow believes the last.
    Both pass over what is missing once the pixels are complete. Inside a `fence`.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("it is no PNG picture")
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        first = at == len(SIGNATURE)
        length, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (len(data), b"")
        if at + 12 + length > len(data):
            raise ValueError("it ends within a chunk")
        if first != (kind == b"IHDR"):
            raise ValueError("it has no header" if first else "it declares its size twice")
        at += 12 + length
    if size is not None and data[16:24] != struct.pack(">II", *size):
        raise ValueError("it declares another size")
