"""A figure's place from where it is seen: exact where the points are, the nearest where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.resection import stand

CAMERA = Camera(900, 1200, 1500.0, 430.0, 610.0)
RNG = np.random.default_rng(0)
OFFSETS = RNG.normal(size=(15, 3)) * [0.3, 0.6, 0.2]


@pytest.mark.parametrize("place", [[0.0, 0.0, -3.0], [0.8, -0.5, -6.0], [-0.4, 0.9, -2.0]])
def test_the_place_of_a_figure_is_found(place: list[float]) -> None:
    pixels = CAMERA.project(OFFSETS + place)
    np.testing.assert_allclose(stand(OFFSETS, pixels, np.ones(len(OFFSETS)), CAMERA), place, atol=1e-9)


def test_points_without_weight_do_not_count() -> None:
    place = np.array([0.2, 0.1, -4.0])
    pixels, weight = CAMERA.project(OFFSETS + place), np.ones(len(OFFSETS))
    pixels[3] += 400
    assert np.linalg.norm(stand(OFFSETS, pixels, weight, CAMERA) - place) > 0.02
    weight[3] = 0
    np.testing.assert_allclose(stand(OFFSETS, pixels, weight, CAMERA), place, atol=1e-9)


def test_a_figure_that_is_seen_smaller_stands_farther_away() -> None:
    place = np.array([0.0, 0.0, -3.0])
    middle = CAMERA.project(place)
    smaller = middle + 0.8 * (CAMERA.project(OFFSETS + place) - middle)
    found = stand(OFFSETS, smaller, np.ones(len(OFFSETS)), CAMERA)
    # Depths within the figure differ, so it is not just 3 / 0.8.
    assert found[2] == pytest.approx(-3 / 0.8, rel=0.03)
    apart = np.linalg.norm(CAMERA.project(OFFSETS + found) - smaller, axis=1).mean()
    assert apart < 0.2 * np.linalg.norm(CAMERA.project(OFFSETS + place) - smaller, axis=1).mean()
