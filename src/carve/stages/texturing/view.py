"""What the photo shows of a surface, and how far each pixel can be trusted to show the part that the surface has there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import (
    HANDS,
    LEGS,
    LOWER_ARMS,
    TORSO,
    UPPER_ARMS,
    face_zone,
)
from carve.geometry.camera import Camera
from carve.geometry.meshing.fringe import own_colours
from carve.geometry.pictures.sampling import complete, sample
from carve.geometry.raster import Raster, rasterise
from carve.geometry.unwrapping.atlas import Texels
from carve.records import CanonicalSurface, Landmarks, Observation, PosedSurface
from carve.stages.texturing.params import Params

_IN_FRONT = 0.12
"""An arm this far behind what the camera sees may still be the one in front, metres: depths are the least certain."""
_INNER = 0.008
"""How far inside an arm's own outline its colours are taken for sure, metres."""
_LOCAL = 0.03
"""Scale over which the colours of arms, and of what is beside them, are compared, metres."""
_NOISE = (8.0, 4.0, 4.0)
"""Standard deviations of one and the same cloth's or skin's light and hue, of 255."""
_SLIT = 0.012
"""Gaps of the face, metres: between the lips, between the lids."""
_SHOULDER = 0.08
"""Trunk within this distance of the upper arms, in the canonical pose, goes on into them, metres."""


FRINGE = 0.008
"""Width of the strip inside the outline that may show some of the background, share of the person's height in the photo."""


@dataclass(frozen=True)
class View:
    """The person's window of the photo at working resolution, and what it sees of the surface."""

    camera: Camera
    picture: np.ndarray
    """(H, W, 3) float32 sRGB, 0..255."""
    valid: np.ndarray
    """(H, W) float32: 1 where the pixel surely shows the surface that the camera sees there."""
    sure: np.ndarray
    """(H, W) float32: 1 well away from outlines and edges, where the pixel would show the same part if the surface were a little off."""
    clear: np.ndarray
    """(H, W) float32: 0 where an arm may hide trunk and legs, by the surface or by the landmarks; else 1."""
    raster: Raster
    metre: float
    """Pixels a metre at the person's distance."""


