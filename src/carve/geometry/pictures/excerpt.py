"""A rectangle of a photo, perhaps made smaller, that is worked on in place of the whole, and the way back.

Notation: p a pixel of the whole photo, q of the excerpt, l its corner, s its scale.
    q = s (p - l)
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from carve.geometry.camera import Camera


@dataclass(frozen=True)
class Excerpt:
    """Columns `left` to `right` and rows `top` to `bottom` of a photo, whole pixels, at a scale of at most 1."""

    left: int
    top: int
    right: int
    bottom: int
    scale: float
    """Pixels of the excerpt per pixel of the photo."""
    width: int
    """Of the whole photo, pixels."""
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the excerpt, pixels."""
        return max(round((self.right - self.left) * self.scale), 1), max(round((self.bottom - self.top) * self.scale), 1)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The excerpt of a whole picture (H, W) or (H, W, C)."""
        part = image[self.top : self.bottom, self.left : self.right]
        return np.ascontiguousarray(part) if self.scale == 1 else cv2.resize(part, self.size, interpolation=cv2.INTER_AREA)

    def paste(self, image: np.ndarray) -> np.ndarray:
        """The reverse of `cut`: a picture of the whole photo's size, zero outside the excerpt."""
        whole = np.zeros((self.height, self.width, *image.shape[2:]), image.dtype)
        size = (self.right - self.left, self.bottom - self.top)
        part = image if self.scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        whole[self.top : self.bottom, self.left : self.right] = part
        return whole

    def into(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the whole photo to pixels of the excerpt."""
        return (pixels - np.array([self.left, self.top])) * self.scale

    def out_of(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the excerpt to pixels of the whole photo."""
        return pixels / self.scale + np.array([self.left, self.top])

    def camera_into(self, camera: Camera) -> Camera:
        """The excerpt's camera, from the whole photo's."""
        return camera.cropped(self.left, self.top, *self.size, self.scale)

    def camera_out_of(self, camera: Camera) -> Camera:
        """The whole photo's camera, from the excerpt's."""
        return camera.cropped(-self.left * self.scale, -self.top * self.scale, self.width, self.height, 1 / self.scale)


def whole_within(width: int, height: int, pixels: int) -> Excerpt:
    """All of a photo, with at most so many pixels."""
    return Excerpt(0, 0, width, height, min(1.0, float(np.sqrt(pixels / (width * height)))), width, height)
