"""Views of made-up people: a body before a camera in plain colours, rasterised at twice the size, with suns and occlusion by rays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from carve.body.model import REGIONS, BodyModel
from carve.body.places import encode_places
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.raster import Raster, rasterise
from carve.synth.records import FABRIC_UNIT, PARTS, View
from synthetic import synthetic_person

LANDMARKS = ("nose", "left_shoulder", "right_shoulder", "left_ankle", "right_ankle")


@dataclass(frozen=True)
class Scene:
    """A clothed surface and the body in it, camera frame."""

    vertices: np.ndarray
    """(V, 3) of the clothed surface."""
    body: np.ndarray
    """(V, 3) of the body."""
    faces: np.ndarray
    """(F, 3) of both."""
    part: np.ndarray
    """(V,) index into PARTS."""
    region: np.ndarray
    """(V,) index into REGIONS."""
    albedo: np.ndarray
    """(V, 3) sRGB 0..255."""
    landmarks: np.ndarray
    """(L, 3) named LANDMARKS."""
    camera: Camera
    up: np.ndarray
    """(3,)"""
    places: np.ndarray | None = None
    """(V, 3) of the body's vertices; None for the body itself."""


def mirrored(scene: Scene) -> Scene:
    """The scene reflected at the plane x = 0 of its camera: left regions and landmarks become right ones. Same camera."""
    flip = np.array([-1.0, 1.0, 1.0])
    swap = lambda name: name.replace("left", "?").replace("right", "left").replace("?", "right")  # noqa: E731
    regions = np.array([REGIONS.index(swap(name)) for name in REGIONS])
    order = [LANDMARKS.index(swap(name)) for name in LANDMARKS]
    return replace(
        scene,
        vertices=scene.vertices * flip,
        body=scene.body * flip,
        faces=scene.faces[:, ::-1],
        region=regions[scene.region],
        landmarks=(scene.landmarks * flip)[order],
        up=scene.up * flip,
        places=(scene.body if scene.places is None else scene.places) * flip,
    )


def rolled(scene: Scene, angle: float) -> Scene:
    """The scene turned about the viewing axis, counter-clockwise in the picture by `angle`, radians. Same camera."""
    turn = Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix()
    return replace(
        scene,
        vertices=scene.vertices @ turn.T,
        body=scene.body @ turn.T,
        landmarks=scene.landmarks @ turn.T,
        up=turn @ scene.up,
        places=scene.body if scene.places is None else scene.places,
    )


def person_scene(model: BodyModel, seed: int = 0, size: int = 512) -> Scene:
    """Someone in top, trousers and shoes with waves for folds, filling most of a square picture."""
    rng = np.random.default_rng(seed)
    truth = synthetic_person(model, turn=rng.uniform(-0.7, 0.7), pitch=rng.uniform(-0.05, 0.15), cloth=0.02)
    region = np.asarray(model.region)
    name = np.array(REGIONS)[region]
    part = np.full(len(region), PARTS.index("skin"))
    part[np.isin(name, ["torso", "left_upper_arm", "right_upper_arm"])] = PARTS.index("top")
    part[np.char.endswith(name, "leg")] = PARTS.index("bottom")
    part[np.char.endswith(name, "foot")] = PARTS.index("shoes")
    head = name == "head"
    height = truth.vertices @ truth.up
    part[head & (height > height[head].max() - 0.12)] = PARTS.index("hair")
    colours = rng.uniform(30, 220, (len(PARTS), 1)) * rng.uniform(0.6, 1.0, (len(PARTS), 3))
    colours[PARTS.index("skin")] = rng.uniform(0.45, 1.0) * np.array([224, 180, 155])
    colours[PARTS.index("hair")] = rng.uniform(0.2, 1.0) * np.array([110, 80, 60])
    cloth = np.isin(part, [PARTS.index("top"), PARTS.index("bottom")])
    waves = np.zeros(len(region))
    for scale in (25.0, 45.0, 70.0):
        direction = rng.normal(size=3)
        waves += np.sin(truth.clothed @ direction / np.linalg.norm(direction) * scale + rng.uniform(0, 6)) * 0.12 / scale
    surface = truth.clothed + (waves * cloth)[:, None] * vertex_normals(truth.clothed, model.faces)
    camera = truth.observation.camera
    pixels = camera.project(surface)
    middle, span = (pixels.min(0) + pixels.max(0)) / 2, np.ptp(pixels, axis=0).max() / rng.uniform(0.82, 0.95)
    camera = camera.cropped(middle[0] - span / 2, middle[1] - span / 2, size, size, size / span)
    marks = truth.observation.landmarks
    at = {n: truth.vertices[region == REGIONS.index(r)].mean(0) for n, r in zip(LANDMARKS[1:], MARK_REGIONS, strict=True)}
    nose = truth.vertices[model.keypoints["nose"].vertices].mean(0) if "nose" in model.keypoints else truth.vertices[head].mean(0)
    assert "nose" in marks.names
    landmarks = np.array([nose, *(at[n] for n in LANDMARKS[1:])])
    return Scene(surface, truth.vertices, np.asarray(model.faces), part, region, colours[part], landmarks, camera, truth.up)


