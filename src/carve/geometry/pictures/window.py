"""A square window of a photo, resized: what a network is given, and how its answer goes back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Window:
    """A square window of the photo, resized to `size` pixels."""

    left: float
    """Of its corner, pixels of the photo; may lie beyond the picture."""
    top: float
    side: float
    """Pixels of the photo."""
    size: int
    """Pixels of the window."""

    @staticmethod
    def around(shown: np.ndarray, fill: float, size: int) -> Window:
        """The window of `size` pixels around what is shown (H, W) bool, not empty, whose longer side takes a share of `fill`."""
        left, top, width, height = cv2.boundingRect(shown.astype(np.uint8))
        side = max(width, height) / fill
        return Window(left + width / 2 - side / 2, top + height / 2 - side / 2, side, size)

    @property
    def scale(self) -> float:
        """Pixels of the window per pixel of the photo."""
        return self.size / self.side

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window's pixels of (H, W) or (H, W, C); beyond the picture its border is repeated."""
        matrix = self._matrix()
        if self.scale < 0.75:  # warping only samples: what is to shrink is averaged first, no more of it than is asked for
            sigma = 0.4 / self.scale
            (left, right), (top, bottom) = (self._reach(k, image.shape[1 - k], int(np.ceil(4 * sigma)) + 2) for k in (0, 1))
            image = cv2.GaussianBlur(image[top:bottom, left:right], (0, 0), sigma)
            matrix[:, 2] += self.scale * np.array([left, top])
        return cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def paste(self, image: np.ndarray, width: int, height: int, nearest: bool = False) -> np.ndarray:
        """The reverse of `cut` for (size, size) or (size, size, C): a picture of the full size, zero outside the window."""
        way = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        return cv2.warpAffine(image, self._matrix(), (width, height), flags=way | cv2.WARP_INVERSE_MAP)

    def paste_into(self, image: np.ndarray, other: Window) -> np.ndarray:
        """What `cut` would give for another window of a photo that holds this window's (size, size) or (size, size, C), zero around it."""
        own, theirs = (np.vstack([window._matrix(), [0, 0, 1]]) for window in (self, other))
        own_from_theirs = (own @ np.linalg.inv(theirs))[:2]
        return cv2.warpAffine(image, own_from_theirs, (other.size, other.size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def within(self, width: int, height: int) -> np.ndarray:
        """(size, size) bool: the window's pixels that lie in a photo of this size."""
        at = self.to_photo(np.arange(self.size)[:, None] + np.array([0.5, 0.5]))
        return ((at[:, 1] >= 0) & (at[:, 1] < height))[:, None] & ((at[:, 0] >= 0) & (at[:, 0] < width))[None]

    def to_photo(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the window to pixels of the photo."""
        return pixels / self.scale + [self.left, self.top]

    def _reach(self, axis: int, length: int, more: int) -> tuple[int, int]:
        """From where to where on a photo's axis of a length the window and `more` pixels around it lie, at least so many of the photo."""
        first = (self.left, self.top)[axis]
        low = min(max(int(np.floor(first)) - more, 0), max(length - more, 0))
        return low, max(min(int(np.ceil(first + self.side)) + more, length), min(more, length))

    def _matrix(self) -> np.ndarray:
        # OpenCV counts from the first pixel's centre, carve from its corner.
        s = self.scale
        return np.array([[s, 0, 0.5 * s - 0.5 - s * self.left], [0, s, 0.5 * s - 0.5 - s * self.top]])
