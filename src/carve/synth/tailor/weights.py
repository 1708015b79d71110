"""Skinning weights of cloth: those of the skin below, spread along the cloth."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from carve.geometry.mesh import adjacency
from carve.geometry.skin_weights import stored_weights

_NEAREST = 12
_ROUNDS = 15


def cloth_weights(
    vertices: np.ndarray, faces: np.ndarray, skin: np.ndarray, joints: sparse.csr_matrix, allowed: np.ndarray | None = None
) -> sparse.csr_matrix:
    """(V, B) rows that sum to 1, at most four bones each: the mean of the weights `joints` (S, B) of the twelve nearest skin vertices (S,
    3) by inverse distance, then diffusion along the mesh. `allowed` (S,) bool restricts the skin that is looked at."""
    chosen = np.arange(len(skin)) if allowed is None else np.flatnonzero(allowed)
    far, near = cKDTree(skin[chosen]).query(vertices, _NEAREST)
    share = 1 / np.maximum(far, 1e-3)
    share /= share.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(vertices)), _NEAREST)
    pick = sparse.coo_matrix((share.ravel(), (rows, chosen[near].ravel())), shape=(len(vertices), len(skin))).tocsr()
    weights = np.asarray((pick @ joints).todense())
    used = np.flatnonzero(weights.max(0) > 0)
    dense = weights[:, used]
    neighbours = adjacency(faces, len(vertices))
    mean = sparse.diags(1 / np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1)) @ neighbours
    for _ in range(_ROUNDS):
        dense = 0.5 * (dense + mean @ dense)
    dense[dense < 2e-3] = 0.0
    dense /= np.maximum(dense.sum(1, keepdims=True), 1e-12)
    columns = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    bones, stored = stored_weights(used[columns], np.take_along_axis(dense, columns, 1))
    return weight_matrix(bones, stored, joints.shape[1])


def weight_matrix(bones: np.ndarray, weights: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, count) float64 from bones (V, 4) and weights (V, 4)."""
    rows = np.repeat(np.arange(len(bones)), bones.shape[1])
    return sparse.coo_matrix((weights.astype(np.float64).ravel(), (rows, bones.ravel())), shape=(len(bones), count)).tocsr()
