"""How large the unit of a relative depth is, from a body whose place is known roughly.

Notation: y the body's depth (or one over it), x what a model says of the same pixels; B a band-pass, which keeps the relief between `FINE`
and `COARSE`; k the model's unit.
    B v = (blur_FINE - blur_COARSE) v over the known pixels alone;   k = median |B y| / median |B x|;   r = correlation of B x and B y
k is exact where y = k x + constant. It is a line of reduced major axis, made of medians: an ordinary line of y over x takes what the two do
not share for noise of x and comes out too flat. What a first fit of a body errs in is how far before the trunk a limb is and how the whole
leans, not how round trunk and limbs are: that is what the band lets pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FINE, COARSE = 0.015, 0.06
"""Standard deviations of the two blurs, metres: folds and noise lie below, the place of whole limbs above."""
STEPS = 0.2
"""Median over mean of |B x| below which most of the answer is flat between a few steps: of a normal distribution it is .85."""


@dataclass(frozen=True)
class Relief:
    """How two depths of the same pixels compare."""

    scale: float
    """k; 0 if the model's answer is flat, or flat but for a few steps."""
    correlation: float
    """r; 0 if either is flat."""


def compare_relief(body: np.ndarray, model: np.ndarray, known: np.ndarray, per_metre: float) -> Relief:
    """The scale and correlation of two depths (H, W) over the pixels that are `known` (H, W) bool, `per_metre` of which make a metre."""
    y, x = (_band(values, known, per_metre)[known] for values in (body, model))
    size = np.abs(x)
    spread, mean = float(np.median(size)), float(np.mean(size))
    flat = spread < STEPS * mean or spread <= 1e-9 * float(np.abs(model[known]).max())  # what rounding leaves of a plane
    power = float(np.sqrt(np.mean(x * x) * np.mean(y * y)))
    return Relief(
        scale=0.0 if flat else float(np.median(np.abs(y))) / spread,
        correlation=float(np.mean(x * y)) / power if power > 0 else 0.0,
    )


def _band(values: np.ndarray, known: np.ndarray, per_metre: float) -> np.ndarray:
    """B of an image (H, W): means of the known pixels around."""
    share = known.astype(np.float64)
    # A constant taken away first keeps the blurs' rounding small against what they leave.
    level = float(np.median(values[known]))
    shifted = np.where(known, values - level, 0.0)
    fine, coarse = (
        cv2.GaussianBlur(shifted, (0, 0), sigma * per_metre) / np.maximum(cv2.GaussianBlur(share, (0, 0), sigma * per_metre), 1e-6)
        for sigma in (FINE, COARSE)
    )
    return np.where(known, fine - coarse, 0.0)
