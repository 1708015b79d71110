"""Hair that falls behind the neck: one solid from the ears down to where the back's labels end it.

A learned distance leaves a sheet that stands off the neck, or a ring. Where labels say that the back shows hair below the chin, its level
sections are those of the dressed head at the ears, a little narrower the lower they lie, and take in neck and back.

Notation: canonical pose, y up, +z to the front; u_k unit directions of the level plane; h_k(y) how far hair reaches along u_k:
    s(x) = max(max_k u_k . (x, z) - h_k(y), y - y_ears, z - z_ears, o),
where o is how far the point's ray in the photo passes the back's hair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from carve.body.zones import HEAD, TORSO, UPPER_ARMS
from carve.geometry.level_sections import LevelSections
from carve.geometry.pictures.sampling import sample
from carve.geometry.skinning import bone_transforms
from carve.records import LABELS, BodyFit, NormalMaps

if TYPE_CHECKING:
    from carve.body.skin_field import BodyPoints, SkinField

_HAIR = LABELS.index("hair")
_NAPE, _FEWEST = 0.02, 30
"""How far above the chin's height the nape begins, metres, and vertices below it that hair must hide from behind."""
_EARS = (0.02, 0.05)
"""How far below and above the ears' height the head's section is taken, metres."""
_FALLS = 0.15
"""How much a section shrinks downward, metres per metre."""
_COVERS = 0.012
"""How thick hair lies on neck and back at least, metres."""
_NECK = 0.08
"""How far below the chin's height the neck ends behind, metres."""
_BEGINS = 0.04
"""Over how much of its height it begins, metres."""
_SUNK = 0.012
"""How deep within the hair of the head it begins, metres."""
_REACH = 0.25
"""Farther points are not asked, metres."""


class FallingHair:
    """The distance from hair behind one body's neck, canonical pose."""

    def __init__(self, body: BodyFit, skin: SkinField, normals: NormalMaps | None, chin: float) -> None:
        """What labels say of the back.

        Args:
            body: as fitted.
            skin: its field in the canonical pose.
            normals: of the person, perhaps with labels; None for no hair.
            chin: height of the face's lower end, metres.
        """
        self._body, self._skin, self._chin = body, skin, chin
        label = None if normals is None else normals.label_back
        self.told = label is not None
        """Whether labels say where hair is behind."""
        self._outline = None if label is None else _outline(body, label, chin)
        if self._outline is None:
            return
        rotations, heads = body.pose.bones(body.skeleton)
        self._transforms = bone_transforms(rotations, heads, body.skeleton.heads)
        head = body.canonical[body.region == HEAD]
        # Ears are what is farthest out beside the face's lower half.
        low = head[(head[:, 1] > chin) & (head[:, 1] < 0.5 * (chin + head[:, 1].max()))]
        ears = np.array([low[low[:, 0].argmax()], low[low[:, 0].argmin()]]).mean(0)
        self._ears = ears[1:]
        self._within: LevelSections | None = None

    @property
    def asked(self) -> np.ndarray:
        """(V,) bool: vertices of the body whose hair must be known."""
        none = np.zeros(len(self._body.canonical), bool)
        if self._outline is None:
            return none
        height = self._body.canonical[:, 1] - self._ears[0]
        return (self._body.region == HEAD) & (height > -_EARS[0]) & (height < _EARS[1])

    def grow(self, dressed: np.ndarray) -> None:
        """Take in how far the head's hair reaches: places (N, 3) on it around the height of the ears."""
        names, humanoid = self._body.skeleton.names, self._body.skeleton.humanoid
        lowest = float(self._body.skeleton.heads[names.index(humanoid["chest"]), 1])
        under = self._body.canonical[np.isin(self._body.region, [HEAD, TORSO])]
        depths = np.concatenate([self._ears[0] - under[:, 1], np.zeros(len(dressed))])
        margin = np.repeat([_COVERS, 0.0], [len(under), len(dressed)])
        self._within = LevelSections(np.concatenate([under, dressed])[:, [0, 2]], depths, self._ears[0] - lowest, _FALLS, margin)

    def united(self, f: np.ndarray, points: np.ndarray, near: BodyPoints) -> np.ndarray:
        """(N,) a dressed body's signed distance f (N,) at canonical points (N, 3), united with that hair; around head and neck, where the
        back's labels are hair, it alone counts. `near` is the field's."""
        if self._outline is None or self._within is None:
            return f
        deep = self._ears[0] - points[:, 1]
        here = (near.distance < _REACH) & np.isin(near.region, [HEAD, TORSO, *UPPER_ARMS])
        here &= (deep > 0) & (deep < self._within.length) & (points[:, 2] < self._ears[1] + 0.02)
        rows = np.flatnonzero(here)
        if not len(rows):
            return f
        x, deep = points[rows], deep[rows]
        section = self._within.outside(x[:, [0, 2]], deep) + _SUNK * np.clip(1 - deep / _BEGINS, 0, 1)
        maps = self._skin.blend(x, near.part(rows), self._transforms)
        posed = np.einsum("nij,nj->ni", maps[..., :3], x) + maps[..., 3]
        outside = sample(self._outline, self._body.camera.project(posed))[:, 0] * -posed[:, 2] / self._body.camera.focal
        behind = self._ears[1] - x[:, 2]
        hair = np.max([section, -deep, -behind, outside], axis=0)
        only = np.clip(behind / 0.02, 0, 1) * np.clip(deep / _BEGINS, 0, 1) * np.clip(-outside / 0.008, 0, 1)
        # Farther down the back is cloth.
        only *= np.clip((x[:, 1] - self._chin) / 0.03 + _NECK / 0.03, 0, 1)
        united = f.copy()
        united[rows] = np.minimum(f[rows] + only * np.maximum(hair - f[rows], 0), hair)
        return united


def _outline(body: BodyFit, label: np.ndarray, chin: float) -> np.ndarray | None:
    """(H, W) float32 pixels outside the back's hair, negative inside; None if it ends above the chin."""
    count, pieces, boxes, _ = cv2.connectedComponentsWithStats((label == _HAIR).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    hair = pieces == 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())
    height, width = label.shape
    pixels = body.camera.project(body.posed)
    below = np.isin(body.region, [HEAD, TORSO]) & (body.canonical[:, 1] < chin + _NAPE)
    columns, rows = pixels[below & ((pixels >= 0) & (pixels < [width, height])).all(1)].astype(int).T
    if hair[rows, columns].sum() < _FEWEST:
        return None
    inside = hair.astype(np.uint8)
    return cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)
