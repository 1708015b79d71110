"""The labels of a person at one size, whatever the photo's, and back again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

TALL = 480
"""Longer side of the person, pixels."""
_LIGHTNESS = 0.6
"""What lightness counts against hue: light changes it."""


@dataclass(frozen=True)
class LabelPicture:
    """The person's window of a photo and its front labels, scaled so that the longer side is TALL."""

    labels: np.ndarray
    """(h, w) uint8 index into LABELS, 0 outside the person."""
    colours: np.ndarray
    """(h, w, 3) float32 CIE Lab, lightness times 0.6."""
    corner: np.ndarray
    """(2,) pixels of the photo at the window's upper left."""
    scale: float
    """Of pixels here over pixels of the photo."""
    _window: tuple[slice, slice]

    @staticmethod
    def of(picture: np.ndarray, front: np.ndarray) -> LabelPicture | None:
        """The window of (H, W, 3) uint8 sRGB around the labels (H, W); None where there is nobody."""
        rows, columns = np.nonzero(front)
        if len(rows) == 0:
            return None
        window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        cut = front[window]
        scale = TALL / max(cut.shape)
        size = (max(round(cut.shape[1] * scale), 1), max(round(cut.shape[0] * scale), 1))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        colours = cv2.cvtColor(cv2.resize(picture[window], size, interpolation=how).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        colours[..., 0] *= _LIGHTNESS
        labels = cv2.resize(cut, size, interpolation=cv2.INTER_NEAREST)
        return LabelPicture(labels, colours, np.array([columns.min(), rows.min()]), scale, window)

    def renamed(self, changed: np.ndarray, front: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Front and back (H, W) with whole garments `changed` (h, w) here; the back's pixels do what the nearest of their label
        in front does."""
        if np.array_equal(changed, self.labels):
            return front, back
        before, after = self._full(self.labels), self._full(changed)
        sides = [side.copy() for side in (front, back)]
        for old in np.unique(before[before != after]):
            for side in sides:
                side[self._window] = _followed(side[self._window], before, after, int(old))
        return sides[0], sides[1]

    def moved(self, changed: np.ndarray, front: np.ndarray, back: np.ndarray, near: int) -> tuple[np.ndarray, np.ndarray]:
        """Front and back (H, W) with borders `changed` (h, w) here; a piece of the back does the same if most of it becomes something that
        lies within `near` pixels of this picture on the back too: the opening of a coat is none of its back."""
        if np.array_equal(changed, self.labels):
            return front, back
        before, after = self._full(self.labels), self._full(changed)
        front, back = front.copy(), back.copy()
        was = back[self._window].copy()
        reach = disc(max(round(near / self.scale), 1)).astype(np.uint8)
        for old in np.unique(before[before != after]):
            front[self._window] = _followed(front[self._window], before, after, int(old))
            behind = _followed(was, before, after, int(old))
            for new in np.unique(behind[behind != was]):
                there = cv2.dilate((was == new).astype(np.uint8), reach) > 0
                _, piece = cv2.connectedComponents(((was == old) & (behind == new)).astype(np.uint8), connectivity=4)
                share = np.bincount(piece.ravel(), there.ravel()) / np.bincount(piece.ravel())
                back[self._window][(piece > 0) & (share > 0.5)[piece]] = new
        return front, back

    def _full(self, labels: np.ndarray) -> np.ndarray:
        """Labels (h, w) at the photo's size, in the window."""
        rows, columns = self._window
        size = (columns.stop - columns.start, rows.stop - rows.start)
        found: np.ndarray = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        return found


def _followed(labels: np.ndarray, before: np.ndarray, after: np.ndarray, old: int) -> np.ndarray:
    """Labels (h, w) whose pixels of one label do what the nearest pixel of that label does from (h, w) to (h, w)."""
    away, (rows, columns) = ndimage.distance_transform_edt(before != old, return_indices=True)
    near = (labels == old) & (away < before.shape[0])
    return np.where(near, after[rows, columns], labels)


def border(labels: np.ndarray, a: int, b: int) -> np.ndarray:
    """(h, w) bool: pixels of one label beside one of the other."""
    found = np.zeros(labels.shape, bool)
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        one, other = labels[here], labels[there]
        meets = ((one == a) & (other == b)) | ((one == b) & (other == a))
        found[here] |= meets
        found[there] |= meets
    return found


def disc(radius: int) -> np.ndarray:
    """(2 r + 1, 2 r + 1) float32, 1 within the radius."""
    found: np.ndarray = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2).astype(np.float32)
    return found


def means(colours: np.ndarray, mask: np.ndarray, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) mean colours of a mask's pixels within a disc, and (h, w) how many there are."""
    weight = mask.astype(np.float32)
    count = cv2.filter2D(weight, -1, around, borderType=cv2.BORDER_CONSTANT)
    sums = cv2.filter2D(colours * weight[..., None], -1, around, borderType=cv2.BORDER_CONSTANT)
    return sums / np.maximum(count, 1e-3)[..., None], count
