"""Motion of a humanoid, free of any particular skeleton, and how a skeleton takes it over.

Notation: the standard pose is upright, facing +Z, arms straight out along x, legs straight down (body frame). For bone b
    N_b   turns the avatar's rest pose into the standard pose,       C_b   turns a motion file's zero pose into the standard pose,
    G_b   is the file's global rotation against its zero pose,       S_b = G_b C_b^T   is the motion, against the standard pose,
    Q_b = S_b N_b   is the global rotation of the avatar's bone against its rest pose.
Whole limbs are aligned: a leg turns as a whole about the z axis, an arm's upper and lower half each by the smallest rotation; feet,
hands and fingers follow. So a flat foot stays flat, and a knee keeps the slight bend that it has at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from carve.geometry.rotations import axis_rotation, matrix_from_quaternion, quaternion_from_matrix, rotation_between
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.motion.axes import choose_axes, joint_places, zero_places
from carve.motion.bvh import Bvh, read_bvh
from carve.motion.names import humanoid_joints, read_mapping
from carve.records import CarveError, Skeleton

MAX_FPS = 60.0
"""Faster motion is thinned out to at most this."""
GROUND_SAMPLES = 4000
"""About how many vertices say where the ground is."""


@dataclass(frozen=True)
class Motion:
    """A humanoid's motion against the standard pose."""

    names: tuple[str, ...]
    """J VRM 1.0 humanoid bone names, the hips among them."""
    rotations: np.ndarray
    """(T, J, 3, 3) global rotations S_b, body frame."""
    hips: np.ndarray
    """(T, 3) way of the hips since the first frame, body frame, in leg lengths (thigh and shin)."""
    fps: float
    grounded: bool
    """True where the lowest point of the body is to touch the ground in every frame (walking), False where the way of the hips decides."""
    notes: tuple[str, ...] = ()
    """What the user should know of how a file was read, one sentence each."""


@dataclass(frozen=True)
class SkeletonMotion:
    """The motion of one skeleton, ready for forward kinematics."""

    rotations: np.ndarray
    """(T, B, 3, 3) relative to the parent, against the rest pose."""
    root_positions: np.ndarray
    """(T, 3) metres, head of the root bone in the body frame."""
    fps: float


def read_motion(path: Path, names: Path | None = None) -> Motion:
    """Read a BVH file. `names` is a JSON file of VRM bone names to joint names, for skeletons whose names carve does not know."""
    return motion_from_bvh(read_bvh(path), str(path), None if names is None else read_mapping(names))


def motion_from_bvh(bvh: Bvh, source: str, mapping: Mapping[str, str] | None = None) -> Motion:
    """The motion of a BVH skeleton; `source` names it in errors, `mapping` says VRM bone name -> joint name where it is given."""
    joints = humanoid_joints(bvh.names, bvh.parents, source, mapping)
    start = _calibration_frames(bvh)
    step = max(1, int(np.ceil(1 / bvh.seconds / MAX_FPS - 1e-3)))
    played = replace(bvh, rotations=bvh.rotations[start::step], positions=bvh.positions[start::step])
    turned = np.empty_like(played.rotations)
    for joint, parent in enumerate(bvh.parents):
        local = played.rotations[:, joint]
        turned[:, joint] = local if parent < 0 else turned[:, parent] @ local
    return motion_from_frames(zero_places(played), joints, turned, joint_places(played, turned), 1 / (bvh.seconds * step), source)


def motion_from_frames(
    zero: np.ndarray, joints: Mapping[str, int], turned: np.ndarray, places: np.ndarray, fps: float, source: str
) -> Motion:
    """The motion of the humanoid `joints` (VRM name -> joint) from the places of all joints in the zero pose (J, 3) and in the frames
    (T, J, 3), and their global rotations against the zero pose (T, J, 3, 3), all in the file's axes."""
    axes = choose_axes(zero, joints, turned, places, source)
    heads = {vrm: axes.heads[joint] for vrm, joint in joints.items()}
    aligned = standard_from_rest(heads)
    before = {vrm: axes.reference[joint].T @ axes.body_from_reference.T @ aligned[vrm].T for vrm, joint in joints.items()}
    rotations = [axes.body_from_world @ turned[:, joint] @ before[vrm] for vrm, joint in joints.items()]
    root = places[:, joints["hips"]]
    if not all(np.isfinite(r).all() for r in rotations):
        raise CarveError(f"{source}: the motion is not finite; this is not a usable skeleton")
    way = (root - root[:1]) @ axes.body_from_world.T / leg_length(heads)
    return Motion(tuple(joints), np.stack(rotations, 1), way, fps, grounded=False, notes=axes.notes)


