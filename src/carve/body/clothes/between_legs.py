"""How the skeleton carries what lies between the legs: a skirt's cloth follows both, each the more the nearer it is.

The field of the skin (`body.skin_field`) hands over from one leg to the other within centimetres. Legs that stand apart in the canonical
pose and together in a photo move toward each other by more than that, so the space between them would fold over itself. Here the share of
the legs changes evenly over the whole gap, so the gap closes evenly.

Notation: w_k the mean of the skin's values over leg k = 1, 2 with its half of the hips, as near as x to it (`SkinField.means`); a_k how far
the mean of its places lies to that leg's side of x, across the body, at most x's distance from it; w the field's values; q = 0 where an
a_k is not positive, 1 well between the legs:
    w(x) <- (1 - q) w(x) + q (a_2 w_1 + a_1 w_2) / (a_1 + a_2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carve.body.zones import FEET, LEGS, TORSO
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import blended_transforms
from carve.records import BodyFit

if TYPE_CHECKING:
    from carve.body.skin_field import BodyPoints, SkinField

_ACROSS = 0.025
"""Cells of the skin whose middle lies this near the middle of the body are both legs', metres."""

_WITHIN = 0.02
"""How far to a point's sides both legs must lie for it to lie between them altogether, metres."""
_OFF_SKIN = (0.005, 0.02)
"""Distances from the skin, metres, at which the skin's own values begin to give way and have done so."""
_SIDES = (1, -1)
"""Of the left and the right leg, canonical x."""
_HIPS = 0.1
"""How far above the hip joints the halves of the hips reach, metres."""
_REACH = 0.4
"""Farther points are not carried by it, metres."""


class BetweenLegs:
    """The field of skinning around the legs of one canonical body."""

    def __init__(self, body: BodyFit, skin: SkinField) -> None:
        """`skin` is the body's field in the canonical pose."""
        self._body, self._skin = body, skin
        names, humanoid = body.skeleton.names, body.skeleton.humanoid
        self._highest = max(float(body.skeleton.heads[names.index(humanoid[f"{side}UpperLeg"]), 1]) for side in ("left", "right"))
        middle, low = skin.vertices[skin.faces].mean(1), self._highest + _HIPS
        part = np.isin(body.region[skin.faces[:, 0]], [TORSO, *LEGS, *FEET]) & (middle[:, 1] < low)
        self._queries = [MeshQueries(skin.vertices, skin.faces[part & (sign * middle[:, 0] > 0)]) for sign in _SIDES]
        self._cells = [(sign * skin.middles[:, 0] > -_ACROSS) & (skin.middles[:, 1] < low) for sign in _SIDES]

    def blend(self, points: np.ndarray, near: BodyPoints, transforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3, 4) blended bone maps at points (N, 3), of bone maps (B, 3, 4), and q (N,); `near` is the field's."""
        of_vertex = blended_transforms(transforms, self._body.bones, self._body.weights).reshape(-1, 12)
        plain = self._skin.blend(points, near, transforms).reshape(-1, 12)
        mixed, share = self._mixed(points, near, of_vertex, plain, np.ones(len(points)))
        return mixed.reshape(-1, 3, 4), share

    def weights(self, points: np.ndarray, near: BodyPoints, bones: int, most: np.ndarray) -> np.ndarray:
        """(N, bones) skinning weights at points (N, 3), rows sum to 1; `most` (N,) is the largest share of both legs' mean."""
        dense = np.zeros((len(self._body.canonical), bones))
        np.add.at(dense, (np.arange(len(dense))[:, None], self._body.bones), self._body.weights)
        return self._mixed(points, near, dense, self._skin.weights(points, near, bones), most)[0]

    def _mixed(
        self, points: np.ndarray, near: BodyPoints, values: np.ndarray, plain: np.ndarray, most: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, C) the mixture of what the field says, `plain` (N, C), and of the means of vertices' values (V, C) over both legs; q (N,)."""
        mixed, share = plain.astype(float), np.zeros(len(points))
        far = (near.distance < _OFF_SKIN[0]) | (near.distance > _REACH) | (points[:, 1] > self._highest)
        rows = np.flatnonzero(~far & np.isin(near.region, [TORSO, *LEGS, *FEET]))
        if not len(rows):
            return mixed, share
        where, aside, means = points[rows], [], []
        placed = np.column_stack([self._skin.vertices[:, 0], values])
        for sign, queries, cells in zip(_SIDES, self._queries, self._cells, strict=True):
            distance = queries.nearest(where).distance
            mean = self._skin.means(where, distance, placed, cells)
            aside.append(np.clip(sign * (mean[:, 0] - where[:, 0]), 0, distance))
            means.append(mean[:, 1:])
        left = (aside[1] / np.maximum(aside[0] + aside[1], 1e-9))[:, None]
        share[rows] = _ramp(np.minimum(*aside), 0.0, _WITHIN) * _ramp(near.distance[rows], *_OFF_SKIN)
        both = left * means[0] + (1 - left) * means[1]
        mixed[rows] += (share * most)[rows, None] * (both - plain[rows])
        return mixed, share


def _ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below `start`, 1 above `end`, smooth between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
