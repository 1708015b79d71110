"""Both soles on one level in the rest pose, and where they bend: of two shoes the photo often shows one from above and the other from the
side, or one alone.

Notation: a height of an ankle, d that of the sole below it, m the mean of both soles' heights. What lies below the ankle is stretched or
pressed by (a - m) / (a - d), as far as the foot's bones move it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MOST = 0.2
"""A foot is stretched or pressed by no more."""
BEND_HEIGHT = 0.17
"""Of the toes' joint above the sole, over the ankle's, as in Mixamo's figures: a sole bends and keeps its length."""
BEND_BACK = 0.1
"""How far the joint lies behind where the toes begin, over its distance from the ankle: at the ball, 0.7 of a foot from the heel."""


def bending_sole(toes: np.ndarray, ankle: np.ndarray, sole: float) -> np.ndarray:
    """(3,) the joint that bends a sole at height `sole`, from where the toes begin (3,) and the ankle (3,); +Y up, the foot along +Z."""
    height = min(float(toes[1]), sole + BEND_HEIGHT * max(float(ankle[1]) - sole, 0.0))
    return np.array([toes[0], height, toes[2] - BEND_BACK * (toes[2] - ankle[2])])


def level_soles(vertices: np.ndarray, ankles: Mapping[str, float], share: Mapping[str, np.ndarray]) -> np.ndarray:
    """(V, 3) rest vertices with both soles at one height.

    Args:
        vertices: (V, 3) metres, legs straight down.
        ankles: side -> a in the notation, metres.
        share: side -> (V,) how far the foot's and the toes' bones move a vertex, 0..1.
    """
    soles = {side: float(vertices[of > 0.5, 1].min()) for side, of in share.items() if (of > 0.5).any()}
    if len(soles) < 2 or any(ankles[side] - sole < 0.01 for side, sole in soles.items()):
        return vertices
    middle, result = float(np.mean(list(soles.values()))), vertices.copy()
    for side, sole in soles.items():
        stretch = np.clip((ankles[side] - middle) / (ankles[side] - sole), 1 - MOST, 1 + MOST)
        below = np.maximum(ankles[side] - vertices[:, 1], 0)
        result[:, 1] -= share[side] * (stretch - 1) * below
    return result
