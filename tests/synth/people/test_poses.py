"""Poses: kept off collisions, composed and mixed as rotations should be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import skin
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.fingers import bend_fingers, draw_curls
from carve.synth.people.gait import Stride, leg_angles
from carve.synth.people.poses import COLLISION, Pose, apply_pose, mixed, overlapped, pose_path, sample_pose, vertex_areas
from carve.synth.people.puppet import Puppet, unit
from carve.synth.people.stances import MOVING, Stance, draw_stance


def neutral(body: FullBody) -> np.ndarray:
    return np.tile(np.eye(3), (len(body.names), 1, 1))


def test_no_rotation_is_the_canonical_pose(full_body: FullBody, woman: ShapedBody) -> None:
    pose = apply_pose(full_body, woman, neutral(full_body))
    np.testing.assert_allclose(pose.posed, woman.canonical, atol=1e-9)


def test_transforms_and_heads_agree(full_body: FullBody, woman: ShapedBody) -> None:
    pose = sample_pose(full_body, woman, (), np.random.default_rng(0))
    base = full_body.base
    again = skin(woman.canonical, pose.transforms, full_body.bones[base], full_body.weights[base])
    np.testing.assert_allclose(again, pose.posed, atol=1e-9)
    for bone in (5, 30, 60):
        moved = pose.transforms[bone, :, :3] @ woman.heads[bone] + pose.transforms[bone, :, 3]
        np.testing.assert_allclose(moved, pose.heads[bone], atol=1e-9)
    assert abs(pose.posed[:, 1].min()) < 1e-9


def test_an_arm_in_the_trunk_is_noticed(full_body: FullBody, woman: ShapedBody) -> None:
    local = neutral(full_body)
    arm = full_body.names.index(full_body.humanoid["leftUpperArm"])
    local[arm] = axis_rotation(2, -np.radians(115))
    inside = overlapped(full_body, apply_pose(full_body, woman, local).posed) & ~overlapped(full_body, woman.canonical)
    area = vertex_areas(woman.canonical, full_body.faces)[::3]
    assert area[inside].sum() / area.sum() > 5 * COLLISION


@pytest.fixture(scope="module")
def sampled(full_body: FullBody, man: ShapedBody) -> list[Pose]:
    """Poses of the average man."""
    return [sample_pose(full_body, man, (), np.random.default_rng(seed)) for seed in range(5)]


def test_sampled_poses_do_not_collide(full_body: FullBody, man: ShapedBody, sampled: list[Pose]) -> None:
    area = vertex_areas(man.canonical, full_body.faces)[::3]
    always = overlapped(full_body, man.canonical)
    for pose in sampled:
        inside = overlapped(full_body, pose.posed) & ~always
        assert area[inside].sum() / area.sum() < COLLISION, pose.kind


def test_motion_files_give_poses_without_heading(full_body: FullBody, man: ShapedBody, pack: Path) -> None:
    """One person takes it and three mix it with a stance; most take none."""
    motions = (pack / "poses" / "cmu" / "cmu_02_01_walk.bvh",)
    for seed in (5, 23, 25, 31):
        pose = sample_pose(full_body, man, motions, np.random.default_rng(seed))
        assert "cmu_02_01_walk" in pose.kind
        forward = pose.local[0] @ np.array([0.0, 0.0, 1.0])
        assert abs(np.arctan2(forward[0], forward[2])) < np.radians(25)


def test_mixing_ends_at_both_poses_and_halves_the_angle() -> None:
    first = np.stack([axis_rotation(0, 0.2), axis_rotation(1, -0.4)])
    second = np.stack([axis_rotation(0, 1.0), axis_rotation(1, 0.8)])
    np.testing.assert_allclose(mixed(first, second, 0.0), first, atol=1e-12)
    np.testing.assert_allclose(mixed(first, second, 1.0), second, atol=1e-12)
    np.testing.assert_allclose(mixed(first, second, 0.5), np.stack([axis_rotation(0, 0.6), axis_rotation(1, 0.2)]), atol=1e-12)
    np.testing.assert_allclose(mixed(first, second, np.array([0.0, 1.0])), np.stack([first[0], second[1]]), atol=1e-12)


def test_the_path_leads_from_rest_to_the_pose(full_body: FullBody, woman: ShapedBody) -> None:
    pose = sample_pose(full_body, woman, (), np.random.default_rng(2))
    path = pose_path(full_body, woman, pose, 6)
    np.testing.assert_allclose(path[-1].posed, pose.posed, atol=1e-9)
    shift = path[0].heads - woman.rest_heads
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-9)
    # Two steps of linear blend skinning are not one: creases differ from the rest shape by a little.
    moved = path[0].posed - woman.rest[full_body.base] - shift[0]
    assert np.median(np.linalg.norm(moved, axis=1)) < 2e-3


def test_fingers_bend_towards_the_palm(full_body: FullBody, man: ShapedBody, sampled: list[Pose]) -> None:
    """A hand at ease or a fist brings the fingertips nearer to the wrist than the straight fingers of the canonical pose."""
    index = {name: i for i, name in enumerate(full_body.names)}

    def closer(pose: Pose) -> int:
        """How many of the two hands."""
        hands = 0
        for letter in ("L", "R"):
            wrist, tip = index[f"wrist.{letter}"], index[f"finger3-3.{letter}"]
            straight = np.linalg.norm(man.heads[tip] - man.heads[wrist])
            hands += bool(np.linalg.norm(pose.heads[tip] - pose.heads[wrist]) < straight + 1e-6)
        return hands

    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        local = draw_stance(full_body, man, rng)[1].copy()
        bend_fingers(full_body, man, local, rng)
        found.append(closer(apply_pose(full_body, man, local)))
    assert sum(found) >= 14
    assert sum(closer(pose) for pose in sampled) >= 8


def test_the_two_legs_walk_half_a_cycle_apart() -> None:
    """The curves close, and no knee bends backwards at any pace, phase or stride."""
    for stride in (Stride(0.0, 0.0), Stride(0.0, 1.0), Stride(0.0, 0.1, 1.15, 1.0)):
        np.testing.assert_allclose(leg_angles(0.3, stride), leg_angles(1.3, stride))
        knees = [leg_angles(phase, stride)[1] for phase in np.linspace(0, 1, 50)]
        assert min(knees) > -1 and 40 < max(knees) < 150
        hips = [leg_angles(phase, stride)[0] for phase in np.linspace(0, 1, 50)]
        assert min(hips) < -5 and max(hips) > 25


def test_hands_reach_what_they_are_to_reach(full_body: FullBody, man: ShapedBody) -> None:
    for side in ("left", "right"):
        puppet = Puppet(full_body, man)
        shoulder = puppet.head(f"{side}UpperArm")
        target = shoulder + np.array([0.05, -0.25, 0.25])
        puppet.reach(side, target, np.array([0.0, -1.0, -0.3]))  # type: ignore[arg-type]
        pose = apply_pose(full_body, man, puppet.local)
        moved = pose.heads[puppet.bone(f"{side}Hand")] - pose.heads[puppet.bone(f"{side}UpperArm")]
        np.testing.assert_allclose(moved, target - shoulder, atol=1e-6)


def test_limbs_point_where_they_are_told_to(full_body: FullBody, woman: ShapedBody) -> None:
    puppet = Puppet(full_body, woman)
    upper, lower = np.array([0.6, 0.0, 0.8]), np.array([0.0, 1.0, 0.0])
    puppet.arm("left", upper, lower)
    puppet.leg("right", flex=90.0, knee=90.0, out=0.0, turn=0.0)
    heads = apply_pose(full_body, woman, puppet.local).heads
    along = lambda a, b: unit(heads[puppet.bone(b)] - heads[puppet.bone(a)])  # noqa: E731
    np.testing.assert_allclose(along("leftUpperArm", "leftLowerArm"), upper, atol=1e-6)
    np.testing.assert_allclose(along("leftLowerArm", "leftHand"), lower, atol=1e-6)
    # A chair's right angles; knee and hip do not lie on the leg's straight line to the millimetre.
    assert along("rightUpperLeg", "rightLowerLeg") @ [0, 0, 1] > 0.98
    assert along("rightLowerLeg", "rightFoot") @ [0, -1, 0] > 0.98


def test_people_do_many_things(full_body: FullBody, man: ShapedBody) -> None:
    kinds = Counter(draw_stance(full_body, man, np.random.default_rng(seed))[0] for seed in range(150))
    assert set(kinds) == set(get_args(Stance))
    assert 0.4 < sum(kinds[kind] for kind in MOVING) / 150 < 0.7


def test_no_two_hands_are_alike() -> None:
    curls = np.array([draw_curls(np.random.default_rng(seed)) for seed in range(200)])
    assert np.unique(curls.round(2), axis=0).shape[0] == 200
    assert curls.min() >= -8 and curls.max() <= 88
    assert curls[:, 0].std() > 6 and (curls[:, 1:].std(0) > 15).all()
