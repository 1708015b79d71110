"""Refine in the photo's pose, without learning: the finished mesh, skinned as the avatar will be, is moved to the mask once more.

The movement goes back to canonical space through each vertex's own blended transform, so that posing the avatar gives exactly the posed
surface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from carve.body.model import REGIONS
from carve.geometry.mesh import diffuse
from carve.geometry.outline import SurfaceMover, find_rim, mask_field
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin, unskin
from carve.records import BodyFit, CanonicalSurface, Observation, PosedSurface, StageError


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    resolution: int = 512
    """Pixels of the person's longer side."""
    rounds: int = 2
    """Rounds of moving in the picture's plane."""
    reach: float = 0.06
    """How far the mask may lie outside the surface, metres."""
    inward: float = 0.06
    """How far it may lie inside, metres."""
    scale: float = 0.02
    """Smoothness of the movement, metres."""


def refine(observation: Observation, body: BodyFit, canonical: CanonicalSurface, params: Params) -> PosedSurface:
    """Pose the surface, close what is left between its silhouette and the mask, and carry the change back.

    Raises StageError if a vertex is not finite afterwards.
    """
    skeleton, pose = canonical.skeleton, body.pose
    rotations, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    transforms = bone_transforms(rotations, heads, skeleton.heads)
    posed = skin(canonical.vertices, transforms, canonical.bones, canonical.weights)
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    hold = 0.1 + 100.0 * diffuse(hands.astype(float)[:, None], canonical.faces, 4)[:, 0]
    mover = SurfaceMover(posed, canonical.faces, hold)
    field = mask_field(observation.mask, body.camera, params.resolution)
    for _ in range(params.rounds):
        posed = mover.shift(posed, find_rim(posed, canonical.faces, field, params.reach, params.inward), params.scale)
    vertices = unskin(posed, transforms, canonical.bones, canonical.weights)
    if not (np.isfinite(vertices).all() and np.isfinite(posed).all()):
        raise StageError("refine: a vertex is not finite after inverse skinning.")
    return PosedSurface(replace(canonical, vertices=vertices), pose, body.camera, posed)
