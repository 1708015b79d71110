"""Coarser triangles over a subset of a mesh's vertices, by collapsing edges; the vertices that remain keep their places.

Notation: V vertices, F triangles, E edges, K triangles at most around a vertex. Lengths are in the unit of the vertices.
"""

from __future__ import annotations

import numpy as np

from carve.geometry.compiled import compiled

_COLLAPSE_ROUNDS = 40
_FLAT = 0.8
"""Cosine between two triangles from which their shared edge may be flipped."""
_TURN = 0.3
"""Least cosine by which a collapse may turn a triangle's normal."""


def coarsen(vertices: np.ndarray, faces: np.ndarray, edge: float) -> np.ndarray:
    """Triangles (F', 3) over a subset of vertices (V, 3), with edges of about `edge` metres.

    Edges are collapsed on to one of their ends, short ones first, where the link condition holds (Dey et al., 1999), so topology and
    boundaries stay; edges shared by more than two triangles stay too. Flips towards the Delaunay property keep the triangles in shape.
    """
    faces = np.array(faces, np.int64)
    for round_ in range(_COLLAPSE_ROUNDS):
        edges, sides, uses = _edges_with_faces(faces)
        border = np.zeros(len(vertices), bool)
        border[edges[uses != 2]] = True
        length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        short = np.flatnonzero(length < 0.9 * edge)
        order = edges[short[np.argsort(length[short], kind="stable")]]
        fans, sizes = _fans(faces, len(vertices))
        alive = np.ones(len(faces), bool)
        collapsed = _collapse(vertices, faces, alive, fans, sizes, order, border, 1.35 * edge)
        faces = faces[alive]
        if collapsed <= 0.003 * len(short):
            break
        if round_ % 2:
            for _ in range(2):
                edges, sides, uses = _edges_with_faces(faces)
                two = uses == 2
                _flip(vertices, faces, edges[two], sides[two], edges[:, 0] * len(vertices) + edges[:, 1])
    return faces


