"""Normals out of the pictures that carve writes."""

from __future__ import annotations

import numpy as np


def rgb_to_normals(image: np.ndarray) -> np.ndarray:
    """Inverse of `normals_to_rgb`: (H, W, 3) uint8 to unit normals; pixels that hold no normal become zero."""
    vectors = image.astype(np.float32) / 127.5 - 1.0
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    empty = (image == 0).all(-1, keepdims=True)
    return np.where(empty, 0.0, vectors / np.maximum(length, 1e-6)).astype(np.float32)
