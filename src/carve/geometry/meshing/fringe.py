"""Colours of the background taken out of a person's border pixels.

Notation: I a pixel's colour, F and B the colours of person and background next to it, a its coverage: I = a F + (1 - a) B. F is the mean
of what lies well inside, B of what lies well outside, a the least-squares solution. I + (1 - a) (F - B) is the person's own colour: the
pixel's detail, which no mixture explains, stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

DISTINCT = 30.0
"""Difference of F and B, of 255, below which nothing can be told apart, and nothing has to be."""


def own_colours(picture: np.ndarray, mask: np.ndarray, width: float) -> np.ndarray:
    """The picture (H, W, 3) float32 0..255 without the background's share in pixels up to `width` pixels inside a mask's (H, W) outline."""
    inside = (mask > 0.5).astype(np.uint8)
    if not inside.any() or inside.all():
        return picture
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    own, own_known = _mean_near(picture, depth > width, 2 * width)
    other, other_known = _mean_near(picture, beyond > width, 2 * width)
    across = own - other
    length = np.einsum("hwc,hwc->hw", across, across)
    coverage = np.clip(np.einsum("hwc,hwc->hw", picture - other, across) / np.maximum(length, 1e-6), 0, 1)
    clean = picture + (1 - coverage[..., None]) * across
    known = own_known & other_known & (length > DISTINCT**2) & (inside > 0)
    strength = np.where(known, np.clip(2 - 2 * depth / width, 0, 1), 0)[..., None]
    result: np.ndarray = np.clip(picture + strength * (clean - picture), 0, 255).astype(np.float32)
    return result


def _mean_near(picture: np.ndarray, where: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) mean colour of the chosen pixels around each pixel, and (H, W) bool where there are some."""
    weight = where.astype(np.float32)
    mass = cv2.GaussianBlur(weight, (0, 0), sigma)
    total = cv2.GaussianBlur(picture * weight[..., None], (0, 0), sigma)
    return total / np.maximum(mass, 1e-6)[..., None], mass > 1e-3
