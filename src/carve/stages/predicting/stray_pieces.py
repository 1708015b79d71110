"""Pieces of a garment that look like what they lie in or beside: shins that are called trousers, a bare shoulder that is a top.

A piece lies apart from its garment, or is a part of it that has not its colours but those of skin.

Notation: p a piece, m the largest piece of its label, or the rest of it; K a label that p touches; L_K the median log-likelihood of the
piece's colours under the normal distribution of K's. p becomes K if L_K - L_m > LIKELIER, and if the medians of their colours are near
each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from carve.records import LABELS
from carve.stages.predicting.label_picture import LabelPicture

_CLOTH = tuple(LABELS.index(name) for name in ("top", "outer", "bottom", "dress"))
_SKIN = LABELS.index("skin")
_INTO = (*_CLOTH, _SKIN)
_SMALL = 0.4
"""Area of a piece over that of its label's largest, up to which it may be a mistake."""
_FEWEST = 40
"""Pixels of a `LabelPicture` that tell a colour."""
_LIKELIER, _SURELY = 1.5, 6.0
"""By how much its colours must be likelier another's; more in a single pixel counts no more."""
_HUE, _LIGHT = 7.0, 6.0
"""How far the piece's median may be from the hue of the others, and from their lightness (twice as far from its median), CIE Lab,
lightness times 0.6."""
_SHADES = (0.1, 0.9)
"""Between these quantiles lies the lightness of a label: a shoulder is in the sun, and legs are in shade."""
_NOISE = np.array([36.0, 9.0, 9.0], np.float32)
"""Variance of one cloth's colours."""
_BESIDE = 60
"""How near the back must have the new name for its piece to change too, pixels of a `LabelPicture`."""
_TOUCHES = 0.1
"""Share of a piece's rim that a label must take."""
_MOSTLY, _SCRAP = 0.5, 0.08
"""Share of a scrap on the back that must be bare in front, and its largest area over that of the garment's largest piece."""
_MOST_BARE, _BARE, _BARE_RIM = 2, 0.12, 0.35
"""Parts of one garment that may be skin, the largest area of one as a share of it, and share of its rim within the person that skin takes:
shirts may be striped or printed in the colour of skin."""
_PART, _SMOOTH = 150, 7
"""Pixels of the smallest part of a garment that may be no part of it, and over how many on a side its likelihood is averaged."""


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
    for part, label in _bare(small):
        if _name(small, part, (small.labels == label) & ~part, label, (_SKIN,)) == _SKIN:
            found[part & (found == label)] = _SKIN
    front, back = small.moved(found, front, back, _BESIDE)
    return front, _as_in_front(back, front)


def _as_in_front(back: np.ndarray, front: np.ndarray) -> np.ndarray:
    """The back's labels (H, W) whose pieces of a garment that lie apart from the rest of it are skin where the front (H, W) is bare."""
    stray = np.zeros(back.shape, bool)
    for label in _CLOTH:
        count, piece, figures, _ = cv2.connectedComponentsWithStats((back == label).astype(np.uint8), connectivity=4)
        if count < 3:
            continue
        area = figures[1:, cv2.CC_STAT_AREA]
        bare = np.bincount(piece.ravel(), (front == _SKIN).ravel())[1:] / area
        stray |= np.isin(piece, 1 + np.flatnonzero((area < _SCRAP * area.max()) & (bare > _MOSTLY)))
    return np.where(stray, np.uint8(_SKIN), back) if stray.any() else back


def _bare(small: LabelPicture) -> Iterator[tuple[np.ndarray, int]]:
    """Parts (h, w) of garments, with their label, whose colours are rather those of skin; in those of another cloth lie shadows, too."""
    if (small.labels == _SKIN).sum() < _FEWEST:
        return
    skin = _likelihoods(small.colours, small.colours[small.labels == _SKIN])
    for label in _CLOTH:
        mask = small.labels == label
        if mask.sum() < _FEWEST:
            continue
        gain = np.clip(skin - _likelihoods(small.colours, small.colours[mask]), -_SURELY, _SURELY) * mask
        around = (_SMOOTH, _SMOOTH)
        unlike = mask & (cv2.blur(gain, around) > _LIKELIER * cv2.blur(mask.astype(gain.dtype), around))
        _, piece, figures, _ = cv2.connectedComponentsWithStats(unlike.astype(np.uint8), connectivity=4)
        parts = 1 + np.flatnonzero(figures[1:, cv2.CC_STAT_AREA] >= _PART)
        if len(parts) > _MOST_BARE:  # stripes
            continue
        for one in parts:
            own = piece == one
            rim = small.labels[(cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~own]
            if own.sum() <= _BARE * mask.sum() and (rim == _SKIN).sum() > _BARE_RIM * (rim > 0).sum():
                yield own, label


def _name(small: LabelPicture, own: np.ndarray, largest: np.ndarray, label: int, into: tuple[int, ...] = _INTO) -> int:
    """What a piece (h, w) of a label should be called, whose largest piece (h, w) is another: that, or a label of `into`."""
    colours = small.colours[own]
    rim = small.labels[(cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~own]
    fit = _likelihood(colours, small.colours[largest])
    best, name = _LIKELIER, label
    for other in into:
        its = small.labels == other
        if other == label or (rim == other).mean() < _TOUCHES or its.sum() < _FEWEST:
            continue
        middle, theirs = np.median(colours, axis=0), small.colours[its]
        apart = np.abs(middle - np.median(theirs, axis=0))
        dark, usual, light = np.quantile(theirs[:, 0], (_SHADES[0], 0.5, _SHADES[1]))
        dark, light = min(dark, usual - _LIGHT) - _LIGHT, max(light, usual + _LIGHT) + _LIGHT
        gain = _likelihood(colours, small.colours[its]) - fit
        if gain > best and np.hypot(apart[1], apart[2]) < _HUE and dark < middle[0] < light:
            best, name = gain, other
    return name


def _likelihood(colours: np.ndarray, among: np.ndarray) -> float:
    """Median log-likelihood, up to a constant, of colours (N, 3) under the normal distribution of others (M, 3)."""
    return float(np.median(_likelihoods(colours, among)))


def _likelihoods(colours: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(...) log-likelihood, up to a constant, of colours (..., 3) under the normal distribution of others (M, 3)."""
    variance = among.var(0) + _NOISE
    found: np.ndarray = -((colours - np.median(among, axis=0)) ** 2 / variance + np.log(variance)).sum(-1) / 2
    return found
