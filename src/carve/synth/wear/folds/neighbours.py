"""Sums over the neighbours of a mesh's vertices, and vertices sorted into cubes."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from carve.geometry.compiled import compiled


def neighbours(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row starts (V + 1,), neighbours (2 E,) and how many triangles use each of these edges (2 E,)."""
    a, b = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    ones = np.ones(2 * len(a), np.int32)
    matrix = sparse.coo_matrix((ones, (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(count, count)).tocsr()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data


@compiled(nogil=True)
def largest(values: np.ndarray, start: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """(V,) largest of each vertex's neighbours."""
    out = np.zeros(len(values))
    for v in range(len(values)):
        for k in range(start[v], start[v + 1]):
            out[v] = max(out[v], values[neighbour[k]])
    return out


@compiled(nogil=True)
def longest_edges(points: np.ndarray, start: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """(V,) longest edge at each vertex."""
    out = np.zeros(len(points))
    for v in range(len(points)):
        most = 0.0
        for k in range(start[v], start[v + 1]):
            w = neighbour[k]
            square = (points[v, 0] - points[w, 0]) ** 2 + (points[v, 1] - points[w, 1]) ** 2 + (points[v, 2] - points[w, 2]) ** 2
            most = max(most, square)
        out[v] = np.sqrt(most)
    return out


@compiled(nogil=True)
def diffuse(values: np.ndarray, start: np.ndarray, neighbour: np.ndarray, rounds: int) -> np.ndarray:
    """(V, C) after so many rounds of half a vertex and half its neighbours' mean."""
    now, other = values.copy(), np.empty_like(values)
    columns = values.shape[1]
    for _ in range(rounds):
        for v in range(len(now)):
            n = start[v + 1] - start[v]
            for c in range(columns):
                total = 0.0
                for k in range(start[v], start[v + 1]):
                    total += now[neighbour[k], c]
                other[v, c] = 0.5 * now[v, c] + 0.5 * total / n if n > 0 else now[v, c]
        now, other = other, now
    return now


@compiled(nogil=True)
def sorted_grid(points: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points sorted into cubes of side `cell`: lowest corner (3,), cubes along each axis (3,), starts, point of each place."""
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        low[axis], high[axis] = points[:, axis].min(), points[:, axis].max()
    size = ((high - low) / cell).astype(np.int64) + 1
    index = np.empty(len(points), np.int64)
    starts = np.zeros(size[0] * size[1] * size[2] + 1, np.int64)
    for v in range(len(points)):
        i = np.int64((points[v, 0] - low[0]) / cell)
        j = np.int64((points[v, 1] - low[1]) / cell)
        k = np.int64((points[v, 2] - low[2]) / cell)
        index[v] = (i * size[1] + j) * size[2] + k
        starts[index[v] + 1] += 1
    starts = np.cumsum(starts)
    fill, which = starts.copy(), np.empty(len(points), np.int64)
    for v in range(len(points)):
        which[fill[index[v]]] = v
        fill[index[v]] += 1
    return low, size, starts, which
