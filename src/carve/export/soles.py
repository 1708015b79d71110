"""Both soles on one level in the rest pose: of two shoes the photo often shows one from above and the other from the side, or one alone.

Notation: a height of an ankle, d that of the sole below it, m the mean of both soles' heights. What lies below the ankle is stretched or
pressed by (a - m) / (a - d), as far as the foot's bones move it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MOST = 0.2
"""A foot is stretched or pressed by no more."""


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
