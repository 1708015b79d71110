"""Texture: the photo projected onto what the camera saw, and plausible colours for the rest.

Notation: w weight of the photo at a texel, 0..1; tone: colours averaged over a few centimetres; base: a smooth tone for every vertex,
spread over the surface from where the photo (or its mirror image on the other half of the body) is known; detail: a picture minus its
own tone.

    colour = w photo + (1 - w) (base + detail)

Seen texels keep the photo. Unseen ones take their tone from around the limb, so a jacket closes behind the back in the jacket's colour and
no face appears on the back of the head; fine structure comes from the mirrored half of the body or from the pixel in front, as far as its
tone fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import (
    ALIGNED,
    ATTACHED,
    FEET,
    HANDS,
    HEAD,
    LEGS,
    LOWER_ARMS,
    MIRRORED,
    TORSO,
    UPPER_ARMS,
    above_nape,
    crown,
    face_zone,
    limb_axes,
    limb_coordinates,
    neck,
)
from carve.bounds import Factor, Length, Rising, Scale
from carve.geometry.atlas import Texels, texels, to_image, unwrap
from carve.geometry.camera import Camera
from carve.geometry.diffusion import spread, stiffness
from carve.geometry.frames import mirrored_x
from carve.geometry.fringe import own_colours
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.raster import Raster, rasterise
from carve.geometry.sampling import complete, sample
from carve.records import CanonicalSurface, Landmarks, Observation, PosedSurface, TexturedSurface
from carve.stages.unseen_feet import shod

_IN_FRONT = 0.12
"""An arm this far behind what the camera sees may still be the one in front, metres: depths are the least certain."""
_INNER = 0.008
"""How far inside an arm's own outline its colours are taken for sure, metres."""
_LOCAL = 0.03
"""Scale over which the colours of arms, and of what is beside them, are compared, metres."""
_NOISE = (8.0, 4.0, 4.0)
"""Standard deviations of one and the same cloth's or skin's light and hue, of 255."""
_SHOULDER = 0.08
"""Trunk within this distance of the upper arms, in the canonical pose, goes on into them, metres."""


FRINGE = 0.008
"""Width of the strip inside the outline that may show some of the background, share of the person's height in the photo."""


@dataclass(frozen=True)
class Params:
    """How the texture is made."""

    size: Annotated[int, Field(ge=256, le=8192)] = 2048
    """Texels along a side of the texture."""
    padding: Annotated[int, Field(ge=0, le=64)] = 6
    """Gap between charts, texels."""
    gutter: Annotated[int, Field(ge=0, le=64)] = 8
    """How far colours continue beyond the charts, texels."""
    outline_margin: Annotated[float, Field(ge=0, le=0.1)] = 0.003
    """How far inside the person's outline a pixel must lie before it counts, share of the person's height in the photo."""
    occlusion_margin: Annotated[float, Field(ge=0, le=0.1)] = 0.004
    """How far from an edge where one part hides another a pixel must lie before it counts, share of the person's height."""
    occlusion_step: Scale = 0.03
    """Jump in depth that makes such an edge, metres."""
    grazing_degrees: Rising[Annotated[float, Field(ge=0, le=90)]] = (66.0, 84.0)
    """Angle between the normal and the viewing ray up to which the photo counts fully, and from which it counts nothing."""
    depth_tolerance: Scale = 0.006
    """How far behind the nearest surface a texel may lie and still be seen, metres."""
    arm_margin: Length = 0.04
    """How far beside an arm or hand in front of it trunk and legs do not take the photo's colour if it is the arm's, metres: fits err."""
    arm_width: Length = 0.06
    """Half the width of such a strip around a forearm's landmarks, metres."""
    hand_margin: Length = 0.04
    """How far such a patch reaches beyond the landmarks of a hand, metres."""
    sure_margin: Length = 0.02
    """How far from outlines and such edges colours must lie before they spread to unseen places, metres: fits are not exact."""
    overlap: Length = 0.06
    """How far a region's colours may be taken from its neighbours', metres."""
    tone: Scale = 0.024
    """Scale over which the photo is averaged to a tone, metres; half of it for head, hands and feet."""
    reach: Scale = 0.03
    """Detail fades over this distance from pixels that show the region, metres."""
    contrast: tuple[Annotated[float, Field(ge=1, le=255)], Factor] = (8.0, 1.0)
    """Detail that differs from the tone by more than the first (of 255) plus the second times the cloth's usual contrast is left out."""
    pull: Annotated[float, Field(ge=1e-4, le=10)] = 0.04
    """How firmly unseen places keep to what is known around their limb, against their neighbours."""
    across: Annotated[float, Field(ge=1e-5, le=1)] = 0.005
    """How readily tone spreads along a limb, against around it."""


