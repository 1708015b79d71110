from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.geometry.skinning import forward_kinematics
from carve.motion.bvh import Bvh
from carve.motion.gait import CYCLE, a_pose, walk
from carve.motion.retarget import (
    Motion,
    SkeletonMotion,
    frame_transforms,
    motion_from_bvh,
    on_the_ground,
    read_motion,
    skeleton_motion,
    standard_from_rest,
)
from carve.motion.tables import CMU, MAKEHUMAN, MIXAMO, POSER
from carve.records import CarveError, Skeleton
from people import capsule_avatar, capsule_skeleton

BONES = {
    "hips": (None, (0, 90, 0)),
    "spine": ("hips", (0, 10, 0)),
    "chest": ("spine", (0, 20, 0)),
    "neck": ("chest", (0, 25, 0)),
    "head": ("neck", (0, 10, 0)),
    "Shoulder": ("chest", (5, 20, 0)),
    "UpperArm": ("Shoulder", (12, 0, 0)),
    "LowerArm": ("UpperArm", (28, 0, 0)),
    "Hand": ("LowerArm", (25, 0, 0)),
    "UpperLeg": ("hips", (9, -5, 0)),
    "LowerLeg": ("UpperLeg", (0, -42, 0)),
    "Foot": ("LowerLeg", (0, -41, 0)),
    "Toes": ("Foot", (0, -6, 15)),
}
"""A T-pose, VRM names, the left side's offsets in centimetres."""


def t_pose(table: dict[str, str], frames: int = 1) -> Bvh:
    """A BVH skeleton in T-pose with all rotations zero; names from a table."""
    names, parents, offsets, vrm = [], [], [], []
    for side in ("", "left", "right"):
        for bone, (parent, offset) in BONES.items():
            own = f"{side}{bone}" if bone[0].isupper() else bone
            if bone[0].isupper() != bool(side) or own not in table:
                continue
            above = None if parent is None else (f"{side}{parent}" if parent[0].isupper() else parent)
            vrm.append(own)
            names.append(table[own])
            parents.append(-1 if above is None else vrm.index(above))
            offsets.append(np.array(offset) * [-1 if side == "right" else 1, 1, 1])
    rotations = np.tile(np.eye(3), (frames, len(names), 1, 1))
    positions = np.full((frames, len(names), 3), np.nan)
    positions[:, 0] = offsets[0]
    return Bvh(tuple(names), np.array(parents), np.array(offsets, float), rotations, positions, 1 / 30)


def turned(bvh: Bvh, rng: np.random.Generator, spread: float = 0.5) -> Bvh:
    """The same skeleton with random rotations of all joints."""
    vectors = rng.normal(0, spread, (*bvh.rotations.shape[:2], 3))
    return replace(bvh, rotations=Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(bvh.rotations.shape))


def rerested(bvh: Bvh, rest: np.ndarray) -> Bvh:
    """The same motion told against another zero pose: the old one turned by global rotations (J, 3, 3) `rest`."""
    offsets = bvh.offsets.copy()
    rotations = bvh.rotations.copy()
    for joint, parent in enumerate(bvh.parents):
        above = rest[parent] if parent >= 0 else np.eye(3)
        offsets[joint] = above @ bvh.offsets[joint]
        rotations[:, joint] = above @ bvh.rotations[:, joint] @ rest[joint].T
    return replace(bvh, offsets=offsets, rotations=rotations)


def in_axes(bvh: Bvh, axes: np.ndarray) -> Bvh:
    """The same motion in a file with other axes: ``x_file = axes @ x``."""
    return replace(bvh, offsets=bvh.offsets @ axes.T, rotations=axes @ bvh.rotations @ axes.T, positions=bvh.positions @ axes.T)


def positions(bvh: Bvh, frame: int) -> np.ndarray:
    """(J, 3) heads of a BVH's joints."""
    return forward_kinematics(bvh.rotations[frame], _zero(bvh), bvh.parents, bvh.offsets[0])[1]


