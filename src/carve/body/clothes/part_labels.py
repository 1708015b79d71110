"""What each vertex of the surface is a part of, from the labels of the picture's front and back.

Notation: V vertices, L labels (`carve.records.LABELS`).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import ATTACHED, FEET, HANDS, HEAD, LEGS, LOWER_ARMS, TORSO, UPPER_ARMS, limb_axes
from carve.geometry.camera import Camera
from carve.geometry.frames import mirrored_x
from carve.geometry.mesh import components, diffuse, face_normals, vertex_normals
from carve.geometry.meshing.diffusion import spread, stiffness
from carve.geometry.raster import rasterise
from carve.geometry.visibility import visibility
from carve.records import LABELS, CanonicalSurface, NormalMaps, PosedSurface

_ARMS = (*UPPER_ARMS, *LOWER_ARMS, *HANDS)
_SKIN = LABELS.index("skin")
_UPPER = tuple(LABELS.index(name) for name in ("top", "outer", "dress"))
_TALL = 800.0
"""Pixels of the person's longer side at which visibility is tested."""
_NORMAL_SCALE = 0.04
"""Normals count as positions this far apart, metres, so that the front of a thin limb does not find its back."""
_UPRIGHT = 3.0
"""How much more height counts than width between a vertex below the waist and those that it takes its label from: a hem goes round at one
height."""
_FROM_BORDER = (0.01, 0.03)
"""Distances from a border in the picture, metres, to which nothing and from which all is of one kind."""
_BELOW_WAIST = 0.4
"""Share of the trunk's height that lies below the waist."""
_UNSURE = 0.2
"""As how far away a label beside an arm counts, metres."""
_BESIDE = 0.03
"""How far beside the fitted arm the photo's may lie, metres."""
_CLOTH = tuple(LABELS.index(name) for name in ("top", "outer", "bottom", "dress", "other"))
_PATCH = 0.05
"""Side of the smallest piece of a garment within others, as a share of the person's height in the picture."""
_COVERED = 0.12
"""Share of a jacket's area on the back below which what shows of the top there is a mistake."""
_ALONG, _ACROSS = 0.02, 0.01
"""How much less readily labels spread along limbs, and between arms and trunk, than around them."""
_AROUND, _FIRM, _LARGEST = 0.1, 10.0, 0.03
"""Over how much of what is not seen they spread, metres; how firmly what is seen keeps to its own; largest piece that may change, m^2."""
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
    """(V,) uint8 index into LABELS, or None if the maps hold no labels; see `label_shares`."""
    shares = label_shares(posed, maps)
    return None if shares is None else shares.argmax(1).astype(np.uint8)


def label_shares(posed: PosedSurface, maps: NormalMaps, rounds: int = _ROUNDS) -> np.ndarray | None:
    """(V, L) 0 to 1 how much of each label a vertex is, or None if the maps hold no labels.

    Vertices that front or back show vote with the pixel's label; the others follow the nearest that do, on parts of the body that grow
    out of each other. What is found is smoothed in `rounds`.
    """
    if maps.label is None or maps.label_back is None:
        return None
    surface = posed.canonical
    back = covered(without_patches(maps.label_back))
    sides = [_votes(posed, labels, k == 1) for k, labels in enumerate((without_patches(maps.label), back))]
    sure, votes = (sum(side[k] for side in sides) * ALLOWED[surface.region] for k in range(2))
    known, heard = sure.sum(1) > 0.2, (sure + votes).sum(1) > 0.2
    if known.sum() < 16:
        return None
    votes = np.where(known[:, None], sure, votes)
    shares = votes / np.maximum(votes.sum(1, keepdims=True), 1e-9)
    normals = vertex_normals(surface.vertices, surface.faces)
    place = np.column_stack([surface.vertices, _NORMAL_SCALE * normals, np.where(known, 0, _UNSURE)])
    asked = np.where(np.arange(place.shape[1]) < place.shape[1] - 1, place, 0)
    found = shares.copy()
    low = _below_waist(surface)
    for region in range(len(REGIONS)):
        sources = np.flatnonzero(heard & ATTACHED[region][surface.region])
        sources = sources if len(sources) else np.flatnonzero(known)
        for part, upright in ((low, _UPRIGHT), (~low, 1.0)):
            wanted = np.flatnonzero(~known & part & (surface.region == region))
            if len(wanted):
                scale = [1, upright, 1, 1, 1, 1, 1]
                _, index = cKDTree(place[sources] * scale).query(asked[wanted] * scale, k=min(8, len(sources)))
                found[wanted] = shares[sources[index.reshape(len(wanted), -1)]].mean(1)
    seen = np.clip(sides[0][0].sum(1), 0, 1)
    found = _a_pair(found, seen, surface, normals)
    return diffuse(_rings(found, seen, surface), surface.faces, rounds) * ALLOWED[surface.region]


