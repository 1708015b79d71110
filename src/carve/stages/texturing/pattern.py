"""More of a print, a weave or hair than the photo shows: the unseen parts of a patterned cloth get swatches of what is seen of it, those
of hair get strands as strong as the seen ones.

Only what is patterned all over counts: contrast about its own tone that is strong and much the same everywhere. Folds, logos and buttons
are neither, and would not look right elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from carve.geometry.pictures.quilting import quilted
from carve.geometry.pictures.random_phase import random_phase
from carve.geometry.pictures.sampling import complete, sample
from carve.geometry.pictures.streaks import streaks
from carve.records import LABELS, PosedSurface
from carve.stages.texturing.layers import raster_facing
from carve.stages.texturing.params import Params
from carve.stages.texturing.pure_tones import shown_labels
from carve.stages.texturing.view import View

_PATTERNED = tuple(LABELS.index(name) for name in ("hair", "top", "outer", "bottom", "dress", "headwear"))
_HAIR = LABELS.index("hair")
_PATCH, _LOCK = 0.055, 0.025
"""Sides of the patches of cloth, and of hair, whose contrasts are compared, metres."""
_EVEN = 0.6
"""Lower over upper quartile of those contrasts, from which on a cloth is the same all over."""
_STRONG = 10.0
"""Their median, of 255, from which on there is a pattern."""
_SIZE, _SOURCE = 288, 288
"""Sides of a swatch, and of the part of the photo that it is made from, pixels."""
_FEWEST = 600
"""Pixels that must show it."""
_NET = 1500
"""Of so few a quilt is a net."""
_STRAND = (0.0012, 0.05)
"""Width and length of strands, metres."""
_SHEEN = 14.0
"""What of hair's contrast, of 255, is strands at most: more of it is light."""
_WEAVE = 0.006
"""What varies within so much of a cloth is its grain, metres: folds are wider."""
_PLAIN = 0.35
"""Share of its patches, by their deviation, in which a cloth lies plain."""
_FAINT, _MOST = 0.7, 3.0
"""Standard deviation, of 255, from which on there is a grain; what stands out by more than so many of them is no grain."""
_PIECE = 0.15
"""Share of a label's vertices that a piece of the surface must hold to be of the patterned cloth: smaller ones may be labelled wrongly."""


