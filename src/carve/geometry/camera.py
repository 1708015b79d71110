"""The perspective camera.

Notation: f focal length in pixels, (cx, cy) principal point in pixels, x = (x, y, z) in the camera frame (z < 0 in front).
    u = cx + f x / (-z),    v = cy - f y / (-z)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels and no distortion, in the camera frame of `frames`."""

    width: int
    """Width of the picture, pixels."""
    height: int
    """Height of the picture, pixels."""
    focal: float
    """Focal length, pixels."""
    cx: float
    """Principal point, pixels from the left edge."""
    cy: float
    """Principal point, pixels from the top edge."""

    @staticmethod
    def centred(width: int, height: int, focal: float) -> Camera:
        """The camera of an uncropped picture: the principal point is its centre."""
        return Camera(width, height, focal, width / 2, height / 2)

    def project(self, points: Array) -> Array:
        """Camera-frame points (..., 3), NumPy or torch, to pixels (..., 2)."""
        factor = self.focal / -points[..., 2:]
        if isinstance(points, np.ndarray):
            return points[..., :2] * factor * np.array([1.0, -1.0]) + np.array([self.cx, self.cy])
        return points[..., :2] * factor * points.new_tensor([1.0, -1.0]) + points.new_tensor([self.cx, self.cy])

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) to ray directions (..., 3) of the camera frame with z = -1 (not unit length)."""
        x = (pixels[..., 0] - self.cx) / self.focal
        y = (self.cy - pixels[..., 1]) / self.focal
        return np.stack([x, y, -np.ones_like(x)], axis=-1)

    def cropped(self, left: float, top: float, width: int, height: int, scale: float = 1.0) -> Camera:
        """The camera of the window whose corner is (left, top), resized by `scale` to width x height pixels."""
        return Camera(width, height, self.focal * scale, (self.cx - left) * scale, (self.cy - top) * scale)

    @property
    def projection(self) -> np.ndarray:
        """(3, 4) matrix from homogeneous camera-frame points to homogeneous pixels, positive third row in front."""
        f = self.focal
        return np.array([[f, 0.0, -self.cx, 0.0], [0.0, -f, -self.cy, 0.0], [0.0, 0.0, -1.0, 0.0]])


FILM_DIAGONAL = 43.27
"""Millimetres, 36 x 24 mm film."""


def focal_from_equivalent(size: tuple[int, int], millimetres: float) -> float:
    """Focal length in pixels of a picture of `size` (width, height) from its 35 mm equivalent (CIPA DCG-001: equal diagonals)."""
    return millimetres / FILM_DIAGONAL * float(np.hypot(*size))


def equivalent_of_focal(size: tuple[int, int], focal: float) -> float:
    """35 mm equivalent in millimetres of a focal length in pixels: the inverse of `focal_from_equivalent`."""
    return focal * FILM_DIAGONAL / float(np.hypot(*size))
