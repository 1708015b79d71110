"""Textures on what a camera sees: colours, and places on the cloth, of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.geometry.raster import Raster, rasterise
from carve.synth.records import FABRIC_UNIT
from carve.synth.views.placement import Placement
from carve.synth.views.scene import Scene


@dataclass(frozen=True)
class Paint:
    """A layer's texture as the renderer needs it."""

    image: np.ndarray
    """(H, W, 3) uint8 sRGB, tiles."""
    alpha: np.ndarray | None
    """(H', W') uint8; used on decals, layers are opaque."""
    uv: np.ndarray
    """(F, 3, 2) of all the layer's triangles, origin top left, one tile per unit."""
    fabric: np.ndarray | None = None
    """(F, 3, 2) metres on the cloth, for what is drawn on it later; None for what is no cloth."""


@dataclass(frozen=True)
class Decal:
    """Something thin that colours what lies behind it without changing its shape: brows, lashes."""

    vertices: np.ndarray
    """(V, 3) posed."""
    faces: np.ndarray
    """(F, 3)"""
    paint: Paint


def _sample(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) float32 of a tiling picture (H, W, C) at uv (N, 2)."""
    out = np.empty((len(uv), image.shape[2]), np.float32)
    _bilinear(image, np.ascontiguousarray(uv, np.float64), out)
    return out


@compiled(nogil=True)
def _bilinear(image: np.ndarray, uv: np.ndarray, out: np.ndarray) -> None:
    height, width, channels = image.shape
    for n in range(len(uv)):
        x, y = (uv[n, 0] % 1.0) * width - 0.5, (uv[n, 1] % 1.0) * height - 0.5
        left, top = np.floor(x), np.floor(y)
        fx, fy = np.float32(x - left), np.float32(y - top)
        x0, y0 = int(left) % width, int(top) % height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        for c in range(channels):
            above = image[y0, x0, c] * (1 - fx) + image[y0, x1, c] * fx
            below = image[y1, x0, c] * (1 - fx) + image[y1, x1, c] * fx
            out[n, c] = above * (1 - fy) + below * fy


@compiled(nogil=True)
def _uv_at(uv: np.ndarray, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """(N, 2) coordinates at places of N triangles: uv (F, 3, 2), face (N,), bary (N, 3)."""
    out = np.zeros((len(face), 2))
    for n in range(len(face)):
        for k in range(3):
            for c in range(2):
                out[n, c] += bary[n, k] * uv[face[n], k, c]
    return out


@dataclass(frozen=True)
class Shown:
    """The covered pixels of a raster, by the layer that they show."""

    pixels: list[np.ndarray]
    """Of each layer (N,) flat indices of its pixels."""
    faces: list[np.ndarray]
    """(N,) its own triangles there."""
    bary: list[np.ndarray]
    """(N, 3)"""
    corners: list[np.ndarray]
    """(K, 3) vertices of the scene's triangles at a few thousand of the pixels at most."""
    some: list[slice]
    """Which pixels those are."""


def shown_pixels(scene: Scene, raster: Raster, layers: int, first_face: np.ndarray) -> Shown:
    """`first_face` maps a shown triangle to its index in its own layer."""
    covered = np.flatnonzero(raster.mask)
    face, bary = raster.face.reshape(-1)[covered], raster.bary.reshape(-1, 3)[covered]
    layer = scene.layer[face]
    mine = [np.flatnonzero(layer == number) for number in range(layers)]
    some = [slice(None, None, max(1, len(each) // 2000)) for each in mine]
    return Shown(
        [covered[each] for each in mine],
        [first_face[face[each]] for each in mine],
        [bary[each] for each in mine],
        [scene.faces[face[each[few]]] for each, few in zip(mine, some, strict=True)],
        some,
    )


def albedo_of(shown: Shown, seen: np.ndarray, camera: Camera, paints: Sequence[Paint]) -> np.ndarray:
    """(H, W, 3) float32 colours of what each pixel sees; `seen` (V, 3) are the vertices in the camera frame."""
    image = np.zeros((camera.height * camera.width, 3), np.float32)
    for number, paint in enumerate(paints):
        if len(shown.pixels[number]):
            faces = shown.faces[number]
            coarse = _coarser(paint, faces[shown.some[number]], camera.project(seen[shown.corners[number]]))
            image[shown.pixels[number]] = _sample(coarse.image, _uv_at(coarse.uv, faces, shown.bary[number]))
    return image.reshape(camera.height, camera.width, 3)


def _coarser(paint: Paint, faces: np.ndarray, corners: np.ndarray) -> Paint:
    """The texture averaged to about one texel a pixel, so that a weave finer than the pixels does not alias.

    `faces` (N,) are the layer's triangles that N pixels see, `corners` (N, 3, 2) their corners in pixels.
    """
    size = np.array([paint.image.shape[1], paint.image.shape[0]])
    area = [np.abs(np.linalg.det(t[:, 1:] - t[:, :1])) for t in (paint.uv[faces] * size, corners)]
    ratio = float(np.median(area[0] / np.maximum(area[1], 1e-6)))
    level = round(0.5 * float(np.log2(max(ratio, 1.0))))
    level = min(level, int(np.log2(size.min())))
    if level == 0:
        return paint
    smaller = (max(int(size[0]) >> level, 1), max(int(size[1]) >> level, 1))
    return replace(paint, image=cv2.resize(paint.image, smaller, interpolation=cv2.INTER_AREA))


def blend_decals(albedo: np.ndarray, raster: Raster, decals: Sequence[Decal], placement: Placement, camera: Camera) -> None:
    """Blend brows and lashes over the albedo, in place."""
    for decal in decals:
        over = rasterise(placement.see(decal.vertices), decal.faces, camera)
        # Behind the surface by less than 6 mm still counts: brows sink into the skin of some faces.
        rows, columns = np.nonzero(over.mask & raster.mask & (over.depth < raster.depth + 0.006))
        face, bary = over.face[rows, columns], over.bary[rows, columns]
        uv = _uv_at(decal.paint.uv, face, bary)
        colour = _sample(decal.paint.image, uv)
        alpha = 1.0 if decal.paint.alpha is None else _sample(decal.paint.alpha[..., None], uv) / 255
        albedo[rows, columns] += alpha * (colour - albedo[rows, columns])


def places_on_cloth(shown: Shown, camera: Camera, paints: Sequence[Paint]) -> np.ndarray:
    """(H, W, 2) uint16, see `View.fabric`."""
    codes = np.zeros((camera.height * camera.width, 2), np.uint16)
    for paint, pixels, faces, bary in zip(paints, shown.pixels, shown.faces, shown.bary, strict=True):
        if paint.fabric is not None and len(pixels):
            codes[pixels] = np.clip(np.round(_uv_at(paint.fabric, faces, bary) / FABRIC_UNIT) + 32768, 1, 65535)
    return codes.reshape(camera.height, camera.width, 2)
