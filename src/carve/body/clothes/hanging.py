"""Cloth that hangs over the legs in one piece: coats, dresses, skirts and long shirts, from the hips to the hem, around both legs.

A learned distance has each leg wear its own cloth: the legs' fork shows through a coat, and where a shirt ends over trousers nothing
steps. What hangs is told by labels: its hem is the line that parts best what hangs from what is below. Between hips and hem its level
sections are convex, since cloth around two legs is drawn tight, and it falls: a section takes in most of the one above. Where the photo
sees past the person, nothing hangs. Loose cloth falls from the chest in the same way, tight cloth from the hips.

Notation: in the frame of the camera turned upright, x lies across, v downward and z along the view, metres; u_k unit directions of the
level plane; h_k(v) how far the dressed hips and legs reach along u_k at v. A point of canonical space is carried into the photo's pose;
there, for a piece of cloth with the hem v = a + b x that lies on e metres of others,
    s = max(max_k u_k . (x, z) - h_k(v) - e, v - a - b x, top - v, o),
where o is how far its ray passes the person's outline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from carve.body.clothes.between_legs import BetweenLegs
from carve.body.zones import LEGS, TORSO
from carve.geometry.level_sections import STEP, LevelSections
from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.sampling import sample
from carve.geometry.skinning import bone_transforms
from carve.records import LABELS, BodyFit, NormalMaps

if TYPE_CHECKING:
    from carve.body.skin_field import BodyPoints, SkinField

_PIECES = (("top", "outer"), ("top", "outer", "dress"), ("top", "outer", "dress", "bottom"))
"""Labels of what may hang together over the legs; the last one, a skirt, where the photo shows no gap between legs that stand apart."""
_CLOTHES = ("top", "outer", "dress", "bottom", "skin", "shoes")
"""Labels that say what a place wears."""
_ABOVE_HIPS = 0.03
"""How far above the hip joints a hem may lie to hang over anything, metres."""
_TOP = 0.16
"""Where above the hip joints hanging cloth begins, metres."""
_LOOSE = 0.006
"""Median thickness of what the waist wears, metres, from which it falls from the chest."""
_ARMPITS, _CHEST = 0.03, 0.1
"""How far below the shoulder joints that begins, and over how much, metres."""
_UPRIGHT = 0.9
"""Least vertical share of the trunk's direction for it."""
_SUNK = 0.03
"""How deep within the clothes of the waist it begins, metres."""
_TOLD_FROM = 0.2
"""Where above the hip joints labels begin to count, metres."""
_WRONG = 0.15
"""Share of what labels say that may contradict a hem."""
_ROW, _FRONTS = 0.03, 2
"""Height of a row of vertices, metres, and how many of a coat there must be on both sides of its opening."""
_FEWEST = 40
"""Vertices that must hang in a piece."""
_LOWER = 0.05
"""How much lower each further piece must end, metres."""
_OPEN = 0.3
"""How far below the gap between the legs an open coat may end, metres: it shows the gap and hangs behind it."""
_SLOPES = np.linspace(-0.3, 0.3, 7)
"""b"""
_STEEP = 0.6
"""Least vertical share of a thigh's direction: nothing hangs from legs that sit."""
_GAP = 0.02
"""Width of background between the legs, metres, that ends what hangs."""
_FORK = 0.1
"""Below the hip joints, metres, legs are apart."""
_APART, _FILLED = 0.03, 0.01
"""Width between the legs, metres, and area of cloth where they are so far apart, square metres, that make a skirt."""
_FALLS = 0.5
"""How much a section may shrink downward, metres per metre."""
_HALF_WIDTH, _FAR_BELOW = 0.3, 0.15
"""How far to the sides a hem may reach; how much lower than a hem no point is that belongs above it, metres."""
_REACH = (-0.06, 0.35)
"""Distances from the body at which points are asked, metres."""
_EASE = 0.004
"""How far a piece stands off what it lies on, metres."""


@dataclass(frozen=True)
class Hem:
    """The line v = level + slope x where a piece of cloth ends, metres in the upright frame."""

    level: float
    slope: float
    wrong: float = 0.0
    """Share of what labels say that contradicts it."""

    def at(self, across: np.ndarray) -> np.ndarray:
        """(N,) v at x (N,)."""
        return self.level + self.slope * across


