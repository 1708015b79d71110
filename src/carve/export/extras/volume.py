"""How much room a joint keeps when it bends or twists: what linear blend skinning is known to lose.

Notation: the part of the skin within r of a joint along the limb, closed by a fan over each of its two rims; its volume by the divergence
theorem, in the pose over that at rest.
"""

from __future__ import annotations

import numpy as np

from carve.export.records import Asset
from carve.export.rest_pose import about
from carve.geometry.mesh import boundary_edges, signed_volume
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin

WRIST, ELBOW = 0.05, 0.08
"""r of the joints, metres."""


def wrist_volume(asset: Asset, side: str, degrees: float = 90.0) -> float:
    """Share of the volume around a wrist that is left when the hand is turned about the forearm; twist bones take their half."""
    skeleton = asset.skeleton
    hand, arm = skeleton.index(f"{side}Hand"), skeleton.index(f"{side}LowerArm")
    axis = skeleton.heads[hand] - skeleton.heads[arm]
    axis = axis / np.linalg.norm(axis)
    turns = {hand: about(axis, np.radians(degrees))}
    for leaf, source in skeleton.twists.items():
        if source == skeleton.names[hand]:
            turns[skeleton.names.index(leaf)] = about(axis, np.radians(degrees / 2))
    return _kept(asset, turns, skeleton.heads[hand], axis, WRIST)


def elbow_volume(asset: Asset, side: str, degrees: float = 120.0) -> float:
    """Share of the volume around an elbow that is left when the forearm is bent forward, in the T-pose about the vertical."""
    skeleton = asset.skeleton
    upper, arm = skeleton.index(f"{side}UpperArm"), skeleton.index(f"{side}LowerArm")
    axis = skeleton.heads[arm] - skeleton.heads[upper]
    axis = axis / np.linalg.norm(axis)
    hinge = np.cross(axis, [0.0, 0.0, 1.0])
    return _kept(asset, {arm: about(hinge / np.linalg.norm(hinge), np.radians(degrees))}, skeleton.heads[arm], axis, ELBOW)


def _kept(asset: Asset, turns: dict[int, np.ndarray], joint: np.ndarray, axis: np.ndarray, reach: float) -> float:
    skeleton = asset.skeleton
    local = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    for bone, turn in turns.items():
        local[bone] = turn
    rotations, heads = forward_kinematics(local, skeleton.heads, skeleton.parents, skeleton.heads[0])
    posed = skin(asset.vertices, bone_transforms(rotations, heads, skeleton.heads), asset.bones, asset.weights)
    along = (asset.vertices - joint) @ axis
    across = np.linalg.norm(asset.vertices - joint - along[:, None] * axis, axis=1)
    near = (np.abs(along) < reach) & (across < 0.15)
    faces = asset.faces[near[asset.faces].all(1)]
    rims = boundary_edges(faces)
    count = len(asset.vertices)
    caps = [np.column_stack([rim[:, ::-1], np.full(len(rim), count + k)]) for k, rim in enumerate(_by_side(rims, along))]
    closed = np.concatenate([faces, *caps])
    volumes = []
    for vertices in (asset.vertices, posed):
        centres = [vertices[np.unique(rim)].mean(0) for rim in _by_side(rims, along)]
        volumes.append(signed_volume(np.concatenate([vertices, np.stack(centres)]), closed))
    return volumes[1] / volumes[0]


def _by_side(rims: np.ndarray, along: np.ndarray) -> list[np.ndarray]:
    """The rim's edges on the near and on the far side of the joint."""
    far = along[rims[:, 0]] > 0
    return [rims[~far], rims[far]]
