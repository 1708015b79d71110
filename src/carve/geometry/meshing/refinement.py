"""Conforming refinement and clipping of triangle meshes, as linear operators on whatever the vertices carry.

Notation: an operator is a sparse (V', V) matrix whose rows sum to 1; new vertices are ``operator @ old``. Corner values (F, 3, C), texture
coordinates say, follow their triangles and may differ between triangles that share a vertex.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from carve.geometry.mesh import unique_edges, vertex_normals


@dataclass(frozen=True)
class Refined:
    """A mesh made from another one."""

    operator: sparse.csr_matrix
    """(V', V)"""
    faces: np.ndarray
    """(F', 3) int64"""
    corners: np.ndarray
    """(F', 3, C)"""
    source: np.ndarray
    """(F',) int64 triangle that each one is a part of."""


def _edge_index(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) edges and (F, 3) index of the edge from corner k to corner k + 1."""
    edges = unique_edges(faces)
    count = int(faces.max()) + 1
    key = edges[:, 0] * count + edges[:, 1]
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], -1), axis=-1)
    return edges, np.searchsorted(key, pairs[..., 0] * count + pairs[..., 1])


def split_edges(faces: np.ndarray, corners: np.ndarray, count: int, split: np.ndarray) -> Refined:
    """Halve the edges (E,) bool of `unique_edges(faces)` that are marked; each triangle becomes one to four, without hanging vertices."""
    edges, of_face = _edge_index(faces)
    new = np.full(len(edges), -1)
    new[split] = count + np.arange(int(split.sum()))
    rows = np.concatenate([np.arange(count), np.repeat(new[split], 2)])
    columns = np.concatenate([np.arange(count), edges[split].ravel()])
    values = np.concatenate([np.ones(count), np.full(2 * int(split.sum()), 0.5)])
    operator = sparse.csr_matrix((values, (rows, columns)), shape=(count + int(split.sum()), count))
    middle = new[of_face]
    marked = middle >= 0
    out_faces, out_corners, out_source = [], [], []

    def add(which: np.ndarray, places: list[tuple[int, int, int]], turn: np.ndarray) -> None:
        """Triangles of points 0, 1, 2 (corners) and 3, 4, 5 (middles of 0-1, 1-2, 2-0) after turning each face by `turn`."""
        order = (np.arange(3)[None] + turn[:, None]) % 3
        row = np.arange(len(which))[:, None]
        points = np.concatenate([faces[which][row, order], middle[which][row, order]], 1)
        c = corners[which][row, order]
        values = np.concatenate([c, (c + np.roll(c, -1, axis=1)) / 2], 1)
        for triangle in places:
            out_faces.append(points[:, triangle])
            out_corners.append(values[:, triangle])
            out_source.append(which)

    number = marked.sum(1)
    none, one, two, three = (np.flatnonzero(number == k) for k in range(4))
    add(none, [(0, 1, 2)], np.zeros(len(none), int))
    add(one, [(0, 3, 2), (3, 1, 2)], marked[one].argmax(1))
    # The unmarked edge is turned to be the one from 2 to 0.
    add(two, [(3, 1, 4), (0, 3, 4), (0, 4, 2)], ((~marked[two]).argmax(1) + 1) % 3)
    add(three, [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)], np.zeros(len(three), int))
    return Refined(operator, np.concatenate(out_faces), np.concatenate(out_corners), np.concatenate(out_source))


def refine(vertices: np.ndarray, faces: np.ndarray, corners: np.ndarray, longest: float, rounded: bool, levels: int = 8) -> Refined:
    """Split until no edge is longer than `longest`.

    With `rounded` each level is followed by a low-pass filter about the new vertices, so that coarse facets become a smooth surface;
    boundaries are filtered along themselves only.
    """
    faces, source = np.asarray(faces, np.int64), np.arange(len(faces))
    total = sparse.identity(len(vertices), format="csr")
    now = np.asarray(vertices, float)
    for _ in range(levels):
        edges = unique_edges(faces)
        split = np.linalg.norm(now[edges[:, 0]] - now[edges[:, 1]], axis=1) > longest
        if not split.any():
            break
        step = split_edges(faces, corners, len(now), split)
        fresh = np.concatenate([np.zeros(len(now), bool), np.ones(step.operator.shape[0] - len(now), bool)])
        faces, corners, source, operator = step.faces, step.corners, source[step.source], step.operator
        if rounded:
            operator = _low_pass(faces, fresh) @ operator
        total, now = operator @ total, operator @ now
    return Refined(total.tocsr(), faces, corners, source)


def refine_where(
    vertices: np.ndarray, faces: np.ndarray, wanted: Callable[[np.ndarray, np.ndarray], np.ndarray], levels: int
) -> tuple[Refined, np.ndarray]:
    """Split, up to `levels` times, the triangles with an edge that `wanted` marks: of vertices (V, 3) and edges (E, 2) it says which (E,).

    All edges of such a triangle are halved, since one alone would leave slivers; its neighbours are cut in two or three. The operator puts
    new vertices on the middles. The places (V', 3) that are returned too lie on an arc over each edge that fits the normals at its ends
    (the middle of the cubic of Vlachos et al., "Curved PN triangles", 2001): what was flat between old vertices bends like the surface.
    """
    faces, source, corners = np.asarray(faces, np.int64), np.arange(len(faces)), np.zeros((len(faces), 3, 0))
    total, now = sparse.identity(len(vertices), format="csr"), np.asarray(vertices, float)
    for _ in range(levels):
        edges, of_face = _edge_index(faces)
        marked = wanted(now, edges)
        if not marked.any():
            break
        split = np.zeros(len(edges), bool)
        split[of_face[marked[of_face].any(1)]] = True
        normals = vertex_normals(now, faces)
        step = split_edges(faces, corners, len(now), split)
        faces, corners, source, total = step.faces, step.corners, source[step.source], step.operator @ total
        a, b = edges[split].T
        along = now[b] - now[a]
        arc = (along * normals[a]).sum(1, keepdims=True) * normals[a] - (along * normals[b]).sum(1, keepdims=True) * normals[b]
        now = np.concatenate([now, (now[a] + now[b]) / 2 - arc / 8])
    return Refined(total.tocsr(), faces, corners, source), now


def _low_pass(faces: np.ndarray, fresh: np.ndarray) -> sparse.csr_matrix:
    """Taubin's filter (SIGGRAPH 1995) on fresh vertices and their neighbours; a boundary vertex only looks along the boundary."""
    count = len(fresh)
    edges, of_face = _edge_index(faces)
    uses = np.bincount(of_face.ravel(), minlength=len(edges))
    rim = np.zeros(count, bool)
    rim[edges[uses == 1].ravel()] = True
    inner = ~(rim[edges[:, 0]] | rim[edges[:, 1]])
    a, b = edges.T
    rows = np.concatenate([a[inner], b[inner], a[uses == 1], b[uses == 1]])
    columns = np.concatenate([b[inner], a[inner], b[uses == 1], a[uses == 1]])
    # A vertex beside the boundary looks at it; the boundary does not look back.
    half = ~inner & (uses != 1)
    into = [(a[half & ~rim[a]], b[half & ~rim[a]]), (b[half & ~rim[b]], a[half & ~rim[b]])]
    rows = np.concatenate([rows, *(r for r, _ in into)])
    columns = np.concatenate([columns, *(c for _, c in into)])
    adjacency = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    near = np.zeros(count, bool)
    near[fresh] = True
    near[edges[fresh[edges].any(1)].ravel()] = True
    degree = np.asarray(adjacency.sum(1)).ravel()
    active = sparse.diags((near & (degree > 0)).astype(float))
    laplacian = active @ (sparse.identity(count) - sparse.diags(1 / np.maximum(degree, 1)) @ adjacency)
    identity = sparse.identity(count)
    return ((identity + 0.53 * laplacian) @ (identity - 0.5 * laplacian)).tocsr()


def clip(faces: np.ndarray, corners: np.ndarray, field: np.ndarray) -> Refined:
    """Keep where `field` (V,) is positive, cutting triangles along its zero line; unused vertices are dropped."""
    count = len(field)
    # Values next to zero would give slivers: they are moved onto the kept side or off it.
    field = np.where(np.abs(field) < 1e-6, 1e-6, field)
    edges, of_face = _edge_index(faces)
    crossed = (field[edges[:, 0]] > 0) != (field[edges[:, 1]] > 0)
    new = np.full(len(edges), -1)
    new[crossed] = count + np.arange(int(crossed.sum()))
    a, b = edges[crossed].T
    t = field[a] / (field[a] - field[b])
    rows = np.concatenate([np.arange(count), np.repeat(new[crossed], 2)])
    columns = np.concatenate([np.arange(count), np.stack([a, b], 1).ravel()])
    values = np.concatenate([np.ones(count), np.stack([1 - t, t], 1).ravel()])
    operator = sparse.csr_matrix((values, (rows, columns)), shape=(count + int(crossed.sum()), count))
    kept = field[faces] > 0
    out_faces, out_corners, out_source = [], [], []
    whole = np.flatnonzero(kept.all(1))
    out_faces.append(faces[whole])
    out_corners.append(corners[whole])
    out_source.append(whole)
    for number in (1, 2):
        which = np.flatnonzero(kept.sum(1) == number)
        turn = (kept[which] if number == 1 else ~kept[which]).argmax(1)
        order = (np.arange(3)[None] + turn[:, None]) % 3
        row = np.arange(len(which))[:, None]
        f, c, e = faces[which][row, order], corners[which][row, order], of_face[which][row, order]
        g = field[f]
        first, last = g[:, 0] / (g[:, 0] - g[:, 1]), g[:, 0] / (g[:, 0] - g[:, 2])
        cut = [c[:, 0] + first[:, None] * (c[:, 1] - c[:, 0]), c[:, 0] + last[:, None] * (c[:, 2] - c[:, 0])]
        if number == 1:
            out_faces.append(np.stack([f[:, 0], new[e[:, 0]], new[e[:, 2]]], 1))
            out_corners.append(np.stack([c[:, 0], cut[0], cut[1]], 1))
            out_source.append(which)
        else:
            out_faces += [np.stack([new[e[:, 0]], f[:, 1], f[:, 2]], 1), np.stack([new[e[:, 0]], f[:, 2], new[e[:, 2]]], 1)]
            out_corners += [np.stack([cut[0], c[:, 1], c[:, 2]], 1), np.stack([cut[0], c[:, 2], cut[1]], 1)]
            out_source += [which, which]
    return dropped(Refined(operator, np.concatenate(out_faces), np.concatenate(out_corners), np.concatenate(out_source)))


def dropped(mesh: Refined) -> Refined:
    """The same without vertices that no triangle uses."""
    used = np.unique(mesh.faces)
    index = np.full(mesh.operator.shape[0], -1)
    index[used] = np.arange(len(used))
    return Refined(mesh.operator[used], index[mesh.faces], mesh.corners, mesh.source)
