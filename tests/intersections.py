"""Which triangles of a mesh cut each other: exact up to rounding, for tests and for measuring."""

from __future__ import annotations

import numpy as np

from carve.geometry.queries import boxes_that_meet


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles that an edge of another triangle, with which they share no vertex, passes through."""
    corners = vertices[faces]
    pairs = boxes_that_meet(corners.min(1), corners.max(1))
    apart = ~(faces[pairs[:, 0], :, None] == faces[pairs[:, 1], None, :]).any((1, 2))
    pairs = pairs[apart]
    hit = np.zeros(len(faces), bool)
    for one, other in (pairs.T, pairs[:, ::-1].T):
        for k in range(3):
            through = _passes_through(corners[one, k], corners[one, (k + 1) % 3], corners[other])
            hit[one[through]] = hit[other[through]] = True
    return hit


def _passes_through(start: np.ndarray, end: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """(P,) bool: segments (P, 3) to (P, 3) against triangles (P, 3, 3), by the signs of the volumes that they span."""

    def volume(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.einsum("pi,pi->p", np.cross(b - a, c - a), d - a)

    a, b, c = (triangle[:, k] for k in range(3))
    sides = volume(a, b, c, start) * volume(a, b, c, end) < 0
    turns = [volume(start, end, *edge) > 0 for edge in ((a, b), (b, c), (c, a))]
    return sides & (turns[0] == turns[1]) & (turns[1] == turns[2])
