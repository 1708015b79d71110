"""The spline that the walk's curves are drawn with, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from carve.motion.gait import FOOT_PITCH, HIP_FLEXION, KNEE_FLEXION, TOE_EXTENSION, periodic_spline


@pytest.mark.parametrize("points", [HIP_FLEXION, KNEE_FLEXION, FOOT_PITCH, TOE_EXTENSION])
def test_the_spline_equals_scipys(points: tuple[tuple[float, float], ...]) -> None:
    at, values = np.array(points).T
    reference = CubicSpline(np.append(at, 1.0), np.append(values, values[0]), bc_type="periodic")
    where = np.append(np.linspace(0, 1, 201), at)
    np.testing.assert_allclose(periodic_spline(at, values, where), reference(where), rtol=1e-12, atol=1e-12)
