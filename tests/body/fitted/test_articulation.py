"""Degrees of freedom: their bookkeeping, and that each turns the body the way its range says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carve.body.anny import AnnyBody
from carve.body.fitted.articulation import Articulation, build_articulation
from carve.body.model import rest_pose
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import forward_kinematics

SIDES = (("left", 1.0), ("right", -1.0))


@pytest.fixture(scope="module")
def heads(anny_body: AnnyBody) -> np.ndarray:
    """(B, 3) rest bone heads of the mean shape."""
    return rest_pose(anny_body, anny_body.prior.mean)[1].double().numpy()


@pytest.fixture(scope="module")
def articulation(anny_body: AnnyBody, heads: np.ndarray) -> Articulation:
    """The mean shape's degrees of freedom."""
    return build_articulation(anny_body, heads)


class Figure:
    """The skeleton under given angles; the others are at their means."""

    def __init__(self, body: AnnyBody, articulation: Articulation, heads: np.ndarray) -> None:
        self.body, self.articulation, self.rest = body, articulation, heads

    def __call__(self, **turned: float) -> dict[str, np.ndarray]:
        """Humanoid bone -> head (3,), with `name_k` (radians, for the angle `name.k`) added to the mean."""
        angles = self.articulation.mean.copy()
        for name, value in turned.items():
            angles[self.articulation.names.index(name.replace("_", "."))] += value
        local = np.tile(np.eye(3), (len(self.body.names), 1, 1))
        turns = np.einsum("d,pd,dc->pc", angles, self.articulation.shares, self.articulation.axes)
        local[self.articulation.moving] = matrix_from_rotvec(torch.from_numpy(turns)).numpy()
        _, heads = forward_kinematics(local, self.rest, self.body.parents, self.rest[0])
        return {vrm: heads[self.body.names.index(bone)] for vrm, bone in self.body.humanoid.items()}


@pytest.fixture(scope="module")
def figure(anny_body: AnnyBody, articulation: Articulation, heads: np.ndarray) -> Figure:
    """Poses the mean shape's skeleton."""
    return Figure(anny_body, articulation, heads)


def test_every_angle_is_shared_out_whole(articulation: Articulation) -> None:
    np.testing.assert_allclose(articulation.shares.sum(0), 1)
    np.testing.assert_allclose(np.linalg.norm(articulation.axes, axis=1), 1)
    assert len(set(articulation.names)) == len(articulation.names)


def test_ranges_hold_their_means(articulation: Articulation) -> None:
    assert (articulation.low < articulation.high).all()
    assert (articulation.sigma > 0).all()
    assert (articulation.mean >= articulation.low).all()
    assert (articulation.mean <= articulation.high).all()
    assert (np.abs(articulation.low) <= np.pi).all()
    assert (np.abs(articulation.high) <= np.pi).all()


def test_moving_bones_carry_every_bone(anny_body: AnnyBody, articulation: Articulation) -> None:
    moving = articulation.moving
    assert moving[0] == 0
    assert articulation.parents[0] == -1
    assert (articulation.parents[1:] < np.arange(1, len(moving))).all()
    for bone, place in enumerate(articulation.attached):
        ancestors = [bone]
        while anny_body.parents[ancestors[-1]] >= 0:
            ancestors.append(int(anny_body.parents[ancestors[-1]]))
        assert moving[place] == next(b for b in ancestors if b in moving)


def test_a_chain_shares_its_bend(anny_body: AnnyBody, articulation: Articulation) -> None:
    column = articulation.names.index("spine.0")
    bones = [anny_body.names[b] for b in articulation.moving[articulation.shares[:, column] > 0]]
    assert bones == ["spine05", "spine04"]
    assert sorted(set(articulation.shares[:, column].tolist())) == [0.0, 0.5]


def test_on_average_arms_hang_and_elbows_bend_forwards(figure: Figure) -> None:
    pose = figure()
    for side, sign in SIDES:
        shoulder, elbow, hand = (pose[f"{side}{bone}"] for bone in ("UpperArm", "LowerArm", "Hand"))
        upper = (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
        assert upper[1] < -0.9
        assert 0 < sign * upper[0] < 0.4
        assert hand[2] > elbow[2]
        assert hand[1] < elbow[1]


def test_joints_turn_the_way_their_ranges_say(figure: Figure) -> None:
    usual = figure()
    for side, sign in SIDES:
        bent = figure(**{f"{side}LowerArm_0": 1.0})[f"{side}Hand"] - usual[f"{side}Hand"]
        assert bent[2] > 0.05  # the elbow brings the hand forwards
        bent = figure(**{f"{side}LowerLeg_0": 1.0})[f"{side}Foot"] - usual[f"{side}Foot"]
        assert bent[2] < -0.1  # the knee brings the foot backwards
        assert bent[1] > 0.05
        lifted = figure(**{f"{side}UpperLeg_0": -1.0})[f"{side}LowerLeg"] - usual[f"{side}LowerLeg"]
        assert lifted[2] > 0.2  # the wide side of the hip's range is forwards
        raised = figure(**{f"{side}UpperArm_0": sign * 1.2})[f"{side}LowerArm"] - usual[f"{side}LowerArm"]
        assert raised[1] > 0.05  # the arm goes out and up
        assert sign * raised[0] > 0.1


def test_left_and_right_mirror_each_other(figure: Figure, articulation: Articulation) -> None:
    pose = figure()
    for vrm in pose:
        if vrm.startswith("left"):
            np.testing.assert_allclose(pose[vrm], pose[vrm.replace("left", "right")] * [-1, 1, 1], atol=5e-3)
    for i, name in enumerate(articulation.names):
        if name.startswith("left"):
            j = articulation.names.index(name.replace("left", "right"))
            assert articulation.sigma[i] == articulation.sigma[j]
            np.testing.assert_allclose(np.abs(articulation.mean[i]), np.abs(articulation.mean[j]), atol=0.02)


def test_a_straight_arm_at_rest_gives_the_same_stance(anny_body: AnnyBody, heads: np.ndarray, figure: Figure) -> None:
    """A rest pose with the arms straight out (SMPL's, say) has other means, but the same arms hang at the same angle."""
    turned = heads.copy()
    for side, sign in SIDES:
        upper, lower, hand = (anny_body.names.index(anny_body.humanoid[f"{side}{bone}"]) for bone in ("UpperArm", "LowerArm", "Hand"))
        first, second = np.linalg.norm(heads[lower] - heads[upper]), np.linalg.norm(heads[hand] - heads[lower])
        turned[lower] = turned[upper] + [sign * first, 0, 0]
        turned[hand] = turned[lower] + [sign * second, 0, 0]
    pose, usual = Figure(anny_body, build_articulation(anny_body, turned), turned)(), figure()
    for side, _ in SIDES:
        arm, expected = (p[f"{side}LowerArm"] - p[f"{side}UpperArm"] for p in (pose, usual))
        np.testing.assert_allclose(arm[:2], expected[:2], atol=0.03)
        assert pose[f"{side}Hand"][2] > pose[f"{side}LowerArm"][2] + 0.05
