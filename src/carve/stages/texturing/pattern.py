"""More of a print, a weave or hair than the photo shows: the unseen parts of a patterned cloth get swatches of what is seen of it.

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
from carve.geometry.pictures.sampling import complete, sample
from carve.records import LABELS, PosedSurface
from carve.stages.texturing.layers import raster_facing
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View

_PATTERNED = tuple(LABELS.index(name) for name in ("hair", "top", "outer", "bottom", "dress", "headwear"))
_HAIR = LABELS.index("hair")
_BLOCK, _LOCK = 0.055, 0.025
"""Sides of the patches of cloth, and of hair, whose contrasts are compared, metres."""
_EVEN = 0.6
"""Lower over upper quartile of those contrasts, from which on a cloth is the same all over."""
_STRONG, _STRAND = 10.0, 5.0
"""Their median, of 255, from which on there is a pattern; in hair."""
_SIZE, _SOURCE = 288, 288
"""Sides of a swatch, and of the part of the photo that it is made from, pixels."""
_FEWEST, _LOCKS = 1500, 6000
"""Pixels that must show a cloth, and hair: of less a swatch is a net."""
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
    raster, faces = view.raster, posed.canonical.faces
    nearest = faces[np.maximum(raster.face, 0), raster.bary.argmax(-1)]
    sure = raster.mask & (view.valid > 0.9) & (view.clear > 0.5) & (raster_facing(view) > 0.7)
    shown = np.where(sure, labels[nearest], 0)
    found = {}
    for label in _PATTERNED:
        own = cv2.erode((shown == label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if own.sum() < (_LOCKS if label == _HAIR else _FEWEST):
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
    """The pattern of a cloth that a picture (h, w, 3) shows at some pixels (h, w); None if it has none."""
    pyramid = complete(picture, own.astype(np.float32))
    level = min(max(round(np.log2(max(params.tone * metre, 2.0))), 1), len(pyramid) - 1)
    tone = cv2.resize(pyramid[level], own.shape[::-1], interpolation=cv2.INTER_LINEAR)
    detail = np.where(own[..., None], picture - tone, 0).astype(np.float32)
    side = max(round((_LOCK if label == _HAIR else _BLOCK) * metre), 4)
    share, power = (cv2.boxFilter(part.astype(np.float32), -1, (side, side)) for part in (own, (detail**2).mean(-1)))
    full = share > 0.9
    if full.sum() < side**2:
        return None
    low, middle, high = np.quantile(np.sqrt(power[full] / share[full]), (0.25, 0.5, 0.75))
    if low < _EVEN * high or middle < (_STRAND if label == _HAIR else _STRONG):
        return None
    # A part of it will do: blocks are looked for in all of it, again and again.
    best = cv2.boxFilter(own.astype(np.float32), -1, (_SOURCE, _SOURCE), normalize=False, borderType=cv2.BORDER_CONSTANT)
    row, column = np.unravel_index(int(best.argmax()), own.shape)
    cut = np.s_[max(row - _SOURCE // 2, 0) : row + _SOURCE // 2, max(column - _SOURCE // 2, 0) : column + _SOURCE // 2]
    swatch = quilted(detail[cut], own[cut], _SIZE)
    return None if swatch is None else Pattern(swatch, metre)
