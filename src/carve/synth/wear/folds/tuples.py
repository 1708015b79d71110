"""Vectors of three as tuples inside compiled loops, which cost no allocation."""

from __future__ import annotations

import numpy as np

from carve.geometry.compiled import compiled

Triple = tuple[float, float, float]


@compiled(nogil=True, inline="always")
def dot(a: Triple, b: Triple) -> float:
    """Dot product; of tuples, which cost no allocation."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled(nogil=True, inline="always")
def cross(a: Triple, b: Triple) -> Triple:
    """Cross product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled(nogil=True, inline="always")
def square_distance(a: np.ndarray, b: Triple) -> float:
    """Squared distance."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
