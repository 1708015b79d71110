"""Shoes on the canonical body: what stands on the ground is one closed shape around each foot, without toes.

The upper is the convex hull of a foot and of a toe box, as thick as the shoe: instep and heel come from the foot's own size and turn. The
sole is a plate below it with the outline of a foot's print; its rim is put on later (`carve.stages.refining.garment_edges`).

Notation: n_k, c_k outward unit normals and offsets of the hull's faces, t the thickness: s(x) = max_k (n_k . x - c_k) - t, which is the
distance within and beside faces and less beyond edges and corners. L length of the foot from heel to toes.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from carve.body.zones import FEET
from carve.records import LABELS, BodyFit, NormalMaps

FAR = 1.0
"""Metres: what is told of points that are near no shoe."""
_NEAR = 0.1
"""Points this far from a foot's box are asked, metres."""
_FEWEST = 20
"""Vertices of a foot that labels must say something of."""
_TOES = ((0.86, 0.175, 0.3), (0.97, 0.14, 0.2))
"""Points of the toe box: share of L from the heel, height over the ground as a share of L, half the width as a share of the foot's."""
_SOLE = (-0.35, 1.4)
"""Lower and upper face of the sole over the foot's ground, in thicknesses t."""
_SLACK = 0.006
"""How far what the photo shows of a shoe may stand off its upper, metres."""
_PRINT = 0.3
"""Share of the foot's height from the ground up that its print is taken of."""
_SHOES, _SKIN = LABELS.index("shoes"), LABELS.index("skin")


def shoes_worn(body: BodyFit, normals: NormalMaps) -> tuple[bool, bool]:
    """Whether the left and the right foot wear a shoe: of what the labels say of the posed foot more is shoe than skin."""
    if normals.label is None:
        return False, False
    height, width = normals.label.shape
    pixels = body.camera.project(body.posed)
    inside = ((pixels >= 0) & (pixels < [width, height])).all(1)
    worn = []
    for region in FEET:
        columns, rows = pixels[inside & (body.region == region)].astype(int).T
        told = normals.label[rows, columns]
        shoe, skin = int((told == _SHOES).sum()), int((told == _SKIN).sum())
        worn.append(shoe >= _FEWEST and shoe > skin)
    return worn[0], worn[1]


class Shoes:
    """The distance from the shoes that a body wears, canonical pose."""

    def __init__(self, body: BodyFit, worn: tuple[bool, bool], thickness: float) -> None:
        """`worn` by the left and the right foot; `thickness` t, metres."""
        feet = [body.canonical[body.region == region] for region, wears in zip(FEET, worn, strict=True) if wears]
        self._shoes = [_Shoe(foot, thickness) for foot in feet]

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) s of points (N, 3), the nearer shoe's, metres; FAR where there is none."""
        return self._nearer(points)[0]

    def worn(self, f: np.ndarray, points: np.ndarray, ankle: float) -> np.ndarray:
        """(N,) a distance f of points (N, 3) with the shoes worn below the height `ankle`: what else is there stands off an upper by little
        and off a sole not at all, so that the sole shows."""
        s, over = self._nearer(points)
        low = np.clip((ankle - 0.01 - points[:, 1]) / 0.03, 0, 1) * (s < FAR)
        least = s - _SLACK * np.clip(over / _SLACK, 0, 1)
        f = f + low * np.maximum(least - f, 0)
        return np.asarray(np.minimum(f, np.maximum(s, points[:, 1] - ankle)))

    def _nearer(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) s of the nearer shoe and (N,) height above its sole, metres."""
        found, over = np.full(len(points), FAR), np.full(len(points), FAR)
        for shoe in self._shoes:
            here = np.flatnonzero(((points > shoe.low) & (points < shoe.high)).all(1))
            if len(here):
                s = shoe.distance(points[here])
                nearer = s < found[here]
                found[here[nearer]], over[here[nearer]] = s[nearer], points[here[nearer], 1] - shoe.over
        return found, over


class _Shoe:
    """Upper and sole around one foot (V, 3), metres, y up."""

    def __init__(self, foot: np.ndarray, thickness: float) -> None:
        self._thickness = thickness
        self.low, self.high = foot.min(0) - _NEAR, foot.max(0) + _NEAR
        ground, height = foot[:, 1].min(), np.ptp(foot[:, 1])
        low = foot[foot[:, 1] < ground + _PRINT * height][:, [0, 2]]
        middle = low.mean(0)
        _, _, (along, across) = np.linalg.svd(low - middle, full_matrices=False)
        along = along * np.sign(along[1])  # toes point to +z
        place = (low - middle) @ np.column_stack([along, across])
        heel, length, width = place[:, 0].min(), np.ptp(place[:, 0]), np.ptp(place[:, 1])
        box = [
            np.insert(middle + (heel + share * length) * along + side * half * width * across, 1, ground + up * length)
            for share, up, half in _TOES
            for side in (-1, 1)
        ]
        self._upper = ConvexHull(np.concatenate([foot, box])).equations
        self._print = ConvexHull(low).equations
        self._under, self.over = ground + thickness * np.array(_SOLE)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) s of points (N, 3), metres."""
        t = self._thickness
        upper = (points @ self._upper[:, :3].T + self._upper[:, 3]).max(1) - t
        beside = (points[:, [0, 2]] @ self._print[:, :2].T + self._print[:, 2]).max(1) - t
        sole = np.maximum(beside, np.maximum(self._under - points[:, 1], points[:, 1] - self.over))
        # Nothing of the upper's rounding hangs below the sole.
        return np.minimum(np.maximum(upper, self._under - points[:, 1]), sole)
