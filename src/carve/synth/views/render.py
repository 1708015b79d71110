"""Photographing a scene into buffers: everything that relighting and the truth need, from one camera.

Notation: R, t take the posed body frame to the camera frame, x_cam = R x + t. Buffers are rasterised at SUPER times their size,
then averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.geometry.mesh import face_normals, vertex_normals
from carve.geometry.raster import Raster, rasterise
from carve.geometry.rotations import axis_rotation
from carve.synth.records import View
from carve.synth.views.scene import Scene

SIZE = 512
"""Pixels along a side of a view."""
SUPER = 2
SUNS = 3
"""Sun directions whose shadows are stored with a view."""
SUN_RADIUS = 0.02
"""Angular radius of the stored suns, radians: larger than the sky's, as haze makes it."""


@dataclass(frozen=True)
class Placement:
    """A camera before the person."""

    camera: Camera
    rotation: np.ndarray
    """(3, 3) R."""
    translation: np.ndarray
    """(3,) t, metres."""

    def see(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the posed body frame in the camera frame."""
        return points @ self.rotation.T + self.translation


@dataclass(frozen=True)
class Paint:
    """A layer's texture as the renderer needs it."""

    image: np.ndarray
    """(H, W, 3) uint8 sRGB, tiles."""
    alpha: np.ndarray | None
    """(H', W') uint8; used on decals, layers are opaque."""
    uv: np.ndarray
    """(F, 3, 2) of all the layer's triangles, origin top left, one tile per unit."""


@dataclass(frozen=True)
class Decal:
    """Something thin that colours what lies behind it without changing its shape: brows, lashes."""

    vertices: np.ndarray
    """(V, 3) posed."""
    faces: np.ndarray
    """(F, 3)"""
    paint: Paint


def sample_placement(vertices: np.ndarray, yaw: float, rng: np.random.Generator, half: bool = False) -> Placement:
    """A photographer's camera: focal length, distance, height and framing vary; the person fills most of a square picture.

    `yaw` turns the person about the vertical, radians. With `half` the picture ends somewhere between chest and knees.
    """
    low, high = vertices.min(0), vertices.max(0)
    if half:
        low = low.copy()
        low[1] = low[1] + rng.uniform(0.3, 0.65) * (high[1] - low[1])
    centre = (low + high) / 2
    stature = high[1] - low[1]
    field = np.radians(rng.uniform(12, 30) if rng.random() < 0.35 else rng.uniform(28, 52))
    distance = stature / (2 * np.tan(field / 2)) * 1.15 + 0.25
    eye = np.clip(rng.normal(1.25, 0.35), 0.25, 2.3) - low[1] * half
    pitch = float(np.arctan2(eye - centre[1], distance)) * float(rng.uniform(0.4, 1.05))
    roll = float(rng.normal(0, np.radians(1.6)))
    rotation = axis_rotation(2, roll) @ axis_rotation(0, pitch) @ axis_rotation(1, yaw)
    target = -rotation @ centre
    # Off the picture's middle: the person is where the crop is, not where the lens looks.
    off = distance * np.tan(np.radians(rng.normal(0, 5, 2)))
    translation = target + np.array([off[0], 0.4 * off[1], -distance])
    seen = vertices @ rotation.T + translation
    wide = Camera.centred(1, 1, 1.0)
    kept = vertices[:, 1] >= low[1]
    pixels = wide.project(seen[kept])
    first, last = pixels.min(0), pixels.max(0)
    side = (last - first).max() / rng.uniform(0.78, 0.94)
    middle = (first + last) / 2 + side * rng.uniform(-0.03, 0.03, 2)
    corner = middle - side / 2
    return Placement(wide.cropped(corner[0], corner[1], SIZE, SIZE, SIZE / side), rotation, translation)


def _sample(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) float32 of a tiling picture (H, W, C) at uv (N, 2)."""
    height, width = image.shape[:2]
    x, y = (uv[:, 0] % 1.0) * width - 0.5, (uv[:, 1] % 1.0) * height - 0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    x0, y0 = x0 % width, y0 % height
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return top * (1 - fy) + bottom * fy


def _uv_at(paint: Paint, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    return np.einsum("nk,nkc->nc", bary, paint.uv[face])


def _albedo(scene: Scene, raster: Raster, seen: np.ndarray, camera: Camera, paints: Sequence[Paint], first_face: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 colours of what each pixel sees. `first_face` maps a shown triangle to its index in its own layer."""
    image = np.zeros((*raster.face.shape, 3), np.float32)
    rows, columns = np.nonzero(raster.mask)
    face, bary = raster.face[rows, columns], raster.bary[rows, columns]
    layer = scene.layer[face]
    for number, paint in enumerate(paints):
        mine = np.flatnonzero(layer == number)
        if len(mine):
            own = first_face[face[mine]]
            coarse = _coarser(paint, own, camera.project(seen[scene.faces[face[mine]]]))
            image[rows[mine], columns[mine]] = _sample(coarse.image, _uv_at(coarse, own, bary[mine]))
    return image


def _coarser(paint: Paint, faces: np.ndarray, corners: np.ndarray) -> Paint:
    """The texture averaged to about one texel a pixel, so that a weave finer than the pixels does not alias.

    `faces` (N,) are the layer's triangles that N pixels see, `corners` (N, 3, 2) their corners in pixels.
    """
    some = slice(None, None, max(1, len(faces) // 2000))
    size = np.array([paint.image.shape[1], paint.image.shape[0]])
    texels, pixels = paint.uv[faces[some]] * size, corners[some]
    area = [np.abs(np.linalg.det(t[:, 1:] - t[:, :1])) for t in (texels, pixels)]
    ratio = float(np.median(area[0] / np.maximum(area[1], 1e-6)))
    level = round(0.5 * float(np.log2(max(ratio, 1.0))))
    level = min(level, int(np.log2(size.min())))
    if level == 0:
        return paint
    smaller = (max(int(size[0]) >> level, 1), max(int(size[1]) >> level, 1))
    return Paint(cv2.resize(paint.image, smaller, interpolation=cv2.INTER_AREA), paint.alpha, paint.uv)


@compiled(nogil=True)
def _interpolate(face: np.ndarray, bary: np.ndarray, faces: np.ndarray, values: np.ndarray, sign: np.ndarray, out: np.ndarray) -> None:
    """Per-vertex values (V, C), times each triangle's sign, into the covered pixels of out (H, W, C)."""
    for i in range(face.shape[0]):
        for j in range(face.shape[1]):
            f = face[i, j]
            if f >= 0:
                for c in range(values.shape[1]):
                    total = 0.0
                    for k in range(3):
                        total += bary[i, j, k] * values[faces[f, k], c]
                    out[i, j, c] = total * sign[f]


def _interpolated(raster: Raster, values: np.ndarray, faces: np.ndarray, sign: np.ndarray | None = None) -> np.ndarray:
    """(H, W, C) float32, zero outside."""
    out = np.zeros((*raster.face.shape, values.shape[1]), np.float32)
    signs = np.ones(len(faces), np.float32) if sign is None else sign.astype(np.float32)
    _interpolate(raster.face, raster.bary, faces, np.ascontiguousarray(values, np.float32), signs, out)
    return out


def _facing(normals: np.ndarray, raster: Raster, seen: np.ndarray, faces: np.ndarray, away: bool) -> np.ndarray:
    """Interpolated normals (H, W, 3), turned over where the camera sees the inside of a surface."""
    toward = np.einsum("fi,fi->f", face_normals(seen, faces), seen[faces[:, 0]]) < 0
    return _interpolated(raster, normals, faces, np.where(toward == away, -1.0, 1.0))


def _pool(image: np.ndarray) -> np.ndarray:
    """Mean of SUPER x SUPER blocks of (H, W, ...)."""
    pooled = cv2.resize(image, (image.shape[1] // SUPER, image.shape[0] // SUPER), interpolation=cv2.INTER_AREA)
    return pooled.reshape(image.shape[0] // SUPER, image.shape[1] // SUPER, *image.shape[2:])


def _first(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) the value of the first covered subpixel of each block, zero where none is."""
    out = np.zeros((image.shape[0] // SUPER, image.shape[1] // SUPER), image.dtype)
    have = np.zeros(out.shape, bool)
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
    cover = _pool(mask.astype(np.float32))
    image = _extended(_pool(normals.astype(np.float32)), cover)
    length = np.linalg.norm(image, axis=-1, keepdims=True)
    unit = np.where(length > 1e-6, image / np.maximum(length, 1e-6), 0.0)
    return np.where(length > 1e-6, np.round((unit + 1) * 127.5), 0).astype(np.uint8)


def _normal_map(seen: np.ndarray, normals: np.ndarray, faces: np.ndarray, camera: Camera, farthest: bool) -> np.ndarray:
    raster = rasterise(seen, faces, camera, farthest)
    return _encoded(_facing(normals, raster, seen, faces, farthest), raster.mask)


def _decals(albedo: np.ndarray, raster: Raster, decals: Sequence[Decal], placement: Placement, camera: Camera) -> None:
    """Blend brows and lashes over the albedo, in place."""
    for decal in decals:
        over = rasterise(placement.see(decal.vertices), decal.faces, camera)
        # Behind the surface by less than 6 mm still counts: brows sink into the skin of some faces.
        rows, columns = np.nonzero(over.mask & raster.mask & (over.depth < raster.depth + 0.006))
        face, bary = over.face[rows, columns], over.bary[rows, columns]
        uv = _uv_at(decal.paint, face, bary)
        colour = _sample(decal.paint.image, uv)
        alpha = 1.0 if decal.paint.alpha is None else _sample(decal.paint.alpha[..., None], uv) / 255
        albedo[rows, columns] += alpha * (colour - albedo[rows, columns])


def sun_directions(placement: Placement, rng: np.random.Generator) -> np.ndarray:
    """(SUNS, 3) directions towards suns 15 to 70 degrees above the horizon, mostly before the person or beside, camera frame."""
    up = placement.rotation[:, 1]
    ahead = np.array([0.0, 0.0, 1.0]) - up * up[2]
    ahead /= np.linalg.norm(ahead)
    across = np.cross(up, ahead)
    azimuth = np.radians(
        rng.choice([-1.0, 1.0], SUNS) * rng.choice([20, 60, 110, 160], SUNS, p=[0.3, 0.35, 0.2, 0.15]) + rng.normal(0, 15, SUNS)
    )
    height = np.radians(rng.uniform(15, 70, SUNS))
    flat = np.cos(azimuth)[:, None] * ahead + np.sin(azimuth)[:, None] * across
    return np.cos(height)[:, None] * flat + np.sin(height)[:, None] * up


def _sun_free(scene: Scene, points: np.ndarray, normals: np.ndarray, directions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, S) bool: points (N, 3) of the body frame see a random place on each sun's disc, directions (S, 3) in the body frame."""
    free = np.empty((len(points), len(directions)), bool)
    for k, direction in enumerate(directions):
        lit = np.einsum("nd,d->n", normals, direction) > 0
        jitter = rng.normal(0, SUN_RADIUS / 2, (int(lit.sum()), 3))
        free[:, k] = False
        free[lit, k] = ~scene.queries.blocked(points[lit] + 0.004 * normals[lit], direction + jitter, 3.0)
    return free


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
    small = placement.camera
    camera = small.cropped(0, 0, small.width * SUPER, small.height * SUPER, SUPER)
    seen, normals = placement.see(scene.vertices), scene.normals @ placement.rotation.T
    raster = rasterise(seen, scene.faces, camera)
    mask = raster.mask
    cover = _pool(mask.astype(np.float32))
    albedo = _albedo(scene, raster, seen, camera, paints, first_face)
    _decals(albedo, raster, decals, placement, camera)
    front = _facing(normals, raster, seen, scene.faces, away=False)
    rows, columns = np.nonzero(mask)
    corner = scene.faces[raster.face[rows, columns]]
    bary = raster.bary[rows, columns].astype(float)
    points = np.einsum("nk,nkd->nd", bary, scene.vertices[corner])
    shading = front[rows, columns] @ placement.rotation
    suns = sun_directions(placement, rng)
    free = np.zeros((*mask.shape, SUNS), np.float32)
    free[rows, columns] = _sun_free(scene, points, shading, suns @ placement.rotation, rng)
    sky = _interpolated(raster, np.column_stack([scene.free, scene.bent @ placement.rotation.T]), scene.faces)
    turn = lambda angle: _turned(placement, scene, angle)  # noqa: E731
    naked, naked_normals = placement.see(scene.naked), vertex_normals(scene.naked, scene.naked_faces) @ placement.rotation.T
    side = {}
    for name, angle in (("left", -np.pi / 2), ("right", np.pi / 2)):
        moved, rotation = turn(angle)
        side[name] = _normal_map(moved, scene.normals @ rotation.T, scene.faces, camera, False)
    depth, depth_range = _depth(raster, cover)
    visible = np.zeros(len(seen), bool)
    visible[corner[bary > 0.05]] = True
    pixel = small.project(placement.see(landmarks))
    distance = -placement.see(landmarks)[:, 2]
    view = View(
        camera=small,
        up=placement.rotation[:, 1],
        coverage=np.round(cover * 255).astype(np.uint8),
        albedo=np.clip(np.round(_extended(_pool(albedo), cover)), 0, 255).astype(np.uint8),
        normal=_encoded(front, mask),
        normal_back=_normal_map(seen, normals, scene.faces, camera, True),
        normal_left=side["left"],
        normal_right=side["right"],
        body_normal=_normal_map(naked, naked_normals, scene.naked_faces, camera, False),
        body_normal_back=_normal_map(naked, naked_normals, scene.naked_faces, camera, True),
        depth=depth,
        depth_range=depth_range,
        occlusion=np.round(np.clip(_extended(_pool(sky[..., :1]), cover)[..., 0], 0, 1) * 255).astype(np.uint8),
        bent=_encoded(sky[..., 1:], mask),
        sun_directions=suns,
        sun_free=np.round(np.clip(_extended(_pool(free), cover), 0, 1) * 255).astype(np.uint8),
        part=_first(np.where(mask, scene.part[np.maximum(raster.face, 0)], 0).astype(np.uint8), mask),
        region=_region(scene, raster),
        landmarks=np.column_stack([pixel, distance, _unhidden(raster, camera, placement.see(landmarks))]),
    )
    return view, visible


def _turned(placement: Placement, scene: Scene, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """The scene before a camera that stands elsewhere on a circle about the person: vertices (V, 3), rotation (3, 3) to its frame."""
    low, high = scene.vertices.min(0), scene.vertices.max(0)
    pivot = (low + high) / 2
    about = axis_rotation(1, angle)
    rotation = placement.rotation @ about
    return (scene.vertices - pivot) @ rotation.T + placement.see(pivot[None]), rotation


def _region(scene: Scene, raster: Raster) -> np.ndarray:
    nearest = raster.bary.argmax(-1)
    corner = np.take_along_axis(scene.faces[np.maximum(raster.face, 0)], nearest[..., None], -1)[..., 0]
    return _first(np.where(raster.mask, scene.region[corner], 0).astype(np.uint8), raster.mask)


def _depth(raster: Raster, cover: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """(H, W) uint16 and its range: the mean depth of the covered subpixels."""
    finite = np.where(raster.mask, raster.depth, 0.0).astype(np.float32)
    mean = _pool(finite) / np.maximum(cover, 1e-6)
    inner = cover > 0
    near, far = float(mean[inner].min()) - 0.01, float(mean[inner].max()) + 0.01
    code = np.round((mean - near) / (far - near) * 65534 + 1)
    return np.where(inner, code, 0).astype(np.uint16), (near, far)


def _unhidden(raster: Raster, camera: Camera, points: np.ndarray) -> np.ndarray:
    """(L,) 1 where nothing lies more than 12 cm before a landmark and it falls into the picture: joints lie within the limb."""
    pixel = np.floor(camera.project(points)).astype(int)
    inside = (pixel >= 0).all(1) & (pixel[:, 0] < camera.width) & (pixel[:, 1] < camera.height)
    at = np.clip(pixel, 0, [camera.width - 1, camera.height - 1])
    depth = raster.depth[at[:, 1], at[:, 0]]
    return (inside & np.isfinite(depth) & (-points[:, 2] < depth + 0.12)).astype(float)