class _Stance:
    """The posed body's legs in the upright frame."""

    def __init__(self, body: BodyFit) -> None:
        along = np.array([0.0, 0.0, -1.0])
        along -= along @ body.up * body.up
        along /= np.linalg.norm(along)
        self.frame = np.stack([np.cross(along, body.up), -body.up, along])
        """(3, 3) camera frame to x, v, z."""
        heads = body.pose.bones(body.skeleton)[1] @ self.frame.T
        names, humanoid = body.skeleton.names, body.skeleton.humanoid

        def joint(name: str) -> np.ndarray:
            return np.array([heads[names.index(humanoid[f"{side}{name}"])] for side in ("left", "right")])

        hips, self.knees, shoulders = joint("UpperLeg"), joint("LowerLeg"), joint("UpperArm")
        self.hips, self.armpits = float(hips[:, 1].mean()), float(shoulders[:, 1].mean()) + _ARMPITS
        trunk = hips.mean(0) - shoulders.mean(0)
        self.upright = bool(trunk[1] > _UPRIGHT * np.linalg.norm(trunk))
        thighs = self.knees - hips
        self.sits = bool((thighs[:, 1] < _STEEP * np.linalg.norm(thighs, axis=1)).any())
        self.places = body.posed @ self.frame.T


def find_hems(body: BodyFit, normals: NormalMaps, mask: np.ndarray) -> tuple[Hem, ...]:
    """The hems of what hangs over the legs, upper ones first; none where nothing does, where the person sits and where labels do not say.

    Args:
        body: as fitted.
        normals: of the person, with labels of both sides.
        mask: (H, W) coverage 0..1.
    """
    if normals.label is None or normals.label_back is None:
        return ()
    stance = _Stance(body)
    if stance.sits:
        return ()
    places, told, opened = _told(body, stance, normals)
    lowest, skirt = _between_legs(body, stance, mask)
    found: list[Hem] = []
    for piece in _PIECES if skirt else _PIECES[:-1]:
        over = np.isin(told, [LABELS.index(name) for name in piece])
        hem = _best_hem(places, over)
        lower = found[-1].level + _LOWER if found else stance.hips - _ABOVE_HIPS
        hangs = over & (places[:, 1] > (found[-1].at(places[:, 0]) if found else stance.hips - _TOLD_FROM))
        if hem is None or hem.level > lowest + (_OPEN if opened else _LOWER) or hangs.sum() < _FEWEST:
            continue
        hem = replace(hem, level=min(hem.level, lowest))
        if hem.level >= lower:
            found.append(hem)
    return tuple(found)


def _told(body: BodyFit, stance: _Stance, normals: NormalMaps) -> tuple[np.ndarray, np.ndarray, bool]:
    """Places (N, 3) of the body's vertices from the waist to the ankles of whose clothes labels say something, the labels (N,), and whether
    a coat is open there."""
    height, width = normals.mask.shape
    pixels = body.camera.project(body.posed)
    asked = ((pixels >= 0) & (pixels < [width, height])).all(1) & np.isin(body.region, [TORSO, *LEGS])
    asked &= stance.places[:, 1] > stance.hips - _TOLD_FROM
    faces_camera = (vertex_normals(body.posed, body.faces) * body.posed).sum(1) < 0
    columns, rows = pixels[asked].astype(int).T
    assert normals.label is not None
    assert normals.label_back is not None
    told = np.where(faces_camera[asked], normals.label[rows, columns], normals.label_back[rows, columns])
    known = np.isin(told, [LABELS.index(name) for name in _CLOTHES])
    places = stance.places[asked]
    opening = known & _in_an_opening(places, told, faces_camera[asked])
    known &= ~opening
    return places[known], told[known], bool(opening.sum() >= _FEWEST)


