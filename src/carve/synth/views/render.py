"""Photographing a scene into buffers: everything that relighting and the truth need, from one camera.

Notation: R, t take the posed body frame to the camera frame, x_cam = R x + t. Buffers are rasterised at SUPER times their size,
then averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from carve.body.places import encode_places
from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.geometry.mesh import face_normals, vertex_normals
from carve.geometry.raster import Raster, rasterise
from carve.synth.records import View
from carve.synth.views.light import cavity, sun_directions, suns_seen
from carve.synth.views.painting import Decal, Paint, albedo_of, blend_decals, places_on_cloth, shown_pixels
from carve.synth.views.placement import Placement
from carve.synth.views.scene import Scene

SUPER = 2
MARGIN = 12
"""Pixels around the person that are looked at: colours are continued over less than that."""
_GRAINY = 0.1
"""Angular radius of a light from which on two rays a pixel leave grain in its shadows, radians."""


@compiled(nogil=True)
def _interpolate(face: np.ndarray, bary: np.ndarray, faces: np.ndarray, values: np.ndarray, sign: np.ndarray, out: np.ndarray) -> None:
    """Per-vertex values (V, C), times each triangle's sign, into the covered pixels of out (H, W, C)."""
    for i in range(face.shape[0]):
        for j in range(face.shape[1]):
            f = face[i, j]
            if f >= 0:
                p, q, r = faces[f, 0], faces[f, 1], faces[f, 2]
                a, b, d = sign[f] * bary[i, j, 0], sign[f] * bary[i, j, 1], sign[f] * bary[i, j, 2]
                for c in range(values.shape[1]):
                    out[i, j, c] = a * values[p, c] + b * values[q, c] + d * values[r, c]


def _interpolated(raster: Raster, values: np.ndarray, faces: np.ndarray, sign: np.ndarray | None = None) -> np.ndarray:
    """(H, W, C) float32, zero outside."""
    out = np.zeros((*raster.face.shape, values.shape[1]), np.float32)
    signs = np.ones(len(faces), np.float32) if sign is None else sign.astype(np.float32)
    _interpolate(raster.face, raster.bary, faces, np.ascontiguousarray(values, np.float32), signs, out)
    return out


