"""Give a surface the detail of normal maps without leaving the places that it projects to.

Every vertex moves along its own viewing ray. Positions are trusted at long wavelengths, normals at short ones (Nehab et al., "Efficiently
combining positions and normals for precise 3D geometry", SIGGRAPH 2005), which is a linear least-squares problem in the shifts, because a
triangle's normal n is reached when all its edges are across it.

Notation: vertices x_i in the camera frame, unit rays r_i from the camera, shifts s_i in metres, wanted normals n_i; for an edge (i, j) of
cotangent weight c_ij, n_ij = (n_i + n_j) / 2, t_ij its trust, A_i the area around a vertex, ell the reach, mu a fraction of it:
    min  sum_ij c_ij t_ij (n_ij . (x_i + s_i r_i - x_j - s_j r_j))^2  +  (2 pi / ell)^2 sum_i A_i s_i^2  +  mu^2 |A^-1/2 S s|^2
S is the stiffness matrix; the last term lets what no map shows follow smoothly. Normals are compared across wavelengths shorter than ell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from carve.geometry.mesh import cotangent_laplacian, unique_edges
from carve.geometry.sparse import factorise


@dataclass(frozen=True)
class Wanted:
    """What each vertex should look like."""

    normals: np.ndarray
    """(V, 3) unit normals, camera frame; anything where the trust is zero."""
    trust: np.ndarray
    """(V,) 0 (no normal is known) to 1."""


def integrate_normals(
    vertices: np.ndarray,
    faces: np.ndarray,
    wanted: Wanted,
    hold: np.ndarray,
    reach: float,
    smoothness: float,
    rounds: int = 2,
    direct: bool = True,
) -> np.ndarray:
    """(V,) shifts along the viewing rays, metres, away from the camera.

    Args:
        vertices: (V, 3) camera frame.
        faces: (F, 3).
        wanted: the normals.
        hold: (V,) 1 or more: how many times as strongly a vertex is kept in its place.
        reach: ell, metres.
        smoothness: mu, metres.
        rounds: solutions; after each, edges whose slope the surface did not take on are trusted less.
        direct: by factorisation; else by conjugate gradients, which on fine meshes is faster where the reach is short.
    """
    rays = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    stiffness, area = cotangent_laplacian(vertices, faces)
    edges = unique_edges(faces)
    i, j = edges.T
    cotangent = -np.asarray(stiffness[i, j]).ravel()
    mean = wanted.normals[i] + wanted.normals[j]
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    span = vertices[i] - vertices[j]
    length = np.maximum(np.linalg.norm(span, axis=1), 1e-9)
    trust = np.minimum(wanted.trust[i], wanted.trust[j])
    rows = np.arange(len(edges))
    shape = (len(edges), len(vertices))
    slope = sparse.csr_matrix((np.einsum("ec,ec->e", mean, rays[i]), (rows, i)), shape=shape)
    slope = slope - sparse.csr_matrix((np.einsum("ec,ec->e", mean, rays[j]), (rows, j)), shape=shape)
    missing = np.einsum("ec,ec->e", mean, span)
    area = np.maximum(area, 1e-12)
    bending = smoothness**2 * stiffness @ sparse.diags(1 / area) @ stiffness
    kept = sparse.diags((2 * np.pi / reach) ** 2 * area * hold)
    shift = np.zeros(len(vertices))
    robust = np.ones(len(edges))
    for _ in range(rounds):
        weight = sparse.diags(cotangent * trust * robust)
        system = (slope.T @ weight @ slope + kept + bending).tocsc()
        right = -(slope.T @ (weight @ missing))
        if direct:
            shift = factorise(system).solve(right)
        else:
            scale = sparse.diags(1 / system.diagonal())
            # What is left after some hundred steps is far below what can be seen.
            shift, _ = cg(system, right, x0=shift, rtol=1e-3, maxiter=300, M=scale)
        left = (slope @ shift + missing) / length
        robust = 1 / (1 + (left / 0.35) ** 2)
    return shift
