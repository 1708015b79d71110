"""Portraits of synthetic heads, bare of clothes and hair, and where the points of mediapipe's face mesh lie on Anny's skin.

A head of known shape is drawn from many sides with the assets' skin, eyes and brows; what mediapipe sees in the picture is carried back
along the viewing ray to the triangle that it hits. The median over people and sides of the same place on the template is the point's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from carve.body.head.face_points import FacePoints
from carve.geometry.camera import Camera
from carve.geometry.mesh import components, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.raster import rasterise
from carve.geometry.rotations import axis_rotation
from carve.networks.detectors.face import Expected, find_face
from carve.records import CarveError
from carve.synth.assets.files import Assets
from carve.synth.looks.skins import brow_texture, eye_texture, hair_colour, skin_texture
from carve.synth.looks.texture import linear_from_srgb, srgb_from_linear
from carve.synth.people.bodies import FullBody, ShapedBody, Traits, sample_traits, shape_body
from carve.synth.people.poses import apply_pose
from carve.synth.wear.garments import coarse_pattern
from carve.synth.wear.person import placed, skin_layer

SIZE = 480
"""Pixels along a side of a portrait."""
DISTANCE = 1.4
"""Metres between the camera and the eyes."""
_FIELD = 0.42
"""Metres that the picture's side shows at the eyes."""

_STATURE = 1.7
"""Metres, of the body that expressions are given for, roughly."""

Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]
"""Vertices, faces, texture coordinates, picture and alpha of one layer; see `Painted`."""


@dataclass(frozen=True)
class Painted:
    """A head as triangles of several layers with their textures, canonical pose, body frame."""

    shaped: ShapedBody
    parts: tuple[Part, ...]
    """Vertices (V, 3), faces (F, 3), texture coordinates (F, 3, 2), picture (H, W, 3) and its alpha, brows and lashes last."""


@dataclass(frozen=True)
class Portrait:
    """A picture of a head."""

    image: np.ndarray
    """(SIZE, SIZE, 3) uint8 sRGB."""
    camera: Camera
    rotation: np.ndarray
    """(3, 3) camera frame from body frame."""
    translation: np.ndarray
    """(3,)"""


def paint_head(body: FullBody, assets: Assets, traits: Traits, rng: np.random.Generator, expression: np.ndarray | None = None) -> Painted:
    """One person's head with skin, eyes, brows and lashes of the assets; `expression` (V, 3) metres moves the skin of the mean body."""
    shaped = shape_body(body, traits)
    if expression is not None:
        moved = shaped.stature / _STATURE * expression
        rest = shaped.rest.copy()
        rest[body.base] += moved
        shaped = replace(shaped, rest=rest, canonical=shaped.canonical + moved)
    pose = apply_pose(body, shaped, np.tile(np.eye(3), (len(body.names), 1, 1)))
    colour = hair_colour(traits, rng)
    skin = skin_layer(body, shaped, pose).layer
    parts: list[Part] = [(skin.canonical, skin.faces, skin.uv, skin_texture(assets, traits, rng, hair=colour).image, None)]
    for kind in ("eyes", "eyebrows", "eyelashes"):
        names = sorted(name for name, asset in assets.garments.items() if asset.kind == kind)
        if not names:
            raise CarveError(f"{assets.root} has no garment of the kind {kind}, which a portrait needs.")
        asset = assets.garments[str(names[rng.integers(len(names))])]
        layer = placed(coarse_pattern(body, asset), shaped, pose).layer
        look = eye_texture(assets, rng, traits.race) if kind == "eyes" else brow_texture(assets, asset, colour, rng)
        parts.append((layer.canonical, layer.faces, layer.uv, look.image, look.alpha))
    return Painted(shaped, tuple(parts))


def draw_portrait(body: FullBody, head: Painted, yaw: float, pitch: float, rng: np.random.Generator) -> Portrait:
    """The head from the side `yaw` and from above by `pitch`, radians, under a light from anywhere in front."""
    eyes = head.shaped.heads[[body.names.index(body.humanoid[name]) for name in ("leftEye", "rightEye")]].mean(0)
    rotation = axis_rotation(2, rng.normal(0, 0.05)) @ axis_rotation(0, pitch) @ axis_rotation(1, yaw)
    target = eyes + np.array([0.0, -0.03, -0.06])
    translation = -rotation @ target - np.array([0.0, 0.0, DISTANCE])
    camera = Camera.centred(SIZE, SIZE, SIZE * DISTANCE / _FIELD)
    light = rng.normal(0, 0.5, 3) + np.array([0.0, 0.4, 1.0])
    light /= np.linalg.norm(light)
    ambient = rng.uniform(0.35, 0.7)
    image = np.full((SIZE, SIZE, 3), rng.uniform(0.05, 0.8), np.float32)
    depth = np.full((SIZE, SIZE), np.inf, np.float32)
    for number, (vertices, faces, uv, picture, alpha) in enumerate(head.parts):
        seen = vertices @ rotation.T + translation
        raster = rasterise(seen, faces, camera)
        # Brows and lashes may lie a little within the skin.
        rows, columns = np.nonzero(raster.mask & (raster.depth < depth + (0.006 if number >= 2 else 0.0)))
        face, bary = raster.face[rows, columns], raster.bary[rows, columns]
        at = np.einsum("nk,nkc->nc", bary, uv[face])
        normal = np.einsum("nk,nkc->nc", bary, vertex_normals(seen, faces)[faces[face]])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        shade = ambient + (1 - ambient) * np.clip(np.abs(normal @ light), 0, 1)
        colour = linear_from_srgb(_look_up(picture, at) / 255) * shade[:, None]
        share = 1.0 if alpha is None else _look_up(alpha[..., None], at) / 255
        image[rows, columns] += share * (colour - image[rows, columns])
        if number < 2:
            depth[rows, columns] = raster.depth[rows, columns]
    picture = srgb_from_linear(image) * 255 + rng.normal(0, 2, image.shape)
    return Portrait(np.clip(np.round(picture), 0, 255).astype(np.uint8), camera, rotation, translation)


