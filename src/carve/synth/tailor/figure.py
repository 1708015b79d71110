"""The wearer at rest as a tailor sees them: which part is where, and the measures that garments are cut by.

Notation: V vertices of the naked body at rest (arms out and down by about 45 degrees, legs straight), body frame, metres. Points are (N,
3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from carve.body.model import REGIONS, bone_regions
from carve.synth.people.bodies import FullBody, ShapedBody

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
MEDIUM = 1.70
"""Metres: the stature that garments' lengths are given for; others scale them."""


@dataclass(frozen=True)
class Figure:
    """One body at rest and its measures."""

    vertices: np.ndarray
    """(V, 3)"""
    faces: np.ndarray
    """(F, 3)"""
    region: np.ndarray
    """(V,) index into `carve.body.model.REGIONS`."""
    heads: dict[str, np.ndarray]
    """VRM bone -> (3,) its head."""
    scale: float
    """Stature over MEDIUM."""
    heights: dict[str, float]
    """ground, ankle, knee, crotch, hip, waist, chest, armpit, shoulder, neck, chin, brow, top: metres along +Y."""
    neck_axis: np.ndarray
    """(3,) unit vector up the neck."""
    neck_radius: float
    """Metres from the axis to the skin, at the neck's root."""
    arm_bones: dict[Side, np.ndarray]
    """Indices of the bones of each arm and hand."""

    def arm(self, side: Side) -> np.ndarray:
        """(3, 3) shoulder, elbow and wrist."""
        return np.array([self.heads[f"{side}{bone}"] for bone in ("UpperArm", "LowerArm", "Hand")])

    def skin_of(self, region: str) -> np.ndarray:
        """(V,) bool: skin vertices of a region."""
        return np.asarray(self.region == REGIONS.index(region))

    def on_arm(self, points: np.ndarray, side: Side) -> np.ndarray:
        """(N,) bool: the skin nearest to points (N, 3) is that of an arm or a hand."""
        arm = [REGIONS.index(f"{side}_{part}") for part in ("upper_arm", "lower_arm", "hand")]
        return np.isin(self._region_near(points), arm)

    def _region_near(self, points: np.ndarray) -> np.ndarray:
        """(N,) region of the skin nearest to points (N, 3); the last points are remembered, as both arms are asked for, one by one."""
        if not self._last or self._last[0] is not points:
            self._last[:] = points, self.region[self.skin.query(points)[1]]
        return self._last[1]

    @cached_property
    def _last(self) -> list[np.ndarray]:
        return []

    @cached_property
    def skin(self) -> cKDTree:
        """For the nearest skin vertex."""
        return cKDTree(self.vertices)

    def leg(self, side: Side) -> np.ndarray:
        """(3, 3) hip, knee and ankle."""
        return np.array([self.heads[f"{side}{bone}"] for bone in ("UpperLeg", "LowerLeg", "Foot")])


def measured(body: FullBody, shaped: ShapedBody) -> Figure:
    """Take the measures of a body."""
    vertices = shaped.rest[body.base]
    heads = {vrm: shaped.rest_heads[body.names.index(bone)] for vrm, bone in body.humanoid.items()}
    of = lambda name: vertices[body.region == REGIONS.index(name)]  # noqa: E731
    axis = heads["head"] - heads["neck"]
    axis = axis / np.linalg.norm(axis)
    along = (of("head") - heads["neck"]) @ axis
    ring = of("head")[np.abs(along - 0.01) < 0.02] - heads["neck"]
    radius = float(np.median(np.linalg.norm(ring - (ring @ axis)[:, None] * axis, axis=1)))
    head = of("head")
    top = float(head[:, 1].max())
    chin = float(heads["head"][1] - 0.25 * (top - heads["head"][1]))
    hip, neck = float(heads["leftUpperLeg"][1]), float(heads["neck"][1])
    heights = {
        "ground": float(vertices[:, 1].min()),
        "ankle": float(heads["leftFoot"][1]),
        "knee": float(heads["leftLowerLeg"][1]),
        "crotch": float(of("torso")[:, 1].min()),
        "hip": hip,
        "waist": float(hip + 0.36 * (neck - hip)),
        "chest": float(hip + 0.70 * (neck - hip)),
        "armpit": float(hip + 0.74 * (neck - hip)),
        "shoulder": float(heads["leftUpperArm"][1]),
        "neck": neck,
        "chin": chin,
        "brow": float(heads["leftEye"][1] + 0.2 * (top - heads["leftEye"][1])),
        "top": top,
    }
    of_bone = bone_regions(body.names, body.parents, body.humanoid)
    arms = {
        side: np.flatnonzero(np.isin(of_bone, [i for i, name in enumerate(REGIONS) if side in name and ("arm" in name or "hand" in name)]))
        for side in SIDES
    }
    return Figure(vertices, body.faces, body.region, heads, shaped.stature / MEDIUM, heights, axis, radius, arms)


def along_chain(points: np.ndarray, chain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 3) lie along a chain of joints (K, 3): arc length over the whole length (N,), going on straight beyond both ends,
    and the distance from the axis (N,)."""
    lengths = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    starts = np.r_[0, np.cumsum(lengths)]
    best, place = np.full(len(points), np.inf), np.zeros(len(points))
    for k, length in enumerate(lengths):
        axis = (chain[k + 1] - chain[k]) / length
        t = (points - chain[k]) @ axis
        low, high = (-np.inf if k == 0 else 0.0), (np.inf if k == len(lengths) - 1 else length)
        t = np.clip(t, low, high)
        far = np.linalg.norm(points - chain[k] - t[:, None] * axis, axis=1)
        nearer = far < best
        best, place = np.where(nearer, far, best), np.where(nearer, starts[k] + t, place)
    return place / starts[-1], best
