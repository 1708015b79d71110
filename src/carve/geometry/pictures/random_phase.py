"""More of a picture's grain: a swatch with the spectrum of what the picture shows, and phases of its own.

Source: Galerne, Gousseau and Morel, "Random Phase Textures: Theory and Synthesis", TIP 2011, section II.C (asymptotic discrete spot noise).
Grain, weave and strands look alike where they are made so; prints and folds, which are phases, come out as clouds.

Notation: h the picture less its mean, N usable pixels, X white noise: swatch = X * h / sqrt(N), a convolution on a torus.
"""

from __future__ import annotations

import numpy as np


def random_phase(picture: np.ndarray, usable: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
    """A swatch (size, size, C) float32 of mean zero that continues itself on all sides, with the covariance of the usable pixels.

    Args:
        picture: (H, W, C).
        usable: (H, W) bool, some of it true.
        size: side, pixels.
        seed: of the noise, which all channels share.
    """
    rows, columns = np.nonzero(usable)
    values = picture[rows, columns].astype(np.float64)
    spot = np.zeros((size, size, picture.shape[2]))
    # What is larger than the swatch is laid over itself: the spectrum is that of the whole, at the swatch's frequencies.
    np.add.at(spot, (rows % size, columns % size), (values - values.mean(0)) / np.sqrt(len(values)))
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((size, size)))
    found = np.fft.irfft2(np.fft.rfft2(spot, axes=(0, 1)) * noise[..., None], s=(size, size), axes=(0, 1))
    return found.astype(np.float32)
