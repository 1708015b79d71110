"""sRGB and linear light (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np

_byte = np.arange(256) / 255.0
LINEAR_FROM_SRGB = np.where(_byte <= 0.04045, _byte / 12.92, ((_byte + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""(256,) linear light of each sRGB byte."""


def linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light 0..1."""
    light: np.ndarray = np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4)
    return light


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light 0..1 to sRGB 0..1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def srgb_from_linear(light: np.ndarray) -> np.ndarray:
    """Linear light, clipped to 0..1, to sRGB bytes."""
    return np.round(encoded(np.clip(light, 0.0, 1.0)) * 255).astype(np.uint8)
