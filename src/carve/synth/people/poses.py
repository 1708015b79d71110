"""Poses of people before a camera: from motion files, from a sampler inside the joints' limits, and mixtures of both.

Notation: a pose is local rotations (B, 3, 3) relative to the parent, against the canonical pose, in the body frame; the root's own rotation
leans and tilts the person but never turns them about the vertical, which is the camera's to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from carve.body.articulation import Articulation, build_articulation
from carve.body.model import REGIONS, bone_regions
from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import axis_rotation, matrix_from_quaternion, matrix_from_rotvec, quaternion_from_matrix
from carve.geometry.skinning import bone_transforms, forward_kinematics, local_rotations, skin
from carve.io.motion import Motion, read_motion, skeleton_motion
from carve.records import Skeleton
from carve.synth.people.bodies import FullBody, ShapedBody

DEGREE = np.pi / 180

COLLISION = 0.004
"""Share of the skin that may lie within another part of the body: fingers that touch."""

WIDE = ("fly", "fight", "gym", "run", "sit", "pirouette")
"""Motion files with these in their names are no way to stand for a photo; they are rare."""


@dataclass(frozen=True)
class Pose:
    """One pose and what came of it."""

    local: np.ndarray
    """(B, 3, 3) relative to the parent, against the canonical pose."""
    kind: str
    """Where it is from: `standing`, `sampled`, a motion file's name, or a mixture."""
    transforms: np.ndarray
    """(B, 3, 4) bone maps, canonical to posed; the posed frame stands on y = 0."""
    heads: np.ndarray
    """(B, 3) posed bone heads."""
    posed: np.ndarray
    """(V, 3) the naked body."""


def apply_pose(body: FullBody, shaped: ShapedBody, local: np.ndarray, kind: str = "given") -> Pose:
    """Pose a body; the lowest point stands on y = 0, the root above the origin."""
    rotations, heads = forward_kinematics(local, shaped.heads, body.parents, shaped.heads[0])
    maps = bone_transforms(rotations, heads, shaped.heads)
    posed = skin(shaped.canonical, maps, body.bones[body.base], body.weights[body.base])
    drop = np.array([heads[0, 0], posed[:, 1].min(), heads[0, 2]])
    maps[..., 3] -= drop
    return Pose(local, kind, maps, heads - drop, posed - drop)


def overlapped(body: FullBody, vertices: np.ndarray) -> np.ndarray:
    """(V / 3,) bool for every third vertex of the skin (V, 3): it lies within another part of the body.

    A point 4 mm under the skin has the winding number 1 of its own part, and 2 where another part overlaps it. In the canonical pose this
    marks the mouth and the eyes; what a pose adds to it is a collision.
    """
    below = vertices - 0.004 * vertex_normals(vertices, body.faces)
    return MeshQueries(vertices, body.faces, winding=True).inside(below[::3], threshold=1.5)


def _against_canonical(body: FullBody, shaped: ShapedBody, local_at_rest: np.ndarray) -> np.ndarray:
    """Local rotations against the rest pose to local rotations against the canonical pose."""
    rotations, _ = forward_kinematics(local_at_rest, shaped.rest_heads, body.parents, shaped.rest_heads[0])
    return local_rotations(rotations @ np.swapaxes(shaped.rest_rotations, 1, 2), body.parents)


def sampled_angles(body: FullBody, shaped: ShapedBody, rng: np.random.Generator, spread: float) -> np.ndarray:
    """(B, 3, 3) local rotations at rest: every joint normal about how people stand, `spread` times as wide, within its limits."""
    articulation = build_articulation(body, shaped.rest_heads)
    angles = articulation.mean + spread * articulation.sigma * rng.standard_normal(len(articulation.mean))
    angles = np.clip(angles, articulation.low, articulation.high)
    return _from_angles(body, articulation, angles)


def _from_angles(body: FullBody, articulation: Articulation, angles: np.ndarray) -> np.ndarray:
    local = np.tile(np.eye(3), (len(body.names), 1, 1))
    turns = np.einsum("d,pd,dc->pc", angles, articulation.shares, articulation.axes)
    local[articulation.moving] = matrix_from_rotvec(torch.from_numpy(turns)).numpy()
    return local