def _a_pair(shares: np.ndarray, seen: np.ndarray, surface: CanonicalSurface, normals: np.ndarray) -> np.ndarray:
    """Shares (V, L) with what the photo, by `seen` (V,) 0 to 1, does not show of one foot as it is on the other, if more is seen of that:
    of a foot that is lifted behind a leg hardly anything is."""
    feet = sorted((np.flatnonzero(surface.region == region) for region in FEET), key=lambda foot: float(seen[foot].sum()))
    if not all(map(len, feet)) or not seen[feet[1]].any():
        return shares
    less, more = feet
    place = np.concatenate([surface.vertices, _NORMAL_SCALE * normals], axis=1)
    wanted = np.concatenate([mirrored_x(surface.vertices[less]), _NORMAL_SCALE * mirrored_x(normals[less])], axis=1)
    _, like = cKDTree(place[more]).query(wanted)
    paired = shares.copy()
    paired[less] += (1 - seen[less])[:, None] * (shares[more[like]] - shares[less])
    return paired


def _rings(shares: np.ndarray, seen: np.ndarray, surface: CanonicalSurface) -> np.ndarray:
    """Shares (V, L) averaged around limbs and trunk, except where the photo shows the vertices, (V,) 0 to 1: hems, waistbands and cuffs go
    round at one height, and what is said of a back is ragged. What would change as a whole, a bare back, stays as it is said."""
    faces = surface.faces
    arm = np.isin(surface.region, _ARMS)[faces]
    shoulder = arm.any(1) & ~arm.all(1)
    axes = limb_axes(surface.skeleton)[surface.region[faces[:, 0]]]
    stiff = stiffness(surface.vertices, faces, axes, _ALONG, np.where(shoulder, _ACROSS, 1.0))
    area = np.bincount(faces.ravel(), np.repeat(np.linalg.norm(face_normals(surface.vertices, faces), axis=1) / 6, 3), len(shares))
    worn = np.flatnonzero(shares.any(0))
    found = np.zeros_like(shares)
    firm = np.where(np.isin(surface.region, (HEAD, *HANDS, *FEET)), 1, seen)
    found[:, worn] = spread(stiff, area / _AROUND**2 + _FIRM * firm + 1e-9, shares[:, worn])
    changed = found.argmax(1) != shares.argmax(1)
    piece = components(faces[changed[faces].all(1)], len(shares))
    whole = np.bincount(piece, area)[piece] > _LARGEST
    return np.where((changed & whole)[:, None], shares, found)


def shown_in_front(posed: PosedSurface, maps: NormalMaps, labels: np.ndarray) -> np.ndarray:
    """(V,) 0 to 1: how far a vertex has its own label (V,) before it in the picture, away from where labels meet there."""
    assert maps.label is not None
    camera = posed.camera
    pixels = np.floor(camera.project(posed.vertices)).astype(np.int64)
    column, row = np.clip(pixels, 0, [camera.width - 1, camera.height - 1]).T
    label = maps.label
    border = np.zeros(label.shape, bool)
    border[1:] |= label[1:] != label[:-1]
    border[:, 1:] |= label[:, 1:] != label[:, :-1]
    metre = camera.focal / -float(np.median(posed.vertices[:, 2]))
    away = cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 5) / metre
    near, far = _FROM_BORDER
    share: np.ndarray = (label[row, column] == labels) * np.clip((away[row, column] - near) / (far - near), 0, 1)
    return share