def _zero(bvh: Bvh) -> np.ndarray:
    zero = np.zeros_like(bvh.offsets)
    for joint, parent in enumerate(bvh.parents):
        zero[joint] = bvh.offsets[joint] + (zero[parent] if parent >= 0 else 0)
    return zero


def heads(motion: SkeletonMotion, skeleton: Skeleton, frame: int) -> dict[str, np.ndarray]:
    """Humanoid name -> head in a frame."""
    posed = forward_kinematics(motion.rotations[frame], skeleton.heads, skeleton.parents, motion.root_positions[frame])[1]
    return {vrm: posed[skeleton.names.index(name)] for vrm, name in skeleton.humanoid.items()}


def direction(points: dict[str, np.ndarray], start: str, end: str) -> np.ndarray:
    step = points[end] - points[start]
    return step / np.linalg.norm(step)


LIMBS = [
    (f"{side}{a}", f"{side}{b}")
    for side in ("left", "right")
    for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
]


def test_a_standing_figure_stands_straight() -> None:
    skeleton = capsule_skeleton()
    points = heads(skeleton_motion(motion_from_bvh(t_pose(CMU), "t"), skeleton), skeleton, 0)
    for side, sign in (("left", 1), ("right", -1)):
        np.testing.assert_allclose(direction(points, f"{side}UpperLeg", f"{side}Foot"), [0, -1, 0], atol=1e-9)
        np.testing.assert_allclose(direction(points, f"{side}UpperArm", f"{side}Hand"), [sign, 0, 0], atol=1e-9)
        toes = direction(points, f"{side}Foot", f"{side}Toes")
        assert abs(toes[0]) < 1e-9 and toes[2] > 0.9  # the foot points forward: no roll is left of the canonical pose's spread legs


@pytest.mark.parametrize("table", [CMU, MIXAMO, MAKEHUMAN, POSER])
def test_limbs_point_where_the_files_limbs_point(table: dict[str, str]) -> None:
    skeleton, bvh = capsule_skeleton(), turned(t_pose(table, 3), np.random.default_rng(1))
    motion = skeleton_motion(motion_from_bvh(bvh, "random"), skeleton)
    for frame in range(3):
        ours, joints = heads(motion, skeleton, frame), positions(bvh, frame)
        theirs = {vrm: joints[bvh.names.index(name)] for vrm, name in table.items() if name in bvh.names}
        for a, b in LIMBS:
            np.testing.assert_allclose(direction(ours, a, b), direction(theirs, a, b), atol=1e-6, err_msg=f"{a} to {b}")


@pytest.mark.parametrize(("arms", "legs"), [(0.8, 0.0), (0.3, 0.35), (0.0, -0.1)])
def test_the_zero_pose_does_not_matter(arms: float, legs: float) -> None:
    """A-pose or T-pose, legs apart or together: the same movement gives the same motion."""
    bvh = turned(t_pose(CMU, 4), np.random.default_rng(2), 0.3)
    rest = np.tile(np.eye(3), (len(bvh.names), 1, 1))
    for joint, name in enumerate(bvh.names):
        sign = 1.0 if name.startswith("Left") else -1.0
        if name.endswith(("Arm", "Hand")):
            rest[joint] = Rotation.from_euler("z", -sign * arms).as_matrix()
        elif name.endswith(("Leg", "Foot", "ToeBase")):
            rest[joint] = Rotation.from_euler("z", sign * legs).as_matrix()
    plain, other = motion_from_bvh(bvh, "t"), motion_from_bvh(rerested(bvh, rest), "a")
    assert plain.names == other.names
    np.testing.assert_allclose(plain.rotations, other.rotations, atol=1e-6)
    np.testing.assert_allclose(plain.hips, other.hips, atol=1e-9)


