"""Scale of a person in the picture, from landmarks."""

from __future__ import annotations

import numpy as np

_EXTENT = 1.6
"""Metres between the farthest landmarks of somebody who stands, taken where no landmark has a world position."""


def pixels_per_metre(pixels: np.ndarray, world: np.ndarray, weight: np.ndarray) -> float:
    """Scale between landmarks in pixels (N, 2) and their world positions (N, 3), weighted least squares over x and y.

    Landmarks whose world position is NaN do not count.
    """
    known = np.isfinite(world).all(1)
    if not known.any():
        return float(max(np.ptp(pixels, axis=0).max() / _EXTENT, 1e-3))
    w = np.maximum(weight, 1e-3)[known, None]
    a, b = world[known, :2] * [1.0, -1.0], pixels[known]
    a, b = a - (w * a).sum(0) / w.sum(), b - (w * b).sum(0) / w.sum()
    return float(max((w * a * b).sum() / max((w * a * a).sum(), 1e-9), 1e-3))