@dataclass(frozen=True)
class _View:
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


@dataclass(frozen=True)
class _Layer:
    """The photo as one region of the body shows itself in it, continued where it is hidden; a window around the region."""

    corner: np.ndarray
    """(2,) pixels of the view at the window's upper left corner."""
    sharp: np.ndarray
    """(h, w, 4) float32 colour, and trust 0..1 that falls with the distance from pixels that show the region."""
    blurred: np.ndarray
    """(h / 2^k, w / 2^k, 4) float32 tone: mean colour, and mean square of the channels."""

    def tone(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 4) tone at pixels (N, 2) of the view: mean colour, and contrast as the standard deviation of the channels."""
        scale = np.array(self.blurred.shape[1::-1]) / self.sharp.shape[1::-1]
        tone = sample(self.blurred, (pixels - self.corner) * scale)
        square = np.einsum("nc,nc->n", tone[:, :3], tone[:, :3]) / 3
        return np.column_stack([tone[:, :3], np.sqrt(np.maximum(tone[:, 3] - square, 0))])

    def detail(self, pixels: np.ndarray, wanted: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
        """(N, 3) what to add to the tones `wanted` (N, 4) to copy the picture at pixels (N, 2), where it is of that kind of cloth."""
        sharp = sample(self.sharp, pixels - self.corner)
        change = sharp[:, :3] - wanted[:, :3]
        allowed = limits[0] + limits[1] * wanted[:, 3]
        excess = np.einsum("nc,nc->n", change, change) / (3 * allowed**2)
        return change * (sharp[:, 3] / (1 + excess**3))[:, None]


def bake_texture(observation: Observation, posed: PosedSurface, params: Params) -> TexturedSurface:
    """Unwrap the surface and colour it from the photo."""
    surface = posed.canonical
    normals = vertex_normals(posed.vertices, surface.faces)
    atlas = unwrap(surface.vertices, surface.faces, _chart_labels(surface), params.size, params.padding)
    grid = texels(atlas, params.size)
    view = _look(observation, posed, normals, grid, params)
    behind_arms = _behind_arms(surface)
    seen = _photo_weight(view, posed.vertices, normals, behind_arms, params)
    layers = _layers(view, posed, behind_arms, params)
    mirror = _mirror(surface, posed, seen, view)
    base = _base_colours(surface, view, layers, seen, mirror, posed.vertices, params)
    colours, weight = _paint(view, posed, normals, behind_arms, grid, layers, mirror, base, params)
    colours = shod(colours, weight, grid, surface)
    albedo = to_image(np.round(colours).astype(np.uint8), grid, params.gutter)
    seen_map = to_image(np.round(weight * 255).astype(np.uint8), grid, params.gutter)[..., 0]
    return TexturedSurface(posed, atlas.corner, atlas.faces, atlas.uv, albedo, seen_map)


def _chart_labels(surface: CanonicalSurface) -> np.ndarray:
    """(F,) label of each triangle: its region, front or back (above or below for hands and feet)."""
    smooth = diffuse(vertex_normals(surface.vertices, surface.faces), surface.faces, 20)
    region = surface.region[surface.faces[:, 0]].astype(np.int64)
    axis = np.where(np.isin(region, HANDS + FEET), 1, 2)
    facing = smooth[surface.faces].mean(1)[np.arange(len(region)), axis] > 0
    return 2 * region + facing


def _look(observation: Observation, posed: PosedSurface, normals: np.ndarray, grid: Texels, params: Params) -> _View:
    """Cut the person out of the photo at a resolution that suits the texture, and rasterise the surface there."""
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
    to_edge = cv2.distanceTransform((~_depth_edges(raster.depth, params.occlusion_step)).astype(np.uint8), cv2.DIST_L2, 5)
    outline = np.clip(to_outline / max(params.outline_margin * tall, scale) - 1, 0, 1)
    hidden = np.clip(to_edge / max(params.occlusion_margin * tall, scale) - 1, 0, 1)
    sure = np.clip(np.minimum(to_outline, to_edge) / (params.sure_margin * metre * scale), 0, 1)
    clear = _clear_of_arms(picture, observation.landmarks, posed, raster, (left, top, scale), outline, metre * scale, params)
    return _View(window, picture, outline * hidden * raster.mask, sure, clear, raster, metre * scale)


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


def _behind_arms(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: trunk and legs, where an arm is another part: not around the shoulders, which the arms grow out of."""
    behind = np.isin(surface.region, (TORSO, *LEGS))
    arms = np.isin(surface.region, UPPER_ARMS)
    if arms.any():
        distance, _ = cKDTree(surface.vertices[arms]).query(surface.vertices[behind], distance_upper_bound=_SHOULDER)
        behind[behind] = ~np.isfinite(distance)
    return behind


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