def look(
    observation: Observation, posed: PosedSurface, normals: np.ndarray, grid: Texels, params: Params, fitted: np.ndarray | None = None
) -> View:
    """Cut the person out of the photo at a resolution that suits the texture, and rasterise the surface there.

    `fitted` (V,) is 1 where the surface surely lies as the photo has it, so that its edges need no margin, 0 elsewhere.
    """
    photo, camera = observation.photo, posed.camera
    width, height = photo.size
    pixels = camera.project(posed.vertices)
    rows, columns = np.nonzero(observation.mask > 0.5)
    low = np.minimum(pixels.min(0), [columns.min(), rows.min()] if len(rows) else np.inf) - 4
    high = np.maximum(pixels.max(0), [columns.max(), rows.max()] if len(rows) else -np.inf) + 4
    left, top = np.clip(np.floor(low), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(high), [left + 1, top + 1], [width, height]).astype(int)
    metre = camera.focal / float(np.median(-posed.vertices[:, 2]))
    corners = posed.vertices[posed.canonical.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    density = np.sqrt(len(grid.index) / max(area, 1e-9))
    # A photo finer than the texture is averaged to the texture's density first; a small one is enlarged so that depths are tested finely.
    scale = min(1.0, 1.2 * density / metre)
    scale = max(scale, 1024 / max(right - left, bottom - top))
    size = (max(round((right - left) * scale), 2), max(round((bottom - top) * scale), 2))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = np.clip(cv2.resize(photo.pixels[top:bottom, left:right].astype(np.float32), size, interpolation=how), 0, 255)
    mask = cv2.resize(observation.mask[top:bottom, left:right].astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    window = camera.cropped(left, top, size[0], size[1], scale)
    raster = rasterise(posed.vertices, posed.canonical.faces, window)
    tall = float(np.ptp(window.project(posed.vertices)[:, 1]))
    picture = own_colours(picture, mask, max(FRINGE * tall, 3 * scale))
    # One pixel of the photo is the least margin: bilinear samples reach that far.
    # The frame of the picture is no outline: the person goes on beyond it.
    to_outline = cv2.distanceTransform((mask > 0.75).astype(np.uint8), cv2.DIST_L2, 5)
    depth = _without_slits(raster, posed.canonical, metre * scale)
    to_edge = cv2.distanceTransform((~_depth_edges(depth, params.occlusion_step)).astype(np.uint8), cv2.DIST_L2, 5)
    outline = np.clip(to_outline / max(params.outline_margin * tall, scale) - 1, 0, 1)
    hidden = np.clip(to_edge / max(params.occlusion_margin * tall, scale) - 1, 0, 1)
    if fitted is not None and fitted.any():
        hidden = np.maximum(hidden, raster.interpolate(fitted[:, None], posed.canonical.faces)[..., 0])
    sure = np.clip(np.minimum(to_outline, to_edge) / (params.sure_margin * metre * scale), 0, 1)
    clear = _clear_of_arms(picture, observation.landmarks, posed, raster, (left, top, scale), outline, metre * scale, params)
    return View(window, picture, outline * hidden * raster.mask, sure, clear, raster, metre * scale)


def _clear_of_arms(
    picture: np.ndarray,
    landmarks: Landmarks,
    posed: PosedSurface,
    raster: Raster,
    crop: tuple[int, int, float],
    outline: np.ndarray,
    metre: float,
    params: Params,
) -> np.ndarray:
    """(H, W) float32: 0 where an arm seems to lie in front of what the surface has there of trunk and legs, else 1.

    `crop` is the window's left and top in the photo and its scale, `outline` (H, W) the weight of pixels by the person's mask, `metre` the
    pixels of a metre there.
    """
    surface = posed.canonical
    region = np.where(raster.mask, surface.region[surface.faces[np.maximum(raster.face, 0), 0]], len(REGIONS))
    beside, marked = np.ones(region.shape, np.float32), np.ones(region.shape, np.float32)
    found = {name: (landmarks.pixels[i] - crop[:2]) * crop[2] for i, name in enumerate(landmarks.names) if landmarks.confidence[i] > 0.4}
    arms = np.isin(region, (*UPPER_ARMS, *LOWER_ARMS, *HANDS))
    for k, side in enumerate(("left", "right")):
        drawn = np.isin(region, (UPPER_ARMS[k], LOWER_ARMS[k], HANDS[k]))
        if drawn.any():
            away, label = cv2.distanceTransformWithLabels((~drawn).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
            depth = np.zeros(label.max() + 1, np.float32)
            depth[label[drawn]] = raster.depth[drawn]
            beside = np.minimum(beside, _beyond(away, params.arm_margin * metre, depth[label] < raster.depth + _IN_FRONT))
        hand = [at for name, at in found.items() if name.startswith(f"{side}_hand_")]
        forearm = [found[name] for name in (f"{side}_elbow", f"{side}_wrist") if name in found]
        for points, margin, part in ((hand, params.hand_margin, HANDS[k]), (forearm, params.arm_width, LOWER_ARMS[k])):
            if len(points) < 2 or not (surface.region == part).any():
                continue
            hull = cv2.convexHull(np.round(points).astype(np.int32))
            away = np.ones(region.shape, np.uint8)
            cv2.polylines(away, [hull], True, 0)
            cv2.fillPoly(away, [hull], 0)
            hides = np.median(-posed.vertices[surface.region == part, 2]) < raster.depth + _IN_FRONT
            marked = np.minimum(marked, _beyond(cv2.distanceTransform(away, cv2.DIST_L2, 5), margin * metre, hides))
    clear = np.minimum(beside, marked)
    if clear.min() == 1:
        return clear
    inner = cv2.distanceTransform(arms.astype(np.uint8), cv2.DIST_L2, 5) > _INNER * metre
    behind = np.isin(region, (TORSO, *LEGS))
    # Light varies over one cloth far more than its hue does.
    colours = cv2.blur(cv2.cvtColor(picture / 255, cv2.COLOR_RGB2YCrCb) * 255, (2 * round(0.002 * metre) + 1,) * 2)
    arm, _ = _resemblance(colours, inner * outline, metre)
    other, strange = _resemblance(colours, behind * (clear == 1) * outline, metre)
    # Beside the arm of the surface the arm's colour must fit better; where landmarks say that there is an arm, the other need only not fit.
    small, gap = (2 * round(size * metre) + 1 for size in (0.004, 0.008))
    like_arm = np.clip(cv2.blur(np.clip(arm - other, -4, 4), (small, small)) + 0.5, 0, 1)
    not_other = np.clip(cv2.blur(np.clip(strange, 0, 8), (small, small)) - 2.5, 0, 1)
    hidden = np.maximum((1 - clear) * like_arm, (1 - marked) * not_other)
    # What lies between fingers is their shadow, and the rim of an arm is mixed with what is behind it.
    hidden = cv2.morphologyEx(hidden, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap)))
    return 1 - cv2.dilate(hidden, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (small, small)))