@pytest.mark.parametrize(
    "axes",
    [
        np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),  # z up, facing -y
        np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]),  # z up, facing x
        np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]),  # y up, facing -z
    ],
)
def test_the_files_axes_do_not_matter(axes: np.ndarray) -> None:
    bvh = turned(t_pose(MIXAMO, 3), np.random.default_rng(3))
    bvh.positions[:, 0] += np.random.default_rng(4).normal(0, 20, (3, 3))
    plain, other = motion_from_bvh(bvh, "y up"), motion_from_bvh(in_axes(bvh, axes), "other")
    np.testing.assert_allclose(plain.rotations, other.rotations, atol=1e-9)
    np.testing.assert_allclose(plain.hips, other.hips, atol=1e-9)


def test_turning_the_hips_turns_everything() -> None:
    bvh = turned(t_pose(CMU), np.random.default_rng(5))
    turn = Rotation.from_rotvec([0.2, 1.1, -0.4]).as_matrix()
    rotations = bvh.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    before, after = motion_from_bvh(bvh, "b"), motion_from_bvh(replace(bvh, rotations=rotations), "a")
    np.testing.assert_allclose(after.rotations, turn @ before.rotations, atol=1e-9)


def test_the_way_of_the_hips_is_measured_in_leg_lengths() -> None:
    bvh = t_pose(CMU, 2)
    bvh.positions[1, 0] += [0, 0, 83]
    np.testing.assert_allclose(motion_from_bvh(bvh, "step").hips, [[0, 0, 0], [0, 0, 1]], atol=1e-12)
    skeleton = capsule_skeleton()
    way = skeleton_motion(motion_from_bvh(bvh, "step"), skeleton).root_positions
    np.testing.assert_allclose(way[1] - way[0], [0, 0, 0.84], atol=1e-9)


def test_names_are_recognised() -> None:
    prefixed = t_pose(MIXAMO)
    prefixed = replace(prefixed, names=tuple(f"mixamorig:{name}" for name in prefixed.names))
    assert set(motion_from_bvh(prefixed, "mixamo").names) == set(motion_from_bvh(t_pose(MIXAMO), "plain").names)
    assert prefixed.names[1] == "mixamorig:Spine" and t_pose(CMU).names[2] == "Spine"  # one name for two bones: the table must be right
    for table in (CMU, MIXAMO):
        bent = turned(t_pose(table), np.random.default_rng(9))
        expected = bent.rotations[0, 0] @ bent.rotations[0, bent.names.index(table["spine"])]
        motion = motion_from_bvh(bent, "bent")
        np.testing.assert_allclose(motion.rotations[0, motion.names.index("spine")], expected, atol=1e-9)
    with pytest.raises(CarveError, match=r"dog\.bvh"):
        motion_from_bvh(replace(t_pose(CMU), names=tuple(f"bone{k}" for k in range(len(t_pose(CMU).names)))), "dog.bvh")


def test_a_zero_pose_that_lies_is_refused() -> None:
    bvh = t_pose(CMU)
    flat = np.abs(bvh.offsets[:, [1, 0, 2]]) * [1, 0, 0]  # every joint along one axis, as some exporters write it
    with pytest.raises(CarveError, match="stand upright"):
        motion_from_bvh(replace(bvh, offsets=flat), "flat.bvh")


def test_a_first_frame_that_only_calibrates_is_left_out() -> None:
    bvh = turned(t_pose(CMU, 1), np.random.default_rng(6), 0.6)
    still = np.concatenate([t_pose(CMU, 1).rotations, np.repeat(bvh.rotations, 4, axis=0)])
    recorded = replace(bvh, rotations=still, positions=np.repeat(bvh.positions, 5, axis=0))
    assert len(motion_from_bvh(recorded, "calibrated").rotations) == 4
    assert len(motion_from_bvh(replace(recorded, rotations=still[1:], positions=recorded.positions[1:]), "plain").rotations) == 4


def test_fast_recordings_are_thinned_out() -> None:
    motion = motion_from_bvh(replace(t_pose(CMU, 13), seconds=1 / 120), "fast")
    assert motion.fps == pytest.approx(60)
    assert len(motion.rotations) == 7


