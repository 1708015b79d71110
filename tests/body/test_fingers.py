"""Hands whose fingers are bent by known angles, and hands at ease."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.fingers import FINGERS, FLEXION, JOINTS, SPREAD, THUMB, _about, _frame, finger_rotations
from carve.body.model import canonical_body
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import forward_kinematics
from carve.records import Skeleton


@pytest.fixture(scope="module")
def skeleton(anny_body: AnnyBody) -> Skeleton:
    return canonical_body(anny_body, anny_body.prior.mean).skeleton


def heads(skeleton: Skeleton, rotations: dict[int, np.ndarray]) -> np.ndarray:
    """(B, 3) with these bones turned."""
    local = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    for bone, turn in rotations.items():
        local[bone] = turn
    return forward_kinematics(local, skeleton.heads, skeleton.parents, skeleton.heads[0])[1]


def landmarks(skeleton: Skeleton, side: str, rotations: dict[int, np.ndarray]) -> np.ndarray:
    """(21, 3) of a hand: each finger's tip goes on from its last bone as that bone turns."""
    local = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    for bone, turn in rotations.items():
        local[bone] = turn
    turned, at = forward_kinematics(local, skeleton.heads, skeleton.parents, skeleton.heads[0])
    index = lambda name: skeleton.names.index(skeleton.humanoid[f"{side}{name}"])  # noqa: E731
    points = [at[index("Hand")]]
    for chain in (THUMB, *([f"{finger}{joint}" for joint in JOINTS] for finger in FINGERS)):
        bones = [index(name) for name in chain]
        last = skeleton.heads[bones[2]] - skeleton.heads[bones[1]]
        points += [*at[bones], at[bones[2]] + turned[bones[2]] @ last]
    return np.array(points)


def frame(skeleton: Skeleton, side: str) -> np.ndarray:
    at = [skeleton.heads[skeleton.names.index(skeleton.humanoid[f"{side}{name}"])] for name in ("Hand", "IndexProximal", "LittleProximal")]
    return _frame(*at, side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_bent_fingers_are_read_off_their_landmarks(skeleton: Skeleton, side: str) -> None:
    own = frame(skeleton, side)
    bent = {}
    for finger, degrees in zip(FINGERS, ((10.0, 20.0, 5.0), (40.0, 60.0, 30.0), (70.0, 80.0, 50.0), (5.0, 35.0, 15.0)), strict=True):
        for joint, angle in zip(JOINTS, degrees, strict=True):
            bent[skeleton.names.index(skeleton.humanoid[f"{side}{finger}{joint}"])] = _about(own, angle, 0.0)
    true = landmarks(skeleton, side, bent)
    somewhere = 7.0 * true @ (axis_rotation(0, 0.7) @ axis_rotation(1, -1.9)).T + [3.0, -2.0, 11.0]
    read = landmarks(skeleton, side, finger_rotations(skeleton, side, somewhere))
    size = np.linalg.norm(true[9] - true[0])
    assert np.linalg.norm(read - true, axis=1).max() < 0.08 * size
    np.testing.assert_allclose(read[1:5], landmarks(skeleton, side, {})[1:5], atol=0.02 * size)  # the thumb was not turned


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_at_ease_is_curled_to_the_palm_and_closed(skeleton: Skeleton, side: str) -> None:
    spread, ease = landmarks(skeleton, side, {}), landmarks(skeleton, side, finger_rotations(skeleton, side, None))
    palm = frame(skeleton, side)[:, 2]
    tips = [8, 12, 16, 20]
    assert ((ease[tips] - ease[0]) @ palm > (spread[tips] - spread[0]) @ palm + 0.008).all()  # at rest they are a little bent already
    gaps = [np.linalg.norm(np.diff(points[tips], axis=0), axis=1) for points in (ease, spread)]
    assert gaps[0].sum() < 0.85 * gaps[1].sum() and (gaps[0] > 0.012).all()  # a finger's width at least
    assert palm @ (ease[4] - spread[4]) > 0
    np.testing.assert_allclose(np.linalg.norm(ease[9] - ease[0]), np.linalg.norm(spread[9] - spread[0]))


def test_hands_are_each_others_mirror_image(skeleton: Skeleton) -> None:
    left, right = (landmarks(skeleton, side, finger_rotations(skeleton, side, None)) for side in ("left", "right"))
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)


def test_no_joint_goes_beyond_what_hands_can_do(skeleton: Skeleton) -> None:
    rng = np.random.default_rng(0)
    own = frame(skeleton, "left")
    for _ in range(20):
        points = landmarks(skeleton, "left", finger_rotations(skeleton, "left", rng.normal(size=(21, 3))))
        local = (points - points[0]) @ own
        for number in range(4):
            segments = np.diff(local[5 + 4 * number : 9 + 4 * number], axis=0)
            down = np.degrees(np.arctan2(segments[0, 2], np.hypot(segments[0, 0], 1e-9)))
            assert FLEXION[0][0] - 8 < down < FLEXION[0][1] + 8
            across = np.degrees(np.arctan2(segments[0, 1], np.hypot(segments[0, 0], segments[0, 2])))
            assert abs(across) < SPREAD + 8


def test_a_skeleton_without_fingers_has_none_to_bend(skeleton: Skeleton) -> None:
    bare = replace(skeleton, humanoid={k: v for k, v in skeleton.humanoid.items() if "Index" not in k})
    assert finger_rotations(bare, "left", None) == {}