@dataclass(frozen=True)
class Pattern:
    """What to add to the tone of a patterned cloth."""

    swatch: np.ndarray
    """(S, S, 3) float32, continues itself on all sides."""
    metre: float
    """Pixels a metre."""

    def at(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(N, 3) at canonical points (N, 3) with normals (N, 3): seen along the three axes, mixed by how the surface faces them."""
        weight = normals**4
        weight /= np.maximum(weight.sum(1, keepdims=True), 1e-9)
        size = len(self.swatch)
        wrapped = np.pad(self.swatch, ((0, 2), (0, 2), (0, 0)), mode="wrap")
        total = np.zeros((len(points), 3), np.float32)
        for axis, (across, down) in enumerate(((2, 1), (0, 2), (0, 1))):
            place = points[:, [across, down]] * np.array([1, -1]) * self.metre
            total += weight[:, axis : axis + 1] * sample(wrapped, np.mod(place, size) + 0.5)
        # Mixed patterns are fainter than each of them.
        found: np.ndarray = total / np.sqrt(np.maximum((weight**2).sum(1, keepdims=True), 1e-9))
        return found


def find_patterns(view: View, posed: PosedSurface, labels: np.ndarray, params: Params) -> dict[int, Pattern]:
    """Label -> pattern, of the patterned ones among the labels (V,) of the vertices."""
    sure = (view.valid > 0.9) & (view.clear > 0.5) & (raster_facing(view) > 0.7)
    shown = np.where(sure, shown_labels(view, posed, labels), 0)
    found = {}
    for label in _PATTERNED:
        own = cv2.erode((shown == label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if own.sum() < _FEWEST:
            continue
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        pattern = _pattern(view.picture[window], own[window], view.metre, label, params)
        if pattern is not None:
            found[label] = pattern
    return found


def large_pieces(labels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) uint8 the labels of vertices (V,), 0 in connected pieces that hold a small share of their label's vertices."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    same = edges[labels[edges[:, 0]] == labels[edges[:, 1]]]
    graph = coo_matrix((np.ones(len(same), np.int8), (same[:, 0], same[:, 1])), shape=(len(labels), len(labels)))
    _, piece = connected_components(graph, directed=False)
    share = np.bincount(piece)[piece] / np.maximum(np.bincount(labels, minlength=len(LABELS))[labels], 1)
    return np.where(share >= _PIECE, labels, 0).astype(np.uint8)


def _pattern(picture: np.ndarray, own: np.ndarray, metre: float, label: int, params: Params) -> Pattern | None:
    """What a picture (h, w, 3) shows of a cloth at some pixels (h, w): its pattern, else its grain, or hair's strands; None if nothing."""
    detail = _about_tone(picture, own, params.tone * metre)
    deviation = _deviation(detail, own, (_LOCK if label == _HAIR else _PATCH) * metre)
    if deviation is None:
        return None
    low, middle, high = np.nanquantile(deviation, (0.25, 0.5, 0.75))
    if label == _HAIR:
        return _strands(detail, own, float(middle), metre)
    if low >= _EVEN * high and middle >= _STRONG and own.sum() >= _NET:
        # A part of it will do: blocks are looked for in all of it, again and again.
        best = cv2.boxFilter(own.astype(np.float32), -1, (_SOURCE, _SOURCE), normalize=False, borderType=cv2.BORDER_CONSTANT)
        row, column = np.unravel_index(int(best.argmax()), own.shape)
        cut = np.s_[max(row - _SOURCE // 2, 0) : row + _SOURCE // 2, max(column - _SOURCE // 2, 0) : column + _SOURCE // 2]
        swatch = quilted(detail[cut], own[cut], _SIZE)
        if swatch is not None:
            return Pattern(swatch, metre)
    return _grain(picture, own, metre)


def _strands(detail: np.ndarray, own: np.ndarray, contrast: float, metre: float) -> Pattern | None:
    """Strands that hang down, as strong and of the colours as what varies in a detail (h, w, 3) of hair at pixels `own` (h, w).

    How the seen ones run depends on where on the head they are: a swatch of them, repeated, looks knitted.
    """
    if contrast < _FAINT:
        return None
    colour = np.sqrt((detail[own] ** 2).mean(0))
    colour *= min(contrast, _SHEEN) / np.sqrt((colour**2).mean())
    width, length = (max(side * metre, least) for side, least in zip(_STRAND, (0.7, 8.0), strict=True))
    return Pattern(streaks(_SIZE, width, length)[..., None] * colour.astype(np.float32), metre)


def _grain(picture: np.ndarray, own: np.ndarray, metre: float) -> Pattern | None:
    """What varies within millimetres of a cloth where it lies plain, without folds, seams and buttons; None if nothing does."""
    detail = _about_tone(picture, own, _WEAVE * metre)
    deviation = _deviation(detail, own, _LOCK * metre)
    if deviation is None:
        return None
    usual = float(np.nanquantile(deviation, _PLAIN))
    plain = deviation <= usual
    if usual < _FAINT:
        return None
    swatch = random_phase(np.clip(detail, -_MOST * usual, _MOST * usual), plain, _SIZE)
    return Pattern(swatch, metre)


def _about_tone(picture: np.ndarray, own: np.ndarray, scale: float) -> np.ndarray:
    """(h, w, 3) float32: what pixels `own` (h, w) of a picture differ by from the mean of such pixels over `scale` pixels; else 0."""
    pyramid = complete(picture, own.astype(np.float32))
    level = min(max(round(np.log2(max(scale, 2.0))), 1), len(pyramid) - 1)
    tone = cv2.resize(pyramid[level], own.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(own[..., None], picture - tone, 0).astype(np.float32)


def _deviation(detail: np.ndarray, own: np.ndarray, side: float) -> np.ndarray | None:
    """(h, w) standard deviation within the patch of `own` (h, w) around each pixel of a detail (h, w, 3), NaN where the patch is not
    whole; None if there are no whole patches. `side` in pixels."""
    window = max(round(side), 4)
    share, power = (cv2.boxFilter(part.astype(np.float32), -1, (window, window)) for part in (own, (detail**2).mean(-1)))
    full = share > 0.9
    if full.sum() < window**2:
        return None
    return np.where(full, np.sqrt(np.maximum(power, 0) / np.maximum(share, 0.9)), np.nan)
