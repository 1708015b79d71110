"""Contact sheets and turntables of avatars.

Views are told by where the camera stands: `front` is the side that the photo shows; at `left` one sees the left side of a person who faces
the photo's camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from carve.files.whole import check_place, whole
from carve.geometry.frames import normals_to_rgb
from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.colour import srgb_from_linear
from carve.geometry.pictures.shading import BACKGROUND, TO_SIDE_LIGHT, Look, render_looks, render_mesh, view_camera
from carve.geometry.rotations import axis_rotation, rotation_between
from carve.geometry.skinning import skin
from carve.gltf.reader import GlbScene, read_glb
from carve.io.video import check_ending, write_video
from carve.motion.gait import a_pose, walk
from carve.motion.retarget import Motion, frame_transforms, leg_length, on_the_ground, skeleton_motion
from carve.records import Avatar, CarveError, Skeleton

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of the pictures that are written."""
HEIGHT = 512
"""Rows of each picture in a sheet."""
TURNTABLE_HEIGHT = 480
TURNTABLE_FRAMES = 48
TURNTABLE_FPS = 16.0
NEEDED = {"hips", *(f"{side}{bone}" for side in ("left", "right") for bone in ("UpperLeg", "LowerLeg", "Foot"))}
"""Humanoid bones of a skeleton that can be moved."""
MARGIN = 0.04
"""Free share of a picture's height above and below the person."""
CLAY_AMBIENT, CLAY_LIGHT = 0.12, (float(TO_SIDE_LIGHT[0]), float(TO_SIDE_LIGHT[1]), float(TO_SIDE_LIGHT[2]))
STRIDE_FRAME = 2
"""The frame of the walk that shows the re-posed avatar: just after the left heel's strike."""
LEFT, BACK, RIGHT = (float(np.radians(degrees)) for degrees in (-90.0, 180.0, 90.0))
"""Turns of the person about the vertical, radians, that show these sides."""


@dataclass(frozen=True)
class Model:
    """A mesh as the previews show it; with a skeleton it can be posed."""

    vertices: np.ndarray
    """(N, 3) metres, +Y up, seen along -Z."""
    normals: np.ndarray
    """(N, 3) unit."""
    faces: np.ndarray
    """(F, 3)."""
    uv: np.ndarray | None
    texture: np.ndarray | None

    def turned(self, rotation: np.ndarray) -> Model:
        """The model after a rotation (3, 3)."""
        return Model(self.vertices @ rotation.T, self.normals @ rotation.T, self.faces, self.uv, self.texture)

    def looks(self) -> tuple[Look, Look]:
        """Textured, and as grey clay."""
        return Look(self.uv, self.texture, self.normals), Look(normals=self.normals, ambient=CLAY_AMBIENT, light=CLAY_LIGHT)


@dataclass(frozen=True)
class Rig:
    """What poses a model."""

    skeleton: Skeleton
    bones: np.ndarray
    """(N, 4)."""
    weights: np.ndarray
    """(N, 4)."""


def preview_sheet(avatar: Avatar) -> np.ndarray:
    """(2 * HEIGHT, w, 3) uint8: photo, front through the photo's camera, left, right, back, re-posed; below them normals and clay."""
    textured, surface, canonical = avatar.textured, avatar.surface, avatar.surface.canonical
    corner = textured.corner

    def split(vertices: np.ndarray) -> Model:
        normals = vertex_normals(vertices, canonical.faces)
        return Model(vertices[corner], normals[corner], textured.faces, textured.uv, textured.albedo)

    posed, rest = split(surface.vertices), split(canonical.vertices)
    left, top, right, bottom = _window(avatar)
    scale = HEIGHT / (bottom - top)
    camera = surface.camera.cropped(left, top, round((right - left) * scale), HEIGHT, scale)
    photo = _cut(avatar.observation.photo.pixels, (left, top, right, bottom), camera.width)
    maps = _cut(normals_to_rgb(avatar.normals.front.astype(np.float32), avatar.normals.mask), (left, top, right, bottom), camera.width)
    front = render_looks(posed.vertices, posed.faces, camera, posed.looks())
    upright = posed.turned(rotation_between(avatar.body.up, np.array([0.0, 1.0, 0.0])))
    walking = posed_model(rest, Rig(canonical.skeleton, canonical.bones[corner], canonical.weights[corner]), walk(), STRIDE_FRAME)
    views = [upright.turned(axis_rotation(1, turn)) for turn in (LEFT, RIGHT, BACK)] + [walking.turned(axis_rotation(1, -0.6))]
    return _sheet([(photo, maps), (front[0], front[1])] + [_views(view, HEIGHT) for view in views])


def preview_glb(path: Path, out: Path, turntable: Path | None) -> None:
    """Write a sheet of a GLB file's mesh from four sides, an avatar also walking and in an A-pose, and a turntable GIF or MP4."""
    if out.suffix.lower() not in PICTURES:
        raise CarveError(f"cannot write {out}: its name must end in {', '.join(PICTURES)}")
    check_place(out)
    if turntable is not None:
        check_ending(turntable)
    model, rig = model_from_scene(read_glb(path))
    views = [model.turned(axis_rotation(1, turn)) for turn in (0.0, LEFT, RIGHT, BACK)]
    if rig is not None:
        views += [
            posed_model(model, rig, motion, frame).turned(axis_rotation(1, -0.6))
            for motion, frame in ((walk(), STRIDE_FRAME), (a_pose(), 0))
        ]
    with whole(out) as pending:
        Image.fromarray(_sheet([_views(view, HEIGHT) for view in views])).save(pending)
    if turntable is not None:
        still = model if rig is None else posed_model(model, rig, a_pose(), 0)
        write_video(turntable, turntable_frames(still), TURNTABLE_FPS)


