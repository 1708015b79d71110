"""Feet that no picture shows wear dark shoes: colours that spread down the legs would dress them in trousers or leave them bare."""

from __future__ import annotations

import numpy as np

from carve.body.model import REGIONS
from carve.geometry.unwrapping.atlas import Texels
from carve.records import CanonicalSurface

SHOE = np.array([54.0, 49.0, 46.0])
"""sRGB of a plain dark shoe."""

SEEN = 0.02
"""Mean weight of the photo on both feet from which on they count as seen; one that is seen lends its colours to the other."""


def shod(colours: np.ndarray, weight: np.ndarray, grid: Texels, surface: CanonicalSurface) -> np.ndarray:
    """The texels' colours (N, 3), 0..255, with shoes on both feet if the photo, by its `weight` (N,) 0..1, shows neither."""
    feet = [REGIONS.index(f"{side}_foot") for side in ("left", "right")]
    share = np.isin(surface.region, feet)[surface.faces].mean(1)
    on_foot = share[grid.face] > 0.5
    if not on_foot.any() or weight[on_foot].mean() > SEEN:
        return colours
    return np.where(on_foot[:, None], SHOE, colours)