def test_a_file_goes_all_the_way(tmp_path: Path) -> None:
    bvh = t_pose({name: name for name in CMU})

    def block(joint: int) -> list[str]:
        kind = "ROOT" if bvh.parents[joint] < 0 else "JOINT"
        lines = [
            f"{kind} {bvh.names[joint]}",
            "{",
            "OFFSET {} {} {}".format(*bvh.offsets[joint]),
            "CHANNELS 3 Zrotation Xrotation Yrotation",
        ]
        return lines + [line for child in np.flatnonzero(bvh.parents == joint) for line in block(int(child))] + ["}"]

    frame = " ".join(["0"] * 3 * len(bvh.names))
    path = tmp_path / "stand.bvh"
    path.write_text("\n".join(["HIERARCHY", *block(0), "MOTION", "Frames: 1", "Frame Time: 0.1", frame]))
    motion = read_motion(path)
    np.testing.assert_allclose(motion.rotations, np.broadcast_to(np.eye(3), motion.rotations.shape), atol=1e-12)


def test_the_canonical_pose_becomes_the_standard_pose() -> None:
    skeleton = capsule_skeleton()
    at = {vrm: skeleton.heads[skeleton.names.index(name)] for vrm, name in skeleton.humanoid.items()}
    aligned = standard_from_rest(at)
    np.testing.assert_allclose(aligned["leftLowerLeg"] @ (at["leftFoot"] - at["leftLowerLeg"]), [0, -0.41, 0], atol=1e-9)
    np.testing.assert_allclose(aligned["rightFoot"], aligned["rightUpperLeg"])
    np.testing.assert_allclose(aligned["leftUpperArm"], np.eye(3), atol=1e-9)


def test_twist_is_shared_and_moves_nothing_beyond() -> None:
    """The bone in the middle of the upper arm takes half of its turn about itself; the forearm stays where the motion has it."""
    skeleton = capsule_skeleton()
    bvh = turned(t_pose(CMU), np.random.default_rng(7))
    motion = motion_from_bvh(bvh, "twist")
    played = skeleton_motion(motion, skeleton)
    rotations, _ = forward_kinematics(played.rotations[0], skeleton.heads, skeleton.parents, np.zeros(3))
    index = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    helper = skeleton.names.index("upperarm02.L")
    for vrm in ("leftLowerArm", "leftHand", "leftFoot", "head"):
        at = {name: skeleton.heads[bone] for name, bone in index.items()}
        expected = motion.rotations[0, motion.names.index(vrm)] @ standard_from_rest(at)[vrm]
        np.testing.assert_allclose(rotations[index[vrm]], expected, atol=1e-9)
    full = played.rotations[0, index["leftUpperArm"]] @ played.rotations[0, helper]
    vector = Rotation.from_matrix(played.rotations[0, helper]).as_rotvec()
    np.testing.assert_allclose(vector[1:], 0, atol=1e-9)  # a turn about the arm, x, alone
    w, x = Rotation.from_matrix(full).as_quat()[[3, 0]]
    assert vector[0] == pytest.approx(np.arctan2(x, w) if w >= 0 else np.arctan2(-x, -w), abs=1e-9)


@pytest.fixture(scope="module")
def walking() -> tuple[Motion, SkeletonMotion, Skeleton]:
    surface = capsule_avatar().surface.canonical
    motion = walk()
    played = skeleton_motion(motion, surface.skeleton)
    return motion, on_the_ground(played, surface.vertices, surface.bones, surface.weights, surface.skeleton, True), surface.skeleton


def test_the_walk_is_a_smooth_loop(walking: tuple[Motion, SkeletonMotion, Skeleton]) -> None:
    _, played, _ = walking
    after = np.roll(played.rotations, -1, axis=0)
    turn = Rotation.from_matrix((np.swapaxes(played.rotations, 2, 3) @ after).reshape(-1, 3, 3)).magnitude().reshape(CYCLE, -1)
    assert turn.max() < np.radians(18)
    assert turn[-1].max() <= turn[:-1].max() + 1e-9  # the seam is no rougher than the rest


