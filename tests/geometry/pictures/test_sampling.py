"""Sampling and completing pictures."""

import numpy as np

from carve.geometry.pictures.sampling import complete, sample


def test_samples_of_a_linear_picture_are_exact() -> None:
    v, u = np.mgrid[0:20, 0:30] + 0.5
    image = np.dstack([2 * u + 3 * v, u - v]).astype(np.float32)
    pixels = np.random.default_rng(0).uniform([0.5, 0.5], [29.5, 19.5], (5000, 2))
    expected = np.stack([2 * pixels[:, 0] + 3 * pixels[:, 1], pixels[:, 0] - pixels[:, 1]], 1)
    # The sampler rounds positions to 1/32 of a pixel.
    np.testing.assert_allclose(sample(image, pixels), expected, atol=5 / 64 + 1e-3)


def test_samples_beyond_the_edge_repeat_it() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert sample(image, np.array([[-5.0, -5.0], [99.0, 1.5]]))[:, 0].tolist() == [0.0, 7.0]
    assert sample(image, np.zeros((0, 2))).shape == (0, 1)


def test_completion_keeps_what_is_known_and_ignores_the_rest() -> None:
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 100, (61, 47, 3)).astype(np.float32)
    known = np.zeros((61, 47), np.float32)
    known[20:40, 10:30] = 1
    filled = complete(np.where(known[..., None] > 0, image, 1e6), known)
    np.testing.assert_allclose(filled[0][known > 0], image[known > 0], atol=1e-3)
    for level in filled:
        assert level.min() >= -1e-3 and level.max() <= 100.01


def test_completion_of_a_constant_is_constant_and_of_nothing_finite() -> None:
    known = np.zeros((40, 64), np.float32)
    known[3, 5] = 1
    assert all(np.abs(level - 7).max() < 1e-3 for level in complete(np.full((40, 64, 3), 7, np.float32), known))
    assert all(np.isfinite(level).all() for level in complete(np.full((40, 64, 3), 7, np.float32), np.zeros((40, 64), np.float32)))


def test_completion_takes_the_nearest_colours() -> None:
    image = np.zeros((32, 64, 3), np.float32)
    image[:, 32:] = 200
    known = np.zeros((32, 64), np.float32)
    known[:, :8] = known[:, -8:] = 1
    filled = complete(image, known)[0]
    assert filled[:, 10:16].max() < 100 < filled[:, 48:54].min()
