"""The photo as each part of the body shows itself in it, and each vertex's counterpart on the other half of the body."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import (
    FEET,
    HANDS,
    HEAD,
    LEGS,
    LOWER_ARMS,
    TORSO,
)
from carve.geometry.frames import mirrored_x
from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.sampling import complete, sample
from carve.records import CanonicalSurface, PosedSurface
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View

_OTHER_TONE = 1.0
"""Times the detail that is allowed: where tones differ by so much the pixel is half another cloth's."""


@dataclass(frozen=True)
class Layer:
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
        """(N, 4) what to add to tones `wanted` (N, 4) to copy the picture's detail at pixels (N, 2) where it is of that cloth, how far."""
        sharp, tone = sample(self.sharp, pixels - self.corner), self.tone(pixels)[:, :3]
        change, apart = sharp[:, :3] - tone, tone - wanted[:, :3]
        allowed = limits[0] + limits[1] * wanted[:, 3]
        # Neither what stands out of its cloth, nor anything of another cloth whose details happen to look like this one.
        excess, other = (np.einsum("nc,nc->n", d, d) / (3 * most**2) for d, most in ((change, allowed), (apart, _OTHER_TONE * allowed)))
        share = sharp[:, 3] / ((1 + excess**3) * (1 + other**3))
        return np.column_stack([change * share[:, None], share])


def find_layers(view: View, posed: PosedSurface, behind_arms: np.ndarray, params: Params) -> list[Layer]:
    """One layer a region."""
    surface = posed.canonical
    weight = view.valid * raster_facing(view)
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
        pyramid = tone_pyramid(picture, shown)
        distance = cv2.distanceTransform((shown < 0.3).astype(np.uint8), cv2.DIST_L2, 5)
        trust = np.exp(-((distance / reach_pixels) ** 2)) * shown.any()
        layers.append(Layer(np.array([left, top]), np.dstack([pyramid[0][..., :3], trust]), pyramid[min(level, len(pyramid) - 1)]))
    return layers


def tone_pyramid(picture: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    """`sampling.complete` of a picture (h, w, 3) by its weight (h, w), with the mean square of its channels as a fourth one."""
    return complete(np.dstack([picture, np.einsum("hwc,hwc->hw", picture, picture) / 3]), weight)


def raster_facing(view: View) -> np.ndarray:
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
class Mirror:
    """Each vertex's counterpart on the other half of the body."""

    pixels: np.ndarray
    """(V, 2) where the camera has it."""
    weight: np.ndarray
    """(V,) 0..1 how well the photo shows it."""


def find_mirror(surface: CanonicalSurface, posed: PosedSurface, seen: np.ndarray, view: View) -> Mirror:
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
    return Mirror(view.camera.project(points), weight)
