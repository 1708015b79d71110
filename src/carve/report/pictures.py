"""The report's pictures, each as a data URI, so that the page is one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from carve.files.fence import fence
from carve.geometry.pictures.shading import Look, render_looks, view_camera
from carve.geometry.rotations import axis_rotation
from carve.gltf.reader import GlbScene, read_glb
from carve.io.preview import MARGIN, Model, film, model_from_scene, posed_model
from carve.motion.gait import a_pose

TURNS = 24
"""Pictures of one turn."""
TURN_HEIGHT = 420
BODY_HEIGHT = 420
QUALITY = 80
MAX_SIDE = 16_384
"""Pixels along a side of a picture in a folder; larger is none of carve's."""
LOW, MIDDLE, HIGH = np.array([196, 62, 66]), np.array([232, 190, 92]), np.array([52, 150, 106])
"""sRGB of confidence 0, a half and 1; also told by the scale beside the pictures."""


def data_uri(picture: Image.Image) -> str:
    """A picture as WebP inside an address."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture_uri(path: Path, longest: int) -> str | None:
    """A PNG of the folder, made smaller where it is longer than `longest`; None if there is none. Raises CarveError if it is damaged."""
    if not path.is_file():
        return None
    with fence(f"The picture {path}"), Image.open(path, formats=("PNG",)) as picture:
        if max(picture.size) > MAX_SIDE:
            return None
        shown = picture.convert("RGB")
        shown.thumbnail((longest, longest))
        return data_uri(shown)


class AvatarPictures:
    """What is drawn of an avatar.glb."""

    def __init__(self, glb: Path) -> None:
        self._scene: GlbScene = read_glb(glb)
        self._rest, self._rig = model_from_scene(self._scene)
        self._model = self._rest if self._rig is None else posed_model(self._rest, self._rig, a_pose(), 0)

    def turntable(self) -> tuple[str, int, int]:
        """A strip of TURNS pictures side by side, and one picture's width and height."""
        frames = film(lambda k: self._model.turned(axis_rotation(1, k * 2 * np.pi / TURNS)), TURNS, TURN_HEIGHT)
        height, width = frames[0].shape[:2]
        return data_uri(Image.fromarray(np.concatenate(frames, axis=1))), width, height

    def confidence(self) -> list[str]:
        """The body from the front and the back, coloured by how sure its place is; empty if the file does not say."""
        values = self._scene.confidence
        if values is None:
            return []
        ramp = confidence_ramp()
        uv = np.column_stack([np.clip(values, 0, 1) * 255 / 256 + 0.5 / 256, np.full(len(values), 0.5)])
        return [_view(self._model, turn, uv, ramp) for turn in (0.0, np.pi)]

    def seen(self, *paths: Path) -> list[str]:
        """The body from the front and the back, coloured by whether a photo gave its texture, by the map of each: seen.png, and that of a
        back photo. Empty without any."""
        shares = [share for path in paths if (share := _map(path)) is not None]
        if self._scene.uv is None or not shares:
            return []
        share = np.max([other for other in shares if other.shape == shares[0].shape], axis=0)
        return [_view(self._model, turn, self._scene.uv, confidence_ramp()[0, share]) for turn in (0.0, np.pi)]


def _map(path: Path) -> np.ndarray | None:
    """(T, T) uint8 of a grey PNG; None if it is not there, or too large to be a texture's."""
    if not path.is_file():
        return None
    with fence(f"The picture {path}"), Image.open(path, formats=("PNG",)) as picture:
        return None if max(picture.size) > MAX_SIDE else np.asarray(picture.convert("L"))


def confidence_ramp() -> np.ndarray:
    """(1, 256, 3) uint8 sRGB of confidence 0 to 1."""
    t = np.linspace(0, 1, 256)[:, None]
    colours = np.where(t < 0.5, LOW + (MIDDLE - LOW) * 2 * t, MIDDLE + (HIGH - MIDDLE) * (2 * t - 1))
    return np.round(colours).astype(np.uint8)[None]


def _view(model: Model, turn: float, uv: np.ndarray, texture: np.ndarray) -> str:
    """The model turned about the vertical, radians, under a texture (T, T', 3) uint8 at (N, 2) places."""
    turned = model.turned(axis_rotation(1, turn))
    span = np.ptp(turned.vertices, axis=0)
    width = int(np.clip(round(BODY_HEIGHT * (span[0] / span[1] + 2 * MARGIN)), BODY_HEIGHT // 3, BODY_HEIGHT * 2))
    camera, offset = view_camera(turned.vertices, width, BODY_HEIGHT, MARGIN)
    look = Look(uv, texture, turned.normals, ambient=0.45)
    return data_uri(Image.fromarray(render_looks(turned.vertices + offset, turned.faces, camera, [look])[0]))
