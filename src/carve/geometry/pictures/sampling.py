"""Reading and completing pictures.

Notation: pixels (N, 2) are (u, v); the centre of the first pixel is (0.5, 0.5). Pictures (H, W, C) float32.
Source of the completion: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4 (push-pull).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from carve.geometry.pictures.colour import LINEAR_FROM_SRGB

_ROW, _ROWS = 1024, 16384


def sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, C) float32 of a picture at `pixels`; beyond the edge the nearest pixel counts."""
    count = len(pixels)
    rows = max(-(-count // _ROW), 1)
    # The sampler takes positions as pictures whose sides are below 2^15, and counts pixel centres from zero.
    padded = np.zeros((rows * _ROW, 2), np.float32)
    padded[:count] = pixels - 0.5
    at = padded.reshape(rows, _ROW, 2)
    source = np.ascontiguousarray(image, np.float32)
    channels = image.shape[2] if image.ndim == 3 else 1
    out = np.empty((rows, _ROW, channels), np.float32)
    for start in range(0, rows, _ROWS):
        part = cv2.remap(source, at[start : start + _ROWS], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[start : start + _ROWS] = part.reshape(-1, _ROW, channels)
    return out.reshape(-1, channels)[:count]


def sample_image(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) of an image (H, W, C) at pixels (N, 2); beyond the border the nearest pixel's."""
    places = [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5]
    return np.stack([ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in np.moveaxis(image, -1, 0)], -1)


def sample_texture(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values (n, C) float32 of an image (T, T', C) uint8 sRGB, as linear light, at texture coordinates (n, 2) with origin top left."""
    height, width = image.shape[:2]
    position = uv * np.array([width, height]) - 0.5
    corner = np.floor(position)
    fraction = (position - corner).astype(np.float32)
    total = np.zeros((len(uv), image.shape[2]), np.float32)
    for right in (0, 1):
        for down in (0, 1):
            column = np.clip(corner[:, 0] + right, 0, width - 1).astype(int)
            row = np.clip(corner[:, 1] + down, 0, height - 1).astype(int)
            share = np.abs(1 - right - fraction[:, 0]) * np.abs(1 - down - fraction[:, 1])
            total += share[:, None] * LINEAR_FROM_SRGB[image[row, column]]
    return total


def complete(image: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    """Fill the pixels without `weight` (H, W) in 0..1 from their surroundings, finer where the surroundings are near.

    Returns a pyramid of complete pictures, each half the size of the one before: level k is the picture averaged over about 2^k pixels,
    of weighted pixels only.
    """
    premultiplied = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    levels = [premultiplied]
    while min(levels[-1].shape[:2]) > 1:
        levels.append(cv2.pyrDown(levels[-1]))
    total = np.maximum(premultiplied[..., -1].sum(), 1e-6)
    below = np.broadcast_to(premultiplied[..., :-1].sum((0, 1)) / total, (*levels[-1].shape[:2], image.shape[2])).astype(np.float32)
    complete_levels: list[np.ndarray] = []
    for level in reversed(levels):
        height, width = level.shape[:2]
        if below.shape[:2] != (height, width):
            below = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
        # A little evidence at a coarse level is better than none: weights are stretched before they decide.
        have = np.clip(level[..., -1:] * 4, 0, 1)
        mean = level[..., :-1] / np.maximum(level[..., -1:], 1e-6)
        below = have * mean + (1 - have) * below
        complete_levels.append(below)
    return complete_levels[::-1]
