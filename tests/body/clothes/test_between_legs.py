"""What lies between the legs follows both: the hand-over is even, and a gap that closes does not fold."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.clothes.between_legs import BetweenLegs
from carve.body.model import bone_regions
from carve.body.skin_field import SkinField
from carve.body.zones import LEGS
from carve.geometry.skinning import bone_transforms
from synthetic import Truth


@pytest.fixture(scope="module")
def field(clothed: Truth) -> SkinField:
    return SkinField.of(clothed.body)


@pytest.fixture(scope="module")
def across(clothed: Truth) -> np.ndarray:
    """(200, 3) points from the right to the left leg, a little above the knees."""
    body = clothed.body
    knees = [body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid[f"{side}LowerLeg"])] for side in ("right", "left")]
    return knees[0] + [0, 0.1, 0] + np.linspace(0, 1, 200)[:, None] * (knees[1] - knees[0])


def test_the_left_legs_share_grows_evenly_over_the_gap(clothed: Truth, field: SkinField, across: np.ndarray) -> None:
    skeleton, near = clothed.body.skeleton, field.near(across)
    legs = BetweenLegs(clothed.body, field)
    left = np.isin(bone_regions(skeleton.names, skeleton.parents, skeleton.humanoid), LEGS[:2])
    gap = near.distance > 0.01
    shares = []
    for weights in (legs.weights(across, near, len(left), np.ones(len(across))), field.weights(across, near, len(left))):
        assert np.abs(weights.sum(1) - 1).max() < 1e-5
        shares.append(weights[:, left].sum(1)[gap])
    even, sudden = shares
    assert even[0] < 0.1
    assert even[-1] > 0.9
    assert np.diff(even).min() > -0.005
    # An even hand-over takes as long as the gap, the field's a part of it.
    assert np.diff(even).max() * gap.sum() < 2.5
    assert np.diff(sudden).max() * gap.sum() > 4


def test_a_gap_that_closes_does_not_fold(clothed: Truth, field: SkinField, across: np.ndarray) -> None:
    body, near = clothed.body, field.near(across)
    legs = BetweenLegs(body, field)
    rotations, heads = body.pose.bones(body.skeleton)
    transforms = bone_transforms(rotations, heads, body.skeleton.heads)

    def along(maps: np.ndarray) -> np.ndarray:
        posed = np.einsum("nij,nj->ni", maps[..., :3], across) + maps[..., 3]
        way = posed[-1] - posed[0]
        return posed @ (way / np.linalg.norm(way))

    steps = np.diff(along(legs.blend(across, near, transforms)[0]))
    plain = np.diff(along(field.blend(across, near, transforms)))
    assert -steps[steps < 0].sum() < 0.002
    assert -plain[plain < 0].sum() > 0.05


def test_the_skin_keeps_its_own_weights(clothed: Truth, field: SkinField) -> None:
    body = clothed.body
    legs = BetweenLegs(body, field)
    points = body.canonical[np.isin(body.region, LEGS)][::7]
    near = field.near(points)
    bones = len(body.skeleton.names)
    assert (legs.blend(points, near, np.zeros((bones, 3, 4)))[1] == 0).all()
    assert np.abs(legs.weights(points, near, bones, np.ones(len(points))) - field.weights(points, near, bones)).max() < 1e-6
