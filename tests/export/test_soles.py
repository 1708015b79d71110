from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.export.asset import make_asset
from carve.export.options import ExportOptions
from carve.export.rest_pose import rest_rotations
from carve.export.soles import BEND_HEIGHT, MOST, bending_sole, level_soles
from carve.geometry.rotations import axis_rotation
from carve.records import Avatar


def legs(left: float, right: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Points down both shins, from 0.3 m to each sole's height; feet begin at 0.12 m."""
    heights = [np.linspace(sole, 0.3, 31) for sole in (left, right)]
    vertices = np.concatenate([np.column_stack([np.full(31, x), y, np.zeros(31)]) for x, y in zip((0.1, -0.1), heights, strict=True)])
    share = {
        side: (vertices[:, 0] * sign > 0) * np.clip((0.16 - vertices[:, 1]) / 0.04, 0, 1) for side, sign in (("left", 1), ("right", -1))
    }
    return vertices, share


def test_both_soles_come_to_the_mean_of_their_heights() -> None:
    vertices, share = legs(0.02, 0.0)
    level = level_soles(vertices, {"left": 0.1, "right": 0.1}, share)
    left = vertices[:, 0] > 0
    assert level[left, 1].min() == pytest.approx(0.01) and level[~left, 1].min() == pytest.approx(0.01)
    np.testing.assert_array_equal(level[vertices[:, 1] >= 0.1], vertices[vertices[:, 1] >= 0.1])
    np.testing.assert_array_equal(level[:, [0, 2]], vertices[:, [0, 2]])
    assert (np.diff(level[left, 1]) > 0).all()


def test_level_soles_stay_and_no_foot_is_stretched_far() -> None:
    vertices, share = legs(0.0, 0.0)
    np.testing.assert_allclose(level_soles(vertices, {"left": 0.1, "right": 0.1}, share), vertices)
    vertices, share = legs(0.06, 0.0)
    level = level_soles(vertices, {"left": 0.1, "right": 0.1}, share)
    assert level[vertices[:, 0] > 0, 1].min() == pytest.approx(0.1 - (1 + MOST) * 0.04)


def test_one_leg_alone_and_a_sole_at_the_ankle_are_left_alone() -> None:
    vertices, share = legs(0.02, 0.0)
    assert level_soles(vertices, {"left": 0.1}, {"left": share["left"]}) is vertices
    assert level_soles(vertices, {"left": 0.02, "right": 0.1}, share) is vertices


@pytest.mark.parametrize("degrees", [-8.0, 0.0, 16.0])
def test_feet_stand_on_heel_and_ball_whatever_the_shoe(naked: Avatar, degrees: float) -> None:
    surface = naked.surface.canonical
    index = {vrm: surface.skeleton.names.index(name) for vrm, name in surface.skeleton.humanoid.items()}
    vertices = surface.vertices.copy()
    for side in ("left", "right"):  # shoes that point up or down against the foot's bone
        turn, ankle = rest_rotations(surface)[index[f"{side}Foot"]], surface.skeleton.heads[index[f"{side}Foot"]]
        foot = surface.region == REGIONS.index(f"{side}_foot")
        pitched = turn.T @ axis_rotation(0, float(np.radians(degrees))) @ turn
        vertices[foot] = (vertices[foot] - ankle) @ pitched.T + ankle
    shod = replace(surface, vertices=vertices)
    for side in ("left", "right"):
        turn, ankle = rest_rotations(shod)[index[f"{side}Foot"]], shod.skeleton.heads[index[f"{side}Foot"]]
        points = (vertices[shod.region == REGIONS.index(f"{side}_foot")] - ankle) @ turn.T
        heel, front = points[points[:, 2] < 0, 1].min(), points[points[:, 2] > 0.08, 1].min()
        assert abs(heel - front) < 0.002


def test_a_naked_body_stands_on_both_feet(naked: Avatar) -> None:
    asset = make_asset(naked).asset
    for side in ("left", "right"):
        foot = np.isin(asset.bones[:, 0], [asset.skeleton.index(f"{side}{part}") for part in ("Foot", "Toes")])
        assert abs(asset.vertices[foot, 1].min()) < 1e-3


def test_a_sole_bends_near_the_ground_at_the_ball() -> None:
    joint = bending_sole(np.array([0.1, 0.045, 0.19]), np.array([0.1, 0.09, 0.04]), 0.01)
    np.testing.assert_allclose(joint, [0.1, 0.01 + BEND_HEIGHT * 0.08, 0.175])
    low = bending_sole(np.array([0.1, 0.012, 0.19]), np.array([0.1, 0.09, 0.04]), 0.01)
    assert low[1] == 0.012


@pytest.mark.parametrize("kind", ["vrm", "mixamo", "unreal"])
def test_the_toes_joint_lies_low_in_every_skeleton(naked: Avatar, kind: str) -> None:
    bones = make_asset(naked, ExportOptions(skeleton=kind)).asset.skeleton
    for side in ("left", "right"):
        toes, ankle = bones.heads[bones.index(f"{side}Toes")], bones.heads[bones.index(f"{side}Foot")]
        assert 0 < toes[1] < 0.2 * ankle[1] and toes[2] > ankle[2] + 0.08
