"""Coarsening against Euler's characteristic, area and border of a square and a sphere."""

from __future__ import annotations

import numpy as np

from carve.geometry.mesh import boundary_edges, face_normals, is_watertight, unique_edges
from carve.geometry.meshing.coarsening import coarsen
from solids import sphere


def sheet(size: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A square in the plane y = 0 of count x count vertices, facing up."""
    line = np.linspace(-size / 2, size / 2, count)
    z, x = np.meshgrid(line, line, indexing="ij")
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count, corner + count + 1
    faces = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])
    return np.column_stack([x.ravel(), np.zeros(count * count), z.ravel()]), faces


def test_coarsening_keeps_topology_border_and_area() -> None:
    vertices, faces = sheet(0.4, 41)
    coarse = coarsen(vertices, faces, 0.03)
    edges, used = unique_edges(coarse), np.unique(coarse)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    assert 0.02 < np.median(lengths) < 0.036
    assert lengths.max() < 1.5 * 0.03
    assert len(used) - len(edges) + len(coarse) == 1  # a disc
    normals = face_normals(vertices, coarse)
    assert (normals[:, 1] > 0).all()
    assert 0.95 * 0.16 < np.linalg.norm(normals, axis=1).sum() / 2 <= 0.16 + 1e-12
    assert (np.abs(vertices[boundary_edges(coarse)][..., [0, 2]]).max(-1) > 0.199).all()


def test_a_coarse_sphere_is_closed() -> None:
    vertices, faces = sphere(0.2, splits=4)
    coarse = coarsen(vertices, faces, 0.05)
    assert len(coarse) < 0.3 * len(faces)
    assert is_watertight(coarse)
    assert len(np.unique(coarse)) - len(unique_edges(coarse)) + len(coarse) == 2
