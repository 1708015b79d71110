"""Scale of a person in the picture, from landmarks."""

from __future__ import annotations

import numpy as np


def pixels_per_metre(pixels: np.ndarray, world: np.ndarray, weight: np.ndarray) -> float:
    """Scale between landmarks in pixels (N, 2) and their world positions (N, 3), weighted least squares over x and y."""
    w = np.maximum(weight, 1e-3)[:, None]
    a, b = world[:, :2] * [1.0, -1.0], pixels
    a, b = a - (w * a).sum(0) / w.sum(), b - (w * b).sum(0) / w.sum()
    return float(max((w * a * b).sum() / max((w * a * a).sum(), 1e-9), 1e-3))
