"""What each vertex of the surface is a part of, from the labels of the picture's front and back.

Notation: V vertices, L labels (`carve.records.LABELS`).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import ATTACHED, FEET, HANDS, HEAD, LEGS, LOWER_ARMS, TORSO, UPPER_ARMS
from carve.geometry.camera import Camera
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.visibility import visibility
from carve.records import LABELS, NormalMaps, PosedSurface

_ARMS = (*UPPER_ARMS, *LOWER_ARMS, *HANDS)
_SKIN = LABELS.index("skin")
_UPPER = tuple(LABELS.index(name) for name in ("top", "outer", "dress"))
_TALL = 800.0
"""Pixels of the person's longer side at which visibility is tested."""
_NORMAL_SCALE = 0.04
"""Normals count as positions this far apart, metres, so that the front of a thin limb does not find its back."""
_BESIDE = 0.03
"""How far beside the fitted arm the photo's may lie, metres."""
_ROUNDS = 24
"""Of smoothing the votes: specks of a label that is not around them go."""


def _allowed() -> np.ndarray:
    """(14, L) bool: what a region of the body may wear."""
    table = np.ones((len(REGIONS), len(LABELS)), bool)
    table[:, LABELS.index("background")] = False
    lower = [k for k, name in enumerate(REGIONS) if name.endswith(("leg", "foot"))]
    for label, where in (
        ("shoes", [k for k, name in enumerate(REGIONS) if name.endswith(("lower_leg", "foot"))]),
        ("headwear", [HEAD]),
        ("glasses", [HEAD]),
        ("hair", [HEAD, TORSO, *UPPER_ARMS]),
        ("bottom", [TORSO, *lower]),
    ):
        table[:, LABELS.index(label)] = np.isin(np.arange(len(REGIONS)), where)
    table[np.ix_(FEET, _UPPER)] = False
    return table


ALLOWED = _allowed()


def vertex_labels(posed: PosedSurface, maps: NormalMaps) -> np.ndarray | None:
    """(V,) uint8 index into LABELS, or None if the maps hold no labels.

    Vertices that front or back show vote with the pixel's label; the others follow the nearest that do, on parts of the body that grow
    out of each other.
    """
    if maps.label is None or maps.label_back is None:
        return None
    votes = _votes(posed, maps.label, farthest=False) + _votes(posed, maps.label_back, farthest=True)
    surface = posed.canonical
    votes *= ALLOWED[surface.region]
    known = votes.sum(1) > 0.2
    if known.sum() < 16:
        return None
    shares = votes / np.maximum(votes.sum(1, keepdims=True), 1e-9)
    normals = vertex_normals(surface.vertices, surface.faces)
    place = np.concatenate([surface.vertices, _NORMAL_SCALE * normals], axis=1)
    for region in range(len(REGIONS)):
        wanted = np.flatnonzero(~known & (surface.region == region))
        sources = np.flatnonzero(known & ATTACHED[region][surface.region])
        sources = sources if len(sources) else np.flatnonzero(known)
        if len(wanted):
            _, index = cKDTree(place[sources]).query(place[wanted], k=min(8, len(sources)))
            shares[wanted] = shares[sources[index.reshape(len(wanted), -1)]].mean(1)
    smooth = diffuse(shares, surface.faces, _ROUNDS) * ALLOWED[surface.region]
    return smooth.argmax(1).astype(np.uint8)


def _votes(posed: PosedSurface, labels: np.ndarray, farthest: bool) -> np.ndarray:
    """(V, L) how surely each vertex shows the label (H, W) of its pixel; nothing where the picture has none."""
    camera = posed.camera
    pixels = camera.project(posed.vertices)
    low = np.clip(np.floor(pixels.min(0)), 0, [camera.width - 1, camera.height - 1])
    high = np.clip(np.ceil(pixels.max(0)), low + 1, [camera.width, camera.height])
    scale = _TALL / float((high - low).max())
    width, height = (max(round(float(side) * scale), 2) for side in high - low)
    window = camera.cropped(float(low[0]), float(low[1]), width, height, scale)
    seen = visibility(posed.vertices, posed.canonical.faces, window, farthest, margin=2.0)
    index = np.floor(pixels).astype(np.int64)
    inside = ((index >= 0) & (index < [camera.width, camera.height])).all(1)
    column, row = np.where(inside[:, None], index, 0).T
    label = np.where(inside, labels[row, column], 0)
    share = seen.share * (label > 0) * ~((label == _SKIN) & _at_arms(posed, window, seen.pixels))
    votes = np.zeros((len(pixels), len(LABELS)))
    votes[np.arange(len(pixels)), label] = share
    return votes


def _at_arms(posed: PosedSurface, window: Camera, pixels: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices of trunk and legs that have an arm before or beside them at their pixels (V, 2): bare skin there is the arm's,
    and a back's label may be that of an arm in front."""
    surface = posed.canonical
    front = rasterise(posed.vertices, surface.faces, window)
    arm = front.mask & np.isin(surface.region, _ARMS)[surface.faces[np.maximum(front.face, 0), 0]]
    side = 2 * round(_BESIDE * window.focal / -float(np.median(posed.vertices[:, 2]))) + 1
    arm = cv2.dilate(arm.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0
    column, row = np.clip(np.floor(pixels).astype(np.int64), 0, [window.width - 1, window.height - 1]).T
    return arm[row, column] & np.isin(surface.region, [TORSO, *LEGS])