def test_the_walk_is_symmetric(walking: tuple[Motion, SkeletonMotion, Skeleton]) -> None:
    """Half a cycle later the mirrored body does the same."""
    motion, _, _ = walking
    mirror = np.diag([-1.0, 1.0, 1.0])
    later = np.roll(motion.rotations, CYCLE // 2, axis=0)
    for column, name in enumerate(motion.names):
        other = {"left": "right", "right": "left"}.get(name[:4] if name[:4] == "left" else name[:5])
        partner = name if other is None else other + name.removeprefix("left").removeprefix("right")
        expected = mirror @ later[:, motion.names.index(partner)] @ mirror
        np.testing.assert_allclose(motion.rotations[:, column], expected, atol=1e-9, err_msg=name)


def test_the_walk_walks(walking: tuple[Motion, SkeletonMotion, Skeleton]) -> None:
    _, played, skeleton = walking
    points = [heads(played, skeleton, frame) for frame in range(CYCLE)]
    ahead = np.array([p["leftFoot"][2] - p["rightFoot"][2] for p in points])
    arms = np.array([p["leftHand"][2] - p["rightHand"][2] for p in points])
    assert ahead[0] > 0.4 and ahead[CYCLE // 2] < -0.4  # the left foot strikes at the start, the right one half a cycle later
    assert np.corrcoef(ahead, arms)[0, 1] < -0.9  # the arms swing against the legs
    for p in points:
        assert p["leftHand"][1] < p["leftUpperArm"][1] - 0.3  # arms hang
        for side in ("left", "right"):
            thigh, shin = direction(p, f"{side}UpperLeg", f"{side}LowerLeg"), direction(p, f"{side}LowerLeg", f"{side}Foot")
            assert np.cross(thigh, shin)[0] > -0.09  # a knee bends backwards only
            assert direction(p, f"{side}Foot", f"{side}Toes")[2] > 0.1  # feet point forwards


def test_the_walk_stays_on_the_ground(walking: tuple[Motion, SkeletonMotion, Skeleton]) -> None:
    from carve.geometry.skinning import skin

    _, played, skeleton = walking
    surface = capsule_avatar().surface.canonical
    for frame in range(CYCLE):
        lowest = skin(surface.vertices, frame_transforms(played, skeleton, frame), surface.bones, surface.weights)[:, 1].min()
        assert lowest == pytest.approx(0, abs=1e-9)
    assert np.ptp(played.root_positions[:, 1]) < 0.08


def test_one_shift_grounds_a_recording() -> None:
    surface = capsule_avatar().surface.canonical
    bvh = turned(t_pose(CMU, 12), np.random.default_rng(8), 0.1)
    bvh.positions[:, 0, 1] += np.linspace(0, 50, 12)
    played = skeleton_motion(motion_from_bvh(bvh, "rising"), surface.skeleton)
    grounded = on_the_ground(played, surface.vertices, surface.bones, surface.weights, surface.skeleton, False)
    shift = grounded.root_positions - played.root_positions
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-12)
    np.testing.assert_allclose(shift[0, [0, 2]], 0)


def test_the_a_pose_lowers_the_arms() -> None:
    skeleton = capsule_skeleton()
    points = heads(skeleton_motion(a_pose(), skeleton), skeleton, 0)
    np.testing.assert_allclose(
        direction(points, "leftUpperArm", "leftHand"), [np.cos(np.radians(48)), -np.sin(np.radians(48)), 0], atol=0.03
    )
    np.testing.assert_allclose(
        direction(points, "rightUpperLeg", "rightFoot"), [-np.sin(np.radians(5)), -np.cos(np.radians(5)), 0], atol=1e-6
    )