def _facing(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) cosine between normals and the direction to the camera; negative when turned away."""
    square = np.einsum("ni,ni->n", points, points) * np.einsum("ni,ni->n", normals, normals)
    return -np.einsum("ni,ni->n", points, normals) / np.sqrt(np.maximum(square, 1e-20))


def _photo_weight(view: _View, points: np.ndarray, normals: np.ndarray, behind_arms: np.ndarray, params: Params) -> np.ndarray:
    """(N,) how far the photo gives the colour of surface points (N, 3), camera frame, with normals (N, 3).

    `behind_arms` (N,) says which points an arm may hide although the surface's own arms do not.
    """
    full, none = np.cos(np.radians(params.grazing_degrees))
    t = np.clip((_facing(points, normals) - none) / (full - none), 0, 1)
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


def _layers(view: _View, posed: PosedSurface, behind_arms: np.ndarray, params: Params) -> list[_Layer]:
    """One layer a region."""
    surface = posed.canonical
    weight = view.valid * _raster_facing(view)
    reach_pixels = params.reach * view.metre
    pixels = view.camera.project(posed.vertices)
    height, width = weight.shape
    # Of pixels around the shoulders the arms' own colours count, too: they go on from the trunk's.
    hidden = (behind_arms | np.isin(surface.region, (*LOWER_ARMS, *HANDS)))[surface.faces[np.maximum(view.raster.face, 0), 0]]
    layers = []
    for region in range(len(REGIONS)):
        near = _with_neighbours(surface, region, params.overlap)
        fine = region in (HEAD, *HANDS, *FEET)
        tone_pixels = max(params.tone * view.metre / (2 if fine else 1), 2.0)
        level = round(np.log2(tone_pixels))
        own = pixels[near] if near.any() else np.zeros((1, 2))
        left, top = np.clip(np.floor(own.min(0) - 2 * tone_pixels), 0, [width - 2, height - 2]).astype(int)
        right, bottom = np.clip(np.ceil(own.max(0) + 2 * tone_pixels), [left + 2, top + 2], [width, height]).astype(int)
        window = (slice(top, bottom), slice(left, right))
        face = view.raster.face[window]
        member = near[surface.faces].sum(1)[np.maximum(face, 0)] >= 2
        shown = weight[window] * member
        if region in (TORSO, *LEGS):
            shown = shown * np.where(hidden[window], view.clear[window], 1)
        if (shown > 0.5).sum() < 16:
            shown = np.zeros_like(shown)
        picture = view.picture[window]
        pyramid = complete(np.dstack([picture, np.einsum("hwc,hwc->hw", picture, picture) / 3]), shown)
        distance = cv2.distanceTransform((shown < 0.3).astype(np.uint8), cv2.DIST_L2, 5)
        trust = np.exp(-((distance / reach_pixels) ** 2)) * shown.any()
        layers.append(_Layer(np.array([left, top]), np.dstack([pyramid[0][..., :3], trust]), pyramid[min(level, len(pyramid) - 1)]))
    return layers


def _raster_facing(view: _View) -> np.ndarray:
    """(H, W) weight of pixels by how squarely they see the surface, from the slope of the depth."""
    depth = np.where(view.raster.mask, view.raster.depth, np.nan)
    slope = np.hypot(np.gradient(depth, axis=1), np.gradient(depth, axis=0)) * view.metre
    return np.where(np.isfinite(slope), np.clip(1.5 - slope / 4, 0, 1), 0).astype(np.float32)


def _with_neighbours(surface: CanonicalSurface, region: int, overlap: float) -> np.ndarray:
    """(V,) bool: the region, and what lies within `overlap` metres of it; the head keeps to itself."""
    own = surface.region == region
    if region == HEAD or not own.any():
        return own
    other = np.flatnonzero(~own & (surface.region != HEAD))
    distance, _ = cKDTree(surface.vertices[own]).query(surface.vertices[other], distance_upper_bound=overlap)
    member = own.copy()
    member[other[np.isfinite(distance)]] = True
    return member


@dataclass(frozen=True)
class _Mirror:
    """Each vertex's counterpart on the other half of the body."""

    pixels: np.ndarray
    """(V, 2) where the camera has it."""
    weight: np.ndarray
    """(V,) 0..1 how well the photo shows it."""


