"""Distances on grids are scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from carve.geometry.meshing.voxel_distance import distance_to


@pytest.mark.parametrize("share", [0.0005, 0.02, 0.5, 0.98])
def test_distances_are_those_of_scipy_bit_by_bit(share: float) -> None:
    for shape in ((31, 47, 23), (1, 60, 5), (70, 3), (40,)):
        solid = np.random.default_rng(3).random(shape) < share
        solid.flat[0] = True
        np.testing.assert_array_equal(distance_to(solid), ndimage.distance_transform_edt(~solid))


def test_what_lies_on_one_side_only_is_reached_from_the_other() -> None:
    solid = np.zeros((40, 30, 20), bool)
    solid[:2] = True
    np.testing.assert_array_equal(distance_to(solid), np.maximum(np.arange(40) - 1.0, 0)[:, None, None] * np.ones(solid.shape))


def test_nothing_is_infinitely_far_away() -> None:
    assert np.isinf(distance_to(np.zeros((4, 5, 6), bool))).all()
