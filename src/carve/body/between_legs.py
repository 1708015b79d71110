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

from dataclasses import dataclass, fields, replace
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


@dataclass(frozen=True)
class Between:
    """Where N points lie between the legs."""

    share: np.ndarray
    """(N,) q."""
    rows: np.ndarray
    """(M,) the points that may have one above zero."""
    distances: tuple[np.ndarray, ...]
    """(M,) from the left and from the right leg, metres."""
    left: np.ndarray
    """(M,) the left leg's share there."""


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

    def seen_from(self, points: np.ndarray, near: BodyPoints) -> Between:
        """Both legs as seen from points (N, 3); `near` is the field's."""
        far = (near.distance < _OFF_SKIN[0]) | (near.distance > _REACH) | (points[:, 1] > self._highest)
        rows = np.flatnonzero(~far & np.isin(near.region, [TORSO, *LEGS, *FEET]))
        share, where = np.zeros(len(points)), points[rows]
        distances = tuple(queries.nearest(where).distance for queries in self._queries)
        aside = []
        for sign, distance, cells in zip(_SIDES, distances, self._cells, strict=True):
            place = self._skin.means(where, distance, self._skin.vertices[:, :1], cells)[:, 0]
            aside.append(np.clip(sign * (place - where[:, 0]), 0, distance))
        share[rows] = _ramp(np.minimum(*aside), 0.0, _WITHIN) * _ramp(near.distance[rows], *_OFF_SKIN)
        return Between(share, rows, distances, aside[1] / np.maximum(aside[0] + aside[1], 1e-9))

    def blend(self, points: np.ndarray, near: BodyPoints, between: Between, transforms: np.ndarray) -> np.ndarray:
        """(N, 3, 4) blended bone maps at points (N, 3), of bone maps (B, 3, 4)."""
        of_vertex = blended_transforms(transforms, self._body.bones, self._body.weights).reshape(-1, 12)
        return self._mixed(points, between, of_vertex, self._skin.blend(points, near, transforms).reshape(-1, 12)).reshape(-1, 3, 4)

    def weights(self, points: np.ndarray, near: BodyPoints, between: Between, bones: int) -> np.ndarray:
        """(N, bones) skinning weights at points (N, 3), rows sum to 1."""
        dense = np.zeros((len(self._body.canonical), bones))
        np.add.at(dense, (np.arange(len(dense))[:, None], self._body.bones), self._body.weights)
        return self._mixed(points, between, dense, self._skin.weights(points, near, bones))

    def _mixed(self, points: np.ndarray, between: Between, values: np.ndarray, plain: np.ndarray) -> np.ndarray:
        """(N, C) the mixture of what the field says, `plain` (N, C), and of the means of vertices' values (V, C) over both legs."""
        both = np.zeros((len(between.rows), values.shape[1]))
        for distance, part, cells in zip(between.distances, (between.left, 1 - between.left), self._cells, strict=True):
            both += part[:, None] * self._skin.means(points[between.rows], distance, values, cells)
        mixed = plain.astype(float)
        mixed[between.rows] += between.share[between.rows, None] * (both - plain[between.rows])
        return mixed


def part_of(near: BodyPoints, rows: np.ndarray) -> BodyPoints:
    """What the body says of some of the points."""
    return replace(near, **{member.name: getattr(near, member.name)[rows] for member in fields(near)})


def _ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below `start`, 1 above `end`, smooth between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