def _calibration_frames(bvh: Bvh) -> int:
    """1 if the first frame is a T-pose put before the recording, as in CMU's: the second is a leap away, the third is not. Else 0."""

    def largest_turn(first: int, second: int) -> float:
        cosine = (np.einsum("jab,jab->j", bvh.rotations[first], bvh.rotations[second]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())

    return int(len(bvh.rotations) > 2 and largest_turn(0, 1) > max(20.0, 5 * largest_turn(1, 2)))


def leg_length(heads: Mapping[str, np.ndarray]) -> float:
    """Length of thigh and shin from the heads of the humanoid bones."""
    if any(f"left{bone}" not in heads for bone in ("UpperLeg", "LowerLeg", "Foot")):
        raise CarveError("the skeleton has no whole left leg (leftUpperLeg, leftLowerLeg, leftFoot)")
    hip, knee, foot = (heads[f"left{bone}"] for bone in ("UpperLeg", "LowerLeg", "Foot"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(foot - knee))


def standard_from_rest(heads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(3, 3) for each humanoid bone: the rotation from a rest pose with these bone heads (body frame) to the standard pose."""
    aligned = {name: np.eye(3) for name in heads}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = np.array([sign, 0.0, 0.0])
        upper, lower = (_step(heads, f"{side}{a}", f"{side}{b}") for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand")))
        first = np.eye(3) if upper is None else rotation_between(upper, out)
        second = first if lower is None else rotation_between(first @ lower, out) @ first
        hip, foot = heads.get(f"{side}UpperLeg"), heads.get(f"{side}Foot")
        leg = np.array([0.0, -1.0, 0.0]) if hip is None or foot is None else foot - hip
        upright = axis_rotation(2, -np.arctan2(leg[0], -leg[1]))
        for name in heads:
            if not name.startswith(side):
                continue
            part = name.removeprefix(side)
            if part in ("UpperLeg", "LowerLeg", "Foot", "Toes"):
                aligned[name] = upright
            elif part == "UpperArm":
                aligned[name] = first
            elif part not in ("Shoulder", "Eye"):
                aligned[name] = second
    return aligned


def _step(heads: Mapping[str, np.ndarray], start: str, end: str) -> np.ndarray | None:
    """(3,) from one bone's head to another's; None if one is missing or they coincide."""
    if start not in heads or end not in heads:
        return None
    step = heads[end] - heads[start]
    return step if np.linalg.norm(step) > 1e-9 else None


def skeleton_motion(motion: Motion, skeleton: Skeleton) -> SkeletonMotion:
    """Let a skeleton take over a motion. The root's height is that of the rest pose; standing on the ground is the caller's to see to."""
    index = {name: bone for bone, name in enumerate(skeleton.names)}
    heads = {vrm: skeleton.heads[index[name]] for vrm, name in skeleton.humanoid.items()}
    aligned = standard_from_rest(heads)
    column = {skeleton.humanoid[vrm]: j for j, vrm in enumerate(motion.names) if vrm in skeleton.humanoid}
    vrm_of = {name: vrm for vrm, name in skeleton.humanoid.items()}
    count = len(motion.rotations)
    turned = np.empty((count, len(skeleton.names), 3, 3))
    local = np.empty_like(turned)
    for bone, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        above = turned[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (count, 3, 3))
        turned[:, bone] = motion.rotations[:, column[name]] @ aligned[vrm_of[name]] if name in column else above
        local[:, bone] = np.swapaxes(above, 1, 2) @ turned[:, bone]
    _share_twist(local, skeleton, index)
    _move_all_toes(local, skeleton, index)
    root = skeleton.heads[int(np.flatnonzero(skeleton.parents < 0)[0])] + motion.hips * leg_length(heads)
    return SkeletonMotion(local, root, motion.fps)


def _twist(rotations: np.ndarray, axis: np.ndarray, share: float) -> np.ndarray:
    """(T, 3, 3): `share` of the turn of rotations (T, 3, 3) about a unit axis (3,)."""
    q = quaternion_from_matrix(rotations)
    half = np.arctan2(q[:, :3] @ axis, q[:, 3]) * share
    return matrix_from_quaternion(np.concatenate([np.sin(half)[:, None] * axis, np.cos(half)[:, None]], axis=1))


def _share_twist(local: np.ndarray, skeleton: Skeleton, index: dict[str, int]) -> None:
    """Spread a limb's turn about its own axis over the helper bone in its middle, in place, so that the skin does not wring.

    The helper takes half of the limb's own twist, and half of the hand's against the forearm; all bones beyond stay where they were.
    A helper on which nothing hangs takes half of the hand's.
    """
    for side in ("left", "right"):
        for upper, lower in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot")):
            if f"{side}{upper}" not in skeleton.humanoid or f"{side}{lower}" not in skeleton.humanoid:
                continue
            bone, end = (index[skeleton.humanoid[f"{side}{name}"]] for name in (upper, lower))
            axis = skeleton.heads[end] - skeleton.heads[bone]
            axis = axis / np.linalg.norm(axis)
            helper = int(skeleton.parents[end])
            if helper == bone:
                leaf = _twist_leaf(skeleton, bone, end) if lower == "Hand" else None
                if leaf is not None:
                    _share_with_leaf(local, bone, leaf, end, axis)
                continue
            if skeleton.parents[helper] != bone:
                continue
            twist = _twist(local[:, bone], axis, 0.5)
            local[:, bone] = local[:, bone] @ np.swapaxes(twist, 1, 2)
            local[:, helper] = twist @ local[:, helper]
            if lower == "Hand":
                twist = _twist(local[:, end], axis, 0.5)
                local[:, helper] = local[:, helper] @ twist
                local[:, end] = np.swapaxes(twist, 1, 2) @ local[:, end]


def _twist_leaf(skeleton: Skeleton, bone: int, end: int) -> int | None:
    """A bone without a humanoid name and without children that lies between two others of a limb, or at its end, and hangs on the first."""
    way = skeleton.heads[end] - skeleton.heads[bone]
    humanoid = set(skeleton.humanoid.values())
    for leaf in np.flatnonzero(skeleton.parents == bone):
        share = (skeleton.heads[leaf] - skeleton.heads[bone]) @ way / (way @ way)
        if skeleton.names[leaf] not in humanoid and not (skeleton.parents == leaf).any() and 0.1 < share < 1.01:
            return int(leaf)
    return None


def _share_with_leaf(local: np.ndarray, bone: int, leaf: int, end: int, axis: np.ndarray) -> None:
    """The forearm's turn about its own axis becomes the hand's, and the leaf takes half of it, in place; the hand stays where it was."""
    twist = _twist(local[:, bone], axis, 1.0)
    local[:, bone] = local[:, bone] @ np.swapaxes(twist, 1, 2)
    local[:, end] = twist @ local[:, end]
    local[:, leaf] = _twist(local[:, end], axis, 0.5)


def _move_all_toes(local: np.ndarray, skeleton: Skeleton, index: dict[str, int]) -> None:
    """Let the other toes of a body model that has five bend with the one that VRM calls the toes, in place."""
    for side in ("left", "right"):
        if f"{side}Toes" in skeleton.humanoid:
            toes = index[skeleton.humanoid[f"{side}Toes"]]
            local[:, skeleton.parents == skeleton.parents[toes]] = local[:, toes, None]


def frame_transforms(motion: SkeletonMotion, skeleton: Skeleton, frame: int) -> np.ndarray:
    """(B, 3, 4) maps of the bones from the rest pose to one frame of a motion, body frame."""
    rotations, heads = forward_kinematics(motion.rotations[frame], skeleton.heads, skeleton.parents, motion.root_positions[frame])
    return bone_transforms(rotations, heads, skeleton.heads)


def on_the_ground(
    motion: SkeletonMotion, vertices: np.ndarray, bones: np.ndarray, weights: np.ndarray, skeleton: Skeleton, every_frame: bool
) -> SkeletonMotion:
    """The same motion with the root raised or lowered so that the skinned mesh (rest vertices (V, 3)) stands on y = 0.

    With `every_frame` the lowest point touches the ground in each; else one shift serves all, and the lowest tenth of the frames may
    sink in: recordings are noisy, and people jump.
    """
    some = slice(None, None, max(1, len(vertices) // GROUND_SAMPLES))
    transforms = [frame_transforms(motion, skeleton, t) for t in range(len(motion.rotations))]
    lowest = np.array([skin(vertices[some], t, bones[some], weights[some])[:, 1].min() for t in transforms])
    shift = lowest if every_frame else np.full_like(lowest, np.percentile(lowest, 10))
    return replace(motion, root_positions=motion.root_positions - shift[:, None] * np.array([0.0, 1.0, 0.0]))