def _mirror(surface: CanonicalSurface, posed: PosedSurface, seen: np.ndarray, view: _View) -> _Mirror:
    """Reflect the canonical surface at x = 0 and find it in the photo."""
    normals = vertex_normals(surface.vertices, surface.faces)
    # Normals count as positions 4 cm apart, so that the front of a thin limb does not find its back.
    features = np.concatenate([surface.vertices, 0.04 * normals], axis=1)
    wanted = np.concatenate([mirrored_x(surface.vertices), 0.04 * mirrored_x(normals)], axis=1)
    distance, index = cKDTree(features).query(wanted, k=3)
    share = 1 / (distance + 1e-4)
    share /= share.sum(1, keepdims=True)
    points = np.einsum("vk,vkc->vc", share, posed.vertices[index])
    weight = np.einsum("vk,vk->v", share, seen[index]) * np.exp(-((distance[:, 0] / 0.04) ** 2))
    return _Mirror(view.camera.project(points), weight)


def _base_colours(
    surface: CanonicalSurface,
    view: _View,
    layers: list[_Layer],
    seen: np.ndarray,
    mirror: _Mirror,
    points: np.ndarray,
    params: Params,
) -> np.ndarray:
    """(V, 4) tone for every vertex: smooth colours, and how much detail varies about them."""
    pixels = view.camera.project(points)
    own, other = np.zeros((len(points), 4)), np.zeros((len(points), 4))
    for region, layer in enumerate(layers):
        member = surface.region == region
        own[member] = layer.tone(pixels[member])
        other[member] = layers[MIRRORED[region]].tone(mirror.pixels[member])
    zone = face_zone(surface)
    # Where nothing is sure, on fingers, say, the little that is left still counts against nothing.
    sure = 0.1 + 0.9 * sample(view.sure, pixels)[:, 0]
    source = seen * sure * _is_hair_or_neck(surface, own[:, :3], seen, zone)
    from_mirror = 0.3 * mirror.weight * (1 - seen) * (zone | (surface.region != HEAD))
    known = source + from_mirror
    colours = (source[:, None] * own + from_mirror[:, None] * other) / np.maximum(known, 1e-9)[:, None]
    skin = _skin(surface, own[:, :3], seen)
    if skin is not None:
        # An arm before the trunk often lies beside where the fit has it: of cloth and skin on the trunk, cloth is the better guess.
        known = np.where(surface.region == TORSO, known * (1 - 0.9 * _likeness(colours[:, :3], skin)), known)
    face_is_own = (seen[zone] > 0.5).sum() >= 8 or skin is not None
    hair = above_nape(surface) | _long_hair(surface, own[:, :3], seen, zone)
    guess, guess_weight = _around_limbs(surface, colours, known, np.where(zone & face_is_own, 2, hair))
    if skin is not None and (seen[zone] > 0.5).sum() < 8:
        guess[zone], guess_weight[zone] = [*skin, 0.0], 1.0
    barrier = _touching(surface)
    if face_is_own:
        barrier |= zone[surface.faces].any(1) & ~zone[surface.faces].all(1)
    axes = limb_axes(surface.skeleton)[surface.region[surface.faces[:, 0]]]
    stiff = stiffness(surface.vertices, surface.faces, axes, params.across, np.where(barrier, 1e-3, 1.0))
    pull = params.pull * guess_weight
    weight = 10 * known**2 + pull
    values = 10 * (known**2)[:, None] * colours + pull[:, None] * guess
    return np.clip(spread(stiff, weight, values / weight[:, None]), 0, 255)


