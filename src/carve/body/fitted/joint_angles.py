"""Joint angles against the rest pose, which a fit looks for, and local rotations against the canonical pose, which records hold."""

from __future__ import annotations

import numpy as np
import torch

from carve.body.fitted.articulation import Articulation
from carve.body.model import CanonicalBody
from carve.geometry.rotations import matrix_from_rotvec, rotvec_from_matrix
from carve.geometry.skinning import forward_kinematics, local_rotations
from carve.records import Pose


def pose_of_angles(
    articulation: Articulation, canonical: CanonicalBody, angles: np.ndarray, root: np.ndarray, position: np.ndarray
) -> Pose:
    """Angles (D,), the root's rotation (3, 3) and position (3,), body to camera frame, to the pose."""
    skeleton = canonical.skeleton
    local = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    turns = torch.as_tensor(np.einsum("d,pd,dc->pc", angles, articulation.shares, articulation.axes))
    local[articulation.moving] = matrix_from_rotvec(turns).numpy()
    local[0] = root @ local[0]
    from_rest, _ = forward_kinematics(local, skeleton.heads, skeleton.parents, position)
    against_canonical = from_rest @ np.swapaxes(canonical.rest_rotations, -1, -2)
    return Pose(local_rotations(against_canonical, skeleton.parents), position)


def angles_of_pose(articulation: Articulation, canonical: CanonicalBody, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Angles (D,) and the root's rotation (3, 3): the inverse of `pose_of_angles`; what no angle turns is left out."""
    skeleton = canonical.skeleton
    rotations, _ = pose.bones(skeleton)
    local = local_rotations(rotations @ canonical.rest_rotations, skeleton.parents)
    turns = rotvec_from_matrix(local[articulation.moving])
    # An angle is shared out evenly over the bones of its joint: the first of them tells it.
    first = (articulation.shares > 0).argmax(0)
    return (articulation.axes * turns[first]).sum(1) / articulation.shares[first, np.arange(len(first))], local[0]