def _edges_with_faces(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted edges (E, 2), two of the triangles (E, 2) at each (the second is -1 at a border), and the number of triangles there (E,)."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64).T
    n = int(faces.max()) + 1
    key = np.minimum(a, b) * n + np.maximum(a, b)
    order = np.argsort(key, kind="stable")
    key, order = key[order], order % len(faces)
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    uses = np.diff(np.r_[first, len(key)])
    edges = np.column_stack([key[first] // n, key[first] % n])
    second = np.where(uses > 1, order[np.minimum(first + 1, len(order) - 1)], -1)
    return edges, np.column_stack([order[first], second]), uses


def _fans(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The triangles around each vertex: (V, K) indices with room to grow, and how many of them count (V,)."""
    flat = faces.ravel()
    sizes = np.bincount(flat, minlength=count)
    order = np.argsort(flat, kind="stable")
    slot = np.arange(len(flat)) - np.repeat(np.r_[0, np.cumsum(sizes)[:-1]], sizes)
    fans = np.full((count, max(40, int(sizes.max()) + 8)), -1)
    fans[flat[order], slot] = order // 3
    return fans, sizes


@compiled()
def _length(v: np.ndarray) -> float:
    return np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


@compiled()
def _has(face: np.ndarray, vertex: int) -> bool:
    return face[0] == vertex or face[1] == vertex or face[2] == vertex


@compiled()
def _may_collapse(
    u: int,
    v: int,
    x: np.ndarray,
    faces: np.ndarray,
    fans: np.ndarray,
    sizes: np.ndarray,
    border: np.ndarray,
    longest: float,
    mark: np.ndarray,
) -> bool:
    """Whether vertex u may merge into v: topology stays a surface's, triangles neither turn over nor become slivers or too long."""
    shared = 0
    for i in range(sizes[u]):
        shared += _has(faces[fans[u, i]], v)
    if shared != (1 if border[u] else 2) or (border[u] and not border[v]) or sizes[u] + sizes[v] >= fans.shape[1]:
        return False
    for i in range(sizes[u]):
        for c in range(3):
            mark[faces[fans[u, i], c]] = u
    common = 0
    for i in range(sizes[v]):
        for c in range(3):
            w = faces[fans[v, i], c]
            if w != u and w != v and mark[w] == u:
                common += 1
                mark[w] = -1
    for i in range(sizes[u]):
        for c in range(3):
            mark[faces[fans[u, i], c]] = -1
    if common != shared:
        return False
    for i in range(sizes[u]):
        face = faces[fans[u, i]]
        if _has(face, v):
            continue
        k = 0 if face[0] == u else (1 if face[1] == u else 2)
        p, q = face[(k + 1) % 3], face[(k + 2) % 3]
        before, after = np.cross(x[p] - x[u], x[q] - x[u]), np.cross(x[p] - x[v], x[q] - x[v])
        to_p, to_q = _length(x[p] - x[v]), _length(x[q] - x[v])
        size = max(to_p, to_q, _length(x[p] - x[q]))
        if max(to_p, to_q) > longest or _length(after) < 0.15 * size * size:
            return False
        if (before * after).sum() < _TURN * _length(before) * _length(after):
            return False
    return True


@compiled()
def _merge(u: int, v: int, faces: np.ndarray, alive: np.ndarray, fans: np.ndarray, sizes: np.ndarray) -> None:
    """Replace vertex u by v."""
    for i in range(sizes[u]):
        t = fans[u, i]
        if _has(faces[t], v):
            alive[t] = False
            for c in range(3):
                w = faces[t, c]
                if w != u:
                    for j in range(sizes[w]):
                        if fans[w, j] == t:
                            sizes[w] -= 1
                            fans[w, j] = fans[w, sizes[w]]
                            break
        else:
            for c in range(3):
                if faces[t, c] == u:
                    faces[t, c] = v
            fans[v, sizes[v]] = t
            sizes[v] += 1
    sizes[u] = 0


@compiled()
def _collapse(
    x: np.ndarray,
    faces: np.ndarray,
    alive: np.ndarray,
    fans: np.ndarray,
    sizes: np.ndarray,
    order: np.ndarray,
    border: np.ndarray,
    longest: float,
) -> int:
    """Collapse the edges `order` (E, 2) one after the other, each vertex at most once; the number of collapses."""
    touched, mark, done = np.zeros(len(x), np.bool_), np.full(len(x), -1), 0
    for k in range(len(order)):
        a, b = order[k, 0], order[k, 1]
        if touched[a] or touched[b]:
            continue
        for u, v in ((a, b), (b, a)):
            if _may_collapse(u, v, x, faces, fans, sizes, border, longest, mark):
                _merge(u, v, faces, alive, fans, sizes)
                touched[a] = touched[b] = True
                done += 1
                break
    return done


@compiled()
def _flip(x: np.ndarray, faces: np.ndarray, edges: np.ndarray, sides: np.ndarray, keys: np.ndarray) -> None:
    """Flip interior edges (E, 2) between triangles `sides` (E, 2) whose opposite angles exceed 180 degrees; `keys`: all edges, sorted."""
    used, ends = np.zeros(len(faces), np.bool_), np.zeros(len(x), np.bool_)
    for k in range(len(edges)):
        s, t = sides[k, 0], sides[k, 1]
        if used[s] or used[t]:
            continue
        i = 0
        while faces[s, i] == edges[k, 0] or faces[s, i] == edges[k, 1]:
            i += 1
        c, a, b = faces[s, i], faces[s, (i + 1) % 3], faces[s, (i + 2) % 3]
        d = faces[t, 0] + faces[t, 1] + faces[t, 2] - a - b
        key = min(c, d) * len(x) + max(c, d)
        at = np.searchsorted(keys, key)
        if c == d or ends[c] or ends[d] or (at < len(keys) and keys[at] == key):
            continue
        first, second = np.cross(x[a] - x[c], x[b] - x[c]), np.cross(x[b] - x[d], x[a] - x[d])
        if (first * second).sum() < _FLAT * _length(first) * _length(second):
            continue
        angles = np.arctan2(_length(first), ((x[a] - x[c]) * (x[b] - x[c])).sum())
        angles += np.arctan2(_length(second), ((x[a] - x[d]) * (x[b] - x[d])).sum())
        new_first, new_second = np.cross(x[a] - x[c], x[d] - x[c]), np.cross(x[b] - x[d], x[c] - x[d])
        if angles < 1.02 * np.pi or min((new_first * first).sum(), (new_second * second).sum(), (new_first * new_second).sum()) <= 0:
            continue
        faces[s] = np.array([c, a, d])
        faces[t] = np.array([d, b, c])
        used[s] = used[t] = ends[c] = ends[d] = True
