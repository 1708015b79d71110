"""Whose space it is: an arm that hangs before or beside the trunk shares its surroundings with it; what a photo shows there is one's only.

A point around the canonical body is carried into the photo's pose with the part of the body that it lies at. If the posed body is much
nearer there, the place is another limb's, or blended bones fold space and other points come to it too. Without this, sleeve and coat each
wear a web of the other's cloth when the arms are raised. Below the hips nothing is cut: skirts hang between legs.

Notation: d a point's distance from the body in the canonical pose; e its distance from the posed body, negative within it; a how much a
bend may shrink distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carve.geometry.skinning import bone_transforms
from carve.records import BodyFit

if TYPE_CHECKING:
    from carve.body.skin_field import BodyPoints, SkinField

NOBODYS = -1.0
"""Metres: what is told of points that no other limb contends for."""
_REACH = 0.3
"""Farther points are nobody's, metres."""
_SHRINKS = 0.8
"""a"""
_ABOVE = (0.04, 0.14)
"""From where above the hip joints on space is cut, and cut altogether, metres."""


class LimbSpace:
    """The space around one fitted body, cut among trunk and arms by its pose."""

    def __init__(self, body: BodyFit, skin: SkinField) -> None:
        """`skin` is the body's field in the canonical pose."""
        rotations, heads = body.pose.bones(body.skeleton)
        self._skin, self._posed = skin, skin.reshaped(body.posed)
        self._transforms = bone_transforms(rotations, heads, body.skeleton.heads)
        humanoid, names = body.skeleton.humanoid, body.skeleton.names
        hips = [body.skeleton.heads[names.index(humanoid[f"{side}UpperLeg"]), 1] for side in ("left", "right")]
        self._low, self._high = (float(np.mean(hips)) + above for above in _ABOVE)

    def excess(self, points: np.ndarray, near: BodyPoints) -> np.ndarray:
        """(N,) a d - e of canonical points (N, 3), metres: positive where they are not the body's own; NOBODYS within the body, far from it
        and below the hips."""
        found = np.full(len(points), NOBODYS)
        asked = np.flatnonzero((near.distance > 0) & (near.distance < _REACH) & (points[:, 1] > self._low))
        own = near.part(asked)
        maps = self._skin.blend(points[asked], own, self._transforms)
        posed = self._posed.near(np.einsum("nij,nj->ni", maps[..., :3], points[asked]) + maps[..., 3])
        share = np.clip((points[asked, 1] - self._low) / (self._high - self._low), 0, 1)
        found[asked] = _SHRINKS * own.distance - posed.distance + (1 - share) * NOBODYS
        return found
