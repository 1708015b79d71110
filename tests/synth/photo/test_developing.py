"""What a camera makes of greys."""

from __future__ import annotations

import numpy as np

from carve.synth.photo.developing import develop


def test_development_keeps_the_order_of_tones() -> None:
    ramp = np.linspace(0, 2, 256, dtype=np.float32)[None, :, None].repeat(256, 0).repeat(3, 2)
    greys = []
    for seed in range(20):
        column = develop(ramp.copy(), np.random.default_rng(seed)).astype(float).mean((0, 2))
        smooth = np.convolve(column, np.ones(25) / 25, "valid")
        assert (np.diff(smooth) > -1.5).all()
        greys.append(column[23])  # linear 0.18
    assert 90 < np.median(greys) < 140
    assert np.ptp(greys) > 10
