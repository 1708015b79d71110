"""Strands: unit deviation, longer than wide, the same for a seed, and no seam where the swatch meets itself."""

from __future__ import annotations

import numpy as np

from carve.geometry.pictures.streaks import streaks


def test_streaks_are_long_and_thin_and_tile() -> None:
    swatch = streaks(128, 1.0, 20.0)
    assert swatch.shape == (128, 128)
    np.testing.assert_allclose([swatch.mean(), swatch.std()], [0, 1], atol=1e-5)
    down, across = (np.abs(np.diff(swatch, axis=axis)).mean() for axis in (0, 1))
    assert down < 0.5 * across
    assert np.abs(swatch[0] - swatch[-1]).mean() < 1.5 * down
    assert np.abs(swatch[:, 0] - swatch[:, -1]).mean() < 1.5 * across
    np.testing.assert_array_equal(swatch, streaks(128, 1.0, 20.0))
    assert not np.array_equal(swatch, streaks(128, 1.0, 20.0, seed=1))
