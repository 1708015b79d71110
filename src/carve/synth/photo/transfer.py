"""sRGB's transfer function (IEC 61966-2-1), of which the codes of photographs and of albedo are made."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def to_linear() -> np.ndarray:
    """(256,) float32 linear value of each sRGB code (IEC 61966-2-1)."""
    x = np.arange(256) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Linear values 0..1 to sRGB 0..1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
