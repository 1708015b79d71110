"""Raised cloth: hems, collars, pockets and plackets as steps of exact outline in a garment's surface.

Triangles are cut along the outline of a region, the region is lifted along the normals, and a wall joins it to what stays: the surface
keeps its openings and no others. Everything is linear in the garment's vertices, so that details are put on after the cloth was draped.

Notation: V vertices of the garment, V' with details; fields are metres, positive inside a region.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from carve.geometry.mesh import vertex_normals
from carve.geometry.meshing.refinement import split_edges


@dataclass(frozen=True)
class Relief:
    """A garment with details."""

    operator: sparse.csr_matrix
    """(V', V): flat places of the vertices as means of the garment's."""
    height: np.ndarray
    """(V',) metres off that place along the normal."""
    faces: np.ndarray
    """(F', 3)"""
    rest: np.ndarray
    """(V', 3) flat places at rest."""

    def lifted(self, vertices: np.ndarray, base: np.ndarray) -> np.ndarray:
        """(V', 3) from the garment's vertices (V, 3) and its faces `base`."""
        normals = self.operator @ vertex_normals(vertices, base)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return np.asarray(self.operator @ vertices + self.height[:, None] * normals)


def flat(rest: np.ndarray, faces: np.ndarray) -> Relief:
    """A garment without details."""
    return Relief(sparse.identity(len(rest), format="csr"), np.zeros(len(rest)), faces, rest)


def _edges(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) edges and (F, 3) index of the edge from corner k to corner k + 1."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], -1), axis=-1)
    key, inverse = np.unique(pairs[..., 0] * count + pairs[..., 1], return_inverse=True)
    return np.column_stack(np.divmod(key, count)), inverse.reshape(faces.shape)


def raised(mesh: Relief, field: np.ndarray, height: np.ndarray | float) -> Relief:
    """Lift the region where `field` (V',) is positive by `height`, metres or (V',), negative for a groove."""
    field = np.where(np.abs(field) < 2e-5, -2e-5, field)
    inside = field > 0
    if not inside.any() or inside.all():
        return mesh
    count = len(field)
    lift = np.broadcast_to(np.asarray(height, float), (count,))
    edges, of_face = _edges(mesh.faces, count)
    crossed = inside[edges[:, 0]] != inside[edges[:, 1]]
    number = int(crossed.sum())
    low = np.full(len(edges), -1)
    low[crossed] = count + np.arange(number)
    a, b = edges[crossed].T
    t = np.clip(field[a] / (field[a] - field[b]), 0.02, 0.98)
    rows = np.repeat(np.arange(number), 2)
    cut = sparse.csr_matrix((np.stack([1 - t, t], 1).ravel(), (rows, np.stack([a, b], 1).ravel())), shape=(number, count))
    old, step = cut @ mesh.height, cut @ lift
    faces = _split_faces(mesh.faces, inside, of_face, low, number)
    return Relief(
        sparse.vstack([mesh.operator, cut @ mesh.operator, cut @ mesh.operator], format="csr"),
        np.concatenate([mesh.height + np.where(inside, lift, 0.0), old, old + step]),
        faces,
        np.concatenate([mesh.rest, cut @ mesh.rest, cut @ mesh.rest]),
    )


def scored(mesh: Relief, line: np.ndarray, where: np.ndarray) -> Relief:
    """Cut the triangles along the zero line of a function (V',) near the vertices `where` (V',) bool, so that a thin strip along it has
    vertices."""
    line = np.where(np.abs(line) < 2e-5, 2e-5, line)
    count = len(line)
    edges, of_face = _edges(mesh.faces, count)
    # A triangle is cut whole or not at all, or vertices would hang.
    crossed = ((line[edges[:, 0]] > 0) != (line[edges[:, 1]] > 0)) & where[edges].any(1)
    number = int(crossed.sum())
    if not number:
        return mesh
    low = np.full(len(edges), -1)
    low[crossed] = count + np.arange(number)
    a, b = edges[crossed].T
    t = np.clip(line[a] / (line[a] - line[b]), 0.02, 0.98)
    rows = np.repeat(np.arange(number), 2)
    cut = sparse.csr_matrix((np.stack([1 - t, t], 1).ravel(), (rows, np.stack([a, b], 1).ravel())), shape=(number, count))
    parts = [mesh.faces[(low[of_face] < 0).all(1)]]
    for split in (1, 2):
        which = np.flatnonzero((low[of_face] >= 0).sum(1) == split)
        middle = low[of_face[which]] >= 0
        # Turned so that edge 0 is the only one cut, or edges 0 and 2 are.
        first = middle.argmax(1) if split == 1 else (middle.argmin(1) + 1) % 3
        first = first if split == 1 else (first + 1) % 3
        order = (np.arange(3)[None] + first[:, None]) % 3
        row = np.arange(len(which))[:, None]
        f, e = mesh.faces[which][row, order], low[of_face[which][row, order]]
        if split == 1:
            parts += [np.column_stack([f[:, 0], e[:, 0], f[:, 2]]), np.column_stack([e[:, 0], f[:, 1], f[:, 2]])]
        else:
            parts += [
                np.column_stack([f[:, 0], e[:, 0], e[:, 2]]),
                np.column_stack([e[:, 0], f[:, 1], f[:, 2]]),
                np.column_stack([e[:, 0], f[:, 2], e[:, 2]]),
            ]
    return Relief(
        sparse.vstack([mesh.operator, cut @ mesh.operator], format="csr"),
        np.concatenate([mesh.height, cut @ mesh.height]),
        np.concatenate(parts),
        np.concatenate([mesh.rest, cut @ mesh.rest]),
    )


def _split_faces(faces: np.ndarray, inside: np.ndarray, of_face: np.ndarray, low: np.ndarray, number: int) -> np.ndarray:
    """Faces with those across the outline cut; cut points are `low` (E,) outside and `low + number` inside, with walls between."""
    within = inside[faces].sum(1)
    parts = [faces[(within == 0) | (within == 3)]]
    for lone in (1, 2):
        which = np.flatnonzero(within == lone)
        apart = inside[faces[which]] if lone == 1 else ~inside[faces[which]]
        order = (np.arange(3)[None] + apart.argmax(1)[:, None]) % 3
        row = np.arange(len(which))[:, None]
        f, e = faces[which][row, order], of_face[which][row, order]
        first, last = low[e[:, 0]], low[e[:, 2]]
        # The corner that is alone has its own side's copies of the cut points, the other two have theirs.
        own, other = (number, 0) if lone == 1 else (0, number)
        parts += [
            np.column_stack([f[:, 0], first + own, last + own]),
            np.column_stack([first + other, f[:, 1], f[:, 2]]),
            np.column_stack([first + other, f[:, 2], last + other]),
            np.column_stack([last + own, first + own, first + other]),
            np.column_stack([last + own, first + other, last + other]),
        ]
    return np.concatenate(parts)


def swollen(mesh: Relief, height: np.ndarray) -> Relief:
    """Lift every vertex by its own height (V',): padding, creases, rolls of cloth."""
    return replace(mesh, height=mesh.height + height)


def finer(mesh: Relief, near: np.ndarray, longest: float) -> Relief:
    """Halve the edges that touch the vertices `near` (V',) bool until none there is longer than `longest` metres at rest."""
    for _ in range(3):
        edges, _ = _edges(mesh.faces, len(mesh.rest))
        length = np.linalg.norm(mesh.rest[edges[:, 0]] - mesh.rest[edges[:, 1]], axis=1)
        split = near[edges].any(1) & (length > longest)
        if not split.any():
            return mesh
        fine = split_edges(mesh.faces, np.zeros((*mesh.faces.shape, 0)), len(mesh.rest), split)
        near = np.asarray(fine.operator @ near.astype(float)) > 0
        mesh = Relief((fine.operator @ mesh.operator).tocsr(), fine.operator @ mesh.height, fine.faces, fine.operator @ mesh.rest)
    return mesh