def _look_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) float32 of a tiling picture (H, W, C) at uv (N, 2)."""
    height, width = picture.shape[:2]
    x = (uv[:, 0] % 1.0 * width - 0.5).astype(np.float32)
    y = (uv[:, 1] % 1.0 * height - 0.5).astype(np.float32)
    # remap takes at most 32,767 rows.
    lines = [
        cv2.remap(picture, x[k : k + 30000, None], y[k : k + 30000, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        for k in range(0, len(x), 30000)
    ]
    return np.concatenate(lines).reshape(len(x), -1).astype(np.float32) if lines else np.zeros((0, picture.shape[2]), np.float32)


def places_seen(body: FullBody, head: Painted, portrait: Portrait, skin: np.ndarray) -> np.ndarray | None:
    """(468, 3) places on the template under mediapipe's points in a portrait, NaN where a ray misses; None where no face is found.

    `skin` (F, 3) are the body's outer triangles.
    """
    found = find_face(portrait.image, expected_face(body, head, portrait))
    if found is None:
        return None
    rays = portrait.camera.rays(found.pixels[:468]) @ portrait.rotation
    origin = -portrait.rotation.T @ portrait.translation
    queries = MeshQueries(head.shaped.canonical, skin)
    face, distance = queries.first_hit(np.tile(origin, (468, 1)), rays)
    hit = face >= 0
    points = origin + np.where(hit, distance, 0)[:, None] * rays
    near = queries.nearest(points)
    template = body.template.numpy()[body.base]
    places = np.einsum("nk,nkc->nc", near.bary, template[skin[near.face]])
    return np.where(hit[:, None], places, np.nan)


def expected_face(body: FullBody, head: Painted, portrait: Portrait) -> Expected:
    """Where eyes, nose and mouth are, roughly, from the eyes' joints."""
    left, right = (head.shaped.heads[body.names.index(body.humanoid[f"{side}Eye"])] for side in ("left", "right"))
    unit = float(np.linalg.norm(left - right)) / 0.064
    middle = (left + right) / 2
    points = np.stack([right, left, middle + unit * np.array([0.0, -0.04, 0.03]), middle + unit * np.array([0.0, -0.07, 0.02])])
    at = portrait.camera.project(points @ portrait.rotation.T + portrait.translation)
    return Expected(right_eye=at[0], left_eye=at[1], nose=at[2], mouth=at[3], size=0.24 * unit / _FIELD * SIZE)


def outer_faces(body: FullBody) -> np.ndarray:
    """(F, 3) triangles of the body's skin, without eyes, teeth and tongue."""
    label = components(body.faces, len(body.base))
    return body.faces[label[body.faces[:, 0]] == np.bincount(label).argmax()]


def find_face_points(body: FullBody, assets: Assets, people: int, seed: int, progress: Callable[[int, int], None]) -> FacePoints:
    """Where mediapipe's 468 points lie on the skin, with each one's spread, over `people` heads seen from five sides."""
    rng = np.random.default_rng(seed)
    skin = outer_faces(body)
    places: list[np.ndarray] = []
    for person in range(people):
        traits = sample_traits(body, rng)
        while not traits.adult:
            traits = sample_traits(body, rng)
        head = paint_head(body, assets, replace(traits, face={}), rng)
        for yaw in np.radians([-24, -12, 0, 12, 24]) + rng.normal(0, 0.05, 5):
            portrait = draw_portrait(body, head, float(yaw), float(rng.normal(0, 0.12)), rng)
            found = places_seen(body, head, portrait, skin)
            if found is not None:
                places.append(found)
        progress(person + 1, people)
    if len(places) < 10:
        raise CarveError("mediapipe found hardly any face in the portraits; check the assets' skins.")
    stack = np.stack(places)
    middle = np.nanmedian(stack, 0)
    spread = np.nanmedian(np.linalg.norm(stack - middle, axis=-1), 0)
    template = body.template.numpy()[body.base]
    near = MeshQueries(template, skin).nearest(middle)
    return FacePoints(skin[near.face], near.bary, spread)
