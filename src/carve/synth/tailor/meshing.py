"""From a field to cloth: the zero level, cut open, with even triangles and clean rims.

Notation: V vertices, F triangles, metres.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from carve.geometry.mesh import boundary_edges, compact, components, smooth, uniform_laplacian, vertex_normals
from carve.geometry.meshing.coarsening import coarsen
from carve.geometry.meshing.isosurface import marching_cubes
from carve.geometry.meshing.refinement import clip
from carve.synth.tailor.field import BodyGrid

EDGE = 0.0105
"""Metres: about how long the edges of cloth are."""
_SMOOTH = 36
"""Rounds that take the steps of the grid away."""
_EVEN = 8
"""Rounds in which vertices move along the surface to the middle of their neighbours."""


def zero_level(grid: BodyGrid, field: np.ndarray, rounds: int = _SMOOTH, pieces: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and outward faces (F, 3) of the zero level, without the steps of the grid: of its largest piece, and of those with at
    least the share `pieces` of its vertices."""
    vertices, faces = marching_cubes(field)
    vertices = grid.origin + grid.cell * vertices
    label = components(faces, len(vertices))
    size = np.bincount(label)
    vertices, faces, _ = compact(vertices, faces[(size >= pieces * size.max())[label[faces[:, 0]]]])
    return smooth(vertices, faces, rounds), faces


def cut_open(vertices: np.ndarray, faces: np.ndarray, keep: np.ndarray, least: float = 0.04) -> tuple[np.ndarray, np.ndarray]:
    """What is left where `keep` (V,) is positive, cut along its zero line; pieces of less than the share `least` of the faces are
    dropped."""
    if (keep > 0).all():
        return vertices, faces
    cut = clip(faces, np.zeros((*faces.shape, 0)), keep)
    vertices, faces = cut.operator @ vertices, cut.faces
    label = components(faces, len(vertices))[faces[:, 0]]
    large = np.bincount(label) >= least * len(faces)
    return compact(vertices, faces[large[label]])[:2]


def evened(vertices: np.ndarray, faces: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangles with edges of about `edge` metres over the same surface, the rims as smooth curves."""
    faces = coarsen(vertices, faces, edge)
    vertices, faces, _ = compact(vertices, faces)
    rim = boundary_edges(faces).reshape(-1, 2)
    along = _along_rim(rim, len(vertices))
    on_rim = np.zeros(len(vertices), bool)
    on_rim[rim.ravel()] = True
    laplacian = uniform_laplacian(faces, len(vertices))
    for _ in range(_EVEN):
        move = -0.5 * (laplacian @ vertices)
        normal = vertex_normals(vertices, faces)
        move -= np.einsum("vd,vd->v", move, normal)[:, None] * normal
        move[on_rim] = 0.0
        vertices = vertices + move
        vertices = np.where(on_rim[:, None], vertices + 0.5 * (along @ vertices - vertices), vertices)
        vertices = np.where(on_rim[:, None], vertices - 0.53 * (along @ vertices - vertices), vertices)
    return vertices, faces


def _along_rim(rim: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) rows that average a rim vertex's neighbours along the rim; others keep their place."""
    a, b = rim.T
    near = sparse.coo_matrix((np.ones(2 * len(rim)), (np.r_[a, b], np.r_[b, a])), shape=(count, count)).tocsr()
    number = np.asarray(near.sum(1)).ravel()
    simple = number == 2
    scale = np.where(simple, 1 / np.maximum(number, 1), 0.0)
    return (sparse.diags(scale) @ near + sparse.diags((~simple).astype(float))).tocsr()
