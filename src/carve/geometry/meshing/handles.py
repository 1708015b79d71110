"""Handles of a closed surface: found as its shortest loops that do not part it, and cut.

A shortest-path tree from a vertex, and a spanning tree of the faces over the edges that are left, heaviest loops first, leave two edges
a handle: with the paths to the root they are loops that do not part the surface, the shortest through the root among them (J. Erickson and
K. Whittlesey, "Greedy optimal homotopy and homology generators", 2005). The surface is cut along one and both rims are closed: a loop
around a bridge takes the bridge away, a loop around a hole fills the hole.

Notation: V vertices, F faces, E edges, g genus: V - E + F = 2 - 2 g.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import cKDTree

from carve.geometry.mesh import uniform_laplacian, unique_edges

_PLACES = (0.5, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875)
"""Where along a loop a shorter one is looked for."""
_SHORT = 0.1
"""Share of the longest loop below which one is short enough to stop looking."""
_REACH = 1.5
"""Times a rim's own radius: what lies nearer to it is smoothed with it."""
_ROUNDS = 6


def genus(faces: np.ndarray) -> int:
    """g of a closed connected surface (F, 3)."""
    return 1 - (len(np.unique(faces)) - len(unique_edges(faces)) + len(faces)) // 2


def without_handles(vertices: np.ndarray, faces: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """(V', 3) and (F', 3): a closed connected surface less handles whose loop is shorter than `longest`, in the unit of the vertices.

    Every handle costs two seconds at 50,000 vertices; a surface that has none is returned as it is.
    """
    for _ in range(genus(faces)):
        loop = _shortest_loop(vertices, faces, longest)
        if loop is None:
            break
        vertices, faces = _cut(vertices, faces, loop)
    return vertices, faces


@dataclass(frozen=True)
class _Edges:
    ends: np.ndarray
    """(E, 2) vertices."""
    sides: np.ndarray
    """(E, 2) faces."""
    length: np.ndarray
    """(E,)"""


def _edges(vertices: np.ndarray, faces: np.ndarray) -> _Edges:
    directed = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    order = np.lexsort(np.sort(directed, 1).T[::-1])
    ends = np.sort(directed, 1)[order[::2]]
    return _Edges(ends, (order // 3).reshape(-1, 2), np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1))


def _shortest_loop(vertices: np.ndarray, faces: np.ndarray, longest: float) -> np.ndarray | None:
    """(K,) vertices of a loop that does not part the surface, nearly the shortest."""
    edges = _edges(vertices, faces)
    # An edge of no length would be none in a sparse graph.
    weight = np.maximum(edges.length, 1e-9)
    graph = sparse.coo_matrix((weight, edges.ends.T), shape=(len(vertices),) * 2).tocsr()

    def through(root: int) -> list[tuple[float, np.ndarray]]:
        return _loops_through(root, edges, weight, graph, len(faces))

    best, found = np.inf, None
    for length, loop in through(int(faces[0, 0])):
        while True:
            # Somewhere on a loop along a handle, or through a hole, is where a shorter one goes around it.
            others = (through(int(loop[int(share * len(loop))]))[0] for share in _PLACES)
            again = next((other for other in others if other[0] < 0.95 * length), None)
            if again is None:
                break
            length, loop = again
        if length < best:
            best, found = length, loop
        if best < _SHORT * longest:
            break
    return found if best < longest else None


def _loops_through(root: int, edges: _Edges, weight: np.ndarray, graph: sparse.csr_matrix, faces: int) -> list[tuple[float, np.ndarray]]:
    """Lengths and vertices (K,) of two loops a handle through `root`, the shortest first, less what they walk twice."""
    distance, before = dijkstra(graph, directed=False, indices=root, return_predecessors=True)
    a, b = edges.ends.T
    in_tree = (before[a] == b) | (before[b] == a)
    around = distance[a] + distance[b] + weight
    free = np.flatnonzero(~in_tree)
    heavy = 1 + around[free].max() - around[free]
    across = sparse.coo_matrix((heavy, edges.sides[free].T), shape=(faces, faces)).tocsr()
    chosen = minimum_spanning_tree(across).tocoo()
    pairs = np.sort(edges.sides[free], 1).astype(np.int64) @ [faces, 1]
    taken = np.sort(np.column_stack([chosen.row, chosen.col]), 1).astype(np.int64) @ [faces, 1]
    left = free[~np.isin(pairs, taken)]
    result = []
    for edge in left[np.argsort(around[left])]:
        one, two = (_way(int(end), before) for end in edges.ends[edge])
        while len(one) > 1 and len(two) > 1 and one[-2] == two[-2]:
            one.pop()
            two.pop()
        length = distance[one[0]] + distance[two[0]] - 2 * distance[one[-1]] + weight[edge]
        result.append((float(length), np.array(one + two[-2::-1])))
    return result


def _way(vertex: int, before: np.ndarray) -> list[int]:
    """Vertices from one to the root of a tree."""
    way = [vertex]
    while before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return way


def _cut(vertices: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface cut along a loop (K,) of its vertices, both rims closed, and the places smoothed."""
    corner = _corners_on_right(faces, loop)
    count, size = len(vertices), len(loop)
    copy = np.arange(count)
    copy[loop] = count + np.arange(size)
    parted = np.where(corner, copy[faces], faces)
    first = _cap(vertices[loop], loop, count + size)
    points = np.concatenate([vertices, vertices[loop], first[0]])
    second = _cap(vertices[loop], copy[loop], len(points))
    points = np.concatenate([points, second[0]])
    closed = np.concatenate([parted, first[1], second[1][:, ::-1]])
    return _evened(points, closed, np.concatenate([loop, np.arange(count, len(points))]), vertices[loop]), closed


def _corners_on_right(faces: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """(F, 3) bool: corners at the loop's vertices that lie right of it as it is walked."""
    near = np.flatnonzero(np.isin(faces, loop).any(1))
    face_of = {(int(faces[f, k]), int(faces[f, (k + 1) % 3])): (int(f), k) for f in near for k in range(3)}
    right = np.zeros(faces.shape, bool)
    right[near] = np.isin(faces[near], loop)
    for before, vertex, after in zip(np.roll(loop, 1), loop, np.roll(loop, -1), strict=True):
        to = int(after)
        while to != int(before):
            f, k = face_of[int(vertex), to]
            right[f, k] = False
            to = int(faces[f, (k + 2) % 3])
    return right


def _cap(rim: np.ndarray, names: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """New vertices (N, 3), numbered from `start`, and faces (M, 3) that close a rim (K, 3) whose faces lie left of it as it is walked."""
    size, middle = len(rim), rim.mean(0)
    edge = np.linalg.norm(np.roll(rim, -1, 0) - rim, axis=1).mean()
    rings = round(float(np.linalg.norm(rim - middle, axis=1).mean() / max(edge, 1e-9)))
    shares = np.arange(rings - 1, 0, -1) / max(rings, 1)
    points = np.concatenate([middle + share * (rim - middle) for share in shares] + [middle[None]])
    names_of = [names, *(start + size * k + np.arange(size) for k in range(len(shares)))]
    faces = []
    for outer, inner in pairwise(names_of):
        after, after_inner = np.roll(outer, -1), np.roll(inner, -1)
        faces += [np.column_stack([after, outer, inner]), np.column_stack([after, inner, after_inner])]
    last = names_of[-1]
    faces.append(np.column_stack([np.roll(last, -1), last, np.full(size, start + len(points) - 1)]))
    return points, np.concatenate(faces)


def _evened(points: np.ndarray, faces: np.ndarray, fresh: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """(V, 3) with the vertices `fresh`, and what lies as near to a rim (K, 3) as it is wide, smoothed: that draws two rims apart."""
    mean = uniform_laplacian(faces, len(points))
    width = float(np.linalg.norm(rim - rim.mean(0), axis=1).mean())
    share = np.clip(1 - cKDTree(rim).query(points, distance_upper_bound=_REACH * width)[0] / (_REACH * width), 0, 1)
    share[fresh] = 1
    for _ in range(_ROUNDS):
        points = points - 0.5 * share[:, None] * (mean @ points)
    return points
