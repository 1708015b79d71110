"""Whose space is it: against distances to the posed body, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.clothes.limb_space import NOBODYS, LimbSpace
from carve.body.model import REGIONS
from carve.body.skin_field import SkinField
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import bone_transforms
from synthetic import Truth


@pytest.fixture(scope="module")
def field(clothed: Truth) -> SkinField:
    return SkinField.of(clothed.body)


def test_excess_is_what_distances_shrink_by_beyond_a_bends_share(clothed: Truth, field: SkinField) -> None:
    """Around a lower arm that hangs beside the trunk; the posed distance by winding numbers."""
    body, rng = clothed.body, np.random.default_rng(0)
    arm = body.canonical[body.region == REGIONS.index("left_lower_arm")]
    points = arm[rng.integers(len(arm), size=300)] + rng.uniform(-0.12, 0.12, (300, 3))
    near = field.near(points)
    found = LimbSpace(body, field).excess(points, near)
    rotations, heads = body.pose.bones(body.skeleton)
    maps = field.blend(points, near, bone_transforms(rotations, heads, body.skeleton.heads))
    posed = np.einsum("nij,nj->ni", maps[..., :3], points) + maps[..., 3]
    expected = 0.8 * near.distance - MeshQueries(body.posed, field.faces, winding=True).signed_distance(posed)
    outside = near.distance > 0
    assert np.quantile(np.abs(found - expected)[outside], 0.97) < 1e-5
    assert 10 < (found[outside] > 0.01).sum() < 0.5 * outside.sum()
    assert (found[~outside] == NOBODYS).all()


def test_what_lies_at_the_trunk_or_on_an_arm_is_theirs(clothed: Truth, field: SkinField) -> None:
    body = clothed.body
    for name in ("torso", "left_lower_arm", "head"):
        skin = body.canonical[body.region == REGIONS.index(name)]
        near = field.near(skin)
        points = skin + 0.02 * near.normal
        assert np.mean(LimbSpace(body, field).excess(points, field.near(points)) > 0.004) < 0.06, name


def test_nothing_is_cut_below_the_hips(clothed: Truth, field: SkinField) -> None:
    body, rng = clothed.body, np.random.default_rng(1)
    legs = body.canonical[[REGIONS[r].endswith(("leg", "foot")) for r in body.region]]
    points = legs[rng.integers(len(legs), size=300)] + rng.uniform(-0.1, 0.1, (300, 3))
    hips = body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid["leftUpperLeg"]), 1]
    low = points[points[:, 1] < hips]
    assert (LimbSpace(body, field).excess(low, field.near(low)) == NOBODYS).all()
