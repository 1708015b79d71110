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


def test_a_shoe_is_the_feets_hull_and_its_sole(clothed: Truth) -> None:
    body = clothed.body
    shoes = Shoes(body, (True, False), 0.01)
    foot = body.canonical[body.region == FEET[0]]
    hull = ConvexHull(foot)
    assert np.abs(shoes.distance(foot[hull.vertices]) + 0.01).max() < 1e-9
    assert shoes.distance(foot).max() <= -0.01 + 1e-9
    middles = foot[hull.simplices].mean(1)
    assert np.abs(shoes.distance(middles + 0.03 * hull.equations[:, :3]) - 0.02).max() < 1e-9
    other = body.canonical[body.region == FEET[1]]
    assert (shoes.distance(other) == FAR).all()
