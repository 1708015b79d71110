"""Swatches have the covariance of what they are made from, and go on beyond their sides."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from carve.geometry.pictures.random_phase import random_phase

RNG = np.random.default_rng(0)


def covariance(picture: np.ndarray, shift: tuple[int, int]) -> float:
    """Of pixels so far apart, beyond the sides too."""
    return float((picture * np.roll(picture, shift, (0, 1))).mean() - picture.mean() ** 2)


def test_a_swatch_has_the_covariance_of_its_picture() -> None:
    """Strands that hang: wide correlations down, narrow ones across, and two channels that go with each other."""
    strands = ndimage.gaussian_filter(RNG.normal(size=(400, 300)), (9, 1.2), mode="wrap")
    strands *= 5 / strands.std()
    picture = 80 + np.stack([strands, -0.5 * strands], -1)
    usable = np.zeros((400, 300), bool)
    usable[40:370, 20:290] = True
    found = random_phase(picture, usable, 256)
    assert found.shape == (256, 256, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean((0, 1)), 0, atol=0.5)
    for shift in ((0, 0), (8, 0), (0, 2), (0, 8)):
        np.testing.assert_allclose(covariance(found[..., 0], shift), covariance(strands, shift), atol=3.0)
    assert covariance(found[..., 0], (8, 0)) > 3 * abs(covariance(found[..., 0], (0, 8)))
    np.testing.assert_allclose(found[..., 1], -0.5 * found[..., 0], atol=1e-3)


def test_it_continues_itself_and_follows_its_seed() -> None:
    grain = ndimage.gaussian_filter(RNG.normal(size=(90, 130, 1)), (3, 3, 0))
    usable = np.ones((90, 130), bool)
    found = random_phase(grain, usable, 64, seed=3)
    inside = np.abs(np.diff(found[..., 0], axis=0)).mean()
    assert np.abs(found[0, :, 0] - found[-1, :, 0]).mean() < 1.3 * inside
    np.testing.assert_array_equal(found, random_phase(grain, usable, 64, seed=3))
    assert not np.array_equal(found, random_phase(grain, usable, 64, seed=4))