def _resemblance(colours: np.ndarray, weight: np.ndarray, metre: float) -> tuple[np.ndarray, np.ndarray]:
    """How colours (H, W, 3), light first and hue after it, go with the nearest ones that have `weight` (H, W).

    Returns (H, W) their log likelihood, lowest if nothing has weight, and (H, W) their distance in standard deviations.
    """
    if (weight > 0.5).sum() < 16:
        return np.full(weight.shape, -1e3, np.float32), np.zeros(weight.shape, np.float32)
    pyramid = complete(np.dstack([colours, colours**2]), weight)
    level = pyramid[min(max(round(np.log2(_LOCAL * metre)), 0), len(pyramid) - 1)]
    near = cv2.resize(level, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
    variance = np.maximum(near[..., 3:] - near[..., :3] ** 2, 0) + np.square(_NOISE, dtype=np.float32)
    square = ((colours - near[..., :3]) ** 2 / variance).sum(-1)
    return -(square + np.log(variance).sum(-1)) / 2, np.sqrt(square)


def _beyond(distance: np.ndarray, margin: float, hides: np.ndarray) -> np.ndarray:
    """(H, W) float32: 0 within `margin` pixels of something, 1 from one and a half margins on and where it `hides` nothing."""
    return np.where(hides, np.clip(2 * distance / margin - 2, 0, 1), 1).astype(np.float32)


def find_behind_arms(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: trunk and legs, where an arm is another part: not around the shoulders, which the arms grow out of."""
    behind = np.isin(surface.region, (TORSO, *LEGS))
    arms = np.isin(surface.region, UPPER_ARMS)
    if arms.any():
        distance, _ = cKDTree(surface.vertices[arms]).query(surface.vertices[behind], distance_upper_bound=_SHOULDER)
        behind[behind] = ~np.isfinite(distance)
    return behind


def _without_slits(raster: Raster, surface: CanonicalSurface, metre: float) -> np.ndarray:
    """(H, W) the depth, on the face without what is seen through gaps narrower than _SLIT: lips are no edge of one part before another."""
    zone = face_zone(surface)[surface.faces].all(1)[np.maximum(raster.face, 0)] & raster.mask
    side = max(round(_SLIT * metre), 3) | 1
    far = np.where(raster.mask, raster.depth, 0).astype(np.float32)
    opened = cv2.morphologyEx(far, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.where(zone, np.minimum(opened, raster.depth), raster.depth)


def _depth_edges(depth: np.ndarray, step: float) -> np.ndarray:
    """(H, W) bool: a neighbour lies more than `step` metres nearer or farther, both on the surface."""
    finite = np.where(np.isfinite(depth), depth, np.nan)
    edges = np.zeros(depth.shape, bool)
    with np.errstate(invalid="ignore"):
        across, down = np.abs(np.diff(finite, axis=1)) > step, np.abs(np.diff(finite, axis=0)) > step
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def facing(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) cosine between normals and the direction to the camera; negative when turned away."""
    square = np.einsum("ni,ni->n", points, points) * np.einsum("ni,ni->n", normals, normals)
    return -np.einsum("ni,ni->n", points, normals) / np.sqrt(np.maximum(square, 1e-20))


def photo_weight(view: View, points: np.ndarray, normals: np.ndarray, behind_arms: np.ndarray, params: Params) -> np.ndarray:
    """(N,) how far the photo gives the colour of surface points (N, 3), camera frame, with normals (N, 3).

    `behind_arms` (N,) says which points an arm may hide although the surface's own arms do not.
    """
    full, none = np.cos(np.radians(params.grazing_degrees))
    t = np.clip((facing(points, normals) - none) / (full - none), 0, 1)
    weight = t * t * (3 - 2 * t)
    candidates = np.flatnonzero(weight > 0)
    pixels = view.camera.project(points[candidates])
    height, width = view.valid.shape
    inside = (pixels > 0).all(1) & (pixels < [width, height]).all(1)
    # The farthest of the four nearest pixels: a point between pixels on a slope must not hide itself.
    column, row = np.floor(pixels - 0.5).T
    depth = np.full(len(pixels), -np.inf, np.float32)
    for i in (row, row + 1):
        for j in (column, column + 1):
            at = view.raster.depth[np.clip(i, 0, height - 1).astype(int), np.clip(j, 0, width - 1).astype(int)]
            depth = np.maximum(depth, np.where(np.isfinite(at), at, -np.inf))
    visible = inside & (-points[candidates, 2] < depth + params.depth_tolerance)
    weight[candidates] *= np.where(visible, sample(view.valid, pixels)[:, 0], 0)
    weight[candidates] *= np.where(behind_arms[candidates], sample(view.clear, pixels)[:, 0], 1)
    return weight