MARK_REGIONS = ("left_upper_arm", "right_upper_arm", "left_foot", "right_foot")


def _encode(vectors: np.ndarray) -> np.ndarray:
    return np.round((vectors + 1) * 127.5).astype(np.uint8)


def _halved(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of each 2 x 2 block of values (2H, 2W, C) over its mask; zero where that is empty."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 2
    weights = mask.reshape(height, 2, width, 2)[..., None]
    total = (values.reshape(height, 2, width, 2, -1) * weights).sum((1, 3))
    return total / np.maximum(weights.sum((1, 3)), 1)


def _continued(image: np.ndarray, mask: np.ndarray, reach: int = 3) -> np.ndarray:
    """Fill pixels within `reach` of mask (H, W) with the nearest pixel in it; zero farther out."""
    distance, index = ndimage.distance_transform_edt(~mask, return_indices=True)
    near = (distance <= reach).reshape(mask.shape + (1,) * (image.ndim - 2))
    return np.where(near, image[index[0], index[1]], 0).astype(image.dtype)


def _normals(raster: Raster, vertices: np.ndarray, faces: np.ndarray, axes: np.ndarray, continued: bool) -> np.ndarray:
    """(H, W, 3) uint8 normals of a raster at twice the size, turned by `axes` (3, 3) into the view's camera frame."""
    normals = _halved(raster.interpolate(vertex_normals(vertices, faces) @ axes.T, faces), raster.mask)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    mask = length[..., 0] > 0
    encoded = np.where(mask[..., None], _encode(normals / np.maximum(length, 1e-9)), np.uint8(0))
    return _continued(encoded, mask) if continued else encoded


def make_view(scene: Scene, suns: np.ndarray | None = None, rays: int = 0) -> View:
    """The view of a scene; `rays` a pixel for ambient occlusion (0: all open), `suns` (S, 3) directions, camera frame."""
    camera = scene.camera
    double = camera.cropped(0, 0, 2 * camera.width, 2 * camera.height, 2.0)
    front = rasterise(scene.vertices, scene.faces, double)
    coverage = front.mask.reshape(camera.height, 2, camera.width, 2).mean((1, 3))
    mask = coverage > 0
    z = _halved(np.where(front.mask, front.depth, 0)[..., None], front.mask)[..., 0]
    near, far = float(z[mask].min()) - 0.01, float(z[mask].max()) + 0.01
    depth = np.where(mask, np.round((z - near) / (far - near) * 65534) + 1, 0).astype(np.uint16)
    labels = np.column_stack([scene.part, scene.region + 1]).astype(float)
    chosen = _labels(front, scene.faces, labels)
    places = scene.body if scene.places is None else scene.places
    place = encode_places(_halved(front.interpolate(places, scene.faces), front.mask), mask)
    normal = _normals(front, scene.vertices, scene.faces, np.eye(3), True)
    suns = np.zeros((0, 3)) if suns is None else suns
    occlusion, bent, free = _rays(scene, mask, z, normal, suns, rays)
    behind = rasterise(scene.vertices, scene.faces, double, farthest=True)
    part_back = _labels(behind, scene.faces, labels)[..., 0]
    fabrics = [_fabric(raster, places, scene.faces, part) for raster, part in ((front, chosen[..., 0]), (behind, part_back))]
    body = [rasterise(scene.body, scene.faces, double, farthest=f) for f in (False, True)]
    return View(
        camera=camera,
        up=scene.up,
        coverage=np.round(coverage * 255).astype(np.uint8),
        albedo=_albedo(front, scene, mask),
        albedo_back=_albedo(behind, scene, mask),
        normal=normal,
        normal_back=_normals(behind, scene.vertices, scene.faces, np.eye(3), True),
        body_normal=_normals(body[0], scene.body, scene.faces, np.eye(3), False),
        body_normal_back=_normals(body[1], scene.body, scene.faces, np.eye(3), False),
        depth=depth,
        depth_range=(near, far),
        occlusion=_continued(occlusion, mask),
        bent=_continued(bent, mask),
        sun_directions=suns,
        sun_radii=np.full(len(suns), 0.03),
        sun_free=_continued(free, mask),
        part=chosen[..., 0].astype(np.uint8),
        part_back=part_back.astype(np.uint8),
        place=place,
        fabric=fabrics[0],
        fabric_back=fabrics[1],
        region=chosen[..., 1].astype(np.uint8),
        landmarks=np.column_stack([camera.project(scene.landmarks), -scene.landmarks[:, 2], np.ones(len(scene.landmarks))]),
    )


def _labels(raster: Raster, faces: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(H, W, C) labels (V, C) of the nearest corners, the largest of each block."""
    corner = faces[np.maximum(raster.face, 0)]
    nearest = np.take_along_axis(corner, raster.bary.argmax(-1)[..., None], axis=-1)[..., 0]
    height, width = raster.mask.shape[0] // 2, raster.mask.shape[1] // 2
    return np.asarray((labels[nearest] * raster.mask[..., None]).reshape(height, 2, width, 2, -1).max((1, 3)))


def _albedo(raster: Raster, scene: Scene, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with a little noise for a weave."""
    colours = _halved(raster.interpolate(scene.albedo, scene.faces), raster.mask)
    weave = np.random.default_rng(0).normal(1, 0.05, colours.shape[:2])[..., None]
    return _continued(np.clip(colours * weave, 0, 255).astype(np.uint8), mask)


def _fabric(raster: Raster, places: np.ndarray, faces: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(H, W, 2) uint16: cloth that is laid out along x and y of the places (V, 3)."""
    where = _halved(raster.interpolate(places[:, :2], faces), raster.mask)
    codes = np.round(where / FABRIC_UNIT) + 32768
    return np.where((part > PARTS.index("eyes"))[..., None], codes, 0).astype(np.uint16)


def _rays(
    scene: Scene, mask: np.ndarray, z: np.ndarray, normal: np.ndarray, suns: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ambient occlusion (H, W), mean free direction (H, W, 3) and sun visibility (H, W, S), all uint8, smoothed a little."""
    occlusion, bent = np.full(mask.shape, 255, np.uint8), normal.copy()
    free = np.full((*mask.shape, len(suns)), 255, np.uint8)
    if not count and not len(suns):
        return occlusion, bent, free
    queries = MeshQueries(scene.vertices, scene.faces)
    rows, columns = np.nonzero(mask)
    n = normal[rows, columns] / 127.5 - 1
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    origin = scene.camera.rays(np.column_stack([columns, rows]) + 0.5) * z[rows, columns, None] + 0.004 * n
    rng = np.random.default_rng(1)
    for s, sun in enumerate(suns):
        open_share = np.mean([~queries.blocked(origin, _around(sun, 0.03, len(n), rng)) for _ in range(4)], axis=0)
        free[rows, columns, s] = np.round(255 * open_share)
    if count:
        total, hits = np.zeros_like(n), np.zeros(len(n))
        for _ in range(count):
            toward = rng.normal(size=n.shape)
            toward = n + toward / np.linalg.norm(toward, axis=1, keepdims=True)
            toward /= np.linalg.norm(toward, axis=1, keepdims=True)
            blocked = queries.blocked(origin, toward, 2.0)
            total += toward * ~blocked[:, None]
            hits += blocked
        share = np.zeros(mask.shape, np.float32)
        share[rows, columns] = 1 - hits / count
        weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
        occlusion = np.round(255 * np.clip(cv2.GaussianBlur(share, (0, 0), 1.5) / np.maximum(weight, 1e-3), 0, 1)).astype(np.uint8)
        mean = np.zeros((*mask.shape, 3), np.float32)
        mean[rows, columns] = total
        mean = cv2.GaussianBlur(mean, (0, 0), 1.5)
        bent = _encode(mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-6))
    return occlusion, bent, free


def _around(direction: np.ndarray, spread: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) unit vectors about `direction`."""
    vectors = direction + spread * rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def some_suns(up: np.ndarray, seed: int, count: int = 3) -> np.ndarray:
    """(count, 3) directions 15 to 65 degrees above the horizon."""
    rng = np.random.default_rng(seed)
    right = np.cross(up, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    front = np.cross(right, up)
    azimuth, elevation = rng.uniform(0, 2 * np.pi, count), np.radians(rng.uniform(15, 65, count))
    flat = np.cos(azimuth)[:, None] * front + np.sin(azimuth)[:, None] * right
    return np.cos(elevation)[:, None] * flat + np.sin(elevation)[:, None] * up