def _toward(seen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: the outside of the triangles is turned to the camera; `seen` (V, 3) are their vertices in its frame."""
    return np.asarray(np.einsum("fi,fi->f", face_normals(seen, faces), seen[faces[:, 0]]) < 0)


def _facing(normals: np.ndarray, raster: Raster, toward: np.ndarray, faces: np.ndarray, away: bool) -> np.ndarray:
    """Interpolated normals (H, W, 3), turned over where the camera sees the inside of a surface."""
    return _interpolated(raster, normals, faces, np.where(toward == away, -1.0, 1.0))


def _pool(image: np.ndarray) -> np.ndarray:
    """Mean of SUPER x SUPER blocks of (H, W, ...)."""
    pooled = cv2.resize(image, (image.shape[1] // SUPER, image.shape[0] // SUPER), interpolation=cv2.INTER_AREA)
    return pooled.reshape(image.shape[0] // SUPER, image.shape[1] // SUPER, *image.shape[2:])


def _first(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, ...) the value of the first covered subpixel of each block, zero where none is."""
    out = np.zeros((image.shape[0] // SUPER, image.shape[1] // SUPER, *image.shape[2:]), image.dtype)
    have = np.zeros(out.shape[:2], bool)
    for i in range(SUPER):
        for j in range(SUPER):
            take = mask[i::SUPER, j::SUPER] & ~have
            out[take] = image[i::SUPER, j::SUPER][take]
            have |= take
    return out


def _extended(premultiplied: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Unpremultiplied values (H, W, C), continued a few pixels beyond the covered ones."""
    out = premultiplied / np.maximum(cover, 1e-6)[..., None]
    wide, wide_cover = cv2.blur(premultiplied, (9, 9)), cv2.blur(cover, (9, 9))
    beyond = (cover <= 0) & (wide_cover > 0)
    out[beyond] = (wide if wide.ndim == 3 else wide[..., None])[beyond] / wide_cover[beyond, None]
    return out


def _encoded(normals: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of pooled normals, continued beyond the edge."""
    image = _extended(_pool(normals.astype(np.float32, copy=False)), _pool(mask.astype(np.float32)))
    code = np.zeros(image.shape, np.uint8)
    _encode(image, code)
    return code


@compiled(nogil=True)
def _encode(normals: np.ndarray, code: np.ndarray) -> None:
    """Normals (H, W, 3) of any length as `View` holds them, in place; 0 where there is none."""
    for i in range(normals.shape[0]):
        for j in range(normals.shape[1]):
            length = np.sqrt(normals[i, j, 0] ** 2 + normals[i, j, 1] ** 2 + normals[i, j, 2] ** 2)
            if length > 1e-6:
                for c in range(3):
                    code[i, j, c] = np.uint8(np.round((normals[i, j, c] / length + 1) * 127.5))


def render_view(
    scene: Scene,
    placement: Placement,
    paints: Sequence[Paint],
    decals: Sequence[Decal],
    first_face: np.ndarray,
    landmarks: np.ndarray,
    rng: np.random.Generator,
) -> tuple[View, np.ndarray]:
    """All buffers of one view, and which vertices (V,) bool of the scene the camera sees. `landmarks` (L, 3) are in the body frame."""
    seen = placement.see(scene.vertices)
    frame = placement.camera
    left, top, small = _window(frame, np.concatenate([seen, placement.see(scene.naked)]))
    camera = small.cropped(0, 0, small.width * SUPER, small.height * SUPER, SUPER)
    front, back = (rasterise(seen, scene.faces, camera, farthest) for farthest in (False, True))
    mask, cover = front.mask, _pool(front.mask.astype(np.float32))
    shown, shown_back = (shown_pixels(scene, raster, len(paints), first_face) for raster in (front, back))
    albedo = albedo_of(shown, seen, camera, paints)
    blend_decals(albedo, front, decals, placement, camera)
    normals, toward = scene.normals @ placement.rotation.T, _toward(seen, scene.faces)
    facing = _facing(normals, front, toward, scene.faces, away=False)
    depth = _pool(np.where(mask, front.depth, 0.0).astype(np.float32)) / np.maximum(cover, 1e-6)
    code, depth_range = _depth_code(depth, cover)
    visible = np.zeros(len(seen), bool)
    nearest = _nearest_vertices(front.face, front.bary, scene.faces, visible)
    marks = placement.see(landmarks)
    suns = sun_directions(placement.rotation[:, 1], rng)
    images: dict[str, Any] = dict(
        coverage=np.round(cover * 255).astype(np.uint8),
        albedo=_colour(albedo, cover),
        albedo_back=_colour(albedo_of(shown_back, seen, camera, paints), cover),
        normal=_encoded(facing, mask),
        normal_back=_encoded(_facing(normals, back, toward, scene.faces, away=True), mask),
        **_naked_normals(scene, placement, camera),
        depth=code,
        **_light(scene, front, facing, depth, cover, replace(placement, camera=small), suns, rng),
        part=_part(scene, front),
        part_back=_part(scene, back),
        place=_place(scene, front),
        fabric=_first(places_on_cloth(shown, camera, paints), front.mask),
        fabric_back=_first(places_on_cloth(shown_back, camera, paints), back.mask),
        region=_first(np.where(mask, scene.region[nearest], 0).astype(np.uint8), mask),
    )
    view = View(
        camera=frame,
        up=placement.rotation[:, 1],
        depth_range=depth_range,
        sun_directions=suns[0],
        sun_radii=suns[1],
        landmarks=np.column_stack([frame.project(marks), -marks[:, 2], _unhidden(front, camera, marks)]),
        **{name: _framed(image, left, top, frame) for name, image in images.items()},
    )
    return view, visible


def _window(frame: Camera, points: np.ndarray) -> tuple[int, int, Camera]:
    """Left and top, in pixels of the frame, of what shows points (N, 3) with a margin, and the camera of that window."""
    pixels = frame.project(points[points[:, 2] < -1e-6])
    low, high = np.floor(pixels.min(0)).astype(int) - MARGIN, np.ceil(pixels.max(0)).astype(int) + MARGIN
    # The pattern of `cavity` repeats every four pixels.
    left, top = np.clip(low // 4 * 4, 0, [frame.width - 4, frame.height - 4])
    right, bottom = np.clip(high, [left + 4, top + 4], [frame.width, frame.height])
    return int(left), int(top), frame.cropped(left, top, int(right - left), int(bottom - top))


def _framed(image: np.ndarray, left: int, top: int, frame: Camera) -> np.ndarray:
    """What a window shows in the frame, zero around it."""
    out = np.zeros((frame.height, frame.width, *image.shape[2:]), image.dtype)
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


def _colour(albedo: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of colours (2H, 2W, 3)."""
    return np.clip(np.round(_extended(_pool(albedo), cover)), 0, 255).astype(np.uint8)


def _naked_normals(scene: Scene, placement: Placement, camera: Camera) -> dict[str, np.ndarray]:
    """The normals of the body without clothes, front and back."""
    seen, normals = placement.see(scene.naked), vertex_normals(scene.naked, scene.naked_faces) @ placement.rotation.T
    toward, found = _toward(seen, scene.naked_faces), {}
    for name, farthest in (("body_normal", False), ("body_normal_back", True)):
        raster = rasterise(seen, scene.naked_faces, camera, farthest)
        found[name] = _encoded(_facing(normals, raster, toward, scene.naked_faces, farthest), raster.mask)
    return found


def _light(
    scene: Scene,
    raster: Raster,
    facing: np.ndarray,
    depth: np.ndarray,
    cover: np.ndarray,
    placement: Placement,
    suns: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """The shadows of suns, and how much of the sky each pixel sees, at the scale of limbs and at that of folds."""
    sky = _interpolated(raster, np.column_stack([scene.free, scene.bent @ placement.rotation.T]), scene.faces)
    occlusion = _extended(_pool(sky[..., :1]), cover)[..., 0]
    unit = _pool(facing)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=-1, keepdims=True), 1e-6)
    occlusion = occlusion * cavity(np.where(cover > 0.5, depth, 0.0), unit, placement.camera)
    return {
        "occlusion": np.round(np.clip(occlusion, 0, 1) * 255).astype(np.uint8),
        "bent": _encoded(sky[..., 1:], raster.mask),
        "sun_free": _shadows(scene, raster, facing, placement, suns, rng),
    }


def _shadows(
    scene: Scene,
    raster: Raster,
    facing: np.ndarray,
    placement: Placement,
    suns: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """(H, W, S) uint8, see `View.sun_free`; `suns` are directions (S, 3) in the camera frame and radii (S,)."""
    # Two of a pixel's subpixels, on a diagonal, look at the lights.
    traced = raster.mask.copy()
    traced[::2, 1::2] = traced[1::2, ::2] = False
    asked = np.flatnonzero(traced)
    points = _interpolated(raster, scene.vertices, scene.faces).reshape(-1, 3)[asked]
    normals = facing.reshape(-1, 3)[asked] @ placement.rotation.astype(np.float32)
    directions, radii = suns
    free = np.zeros((traced.size, len(radii)), np.float32)
    free[asked] = suns_seen(scene.occluders, points, normals, directions @ placement.rotation, radii, rng)
    free, share = _pool(free.reshape(*traced.shape, len(radii))), _pool(traced.astype(np.float32))
    for k in np.flatnonzero(radii > _GRAINY):
        smooth = cv2.GaussianBlur(np.ascontiguousarray(free[..., k]), (0, 0), 1.2)
        free[..., k] = smooth * share / np.maximum(cv2.GaussianBlur(share, (0, 0), 1.2), 1e-6)
    return np.round(np.clip(_extended(free, share), 0, 1) * 255).astype(np.uint8)


def _part(scene: Scene, raster: Raster) -> np.ndarray:
    return _first(np.where(raster.mask, scene.part[np.maximum(raster.face, 0)], 0).astype(np.uint8), raster.mask)


def _place(scene: Scene, raster: Raster) -> np.ndarray:
    """(H, W, 3) uint16, see `View.place`."""
    return _first(encode_places(_interpolated(raster, scene.place, scene.faces), raster.mask), raster.mask)


@compiled(nogil=True)
def _nearest_vertices(face: np.ndarray, bary: np.ndarray, faces: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(H, W) the vertex with the largest share of each pixel, 0 outside; `seen` (V,) is set for those with more than a twentieth."""
    out = np.zeros(face.shape, np.int64)
    for i in range(face.shape[0]):
        for j in range(face.shape[1]):
            f = face[i, j]
            if f < 0:
                continue
            most = np.float32(-1.0)
            for k in range(3):
                if bary[i, j, k] > 0.05:
                    seen[faces[f, k]] = True
                if bary[i, j, k] > most:
                    most = bary[i, j, k]
                    out[i, j] = faces[f, k]
    return out


def _depth_code(depth: np.ndarray, cover: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """(H, W) uint16 of depths (H, W) where there is something, and their range."""
    inner = cover > 0
    near, far = float(depth[inner].min()) - 0.01, float(depth[inner].max()) + 0.01
    code = np.round((depth - near) / (far - near) * 65534 + 1)
    return np.where(inner, code, 0).astype(np.uint16), (near, far)


def _unhidden(raster: Raster, camera: Camera, points: np.ndarray) -> np.ndarray:
    """(L,) 1 where nothing lies more than 12 cm before a landmark and it falls into the picture: joints lie within the limb."""
    pixel = np.floor(camera.project(points)).astype(int)
    inside = (pixel >= 0).all(1) & (pixel[:, 0] < camera.width) & (pixel[:, 1] < camera.height)
    at = np.clip(pixel, 0, [camera.width - 1, camera.height - 1])
    depth = raster.depth[at[:, 1], at[:, 0]]
    return (inside & np.isfinite(depth) & (-points[:, 2] < depth + 0.12)).astype(float)
