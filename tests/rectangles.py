"""People of rectangles: labels, and photos of cloths with folds and noise."""

from __future__ import annotations

import cv2
import numpy as np

from carve.records import LABELS

SKIN = LABELS.index("skin")
H, W = 600, 300
RED, BLUE, GREY = (170, 60, 60), (50, 70, 150), (225, 225, 225)


def empty() -> np.ndarray:
    """(H, W) labels of a head alone."""
    labels = np.zeros((H, W), np.uint8)
    labels[40:110, 130:170] = SKIN
    return labels


def photo(labels: np.ndarray, cloth: dict[int, tuple[int, int, int]], contrast: float = 6.0) -> np.ndarray:
    """(H, W, 3) uint8: cloths with folds and noise."""
    picture = np.full((H, W, 3), GREY, np.float32)
    for label, colour in cloth.items():
        picture[labels == label] = colour
    rng = np.random.default_rng(0)
    folds = cv2.GaussianBlur(rng.normal(size=(H, W)).astype(np.float32), (0, 0), 9)
    picture += contrast * (folds / folds.std())[..., None] + rng.normal(0, 2, (H, W, 3))
    return np.clip(np.where((labels > 0)[..., None], picture, GREY), 0, 255).astype(np.uint8)
