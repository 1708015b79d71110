"""Closes garments: welds seams, winds faces alike, and spans every opening with a cap.

Notation: vertices (V, 3), faces (F, 3) wound outward. The boundary of a set of faces is a chain: each directed edge counts +1, its opposite
-1; what is left over are the openings. A cap has the opposite boundary, so the closed surface has an integer winding number everywhere off
itself, also where it crosses itself or more than two faces share an edge.

Caps use the loop's own vertices only and have the least area of all such triangulations (Barequet & Sharir, "Filling gaps in the boundary
of a polyhedron", CAGD 12, 1995): they lie within the convex hull of the opening, so that they never bulge outward, span a sleeve's end or a
collar like a drum skin, and run straight from one front edge of an open coat to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from carve.geometry.compiled import compiled

LONGEST_LOOP = 320
"""Vertices; loops longer than this lose every other vertex to an ear before the cubic triangulation."""

THINNEST_TRIANGLE = 1e-3
"""Twice the area over the longest edge squared; thinner triangles count as if they had this, so that straight edges get no empty ones."""


@dataclass(frozen=True)
class ClosedSurface:
    """Faces without a boundary; indices refer to the vertices that were given."""

    faces: np.ndarray
    """(F, 3) int64."""
    cap: np.ndarray
    """(F,) bool: the face spans an opening."""


def weld(vertices: np.ndarray, faces: np.ndarray, tolerance: float = 1e-5) -> np.ndarray:
    """(F', 3) faces over one vertex for each group within `tolerance` metres; degenerate and doubled faces are gone.

    Two faces on the same three vertices count once if they face the same way and cancel if they face opposite ways.
    """
    pairs = cKDTree(vertices).query_pairs(tolerance, output_type="ndarray")
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(vertices), len(vertices)))
    label = csgraph.connected_components(graph, directed=False)[1]
    first = np.full(label.max() + 1, len(vertices))
    np.minimum.at(first, label, np.arange(len(vertices)))
    joined = first[label[faces]]
    joined = joined[(joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 2] != joined[:, 0])]
    start = joined.argmin(1)
    turned = joined[np.arange(len(joined))[:, None], (start[:, None] + np.arange(3)) % 3]
    forward = turned[:, 1] < turned[:, 2]
    key = np.where(forward[:, None], turned, turned[:, [0, 2, 1]])
    # One whole number a triangle is sorted faster than three.
    count = len(vertices)
    number, inverse = np.unique((key[:, 0] * count + key[:, 1]) * count + key[:, 2], return_inverse=True)
    unique = np.column_stack([number // count**2, number // count % count, number % count])
    net = np.bincount(inverse, np.where(forward, 1, -1), minlength=len(unique))
    kept = np.where((net > 0)[:, None], unique, unique[:, [0, 2, 1]])
    return kept[net != 0]


def _edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directed edges (3F, 2), the k-th of each face in the k-th block, and the face (3F,) of each."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), np.tile(np.arange(len(faces)), 3)


def face_pairs(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) faces on both sides of every edge that has exactly two, and (P,) bool: they are wound alike."""
    directed, owner = _edges(faces)
    n = int(faces.max()) + 1
    low, high = directed.min(1), directed.max(1)
    order = np.argsort(low * n + high, kind="stable")
    key = (low * n + high)[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    count = np.diff(np.r_[start, len(key)])
    first = start[count == 2]
    a, b = order[first], order[first + 1]
    return np.column_stack([owner[a], owner[b]]), directed[a, 0] != directed[b, 0]


def face_components(faces: np.ndarray) -> np.ndarray:
    """(F,) label of the part of the surface that each face belongs to; parts share no vertex."""
    n = int(faces.max()) + 1
    directed, _ = _edges(faces)
    graph = sparse.coo_matrix((np.ones(len(directed)), (directed[:, 0], directed[:, 1])), shape=(n, n))
    label = csgraph.connected_components(graph, directed=False)[1][faces[:, 0]]
    return np.unique(label, return_inverse=True)[1]


def wind_alike(faces: np.ndarray) -> np.ndarray:
    """(F, 3) the faces, the minority of each part turned round where neighbours are wound against each other.

    Parts that are one-sided (Moebius strips) keep their winding.
    """
    pairs, alike = face_pairs(faces)
    if alike.all():
        return faces
    count = len(faces)
    # Two copies of each face, as it is and turned: neighbours that agree join like copies, the others unlike ones.
    a, b = pairs.T
    across = np.where(alike, 0, count)
    rows, columns = np.concatenate([a, a + count]), np.concatenate([b + across, b + count - across])
    graph = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(2 * count, 2 * count))
    sheets, label = csgraph.connected_components(graph, directed=False)
    kept = np.bincount(label[:count], minlength=sheets)
    # The two labels of a part hold its faces as they are and turned: the one with more of the first kind wins.
    turn = kept[label[count:]] > kept[label[:count]]
    tie = kept[label[count:]] == kept[label[:count]]
    turn |= tie & (label[count:] < label[:count])
    return np.where(turn[:, None], faces[:, ::-1], faces)


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The openings as simple loops of vertices, each running as the faces' own edges do; empty for a closed surface."""
    directed, _ = _edges(faces)
    n = int(faces.max()) + 1
    forward = directed[:, 0] < directed[:, 1]
    key, inverse = np.unique(directed.min(1) * n + directed.max(1), return_inverse=True)
    net = np.bincount(inverse, np.where(forward, 1, -1), minlength=len(key)).astype(int)
    onward: dict[int, list[int]] = {}
    for k in np.flatnonzero(net):
        low, high = divmod(int(key[k]), n)
        a, b = (low, high) if net[k] > 0 else (high, low)
        onward.setdefault(a, []).extend([b] * abs(int(net[k])))
    loops = []
    while onward:
        path, place = [next(iter(onward))], {}
        place[path[0]] = 0
        while True:
            here = path[-1]
            following = onward[here].pop()
            if not onward[here]:
                del onward[here]
            if following in place:
                # The walk met itself: cut the closed part off and go on with the rest.
                start = place[following]
                loops.append(np.array(path[start:]))
                for vertex in path[start + 1 :]:
                    del place[vertex]
                path = path[: start + 1]
                if path[-1] not in onward:
                    break
            else:
                place[following] = len(path)
                path.append(following)
    return [loop for loop in loops if len(loop) > 2]


@compiled()
def _least_area(points: np.ndarray) -> np.ndarray:
    """(n - 2, 3) triangles over a loop of points (n, 3), by dynamic programming over its chords; O(n^3)."""
    n = len(points)
    best = np.zeros((n, n))
    apex = np.zeros((n, n), np.int64)
    for gap in range(2, n):
        for i in range(n - gap):
            k = i + gap
            ex, ey, ez = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
            least, chosen = np.inf, i + 1
            for j in range(i + 1, k):
                rest = best[i, j] + best[k, j]
                if rest >= least:
                    continue
                dx, dy, dz = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
                cx, cy, cz = ey * dz - ez * dy, ez * dx - ex * dz, ex * dy - ey * dx
                longest = max(ex * ex + ey * ey + ez * ez, dx * dx + dy * dy + dz * dz, (dx - ex) ** 2 + (dy - ey) ** 2 + (dz - ez) ** 2)
                total = rest + max(np.sqrt(cx * cx + cy * cy + cz * cz), THINNEST_TRIANGLE * longest)
                if total < least:
                    least, chosen = total, j
            best[i, k] = best[k, i] = least
            apex[i, k] = chosen
    triangles = np.empty((n - 2, 3), np.int64)
    stack = np.empty((n, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, n - 1
    top, filled = 1, 0
    while top:
        top -= 1
        i, k = stack[top, 0], stack[top, 1]
        j = apex[i, k]
        triangles[filled, 0], triangles[filled, 1], triangles[filled, 2] = i, j, k
        filled += 1
        if j - i > 1:
            stack[top, 0], stack[top, 1] = i, j
            top += 1
        if k - j > 1:
            stack[top, 0], stack[top, 1] = j, k
            top += 1
    return triangles


def cap_loop(vertices: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """(n - 2, 3) faces over a loop (n,) of vertices that close the surface it bounds: their boundary runs against the loop."""
    ears = []
    while len(loop) > LONGEST_LOOP:
        middle = np.arange(1, len(loop) - 1, 2)
        ears.append(np.column_stack([loop[middle - 1], loop[middle], loop[middle + 1]]))
        loop = np.delete(loop, middle)
    triangles = loop[_least_area(np.ascontiguousarray(vertices[loop], np.float64))]
    return np.concatenate([*ears, triangles])[:, ::-1]


def close_surface(vertices: np.ndarray, faces: np.ndarray) -> ClosedSurface:
    """Span every opening of welded faces by a cap."""
    caps = [cap_loop(vertices, loop) for loop in boundary_loops(faces)]
    closed = np.concatenate([faces, *caps])
    return ClosedSurface(closed, np.arange(len(closed)) >= len(faces))