def standing_angles(body: FullBody, shaped: ShapedBody, rng: np.random.Generator) -> np.ndarray:
    """(B, 3, 3) local rotations at rest of someone who stands for a photo: weight on one leg or both, arms at ease in one of a few ways."""
    articulation = build_articulation(body, shaped.rest_heads)
    angles = articulation.mean + 0.3 * articulation.sigma * rng.standard_normal(len(articulation.mean))
    index = {name: i for i, name in enumerate(articulation.names)}

    def turn(name: str, degrees: float, spread: float = 4.0) -> None:
        angles[index[name]] += (degrees + spread * rng.standard_normal()) * DEGREE

    weight = rng.choice(["left", "right", "both"], p=[0.3, 0.3, 0.4])
    if weight != "both":
        free, sign = ("right", -1.0) if weight == "left" else ("left", 1.0)
        turn(f"{free}UpperLeg.0", -12, 7)
        turn(f"{free}UpperLeg.1", sign * 12, 8)
        turn(f"{free}UpperLeg.2", sign * 4, 4)
        turn(f"{free}LowerLeg.0", 20, 9)
        turn("spine.2", sign * 4, 3)
        turn("chest.2", -sign * 5, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turn(f"{side}UpperLeg.2", sign * float(rng.choice([-6, -3, 1, 6])), 2)
        habit = rng.choice(["hang", "out", "hip", "front", "bent", "behind", "raised"], p=[0.42, 0.2, 0.1, 0.07, 0.12, 0.05, 0.04])
        if habit == "out":
            turn(f"{side}UpperArm.2", sign * 18, 10)
        elif habit == "hip":
            turn(f"{side}UpperArm.2", sign * 36, 6)
            turn(f"{side}UpperArm.1", sign * -35, 8)
            turn(f"{side}LowerArm.0", 82, 8)
        elif habit == "front":
            turn(f"{side}UpperArm.0", -22, 8)
            turn(f"{side}UpperArm.1", sign * -35, 8)
            turn(f"{side}UpperArm.2", sign * 8, 4)
            turn(f"{side}LowerArm.0", 55, 12)
        elif habit == "bent":
            turn(f"{side}UpperArm.0", -14, 10)
            turn(f"{side}UpperArm.2", sign * 9, 5)
            turn(f"{side}LowerArm.0", 52, 22)
        elif habit == "behind":
            turn(f"{side}UpperArm.0", 18, 6)
            turn(f"{side}UpperArm.2", sign * 14, 5)
        elif habit == "raised":
            turn(f"{side}UpperArm.2", sign * rng.uniform(60, 130), 10)
            turn(f"{side}LowerArm.0", rng.uniform(0, 80), 10)
    turn("head.1", 0, 16)
    turn("neck.1", 0, 8)
    turn("head.0", 4, 7)
    return _from_angles(body, articulation, np.clip(angles, articulation.low, articulation.high))


@lru_cache(maxsize=4)
def read_motions(paths: tuple[Path, ...]) -> dict[str, Motion]:
    """The motions of BVH files by name."""
    return {path.stem: read_motion(path) for path in paths}


def _motion_pose(body: FullBody, shaped: ShapedBody, motion: Motion, rng: np.random.Generator) -> np.ndarray:
    """(B, 3, 3) local rotations of one frame of a motion, against the canonical pose, without the motion's heading."""
    frame = int(rng.integers(len(motion.rotations)))
    one = replace(motion, rotations=motion.rotations[frame : frame + 1], hips=motion.hips[frame : frame + 1])
    skeleton = Skeleton(body.names, body.parents, shaped.heads, body.humanoid)
    local = skeleton_motion(one, skeleton).rotations[0].copy()
    forward = local[0] @ np.array([0.0, 0.0, 1.0])
    local[0] = axis_rotation(1, -np.arctan2(forward[0], forward[2])) @ local[0]
    return local


def mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Local rotations (B, 3, 3) `share` (scalar or (B,)) of the way from the first pose to the second, by the shortest turn."""
    difference = quaternion_from_matrix(np.swapaxes(first, 1, 2) @ second)
    difference = np.where(difference[:, 3:] < 0, -difference, difference)
    length = np.linalg.norm(difference[:, :3], axis=1, keepdims=True)
    angle = 2 * np.arctan2(length, difference[:, 3:]) * np.broadcast_to(np.reshape(share, (-1, 1)), (len(first), 1))
    axis = difference[:, :3] / np.maximum(length, 1e-12)
    return first @ matrix_from_quaternion(np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=1))


def _curl_hands(body: FullBody, shaped: ShapedBody, local: np.ndarray, rng: np.random.Generator) -> None:
    """Bend the fingers at ease, point, or make a fist, in place; the axis of each finger is across the palm."""
    index = {name: i for i, name in enumerate(body.names)}
    for letter in ("L", "R"):
        style = rng.choice(["ease", "straight", "fist", "point"], p=[0.62, 0.2, 0.1, 0.08])
        mean = {"ease": 24.0, "straight": 4.0, "fist": 70.0, "point": 60.0}[style]
        wrist, first, last = (shaped.heads[index[f"{name}.{letter}"]] for name in ("wrist", "finger2-1", "finger5-1"))
        palm = np.cross(first - wrist, last - wrist) * (1.0 if letter == "L" else -1.0)
        for finger in range(1, 6):
            bend = mean * rng.uniform(0.75, 1.25) * (0.35 if finger == 1 else 1.0)
            bend = 6.0 if style == "point" and finger == 2 else bend
            along = last - first
            for joint in (1, 2, 3):
                bone = index[f"finger{finger}-{joint}.{letter}"]
                if joint < 3:  # the last bone goes on as the one before
                    along = shaped.heads[index[f"finger{finger}-{joint + 1}.{letter}"]] - shaped.heads[bone]
                axis = np.cross(along, palm)
                if finger == 1 and joint == 1:
                    continue
                axis = -axis / np.linalg.norm(axis)
                angle = bend * (0.8 if joint == 1 else 1.0) * DEGREE
                local[bone] = matrix_from_rotvec(torch.from_numpy(axis * angle)).numpy() @ local[bone]


def sample_pose(
    body: FullBody, shaped: ShapedBody, motions: Sequence[Path], rng: np.random.Generator, arms_out: float = 0.0, tries: int = 6
) -> Pose:
    """One pose without the body's parts in one another.

    A pose whose parts collide is tried with the arms further out, then replaced, and in the end eased towards the canonical one.
    `arms_out` lifts the upper arms sideways by so many radians, so that thick sleeves have room.
    """
    known = read_motions(tuple(sorted(motions)))
    names = sorted(known)
    weights = np.array([0.08 if any(word in name for word in WIDE) else 1.0 for name in names])
    always = overlapped(body, shaped.canonical)
    collision = lambda pose: float((overlapped(body, pose.posed) & ~always).mean())  # noqa: E731
    best, least = None, np.inf
    for _ in range(tries):
        kind = rng.choice(["standing", "sampled", "motion", "mixture"], p=[0.55, 0.08, 0.27, 0.10]) if names else "standing"
        own = _against_canonical(body, shaped, standing_angles(body, shaped, rng))
        if kind == "sampled":
            own = _against_canonical(body, shaped, sampled_angles(body, shaped, rng, 0.8))
        elif kind in ("motion", "mixture"):
            name = str(rng.choice(names, p=weights / weights.sum()))
            moved = _motion_pose(body, shaped, known[name], rng)
            own = moved if kind == "motion" else mixed(own, moved, float(rng.uniform(0.3, 0.8)))
            kind = name if kind == "motion" else f"standing+{name}"
        own = own.copy()
        lean = rng.normal(0, 2.0 * DEGREE, 2)
        own[0] = axis_rotation(0, lean[0]) @ axis_rotation(2, lean[1]) @ own[0]
        _curl_hands(body, shaped, own, rng)
        for more in (0.0, 0.1, 0.2):
            lifted = own.copy()
            _lift_arms(body, lifted, shaped, arms_out + more)
            pose = apply_pose(body, shaped, lifted, str(kind))
            now = collision(pose)
            if now < COLLISION:
                return pose
            if now < least:
                best, least = pose, now
    assert best is not None
    neutral = np.tile(np.eye(3), (len(body.names), 1, 1))
    arms = np.isin(_bone_regions(body), [i for i, name in enumerate(REGIONS) if "arm" in name or "hand" in name])
    for share in (0.15, 0.3, 0.45, 0.6, 0.8, 1.0):
        eased = apply_pose(body, shaped, mixed(best.local, neutral, np.where(arms, share, share / 2)), best.kind + ", eased")
        if collision(eased) < COLLISION:
            break
    return eased


def _bone_regions(body: FullBody) -> np.ndarray:
    return bone_regions(body.names, body.parents, body.humanoid)


def _lift_arms(body: FullBody, local: np.ndarray, shaped: ShapedBody, angle: float) -> None:
    """Turn the upper arms outwards about the person's forward axis, in place, unless they are already raised."""
    if angle == 0.0:
        return
    index = {name: i for i, name in enumerate(body.names)}
    rotations, heads = forward_kinematics(local, shaped.heads, body.parents, shaped.heads[0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower = (index[body.humanoid[f"{side}{name}"]] for name in ("UpperArm", "LowerArm"))
        arm = heads[lower] - heads[upper]
        if arm[1] < -0.7 * np.linalg.norm(arm):
            above = rotations[body.parents[upper]]
            local[upper] = above.T @ axis_rotation(2, sign * angle) @ above @ local[upper]


def rest_local(body: FullBody, shaped: ShapedBody) -> np.ndarray:
    """(B, 3, 3) local rotations, against the canonical pose, that take the body back to rest."""
    return local_rotations(np.swapaxes(shaped.rest_rotations, 1, 2), body.parents)


def pose_path(body: FullBody, shaped: ShapedBody, pose: Pose, count: int) -> list[Pose]:
    """`count` poses from the one at rest to `pose`, eased in and out: what a cloth simulation follows."""
    start = rest_local(body, shaped)
    shares = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count))
    path = []
    for share in shares:
        local = mixed(start, pose.local, float(share))
        rotations, heads = forward_kinematics(local, shaped.heads, body.parents, shaped.heads[0])
        maps = bone_transforms(rotations, heads, shaped.heads)
        maps[..., 3] += pose.heads[0] - heads[0]
        posed = skin(shaped.canonical, maps, body.bones[body.base], body.weights[body.base])
        path.append(Pose(local, pose.kind, maps, heads + pose.heads[0] - heads[0], posed))
    return path
