"""Regions of the body and where they lie."""

import numpy as np

from carve.body.model import REGIONS
from carve.body.zones import ALIGNED, ATTACHED, HEAD, MIRRORED, TORSO, limb_axes, limb_coordinates
from carve.records import Skeleton


def test_mirroring_swaps_sides_and_is_its_own_inverse() -> None:
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(len(REGIONS)))
    assert REGIONS[MIRRORED[REGIONS.index("left_hand")]] == "right_hand"
    assert MIRRORED[HEAD] == HEAD and MIRRORED[TORSO] == TORSO


def test_tables_are_symmetric_and_mirror_themselves() -> None:
    for table in (ALIGNED, ATTACHED):
        assert np.array_equal(table, table.T)
        assert np.array_equal(table, table[MIRRORED][:, MIRRORED])
        assert table.diagonal().all()
    assert not ALIGNED[HEAD, TORSO] and ATTACHED[HEAD, TORSO]
    assert not ATTACHED[TORSO, REGIONS.index("left_hand")]


def test_limb_axes_follow_the_skeleton() -> None:
    bones = {f"{side}{bone}": at for side, sign in (("left", 1), ("right", -1)) for bone, at in _bones(sign).items()}
    skeleton = Skeleton(tuple(bones), np.full(len(bones), -1), np.array(list(bones.values())), {name: name for name in bones})
    axes = limb_axes(skeleton)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1)
    np.testing.assert_allclose(axes[TORSO], [0, 1, 0])
    np.testing.assert_allclose(axes[REGIONS.index("right_lower_arm")], [-1, 0, 0])
    np.testing.assert_allclose(axes[REGIONS.index("left_upper_leg")], np.array([0.3, -0.8, 0]) / np.hypot(0.3, 0.8))


def _bones(sign: int) -> dict[str, list[float]]:
    heads = {"UpperArm": [0.2, 1.4, 0], "LowerArm": [0.45, 1.4, 0], "Hand": [0.7, 1.4, 0], "UpperLeg": [0.1, 0.9, 0], "Foot": [0.4, 0.1, 0]}
    return {bone: [sign * x, y, z] for bone, (x, y, z) in heads.items()}


def test_limb_coordinates_are_cylindrical_about_the_limbs_own_middle() -> None:
    angle, height = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 2 * np.pi, 40, endpoint=False), np.linspace(0, 0.5, 60)))
    bend = 0.3 * height**2
    points = np.stack([0.1 * np.sin(angle) + bend, height, 0.1 * np.cos(angle) + 0.7], 1)
    place = limb_coordinates(points, np.ones(len(points), bool), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(place[:, 0], height)
    np.testing.assert_allclose(np.hypot(place[:, 1], place[:, 2]), 1)
    around = np.arctan2(place[:, 1], place[:, 2])
    turn = np.angle(np.exp(1j * (around - angle)))
    assert np.abs(turn).max() < 0.05 or np.abs(np.angle(np.exp(1j * (around + angle)))).max() < 0.05
