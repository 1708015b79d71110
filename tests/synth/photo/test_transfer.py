"""sRGB's transfer function against values of the standard."""

from __future__ import annotations

import numpy as np

from carve.synth.photo.transfer import srgb, to_linear


def test_the_transfer_function_is_srgbs() -> None:
    np.testing.assert_allclose(srgb(np.array([0.0, 0.0031308, 0.21404, 1.0])), [0, 0.04045, 0.5, 1.0], atol=1e-4)


def test_codes_come_back_from_linear_values() -> None:
    np.testing.assert_array_equal(np.round(255 * srgb(to_linear())), np.arange(256))