def _around_limbs(surface: CanonicalSurface, colours: np.ndarray, known: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) tones that are known at the same height of the same limb, preferably on the near side of it, and the trust in them (V,).

    `known` (V,) weighs the given tones (V, 4). Hair, skin of the face and the rest, by `kind` (V,), take only from their like.
    """
    good = known > 0.02
    mean = np.average(colours[good], axis=0, weights=known[good]) if good.any() else np.array([128.0, 128.0, 128.0, 0.0])
    guess, trust = np.tile(mean, (len(colours), 1)), np.full(len(colours), 1e-3)
    axes = limb_axes(surface.skeleton)
    for region in range(len(REGIONS)):
        for part in np.unique(kind[surface.region == region]):
            wanted = np.flatnonzero((surface.region == region) & (kind == part))
            attached = ALIGNED[region][surface.region]
            sources = np.flatnonzero(good & attached & (kind == part))
            if len(wanted) == 0 or len(sources) < 8:
                continue
            place = limb_coordinates(surface.vertices, surface.region == region, axes[region])
            # Seven centimetres along the limb weigh as much as a quarter turn around it, another region as four.
            place *= [1 / 0.03, 1.6, 1.6]
            place = np.column_stack([place, 1.2 * (surface.region != region)])
            distance, index = cKDTree(place[sources]).query(place[wanted], k=8 if len(sources) < 40 else 40)
            guess[wanted] = _prevailing(colours[sources][index], known[sources][index] / (distance**2 + 0.5) ** 1.5)
            trust[wanted] = 1.0
    return guess, trust


def _prevailing(colours: np.ndarray, weight: np.ndarray, tolerance: float = 20.0) -> np.ndarray:
    """(N, C) the commonest of K tones (N, K, C) with weights (N, K): a coat rather than the mean of a coat and the shirt in its opening."""
    rgb = colours[..., :3].astype(np.float32)
    square = np.einsum("nkc,nkc->nk", rgb, rgb)
    apart = square[:, :, None] + square[:, None, :] - 2 * rgb @ rgb.swapaxes(1, 2)
    alike = np.exp(-np.maximum(apart, 0) / (2 * tolerance**2)) * weight[:, None, :]
    commonest = alike.sum(2).argmax(1)
    share = alike[np.arange(len(colours)), commonest]
    tone = np.einsum("nk,nkc->nc", share, colours) / share.sum(1, keepdims=True)
    # The contrast of the plain cloth, not that of the edges between two garments.
    plain = share / (colours[..., 3] + 4) ** 2
    tone[:, 3] = np.einsum("nk,nk->n", plain, colours[..., 3]) / plain.sum(1)
    return tone


def _likeness(colours: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(N,) 1 for colours (N, 3) that are `skin` (3,) in some light, 0 for others."""
    brightness, reference = colours.sum(1) + 1, skin.sum() + 1
    hue = ((colours / brightness[:, None] - skin / reference) ** 2).sum(1)
    light = np.log(brightness / reference) ** 2
    return np.exp(-hue / (2 * 0.03**2) - light / (2 * 0.5**2))


