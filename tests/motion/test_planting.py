from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from carve.export.asset import make_asset
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.motion.gait import CYCLE, walk
from carve.motion.planting import TOE_OFF, TOUCH, planted
from carve.motion.retarget import SkeletonMotion, skeleton_motion
from carve.records import Skeleton
from people import capsule_avatar


@pytest.fixture(scope="module")
def walking() -> tuple[SkeletonMotion, float, SkeletonMotion, Skeleton, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    asset = make_asset(capsule_avatar()).asset
    bones = asset.skeleton
    skeleton = Skeleton(bones.names, bones.parents, bones.heads, bones.humanoid)
    mesh = (asset.vertices, asset.bones, asset.weights)
    before = skeleton_motion(walk(), skeleton)
    after, stride = planted(before, *mesh, skeleton)
    return after, stride, before, skeleton, mesh


def soles(
    motion: SkeletonMotion, stride: float, side: str, skeleton: Skeleton, mesh: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """(T, n, 3) the foot's vertices in the world."""
    vertices, bones, weights = mesh
    foot = np.isin(bones[:, 0], [skeleton.names.index(f"{side}{part}") for part in ("Foot", "Toes")])
    frames = []
    for t in range(len(motion.rotations)):
        rotations, heads = forward_kinematics(motion.rotations[t], skeleton.heads, skeleton.parents, motion.root_positions[t])
        maps = bone_transforms(rotations, heads, skeleton.heads)
        frames.append(skin(vertices[foot], maps, bones[foot], weights[foot]) + np.array([0, 0, stride * t / len(motion.rotations)]))
    return np.stack(frames)


@pytest.mark.parametrize(("side", "shift"), [("left", 0.0), ("right", 0.5)])
def test_a_standing_foot_does_not_slide_and_a_swinging_one_clears_the_ground(walking, side: str, shift: float) -> None:
    motion, stride, _, skeleton, mesh = walking
    points = soles(motion, stride, side, skeleton, mesh)
    phase = (np.arange(CYCLE) / CYCLE + shift) % 1
    order = np.flatnonzero(phase <= TOE_OFF)[np.argsort(phase[phase <= TOE_OFF])]
    slid = 0.0
    for now, after in pairwise(order):
        on_ground = (points[now, :, 1] < TOUCH) & (points[after, :, 1] < TOUCH)
        step = points[after] - points[now] + np.array([0, 0, stride if after < now else 0])
        slid += np.linalg.norm(step[on_ground][:, [0, 2]].mean(0)) if on_ground.any() else 0.0
    assert slid < 0.01
    assert points[..., 1].min() > -0.002


def test_it_still_walks(walking) -> None:
    motion, stride, before, skeleton, _ = walking
    assert 0.8 < stride < 1.6
    arms = [skeleton.names.index(f"{side}{bone}") for side in ("left", "right") for bone in ("UpperArm", "LowerArm")]
    np.testing.assert_array_equal(motion.rotations[:, arms], before.rotations[:, arms])
    assert np.ptp(motion.root_positions[:, 1]) < 0.15
    thigh, shin = (skeleton.names.index(f"left{bone}") for bone in ("UpperLeg", "LowerLeg"))
    for t in range(CYCLE):
        rotations, _ = forward_kinematics(motion.rotations[t], skeleton.heads, skeleton.parents, motion.root_positions[t])
        ahead = rotations[thigh] @ [0, 0, 1]
        assert ahead @ (rotations[shin] @ [0, -1, 0]) < 0.05  # a knee never bends forward
