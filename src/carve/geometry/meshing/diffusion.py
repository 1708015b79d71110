"""Spreading values over a surface, more readily around limbs than along them.

Notation: s = n x a, the direction around a limb of unit axis a on a triangle with unit normal n; D = across I + s s^T conductivity;
K stiffness matrix of linear finite elements, K_ij = sum over triangles of area grad(phi_i)^T D grad(phi_j).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from carve.geometry.mesh import face_normals
from carve.geometry.sparse import factorise


def stiffness(
    vertices: np.ndarray, faces: np.ndarray, axes: np.ndarray, across: float, conductivity: np.ndarray, bounded: bool = True
) -> sparse.csr_matrix:
    """(V, V) stiffness matrix for limb axes (F, 3) and a factor (F,) on each triangle; `across` is the conductivity along the limb.

    What is spread with a `bounded` one stays within the range of the given values, and less of it goes around than should.
    """
    normal = face_normals(vertices, faces)
    double = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    unit = normal / double
    around = np.cross(unit, axes)
    corners = vertices[faces]
    # The gradient of a corner's hat function: normal x opposite edge, over twice the area. Slivers would only add noise.
    gradients = [np.cross(unit, corners[:, (k + 2) % 3] - corners[:, (k + 1) % 3]) / double for k in range(3)]
    area = conductivity * double[:, 0] / 2
    rows, columns, entries = [], [], []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        value = across * np.einsum("fi,fi->f", gradients[i], gradients[j])
        value += np.einsum("fi,fi->f", gradients[i], around) * np.einsum("fi,fi->f", gradients[j], around)
        rows.append(faces[:, i])
        columns.append(faces[:, j])
        entries.append(value * area)
    n = len(vertices)
    half = sparse.csr_matrix((np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))
    links = half + half.T
    if bounded:  # obtuse triangles pull neighbours apart
        links = links.minimum(0)
    return (links - sparse.diags(np.asarray(links.sum(1)).ravel())).tocsr()


def spread(stiff: sparse.csr_matrix, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The smoothest values (V, C) that keep to `values` (V, C) where `weight` (V,) is large: ``(W + K) x = W values``."""
    system = (sparse.diags(weight) + stiff).tocsc()
    return factorise(system, pivots=True).solve(weight[:, None] * values)
