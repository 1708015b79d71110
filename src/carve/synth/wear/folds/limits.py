"""What keeps folds in bounds: bands that lie flat, clearance, slopes, triangles that would turn over."""

from __future__ import annotations

import numpy as np

from carve.geometry.compiled import compiled
from carve.geometry.mesh import face_normals, vertex_normals
from carve.synth.wear.folds.neighbours import largest
from carve.synth.wear.folds.tuples import square_distance

USED_CLEARANCE = 0.6
"""Share of the clearance that a fold may take inwards."""


def rims(rest: np.ndarray, start: np.ndarray, neighbour: np.ndarray, uses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V,) bool on a boundary, and a factor (V,) that keeps waistbands and collars, from which cloth hangs down, flat."""
    count = len(rest)
    row = np.repeat(np.arange(count), np.diff(start))
    rim = np.zeros(count, bool)
    rim[row[uses == 1]] = True
    number = np.maximum(np.diff(start), 1)
    step = rest[neighbour] - rest[row]
    steep = step[:, 1] / np.maximum(np.linalg.norm(step, axis=1), 1e-12)
    inward = np.bincount(row, np.where(rim[neighbour], 0.0, steep), minlength=count) / number
    held = np.where(rim, np.where(inward < -0.15, 1.0, 0.35), 0.0)
    for _ in range(3):
        held = np.maximum(held, 0.72 * largest(held, start, neighbour))
    return rim, 1.0 - 0.75 * held


def limited(
    height: np.ndarray,
    rest: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    clearance: np.ndarray,
) -> np.ndarray:
    """Heights (V,) that keep to the clearance, to slopes below about 45 degrees, and turn no triangle over."""
    room = np.maximum(USED_CLEARANCE * clearance, 0.0)
    height = np.where(height < 0, -room * np.tanh(-height / np.maximum(room, 1e-9)), height)
    height = _gentle(height, rest, posed, start, neighbour, 0.9, 4)
    normal, before = vertex_normals(posed, faces), face_normals(posed, faces)
    area = np.maximum((before**2).sum(1), 1e-24)
    for _ in range(6):
        after = face_normals(posed + height[:, None] * normal, faces)
        bad = np.einsum("fi,fi->f", after, before) < 0.15 * area
        if not bad.any():
            return height
        factor = np.ones(len(height))
        factor[faces[bad].ravel()] = 0.4
        height = height * factor
    height[faces[bad].ravel()] = 0.0
    return height


@compiled(nogil=True)
def _gentle(
    height: np.ndarray, rest: np.ndarray, posed: np.ndarray, start: np.ndarray, neighbour: np.ndarray, slope: float, rounds: int
) -> np.ndarray:
    """Heights (V,) drawn towards the neighbours' (never past zero) where they differ by more than `slope` times the edge."""
    now, room = height.copy(), np.empty(len(neighbour))
    for v in range(len(now)):
        for k in range(start[v], start[v + 1]):
            w = neighbour[k]
            a = (rest[w, 0], rest[w, 1], rest[w, 2])
            b = (posed[w, 0], posed[w, 1], posed[w, 2])
            room[k] = slope * np.sqrt(min(square_distance(rest[v], a), square_distance(posed[v], b)))
    for _ in range(rounds):
        for v in range(len(now)):
            here = now[v]
            for k in range(start[v], start[v + 1]):
                there = now[neighbour[k]]
                # Of two vertices on different sides of zero each may take half the room.
                limit = abs(there) + room[k] if here * there > 0 else max(room[k] - abs(there), 0.5 * room[k])
                if abs(here) > limit:
                    here = limit if here > 0 else -limit
            now[v] = here
    return now
