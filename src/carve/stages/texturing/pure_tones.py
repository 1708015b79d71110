"""Tones of cloth, hair and shoes from pixels of their own label alone: a mean over centimetres else mixes hems with what is below them."""

from __future__ import annotations

import cv2
import numpy as np

from carve.body.zones import LEGS, TORSO
from carve.records import LABELS, PosedSurface
from carve.stages.texturing.layers import Layer, raster_facing, tone_pyramid
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View

_PURE = tuple(LABELS.index(name) for name in ("hair", "top", "outer", "bottom", "dress", "shoes", "headwear"))
_BORDER = 0.004
"""Pixels this near to a border of their label may show what is beyond it, metres."""
_FEWEST = 64
"""Pixels that must show a label."""


def shown_labels(view: View, posed: PosedSurface, labels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 label of the surface at each pixel of the view, by the labels (V,) of the vertices; 0 beside it."""
    nearest = posed.canonical.faces[np.maximum(view.raster.face, 0), view.raster.bary.argmax(-1)]
    return np.where(view.raster.mask, labels[nearest], 0).astype(np.uint8)


def pure_tones(view: View, posed: PosedSurface, labels: np.ndarray, params: Params) -> dict[int, Layer]:
    """Label -> the photo as that label shows itself in it, of those of cloth, hair and shoes among the vertices' labels (V,)."""
    shown = shown_labels(view, posed, labels)
    trunk = np.isin(posed.canonical.region, (TORSO, *LEGS))[posed.canonical.faces[np.maximum(view.raster.face, 0), 0]]
    weight = view.valid * raster_facing(view) * np.where(trunk, view.clear, 1)
    side = 2 * max(round(_BORDER * view.metre), 1) + 1
    level = round(np.log2(max(params.tone * view.metre, 2.0)))
    found = {}
    for label in _PURE:
        own = weight * cv2.erode((shown == label).astype(np.uint8), np.ones((side, side), np.uint8))
        if (own > 0.5).sum() < _FEWEST:
            continue
        rows, columns = np.flatnonzero((own > 0).any(1)), np.flatnonzero((own > 0).any(0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        pyramid = tone_pyramid(view.picture[window], own[window])
        sharp = np.dstack([pyramid[0][..., :3], own[window]])
        found[label] = Layer(np.array([columns[0], rows[0]]), sharp, pyramid[min(level, len(pyramid) - 1)])
    return found