def _in_an_opening(places: np.ndarray, told: np.ndarray, front: np.ndarray) -> np.ndarray:
    """(N,) bool: what shows in front between the two sides of an open coat; it says nothing of where the coat ends.

    Args:
        places: (N, 3) of vertices of trunk and legs.
        told: (N,) their labels.
        front: (N,) bool: that the camera sees.
    """
    found = np.zeros(len(told), bool)
    coat = front & (told == LABELS.index("outer"))
    level = np.floor(places[:, 1] / _ROW).astype(np.int64)
    for row in np.unique(level[coat]):
        across = np.sort(places[coat & (level == row), 0])
        if len(across) >= 2 * _FRONTS:
            here = front & ~coat & (level == row)
            found |= here & (places[:, 0] > across[_FRONTS - 1]) & (places[:, 0] < across[-_FRONTS])
    return found


def _best_hem(places: np.ndarray, over: np.ndarray) -> Hem | None:
    """The hem with the fewest of the places (N, 3) on the wrong side, `over` (N,) or not; None if they are many."""
    best: Hem | None = None
    if not over.any():
        return None
    for slope in _SLOPES:
        level = places[:, 1] - slope * places[:, 0]
        order = np.argsort(level)
        # Wrong if the hem lies after the k-th: what is not over above it, and what is over below it.
        wrong = np.cumsum(~over[order]) + over.sum() - np.cumsum(over[order])
        k = int(wrong.argmin())
        share = float(wrong[k]) / len(over)
        if share <= _WRONG and (best is None or share < best.wrong - 1e-3 * abs(slope)):
            best = Hem(float(level[order[k]]), float(slope), share)
    return best


def _between_legs(body: BodyFit, stance: _Stance, mask: np.ndarray) -> tuple[float, bool]:
    """The level at which background shows between the legs, and whether cloth does above it although the legs stand apart there."""
    sides = [np.isin(body.region, LEGS[2 * k : 2 * k + 2]) for k in range(2)]
    bottom = float(max(stance.places[side, 1].max() for side in sides))
    filled = 0.0
    for level in np.arange(stance.hips + _FORK, bottom, STEP):
        cut = [side & (np.abs(stance.places[:, 1] - level) < STEP) for side in sides]
        if not all(part.any() for part in cut):
            continue
        first, second = sorted((body.posed[part] for part in cut), key=lambda points: float(points[:, 0].mean()))
        inner = first[first[:, 0].argmax()], second[second[:, 0].argmin()]
        width = inner[1][0] - inner[0][0]
        if width < _GAP:
            continue
        ends = body.camera.project(np.array(inner))
        line = ends[0] + np.linspace(0, 1, 24)[:, None] * (ends[1] - ends[0])
        background = float((sample(mask, line) < 0.5).mean()) * width
        if background > _GAP:
            return float(level) - STEP, filled > _FILLED
        filled += STEP * width if width > _APART else 0.0
    return bottom, filled > _FILLED


