"""Strands that run down a picture: noise of several widths, each much longer than wide, on a torus."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

_WIDTHS = ((1.0, 0.55), (3.0, 0.6), (8.0, 0.5))
"""Widths of strands, locks and tresses, in strands, and how strong each is."""
_SWAY = 0.02
"""How far they sway from side to side, as a share of the picture's side."""


def streaks(size: int, width: float, length: float, seed: int = 0) -> np.ndarray:
    """(size, size) float32 of mean 0 and deviation 1 that continues itself on all sides: strands along the columns.

    `width` and `length` are standard deviations of the finest of them, pixels.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size))
    for scale, share in _WIDTHS:
        layer = tiling_blur(rng.standard_normal((size, size)), (length, width * scale))
        total += share * (layer - layer.mean()) / layer.std()
    rows = np.arange(size)
    shift = np.round(_SWAY * size * np.sin(2 * np.pi * rows / size)).astype(int)
    total = total[rows[:, None], (rows[None] + shift[:, None]) % size]
    return (total / total.std()).astype(np.float32)


def tiling_blur(image: np.ndarray, sigma: tuple[float, float]) -> np.ndarray:
    """A picture (H, W) that tiles after a Gaussian of `sigma` rows and columns: by its spectrum, as wide ones take long else."""
    return np.asarray(fft.irfft2(ndimage.fourier_gaussian(fft.rfft2(image), sigma, n=image.shape[1]), image.shape))
