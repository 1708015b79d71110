"""Small pieces of a garment that lie apart from it and look like what they lie in: shins that are called trousers, a knee that is a shirt.

Notation: p a piece, m the largest piece of its label, K a label that p touches; L_K the median log-likelihood of the piece's colours under
the normal distribution of K's. p becomes K if L_K - L_m > LIKELIER, and if the medians of their colours are near each other.
"""

from __future__ import annotations

import cv2
import numpy as np

from carve.records import LABELS
from carve.stages.predicting.label_picture import LabelPicture

_CLOTH = tuple(LABELS.index(name) for name in ("top", "outer", "bottom", "dress"))
_INTO = (*_CLOTH, LABELS.index("skin"))
_SMALL = 0.4
"""Area of a piece over that of its label's largest, up to which it may be a mistake."""
_FEWEST = 40
"""Pixels of a `LabelPicture` that tell a colour."""
_LIKELIER = 1.5
_HUE, _LIGHT = 7.0, 12.0
"""How far apart hue and lightness may be, CIE Lab, lightness times 0.6."""
_NOISE = np.array([36.0, 9.0, 9.0], np.float32)
"""Variance of one cloth's colours."""
_BESIDE = 60
"""How near the back must have the new name for its piece to change too, pixels of a `LabelPicture`."""
_TOUCHES = 0.1
"""Share of a piece's rim that a label must take."""


def strays_renamed(picture: np.ndarray, front: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of front and back (H, W) uint8, index into LABELS, whose stray pieces are called what they look like.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        front: (H, W) labels, 0 outside the person.
        back: the same of the farthest surface; what is the same piece there follows.
    """
    small = LabelPicture.of(picture, front)
    if small is None:
        return front, back
    found = small.labels.copy()
    for label in _CLOTH:
        count, piece, figures, _ = cv2.connectedComponentsWithStats((small.labels == label).astype(np.uint8), connectivity=4)
        if count < 3:
            continue
        area = figures[:, cv2.CC_STAT_AREA]
        largest = 1 + int(area[1:].argmax())
        for one in range(1, count):
            if one != largest and _FEWEST <= area[one] <= _SMALL * area[largest]:
                found[piece == one] = _name(small, piece == one, piece == largest, label)
    return small.moved(found, front, back, _BESIDE)


def _name(small: LabelPicture, own: np.ndarray, largest: np.ndarray, label: int) -> int:
    """What a piece (h, w) of a label should be called, whose largest piece (h, w) is another."""
    colours = small.colours[own]
    rim = small.labels[(cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~own]
    fit = _likelihood(colours, small.colours[largest])
    best, name = _LIKELIER, label
    for other in _INTO:
        its = small.labels == other
        if other == label or (rim == other).mean() < _TOUCHES or its.sum() < _FEWEST:
            continue
        apart = np.abs(np.median(colours, axis=0) - np.median(small.colours[its], axis=0))
        gain = _likelihood(colours, small.colours[its]) - fit
        if gain > best and np.hypot(apart[1], apart[2]) < _HUE and apart[0] < _LIGHT:
            best, name = gain, other
    return name


def _likelihood(colours: np.ndarray, among: np.ndarray) -> float:
    """Median log-likelihood, up to a constant, of colours (N, 3) under the normal distribution of others (M, 3)."""
    variance = among.var(0) + _NOISE
    return float(np.median(-((colours - np.median(among, axis=0)) ** 2 / variance + np.log(variance)).sum(-1) / 2))
