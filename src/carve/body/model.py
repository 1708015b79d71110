"""The interface of a parametric body: blend shapes, a skeleton that is axis-aligned at rest, linear blend skinning.

Notation: S shape parameters, V vertices, B bones, K blend shapes. The rest pose is the model's own; the canonical pose (arms out, each
leg turned out by 25 degrees) is reached from it by `canonical_rotations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from carve.geometry.rotations import axis_rotation, rotation_between
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import Skeleton

REGIONS = (
    "torso",
    "head",
    "left_upper_arm",
    "left_lower_arm",
    "left_hand",
    "right_upper_arm",
    "right_lower_arm",
    "right_hand",
    "left_upper_leg",
    "left_lower_leg",
    "left_foot",
    "right_upper_leg",
    "right_lower_leg",
    "right_foot",
)
"""Parts of the body, the values of `BodyModel.region`."""

REGION_OF_HUMANOID = {
    "hips": "torso",
    "spine": "torso",
    "chest": "torso",
    "upperChest": "torso",
    "neck": "head",
    "head": "head",
} | {
    f"{side}{bone}": f"{side}_{part}" if part != "torso" else "torso"
    for side in ("left", "right")
    for bone, part in (
        ("Shoulder", "torso"),
        ("UpperArm", "upper_arm"),
        ("LowerArm", "lower_arm"),
        ("Hand", "hand"),
        ("UpperLeg", "upper_leg"),
        ("LowerLeg", "lower_leg"),
        ("Foot", "foot"),
    )
}
"""VRM humanoid bone -> the part of the body that it and its finer children move."""

LEG_SPREAD = np.radians(25.0)
"""How far each leg is turned out in the canonical pose, radians (CAR, section 3.1)."""


@dataclass(frozen=True)
class ShapePrior:
    """A box-bounded normal distribution over the shape parameters."""

    mean: Tensor
    """(S,)"""
    sigma: Tensor
    """(S,)"""
    low: Tensor
    """(S,)"""
    high: Tensor
    """(S,)"""


@dataclass(frozen=True)
class Keypoint:
    """A landmark as a weighted mean of vertices."""

    vertices: np.ndarray
    """(n,) int64."""
    weights: np.ndarray
    """(n,) sum to 1."""


class Rig(Protocol):
    """A skeleton's names and tree: all that a pose needs of a body."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def parents(self) -> np.ndarray: ...

    @property
    def humanoid(self) -> dict[str, str]: ...


class BodyModel(Protocol):
    """What the rest of carve needs to know of a body model. All arrays in the body frame, metres, rest pose.

    The rest shape is ``template + sum_k coefficients(shape)_k shapes_k``, the bone heads likewise.
    """

    @property
    def name(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def shape_names(self) -> tuple[str, ...]: ...

    @property
    def prior(self) -> ShapePrior: ...

    @property
    def names(self) -> tuple[str, ...]:
        """B bone names, parents before children."""
        ...

    @property
    def parents(self) -> np.ndarray:
        """(B,) int64, -1 for the root."""
        ...

    @property
    def humanoid(self) -> dict[str, str]:
        """VRM 1.0 humanoid bone name -> bone name; the hips are the root."""
        ...

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) int64, wound outward."""
        ...

    @property
    def bones(self) -> np.ndarray:
        """(V, n) int64."""
        ...

    @property
    def weights(self) -> np.ndarray:
        """(V, n) rows sum to 1."""
        ...

    @property
    def region(self) -> np.ndarray:
        """(V,) uint8 index into REGIONS."""
        ...

    @property
    def keypoints(self) -> dict[str, Keypoint]:
        """mediapipe landmark name -> where it lies on the surface; landmarks that are missing are taken from bone heads."""
        ...

    @property
    def template(self) -> Tensor:
        """(V, 3)"""
        ...

    @property
    def heads(self) -> Tensor:
        """(B, 3) bone heads of the template."""
        ...

    @property
    def shapes(self) -> Tensor:
        """(K, V, 3) blend shapes."""
        ...

    @property
    def head_shapes(self) -> Tensor:
        """(K, B, 3) what the blend shapes do to the bone heads."""
        ...

    def coefficients(self, shape: Tensor) -> Tensor:
        """Shape (S,) to the weights (K,) of the blend shapes; differentiable."""
        ...


def rest_pose(model: BodyModel, shape: Tensor) -> tuple[Tensor, Tensor]:
    """Shape (S,) to rest vertices (V, 3) and bone heads (B, 3), metres, body frame; differentiable."""
    weights = model.coefficients(shape)
    return model.template + torch.tensordot(weights, model.shapes, 1), model.heads + torch.tensordot(weights, model.head_shapes, 1)


def bone_regions(names: tuple[str, ...], parents: np.ndarray, humanoid: dict[str, str]) -> np.ndarray:
    """(B,) uint8 index into REGIONS of each bone: its own if it is a humanoid bone, else its parent's."""
    by_bone = {bone: REGIONS.index(REGION_OF_HUMANOID[vrm]) for vrm, bone in humanoid.items() if vrm in REGION_OF_HUMANOID}
    regions = np.zeros(len(names), np.uint8)
    for bone, (name, parent) in enumerate(zip(names, parents, strict=True)):
        regions[bone] = by_bone.get(name, regions[parent] if parent >= 0 else 0)
    return regions


def canonical_rotations(model: Rig, heads: np.ndarray) -> np.ndarray:
    """(B, 3, 3) local rotations that take the rest pose with bone heads (B, 3) to the canonical pose.

    Arms point straight out along the x axis, the hips turn each leg outwards to LEG_SPREAD from the vertical; all else stays.
    """
    index = {name: i for i, name in enumerate(model.names)}
    local = np.tile(np.eye(3), (len(model.names), 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower, hand = (index[model.humanoid[f"{side}{b}"]] for b in ("UpperArm", "LowerArm", "Hand"))
        straight_out = np.array([sign, 0.0, 0.0])
        first = rotation_between(heads[lower] - heads[upper], straight_out)
        second = rotation_between(first @ (heads[hand] - heads[lower]), straight_out)
        local[upper] = first
        local[lower] = first.T @ second @ first
        thigh, foot = index[model.humanoid[f"{side}UpperLeg"]], index[model.humanoid[f"{side}Foot"]]
        leg = heads[foot] - heads[thigh]
        now = np.arctan2(sign * leg[0], -leg[1])
        local[thigh] = axis_rotation(2, sign * (LEG_SPREAD - now))
    return local


@dataclass(frozen=True)
class CanonicalBody:
    """A shaped body in the canonical pose."""

    vertices: np.ndarray
    """(V, 3) body frame, metres."""
    skeleton: Skeleton
    rest_rotations: np.ndarray
    """(B, 3, 3) global rotations that took the rest pose to the canonical pose."""


def canonical_body(model: BodyModel, shape: Tensor) -> CanonicalBody:
    """The shaped body in the canonical pose, standing over the origin: soles at y = 0, root bone at x = z = 0."""
    with torch.no_grad():
        rest, rest_heads = (t.double().numpy() for t in rest_pose(model, shape))
    local = canonical_rotations(model, rest_heads)
    rotations, heads = forward_kinematics(local, rest_heads, model.parents, rest_heads[0])
    vertices = skin(rest, bone_transforms(rotations, heads, rest_heads), model.bones, model.weights)
    offset = np.array([heads[0, 0], vertices[:, 1].min(), heads[0, 2]])
    skeleton = Skeleton(model.names, model.parents, heads - offset, model.humanoid)
    return CanonicalBody(vertices - offset, skeleton, rotations)
