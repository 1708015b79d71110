"""Linear blend skinning and forward kinematics with bones that are axis-aligned in the bind pose.

Notation: B bones with heads h_b in the bind pose; R_b, p_b global rotation and posed head of bone b; L_b rotation of b relative to its
parent; w_vb weights.
    R_b = R_parent L_b,   p_b = R_parent (h_b - h_parent) + p_parent,   x'_v = sum_b w_vb (R_b (x_v - h_b) + p_b)
"""

from __future__ import annotations

import numpy as np


def forward_kinematics(
    local: np.ndarray, heads: np.ndarray, parents: np.ndarray, root_position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations (B, 3, 3), bind heads (B, 3), parents (B,), posed root head (3,) to global rotations (B, 3, 3) and heads (B, 3)."""
    rotations, positions = np.empty_like(local), np.empty_like(heads)
    for bone, parent in enumerate(parents):
        if parent < 0:
            rotations[bone], positions[bone] = local[bone], root_position
        else:
            rotations[bone] = rotations[parent] @ local[bone]
            positions[bone] = rotations[parent] @ (heads[bone] - heads[parent]) + positions[parent]
    return rotations, positions


def local_rotations(rotations: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Global rotations (B, 3, 3) to rotations relative to the parent (B, 3, 3)."""
    local = rotations.copy()
    inner = parents >= 0
    local[inner] = np.swapaxes(rotations[parents[inner]], -1, -2) @ rotations[inner]
    return local


def bone_transforms(rotations: np.ndarray, positions: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """(B, 3, 4) affine maps from the bind pose to the pose: ``x -> R_b (x - h_b) + p_b``."""
    offset = positions - np.einsum("bij,bj->bi", rotations, heads)
    return np.concatenate([rotations, offset[..., None]], axis=-1)


def blended_transforms(transforms: np.ndarray, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bone maps (B, 3, 4), bone indices (V, K) and weights (V, K) to each vertex's blended map (V, 3, 4)."""
    blended = np.zeros((len(bones), 3, 4))
    for k in range(bones.shape[1]):
        blended += weights[:, k, None, None] * transforms[bones[:, k]]
    return blended


def skin(points: np.ndarray, transforms: np.ndarray, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pose points (V, 3) of the bind pose by linear blend skinning."""
    blended = blended_transforms(transforms, bones, weights)
    return np.einsum("vij,vj->vi", blended[..., :3], points) + blended[..., 3]


def unskin(points: np.ndarray, transforms: np.ndarray, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Inverse of `skin`: posed points (V, 3) back to the bind pose, each through its own blended map."""
    blended = blended_transforms(transforms, bones, weights)
    return np.linalg.solve(blended[..., :3], (points - blended[..., 3])[..., None])[..., 0]


def strongest_weights(dense: np.ndarray, count: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `count` strongest bones of dense weights (V, B): indices (V, count), renormalised weights, and the share dropped (V,)."""
    bones = np.argpartition(-dense, count - 1, axis=1)[:, :count]
    weights = np.take_along_axis(dense, bones, 1)
    order = np.argsort(-weights, axis=1)
    bones, weights = np.take_along_axis(bones, order, 1), np.take_along_axis(weights, order, 1)
    kept = weights.sum(1)
    dropped = 1 - kept / np.maximum(dense.sum(1), 1e-12)
    return np.where(weights > 0, bones, 0), weights / np.maximum(kept, 1e-12)[:, None], dropped
