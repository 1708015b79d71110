"""Shoes: who wears them, and their distance against the hull's own points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from carve.body.clothes.shoes import FAR, Shoes, shoes_worn
from carve.body.zones import FEET
from carve.records import LABELS, NormalMaps
from synthetic import Truth


@pytest.mark.parametrize(("left", "right"), [("shoes", "shoes"), ("skin", "shoes"), ("skin", "skin")])
def test_a_foot_wears_what_it_is_labelled(clothed: Truth, true_maps: NormalMaps, left: str, right: str) -> None:
    body = clothed.body
    label = np.full(true_maps.mask.shape, LABELS.index("bottom"), np.uint8)
    for region, what in zip(FEET, (left, right), strict=True):
        columns, rows = body.camera.project(body.posed[body.region == region]).astype(int).T
        label[rows, columns] = LABELS.index(what)
    assert shoes_worn(body, replace(true_maps, label=label)) == (left == "shoes", right == "shoes")
    assert shoes_worn(body, true_maps) == (False, False)


THICK = 0.01


def footprint(foot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) x and z of what lies near the ground, and (2,) the way from heel to toes."""
    low = foot[foot[:, 1] < foot[:, 1].min() + 0.3 * np.ptp(foot[:, 1])][:, [0, 2]]
    along = np.linalg.svd(low - low.mean(0), full_matrices=False)[2][0]
    return low, along * np.sign(along[1])


def test_a_shoe_holds_the_foot_and_has_a_toe_box(clothed: Truth) -> None:
    body = clothed.body
    shoes = Shoes(body, (True, False), THICK)
    foot = body.canonical[body.region == FEET[0]]
    assert shoes.distance(foot).max() <= -0.35 * THICK + 1e-9
    along = footprint(foot)[1]
    share = (foot[:, [0, 2]] - foot[:, [0, 2]].mean(0)) @ along
    toes = foot[share > share.max() - 0.14 * np.ptp(share)]
    box = toes.mean(0)
    box[1] = foot[:, 1].min() + 0.145 * np.ptp(share) + THICK
    hull = ConvexHull(foot)
    assert (hull.equations[:, :3] @ box + hull.equations[:, 3]).max() > THICK
    assert shoes.distance(box[None])[0] < 0
    other = body.canonical[body.region == FEET[1]]
    assert (shoes.distance(other) == FAR).all()


def test_a_sole_lies_flat_below_and_is_wider_than_the_upper_above_it(clothed: Truth) -> None:
    body = clothed.body
    shoes = Shoes(body, (True, True), THICK)
    for region in FEET:
        foot = body.canonical[body.region == region]
        ground, low = foot[:, 1].min(), footprint(foot)[0]
        outline = ConvexHull(low)
        middles, normals = low[outline.simplices].mean(1), outline.equations[:, :2]

        def at(beyond: float, height: float, middles: np.ndarray = middles, normals: np.ndarray = normals) -> np.ndarray:
            return np.insert(middles + beyond * THICK * normals, 1, height, axis=1)

        half = ground + 0.5 * THICK
        assert np.allclose(shoes.distance(at(1.5, half)), 0.5 * THICK)
        assert (shoes.distance(at(0.9, half)) < 0).all()
        assert (shoes.distance(at(0.9, half + 2 * THICK)) > 0).any()
        assert (shoes.distance(at(0.0, ground - 0.3 * THICK)) < 0).all()
        assert (shoes.distance(at(0.0, ground - 0.4 * THICK)) > 0).all()


def test_what_is_worn_stands_off_a_shoe_by_little_and_other_feet_stay(clothed: Truth) -> None:
    body = clothed.body
    shoes = Shoes(body, (True, False), THICK)
    ankle = float(body.canonical[body.region == FEET[0]][:, 1].max())
    rng = np.random.default_rng(0)
    foot, other = (body.canonical[body.region == region] for region in FEET)
    points = rng.uniform(foot.min(0) - 0.05, foot.max(0) + 0.05, (4000, 3))
    s = shoes.distance(points)
    low = points[:, 1] < ankle - 0.04
    puffed, none = shoes.worn(np.full(len(points), -1.0), points, ankle), shoes.worn(np.full(len(points), 1.0), points, ankle)
    assert np.allclose(none[low], np.minimum(1.0, np.maximum(s, points[:, 1] - ankle)[low]))
    assert (puffed[low] <= s[low] + 1e-12).all()
    assert (puffed[low] >= s[low] - 0.006 - 1e-12).all()
    assert (np.isclose(puffed[low], s[low])).any()
    beside = rng.uniform(other.min(0) - 0.02, other.max(0) + 0.02, (500, 3))
    assert np.array_equal(shoes.worn(np.full(500, -0.5), beside, ankle), np.full(500, -0.5))