class Hanging:
    """The distance from what hangs over a body's legs, canonical pose."""

    def __init__(self, body: BodyFit, skin: SkinField, hems: tuple[Hem, ...], thickness: np.ndarray, mask: np.ndarray) -> None:
        """What ends at the `hems`.

        Args:
            body: as fitted.
            skin: its field in the canonical pose.
            hems: of `find_hems`.
            thickness: (V,) of the clothes on each vertex of the body, metres.
            mask: (H, W) coverage 0..1.
        """
        self._hems, self._skin, self._camera = hems, skin, body.camera
        if not hems:
            return
        rotations, heads = body.pose.bones(body.skeleton)
        self._transforms = bone_transforms(rotations, heads, body.skeleton.heads)
        self._stance = stance = _Stance(body)
        names, humanoid = body.skeleton.names, body.skeleton.humanoid
        hips = [body.skeleton.heads[names.index(humanoid[f"{side}UpperLeg"]), 1] for side in ("left", "right")]
        self._highest, self._top, self._begins = max(hips) + 2 * _TOP, stance.hips - _TOP, _TOP
        waist = (body.region == TORSO) & (stance.places[:, 1] < self._top) & (stance.places[:, 1] > stance.armpits)
        if stance.upright and waist.any() and np.median(thickness[waist]) > _LOOSE:
            # What is loose falls from the chest.
            self._highest, self._top, self._begins = float(body.canonical[:, 1].max()), stance.armpits, _CHEST
        inside = (mask > 0.5).astype(np.uint8)
        self._outline = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        self._between = BetweenLegs(body, skin)
        self._within = self._sections(body, thickness)

    def _sections(self, body: BodyFit, thickness: np.ndarray) -> LevelSections:
        """Of the dressed hips and legs, from the top on."""
        used = np.zeros(len(body.canonical), bool)
        used[np.unique(self._skin.faces)] = True
        used &= np.isin(body.region, [TORSO, *LEGS])
        # A leg that is lifted behind is not what cloth lies on.
        for k in range(2):
            used &= (body.region != LEGS[2 * k + 1]) | (self._stance.places[:, 1] > self._stance.knees[k, 1])
        normal = vertex_normals(body.canonical, self._skin.faces)
        dressed = (body.canonical + thickness[:, None] * normal)[used]
        places = self._carried(dressed, self._skin.near(dressed))[1]
        length = max(hem.level + 0.3 * abs(hem.slope) for hem in self._hems) - self._top + STEP
        return LevelSections(places[:, [0, 2]], places[:, 1] - self._top, length, _FALLS)

    def _carried(self, points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Canonical points (N, 3) in the photo's pose, camera frame and upright frame, and how much they lie between the legs (N,)."""
        maps, between = self._between.blend(points, near, self._transforms)
        posed = np.einsum("nij,nj->ni", maps[..., :3], points) + maps[..., 3]
        return posed, posed @ self._stance.frame.T, between

    def weights(self, points: np.ndarray, near: BodyPoints, bones: int) -> np.ndarray:
        """(N, bones) skinning weights at canonical points (N, 3), rows sum to 1: what hangs follows both legs."""
        if not self._hems:
            return self._skin.weights(points, near, bones)
        return self._between.weights(points, near, bones, self._hangs(self._carried(points, near)[1]))

    def _hangs(self, places: np.ndarray) -> np.ndarray:
        """(N,) 1 above the lowest hem, 0 well below, of points (N, 3) of the upright frame."""
        below = np.min([places[:, 1] - hem.at(places[:, 0]) for hem in self._hems], axis=0)
        return np.clip(1 - below / _LOWER, 0, 1)

    def united(self, f: np.ndarray, points: np.ndarray, near: BodyPoints, others: np.ndarray) -> np.ndarray:
        """(N,) a dressed body's signed distance f (N,) at canonical points (N, 3), united with what hangs: between the legs and above the
        hem that alone counts. `near` is the field's; `others` (N,) is positive where the space is another limb's."""
        if not self._hems:
            return f
        here = (near.distance > _REACH[0]) & (near.distance < _REACH[1]) & (points[:, 1] < self._highest)
        asked = np.flatnonzero(here & np.isin(near.region, [TORSO, *LEGS]))
        # Far below the hems nothing hangs: how the skin alone carries a point says enough for that.
        plain = self._skin.blend(points[asked], near.part(asked), self._transforms)
        level = (np.einsum("nij,nj->ni", plain[..., :3], points[asked]) + plain[..., 3]) @ self._stance.frame[1]
        asked = asked[level < max(hem.level + abs(hem.slope) * _HALF_WIDTH for hem in self._hems) + _LOWER + _FAR_BELOW]
        if not len(asked):
            return f
        posed, places, between = self._carried(points[asked], near.part(asked))
        deep = places[:, 1] - self._top
        # It begins within what the hips wear.
        section = self._within.outside(places[:, [0, 2]], deep) + _SUNK * np.clip(1 - deep / self._begins, 0, 1) ** 2
        metre = -posed[:, 2] / self._camera.focal
        outside = sample(self._outline, self._camera.project(posed))[:, 0] * metre
        hanging = np.full(len(asked), np.inf)
        for on, hem in zip(range(len(self._hems), 0, -1), self._hems, strict=True):
            ends = np.maximum(places[:, 1] - hem.at(places[:, 0]), self._top - places[:, 1])
            hanging = np.minimum(hanging, np.max([section - on * _EASE, ends, outside, others[asked]], axis=0))
        only = np.minimum(3 * between, 1) * self._hangs(places)
        own = f[asked] + only * np.maximum(hanging - f[asked], 0)
        united = f.copy()
        united[asked] = np.minimum(own, hanging)
        return united
