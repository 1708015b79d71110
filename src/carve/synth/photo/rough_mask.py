"""A person mask as a detector would return it: the true one with a displaced, softened outline and with pieces lost or added."""

from __future__ import annotations

import cv2
import numpy as np


def rough_mask(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S) float32 0..1 from the true mask (S, S) bool.

    The outline wanders by up to about 1 % of the picture's side over some 5 % of it, ends of limbs and hair may be cut off, background
    beside the person may come in, gaps may close.
    """
    size = mask.shape[0]
    soft = mask.astype(np.float32)
    size_of_error = float(rng.uniform(0, 1))
    grid = max(4, round(size / (size * rng.uniform(0.03, 0.09))))
    field = cv2.resize(rng.normal(0, 1, (grid, grid, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    shift = field * np.float32(0.006 * size * size_of_error)
    columns, rows = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    soft = cv2.remap(soft, columns + shift[..., 0], rows + shift[..., 1], cv2.INTER_LINEAR)
    if rng.random() < 0.4:
        side = 2 * int(rng.integers(1, 1 + max(1, round(0.008 * size)))) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        change = [cv2.MORPH_DILATE, cv2.MORPH_ERODE, cv2.MORPH_OPEN, cv2.MORPH_CLOSE][int(rng.integers(4))]
        soft = cv2.morphologyEx(soft, change, kernel)
    outline = np.argwhere(mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool))
    if len(outline):
        for _ in range(int(rng.poisson(1.5))):
            row, column = outline[int(rng.integers(len(outline)))]
            radius = max(1, round(size * float(rng.uniform(0.006, 0.035))))
            axes = (radius, max(1, round(radius * float(rng.uniform(0.4, 1)))))
            turn, value = float(rng.uniform(0, 180)), float(rng.random() < 0.4)
            cv2.ellipse(soft, (int(column), int(row)), axes, turn, 0, 360, value, -1)
    blur = float(rng.uniform(0.3, 0.004 * size + 0.3))
    return np.clip(cv2.GaussianBlur(soft, (0, 0), blur), 0, 1)
