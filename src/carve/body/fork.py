"""The fork of the legs: weights of left and right change over there within millimetres, which tears the surface when legs part.

Notation: W skinning weights, A areas and S the stiffness matrix of the mesh around the fork, ell a length, c in 0..1 how near to the fork:
    W' = W + c (V - W),    (A + ell^2 S) V = A W
Rows that sum to 1 still do: S annuls constants.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from carve.geometry.mesh import cotangent_laplacian
from carve.geometry.sparse import factorise
from carve.records import Skeleton

WIDTH = 0.03
"""ell, metres."""
_NEAR, _FAR = 0.06, 0.13
"""Distances from the fork, seen from the front, within and beyond which c is 1 and 0; shares of the height."""
_BELOW = 0.05
"""How far the fork lies below the hip joints, share of the height."""
_AROUND = 0.05
"""Beyond the last c > 0 the mesh goes on this far in the equation, share of the height."""


def eased_at_fork(weights: np.ndarray, vertices: np.ndarray, faces: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(V, B) weights W' of a closed surface in the canonical pose, from W (V, B); as they are where the skeleton has no legs."""
    if not {"leftUpperLeg", "rightUpperLeg"} <= set(skeleton.humanoid):
        return weights
    height = float(np.ptp(vertices[:, 1]))
    hips = [skeleton.heads[skeleton.names.index(skeleton.humanoid[f"{side}UpperLeg"])] for side in ("left", "right")]
    fork = np.mean(hips, 0) - np.array([0.0, _BELOW * height, 0.0])
    # Front and seat lie as far from it as thighs do: depth does not count.
    away = np.linalg.norm((vertices - fork)[:, :2], axis=1) / height
    share = np.clip((_FAR - away) / (_FAR - _NEAR), 0, 1)
    local = (away[faces] < _FAR + _AROUND).any(1)
    used, own = np.unique(faces[local], return_inverse=True)
    moved = np.flatnonzero((weights[used] > 0).any(0))
    if len(used) == 0:
        return weights
    stiffness, area = cotangent_laplacian(vertices[used], own.reshape(-1, 3))
    area = np.maximum(area, 1e-12)
    solver = factorise((sparse.diags(area) + WIDTH**2 * stiffness).tocsc())
    smooth = np.clip(solver.solve(area[:, None] * weights[np.ix_(used, moved)]), 0, None)
    smooth /= np.maximum(smooth.sum(1, keepdims=True), 1e-9)
    eased = weights.copy()
    eased[np.ix_(used, moved)] += share[used, None] * (smooth - weights[np.ix_(used, moved)])
    return eased
