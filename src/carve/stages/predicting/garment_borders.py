"""Borders of labels where the photo has them: hems, necklines, cuffs.

A network draws them smooth and some centimetres off. A pixel near the border of two labels belongs to that whose colours, taken from
farther inside on both sides, it has; the photo's own edges say where the change is.

Notation: a, b two labels that touch; d distance of a pixel to their border, R its largest; L_a log-likelihood of a pixel's colour under
the normal distribution of the nearest colours of a (completed as a pyramid); G the guided filter (He et al., "Guided Image Filtering",
PAMI 2013), which smooths but not across the photo's edges:
    a, where G(clip(L_a - L_b)) + KEEP * (d / R if labelled a, else -d / R) > 0
The new border stays if the photo's colours differ more across it than across the old one.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from carve.geometry.pictures.sampling import complete
from carve.records import LABELS
from carve.stages.predicting.label_picture import LabelPicture, border, disc, means

_CLOTH = tuple(LABELS.index(name) for name in ("top", "outer", "bottom", "dress"))
_SKIN, _SHOES, _BOTTOM = (LABELS.index(name) for name in ("skin", "shoes", "bottom"))
_PAIRS = (*combinations(_CLOTH, 2), *((_SKIN, cloth) for cloth in _CLOTH), (_SHOES, _BOTTOM), (_SHOES, _SKIN))
_REACH = 16
"""R: how far borders may move, pixels of a `LabelPicture`."""
_KEEP = 5.0
"""What the label says against the colour, R from the border."""
_SURELY = 6.0
"""Largest difference of log-likelihoods that counts."""
_INSIDE, _FAR = 0.6, 3.5
"""Colours of a label are taken between these distances from the border, times R; of a small piece, from its inner half."""
_NOISE = np.array([6.0, 3.0, 3.0], np.float32)
"""Standard deviations of one cloth's lightness and hue."""
_AROUND = 4
"""Level of the pyramid of colours: 2^4 pixels."""
_SMOOTH, _EDGE = 4, 40.0
"""Radius of the guided filter, pixels, and what variance of the photo (of 255^2) is an edge to it."""
_FEWEST, _SEEDS = 12, 60
"""Pixels of a border, and of a label's colours, below which they say nothing."""
_STAYS = 0.6
"""Share that a piece of a label must keep: hands do not go into sleeves."""
_BETTER = 1.15
"""By how much the photo must change more across the new border."""
_BESIDE = 4
"""Pixels on both sides of a border within which colours are compared."""


def borders_of_the_photo(picture: np.ndarray, front: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of front and back (H, W) uint8, index into LABELS, whose borders lie where the photo's colours change.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        front: (H, W) labels, 0 outside the person.
        back: the same of the farthest surface; a border that it has in the same place moves with the front's.
    """
    small = LabelPicture.of(picture, front)
    if small is None:
        return front, back
    found = small.labels
    for a, b in _PAIRS:
        moved = _moved(found, small.colours, a, b)
        if moved is not None and _contrast(moved, small.colours, a, b) > _BETTER * _contrast(found, small.colours, a, b):
            found = moved
    return small.moved(found, front, back, _REACH)


def _moved(labels: np.ndarray, colours: np.ndarray, a: int, b: int) -> np.ndarray | None:
    """Labels (h, w) with the border of two of them moved to where the colours (h, w, 3) change; None where that cannot be told."""
    line = border(labels, a, b)
    if line.sum() < _FEWEST:
        return None
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    pieces = [_pieces(labels == k, line) for k in (a, b)]
    seeds = [_seeds(piece, away) for piece in pieces]
    if min(seed.sum() for seed in seeds) < _SEEDS:
        return None
    both = np.isin(labels, (a, b))
    likelier = np.clip(_likelihood(colours, seeds[0]) - _likelihood(colours, seeds[1]), -_SURELY, _SURELY)
    guide = np.ascontiguousarray(colours * (255 / 100), np.float32)
    smooth = cv2.ximgproc.guidedFilter(guide, np.where(both, likelier, 0).astype(np.float32), _SMOOTH, _EDGE)
    is_a = smooth + _KEEP * np.where(labels == a, away, -away) / _REACH > 0
    near = both & (away <= _REACH)
    # Specks of one in the other go.
    is_a = cv2.medianBlur(np.where(near, 255 * is_a, np.where(both, 255 * (labels == a), 128)).astype(np.uint8), 5) > 127
    moved = np.where(near, np.where(is_a, a, b), labels).astype(labels.dtype)
    for k, other in ((a, b), (b, a)):
        # What hangs together with nothing that was sure is no part of it.
        _, piece = cv2.connectedComponents((moved == k).astype(np.uint8), connectivity=4)
        moved[near & (moved == k) & ~np.isin(piece, np.unique(piece[(moved == k) & ~near]))] = other
    for piece, k in zip(pieces, (a, b), strict=True):
        for one in np.unique(piece[piece > 0]):
            own = piece == one
            if (moved[own] == k).mean() < _STAYS:
                moved[own] = k
    return None if np.array_equal(moved, labels) else moved


def _pieces(mask: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(h, w) int32: the connected pieces of a mask that touch a line, numbered from 1; 0 elsewhere."""
    _, piece = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    return np.where(np.isin(piece, np.unique(piece[line & mask])) & mask, piece, 0)


def _seeds(piece: np.ndarray, away: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels of the pieces (h, w) far enough from the border, `away` (h, w) pixels, to be surely theirs."""
    found = np.zeros(piece.shape, bool)
    for one in np.unique(piece[piece > 0]):
        own = piece == one
        found |= own & (away >= min(_INSIDE * _REACH, float(np.median(away[own]))))
    return found & (away < _FAR * _REACH)


def _likelihood(colours: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(h, w) log-likelihood, up to a constant, of colours (h, w, 3) under the nearest ones of the seeds (h, w)."""
    pyramid = complete(np.dstack([colours, colours**2]), seeds.astype(np.float32))
    near = cv2.resize(pyramid[min(_AROUND, len(pyramid) - 1)], seeds.shape[::-1], interpolation=cv2.INTER_LINEAR)
    variance = np.maximum(near[..., 3:] - near[..., :3] ** 2, 0) + _NOISE**2
    found: np.ndarray = -((colours - near[..., :3]) ** 2 / variance + np.log(variance)).sum(-1) / 2
    return found


def _contrast(labels: np.ndarray, colours: np.ndarray, a: int, b: int) -> float:
    """Median difference of the colours (h, w, 3) on both sides of a border, 0 without one."""
    line = border(labels, a, b)
    if line.sum() < _FEWEST:
        return 0.0
    sides = [means(colours, labels == k, disc(_BESIDE))[0] for k in (a, b)]
    return float(np.median(np.linalg.norm(sides[0] - sides[1], axis=-1)[line]))
