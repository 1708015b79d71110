"""Shoes on the canonical body: what stands on the ground is one closed shape around each foot, without toes.

A shoe is the convex hull of a foot, as thick as its sole and upper: toe box, instep and heel come from the foot's own size and turn.

Notation: n_k, c_k outward unit normals and offsets of the hull's faces, t the thickness: s(x) = max_k (n_k . x - c_k) - t, which is the
distance within and beside faces and less beyond edges and corners.
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
        self._thickness = thickness
        feet = [body.canonical[body.region == region] for region, wears in zip(FEET, worn, strict=True) if wears]
        self._hulls = [(foot.min(0) - _NEAR, foot.max(0) + _NEAR, ConvexHull(foot).equations) for foot in feet]

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) s of points (N, 3), the nearer shoe's, metres; FAR where there is none."""
        found = np.full(len(points), FAR)
        for low, high, planes in self._hulls:
            here = np.flatnonzero(((points > low) & (points < high)).all(1))
            if len(here):
                found[here] = np.minimum(found[here], (points[here] @ planes[:, :3].T + planes[:, 3]).max(1) - self._thickness)
        return found
