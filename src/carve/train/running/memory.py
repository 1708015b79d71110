"""The process keeps the memory that a training step frees: the next one wants the same again.

The C library of Linux hands large blocks back to the system at once, which then clears every page anew: a third of a step's time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM, _MMAP = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""
_BLOCK, _KEPT = 1 << 30, (1 << 31) - 1
"""Largest block that comes from the heap, and most free memory at its end that is kept, bytes."""


def keep_freed_memory() -> bool:
    """Tell the C library so; False where it is another than glibc, and nothing is changed."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        adjust = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(adjust(_MMAP, _BLOCK)) and bool(adjust(_TRIM, _KEPT))