def _touching(surface: CanonicalSurface) -> np.ndarray:
    """(F,) bool: triangles that bridge parts of the body which only touch, a hand and the hip, say."""
    a, b, c = surface.region[surface.faces].T
    return ~(ATTACHED[a, b] & ATTACHED[b, c] & ATTACHED[c, a])


def _is_hair_or_neck(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """(V,) float: 0 for seen skin of the sides of the head, which must not spread over the hair at the back; else 1."""
    keep = np.ones(len(colours))
    top, face = crown(surface) & (seen > 0.1), zone & (seen > 0.5)
    side = above_nape(surface) & ~zone & ~crown(surface)
    if top.sum() < 8 or face.sum() < 8:
        return keep
    hair, skin = np.median(colours[top], axis=0), np.median(colours[face], axis=0)
    if np.linalg.norm(hair - skin) < 25:
        return keep
    skin_like = np.linalg.norm(colours - skin, axis=1) < np.linalg.norm(colours - hair, axis=1)
    keep[side & skin_like] = 0
    return keep


def _long_hair(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """(V,) bool: where the photo shows dark hair beside the neck, the hair that is seen there and all of the nape; else nothing."""
    nape, beside = neck(surface)
    face, shown = zone & (seen > 0.5), beside & (seen > 0.3)
    around = above_nape(surface) & ~zone & (seen > 0.3)
    none = np.zeros(len(colours), bool)
    if min(around.sum(), face.sum(), shown.sum()) < 8:
        return none
    skin = np.median(colours[face], axis=0)
    from_skin = np.linalg.norm(colours - skin, axis=1)
    around &= from_skin > 50
    hair = np.median(colours[around], axis=0) if around.sum() >= 8 else skin
    # Fair hair cannot be told from collars.
    if hair.sum() > 0.8 * skin.sum():
        return none
    hairy = np.linalg.norm(colours - hair, axis=1) < 0.6 * from_skin
    return nape | (shown & hairy) if hairy[shown].mean() > 0.5 else none


def _skin(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """(3,) colour of bare skin where hands, neck or face show it, if they do."""
    bare = (seen > 0.3) & (np.isin(surface.region, HANDS) | ((surface.region == HEAD) & ~above_nape(surface)))
    red, green, blue = colours.T
    bare &= (red > 1.05 * green) & (green > 0.85 * blue) & (red < 2.5 * green)
    return np.median(colours[bare], axis=0) if bare.sum() >= 8 else None


def _paint(
    view: _View,
    posed: PosedSurface,
    normals: np.ndarray,
    behind_arms: np.ndarray,
    grid: Texels,
    layers: list[_Layer],
    mirror: _Mirror,
    base: np.ndarray,
    params: Params,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) and photo weights (N, 1) of the texels."""
    surface = posed.canonical
    per_vertex = np.concatenate([posed.vertices, normals, base, mirror.pixels, mirror.weight[:, None]], axis=1)
    mixed = grid.interpolate(per_vertex, surface.faces)
    points, normal, tones, counterpart = mixed[:, :3], mixed[:, 3:6], mixed[:, 6:10], mixed[:, 10:]
    weight = _photo_weight(view, points, normal, behind_arms[surface.faces[grid.face, 0]], params)[:, None]
    pixels = view.camera.project(points)
    squarely = np.clip(np.abs(_facing(points, normal))[:, None] / 0.5, 0, 1) ** 2
    region = surface.region[surface.faces[grid.face, 0]]
    colours = tones[:, :3].copy()
    unseen = weight[:, 0] < 0.999
    for k, layer in enumerate(layers):
        member = np.flatnonzero((region == k) & unseen)
        if len(member) == 0:
            continue
        mirrored = counterpart[member, 2:]
        detail = mirrored * layers[MIRRORED[k]].detail(counterpart[member, :2], tones[member], params.contrast)
        if k != HEAD:
            detail += (1 - mirrored) * squarely[member] * layer.detail(pixels[member], tones[member], params.contrast)
        colours[member] += detail
    photo = sample(view.picture, pixels)
    return np.clip(weight * photo + (1 - weight) * colours, 0, 255), weight
