"""The background's share in border pixels: known mixtures are undone, all else stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from carve.geometry.meshing.fringe import own_colours

GREEN, SKIN = np.array([40.0, 200.0, 60.0]), np.array([205.0, 150.0, 130.0])


def disc(person: np.ndarray, background: np.ndarray, soft: float, too_wide: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc of one colour before another, blurred at its edge; its mask, too wide by some pixels; distance from the centre."""
    v, u = np.mgrid[0:160, 0:160] - 79.5
    radius = np.hypot(u, v).astype(np.float32)
    coverage = cv2.GaussianBlur((radius < 50).astype(np.float32), (0, 0), soft)[..., None]
    return (coverage * person + (1 - coverage) * background).astype(np.float32), (radius < 50 + too_wide).astype(np.float32), radius


@pytest.mark.parametrize("too_wide", [0.0, 2.0])
def test_a_green_fringe_goes(too_wide: float) -> None:
    picture, mask, radius = disc(SKIN, GREEN, 1.2, too_wide)
    clean = own_colours(picture, mask, 6.0)
    shown = mask > 0.5
    before, after = (np.abs(image[shown] - SKIN).max(-1) for image in (picture, clean))
    assert before.max() > 60
    assert after.max() < 12 and after.mean() < 0.2 * before.mean()
    np.testing.assert_array_equal(clean[~shown], picture[~shown])
    np.testing.assert_array_equal(clean[radius < 43], picture[radius < 43])


def test_detail_at_the_edge_stays_where_the_background_is_another_colour() -> None:
    """Stripes that run into the outline keep their contrast: they do not lie on the way to the background."""
    picture, mask, radius = disc(SKIN, GREEN, 0.5, 0.0)
    stripes = 25 * np.sign(np.sin(np.mgrid[0:160, 0:160][0] / 3))[..., None] * np.array([1.0, 1.0, 1.0])
    striped = (picture + stripes * (radius < 49)[..., None]).astype(np.float32)
    clean = own_colours(striped, mask, 6.0)
    ring = (radius > 44) & (radius < 48)
    contrast = [float((image[ring] * np.sign(stripes[ring])).mean()) for image in (clean, striped)]
    assert contrast[0] > 0.5 * contrast[1] > 0


def test_nothing_changes_where_nothing_can_be_told_apart() -> None:
    picture, mask, _ = disc(SKIN, SKIN + 10, 1.2, 2.0)
    np.testing.assert_array_equal(own_colours(picture, mask, 6.0), picture)
    for uniform in (np.zeros_like(mask), np.ones_like(mask)):
        np.testing.assert_array_equal(own_colours(picture, uniform, 6.0), picture)
