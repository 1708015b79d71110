"""Level sections of what hangs: convex, smooth from level to level, and hardly less than the one above.

Notation: t depth below the first level; p a place in the level plane; u_k unit directions; h_k(t) how far points reach along u_k:
    s(p, t) = max_k u_k . p - h_k(t)
is the distance to the section within and beside it, less beyond its corners.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

STEP = 0.01
"""Between levels, metres."""
_DIRECTIONS = 48
_SMOOTH = 1.5
"""Of reaches, levels."""
_NOTHING = 10.0
"""Metres within the axis: how far a level without anything reaches."""


class LevelSections:
    """The sections around points."""

    def __init__(self, places: np.ndarray, depths: np.ndarray, length: float, falls: float, margin: np.ndarray | float = 0.0) -> None:
        """Sections from depth zero on.

        Args:
            places: (N, 2) in the level plane, metres.
            depths: (N,) t, metres; points that lie before or behind the sections do not count.
            length: of t, metres.
            falls: how much a section may shrink, metres per metre.
            margin: (N,) or one, how much farther than its points a section reaches, metres.
        """
        angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
        self._directions = np.stack([np.cos(angle), np.sin(angle)])
        count = max(int(length / STEP), 0) + 2
        level = np.round(depths / STEP).astype(int)
        kept = (level >= 0) & (level < count)
        reach = np.full((count, _DIRECTIONS), -_NOTHING)
        along = places @ self._directions + np.reshape(margin, (-1, 1))
        np.maximum.at(reach, level[kept], along[kept])
        # A level between others may have no point of its own.
        reach = maximum_filter1d(reach, 3, axis=0, mode="nearest")
        for k in range(1, count):
            reach[k] = np.maximum(reach[k], reach[k - 1] - falls * STEP)
        self._reach = gaussian_filter1d(reach, _SMOOTH, axis=0, mode="nearest")

    @property
    def length(self) -> float:
        """Of t, metres."""
        return STEP * (len(self._reach) - 1)

    def outside(self, places: np.ndarray, depths: np.ndarray) -> np.ndarray:
        """(N,) s of places (N, 2) at depths (N,), metres; before the first and behind the last level theirs."""
        level = np.clip(depths / STEP, 0, len(self._reach) - 1.001)
        low, share = level.astype(int), (level % 1)[:, None]
        reach = (1 - share) * self._reach[low] + share * self._reach[low + 1]
        return (places @ self._directions - reach).max(1)