def turntable_frames(model: Model) -> list[np.ndarray]:
    """TURNTABLE_FRAMES pictures of one turn about the vertical, all through the same camera."""
    return film(lambda frame: model.turned(axis_rotation(1, frame * 2 * np.pi / TURNTABLE_FRAMES)), TURNTABLE_FRAMES, TURNTABLE_HEIGHT)


def film(model_at: Callable[[int], Model], count: int, height: int) -> list[np.ndarray]:
    """Pictures of the models `model_at(0)` to `model_at(count - 1)` through one camera that sees all of them.

    Every model is made twice, since a long film's models would not fit into memory together.
    """
    bounds = np.concatenate([[v.min(0), v.max(0)] for v in (model_at(frame).vertices for frame in range(count))])
    camera, offset = view_camera(bounds, _width(bounds, height), height, MARGIN)
    models = (model_at(frame) for frame in range(count))
    return [render_mesh(m.vertices + offset, m.faces, camera, m.looks()[0]) for m in models]


def model_from_scene(scene: GlbScene) -> tuple[Model, Rig | None]:
    """What a GLB file shows, and what poses it if it has a humanoid skeleton with hips and legs."""
    normals = vertex_normals(scene.vertices, scene.faces) if scene.normals is None else scene.normals
    model = Model(scene.vertices.astype(float), normals.astype(float), scene.faces, scene.uv, scene.texture)
    if scene.skeleton is None or scene.bones is None or scene.weights is None:
        return model, None
    if not scene.skeleton.humanoid.keys() >= NEEDED or leg_length(_heads(scene.skeleton)) < 1e-6:
        return model, None
    return model, Rig(scene.skeleton, scene.bones, scene.weights.astype(float))


def _heads(skeleton: Skeleton) -> dict[str, np.ndarray]:
    """(3,) head of each humanoid bone at rest."""
    return {vrm: skeleton.heads[skeleton.names.index(name)] for vrm, name in skeleton.humanoid.items()}


def posed_model(model: Model, rig: Rig, motion: Motion, frame: int) -> Model:
    """The rest model in one frame of a motion, standing on the ground."""
    still = replace(motion, rotations=motion.rotations[frame : frame + 1], hips=motion.hips[frame : frame + 1])
    played = skeleton_motion(still, rig.skeleton)
    played = on_the_ground(played, model.vertices, rig.bones, rig.weights, rig.skeleton, every_frame=True)
    return skinned(model, rig, frame_transforms(played, rig.skeleton, 0))


def skinned(model: Model, rig: Rig, transforms: np.ndarray) -> Model:
    """The rest model posed by bone maps (B, 3, 4); normals follow the blended rotations."""
    linear = transforms * np.array([1.0, 1.0, 1.0, 0.0])
    vertices = skin(model.vertices, transforms, rig.bones, rig.weights)
    return Model(vertices, skin(model.normals, linear, rig.bones, rig.weights), model.faces, model.uv, model.texture)


def _views(model: Model, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The model from +Z, textured and as clay."""
    camera, offset = view_camera(model.vertices, _width(model.vertices, height), height, MARGIN)
    textured, clay = render_looks(model.vertices + offset, model.faces, camera, model.looks())
    return textured, clay


def _width(points: np.ndarray, height: int) -> int:
    """Columns of a picture of `height` rows that shows points (n, 3) as high as it can, within reason."""
    span = np.ptp(points, axis=0)
    return int(np.clip(round(height * (span[0] / span[1] + 2 * MARGIN)), height // 3, height * 2)) // 2 * 2


def _sheet(columns: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Pairs of pictures side by side, the first of each pair above the second."""
    return np.concatenate([np.concatenate([column[row] for column in columns], axis=1) for row in (0, 1)])


def _window(avatar: Avatar) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of the photo around the person: the mask and what the camera sees of the surface."""
    rows, columns = np.nonzero(avatar.observation.mask > 0.5)
    pixels = avatar.surface.camera.project(avatar.surface.vertices)
    points = np.concatenate([pixels, np.column_stack([columns, rows])]) if len(rows) else pixels
    (left, top), (right, bottom) = points.min(0), points.max(0)
    pad = MARGIN * max(bottom - top, 1.0)
    return int(left - pad), int(top - pad), int(right + pad) + 1, int(bottom + pad) + 1


def _cut(image: np.ndarray, window: tuple[int, int, int, int], width: int) -> np.ndarray:
    """(HEIGHT, width, 3): the window of an image (H, W, 3) uint8, grey where it reaches beyond the image."""
    left, top, right, bottom = window
    cut = np.full((bottom - top, right - left, 3), srgb_from_linear(np.array(BACKGROUND)), np.uint8)
    inner = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    row, column = max(-top, 0), max(-left, 0)
    cut[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return np.asarray(Image.fromarray(cut).resize((width, HEIGHT), Image.Resampling.LANCZOS))