def without_patches(labels: np.ndarray) -> np.ndarray:
    """Labels (H, W) whose patches of cloth or skin within other cloth, too small for a garment, go to the nearest other label."""
    rows = np.flatnonzero(labels.any(1))
    if len(rows) == 0:
        return labels
    least = (_PATCH * (rows[-1] - rows[0] + 1)) ** 2
    small = np.zeros(labels.shape, bool)
    for label in (*_CLOTH, _SKIN):
        _, piece, figures, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8), connectivity=4)
        small |= (figures[:, cv2.CC_STAT_AREA] < least)[piece] & (piece > 0)
    _, piece = cv2.connectedComponents(small.astype(np.uint8), connectivity=8)
    around = cv2.dilate(piece.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int64)
    # What borders on anything but cloth may be a cuff, a strap or a neckline.
    small &= ~np.isin(piece, np.unique(around[~small & ~np.isin(labels, _CLOTH)]))
    if not small.any():
        return labels
    nearest = ndimage.distance_transform_edt(small | (labels == 0), return_distances=False, return_indices=True)
    return np.where(small, labels[tuple(nearest)], labels)


def covered(back: np.ndarray) -> np.ndarray:
    """The back's labels (H, W) without scraps of a top beside a jacket: from behind a jacket covers what is worn below, if all that could
    be seen of it is little."""
    top = back == LABELS.index("top")
    outer = back == LABELS.index("outer")
    if not top.any() or top.sum() > _COVERED * outer.sum():
        return back
    nearest = ndimage.distance_transform_edt(~np.isin(back, _CLOTH) | top, return_distances=False, return_indices=True)
    return np.where(top, back[tuple(nearest)], back)


def _votes(posed: PosedSurface, labels: np.ndarray, farthest: bool) -> tuple[np.ndarray, np.ndarray]:
    """(V, L) how surely each vertex shows the label (H, W) of its pixel, nothing where there is none; and the same between arms and
    hips, where it is a guess."""
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
    share = seen.share * (label > 0)
    near, hanging = _at_arms(posed, window, seen.pixels)
    votes = np.zeros((2, len(pixels), len(LABELS)))
    # Before the trunk an arm hides it, and a back's label may be that of the arm; between arm and hip any label is a guess.
    votes[0, np.arange(len(pixels)), label] = share * ~hanging * ~(near & (label == _SKIN))
    votes[1, np.arange(len(pixels)), label] = share * hanging * (label != _SKIN)
    return votes[0], votes[1]


def _at_arms(posed: PosedSurface, window: Camera, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V,) bool: vertices of trunk and legs that have an arm before or beside them at their pixels (V, 2); and those of them from the waist
    down, where an arm hangs."""
    surface = posed.canonical
    front = rasterise(posed.vertices, surface.faces, window)
    arm = front.mask & np.isin(surface.region, _ARMS)[surface.faces[np.maximum(front.face, 0), 0]]
    side = 2 * round(_BESIDE * window.focal / -float(np.median(posed.vertices[:, 2]))) + 1
    arm = cv2.dilate(arm.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0
    column, row = np.clip(np.floor(pixels).astype(np.int64), 0, [window.width - 1, window.height - 1]).T
    near = arm[row, column]
    return near & np.isin(surface.region, (TORSO, *LEGS)), near & _below_waist(surface)


def _below_waist(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: the legs and the trunk below the waist."""
    trunk, height = surface.region == TORSO, surface.vertices[:, 1]
    waist = height[trunk].min() + _BELOW_WAIST * np.ptp(height[trunk]) if trunk.any() else -np.inf
    below: np.ndarray = np.isin(surface.region, LEGS) | (trunk & (height < waist))
    return below
