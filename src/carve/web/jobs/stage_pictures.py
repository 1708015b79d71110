"""Small pictures of what each stage made, drawn from its stored record as soon as it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carve.files.whole import whole
from carve.geometry.camera import Camera
from carve.geometry.frames import normals_to_rgb
from carve.geometry.pictures.shading import Look, render_looks, view_camera
from carve.io.archive import load_record
from carve.records import BodyFit, CanonicalSurface, NormalMaps, Observation, Photo, PosedSurface, TexturedSurface

HEIGHT = 360
"""Rows of a picture."""
MARGIN = 0.06
KINDS: dict[str, type] = {
    "observe": Observation,
    "fit_body": BodyFit,
    "evidence": NormalMaps,
    "refit_body": BodyFit,
    "fit_face": BodyFit,
    "normals": NormalMaps,
    "canonical": CanonicalSurface,
    "refine": PosedSurface,
    "texture": TexturedSurface,
}
"""What a stage that has a picture stores."""
OUTSIDE = 0.28
"""How bright the photo stays beside the person."""


class StagePictures:
    """Draws the stages of one run."""

    def __init__(self, stages: Path, shown: Path, photo: Photo) -> None:
        self._stages = stages
        self._shown = shown
        self._photo = photo

    def draw(self, stage: str) -> str | None:
        """Write a stage's picture; its file's name, or None for a stage without one."""
        if stage not in KINDS:
            return None
        record = _Records(self._stages, self._photo)[stage]
        pixels = self._picture(record)
        name = f"{stage}.webp"
        with whole(self._shown / name) as pending:
            Image.fromarray(pixels).save(pending, "WEBP", quality=84, method=2)
        return name

    def people(self) -> tuple[list[dict[str, float]], int]:
        """Boxes of everyone in the photo, as shares of its width and height, and whose turn it is."""
        seen: Observation = _Records(self._stages, self._photo)["observe"]
        height, width = seen.mask.shape
        boxes = [
            {"left": box.left / width, "top": box.top / height, "right": box.right / width, "bottom": box.bottom / height}
            for box in seen.people
        ]
        return boxes, seen.person

    def _picture(self, record: Any) -> np.ndarray:
        match record:
            case Observation():
                return self._observed(record)
            case BodyFit():
                return _seen_by(record.camera, record.posed, record.faces, Look(ambient=0.2))
            case NormalMaps():
                return _window(normals_to_rgb(record.front.astype(np.float32), record.mask), record.mask)
            case CanonicalSurface():
                return _from_the_front(record.vertices, record.faces)
            case PosedSurface():
                return _seen_by(record.camera, record.vertices, record.canonical.faces, Look(ambient=0.2))
            case _:
                surface = record.surface
                return _seen_by(surface.camera, surface.vertices[record.corner], record.faces, Look(record.uv, record.albedo))

    def _observed(self, record: Observation) -> np.ndarray:
        """The photo, dark beside the person, with the body's landmarks."""
        height, width = record.mask.shape
        photo = Image.fromarray(self._photo.pixels).resize((width, height)) if self._photo.size != (width, height) else self._photo.pixels
        share = OUTSIDE + (1 - OUTSIDE) * record.mask[..., None]
        lit = np.round(np.asarray(photo, np.float32) * share).astype(np.uint8)
        radius = max(2, round(0.006 * _extent(record.mask > 0.5)))
        for name, pixel, sure in zip(record.landmarks.names, record.landmarks.pixels, record.landmarks.confidence, strict=True):
            if sure > 0.3 and "_hand_" not in name and not name.startswith("face_") and np.isfinite(pixel).all():
                u, v = (int(x) for x in pixel)
                if 0 <= u < width and 0 <= v < height:
                    lit[max(v - radius, 0) : v + radius + 1, max(u - radius, 0) : u + radius + 1] = (95, 208, 191)
        return _window(lit, record.mask > 0.5)


class _Records(Mapping[str, Any]):
    """Records of the run by name, read when they are first asked for; the photo that they share is given."""

    def __init__(self, folder: Path, photo: Photo) -> None:
        self._folder = folder
        self._read: dict[str, Any] = {"photo": photo}

    def __getitem__(self, name: str) -> Any:
        stage = {"seen": "observe", "framed": "observe", "worn": "normals"}.get(name, name)
        if stage not in self._read:
            self._read[stage] = load_record(self._folder / f"{stage}.npz", KINDS[stage], self)
        return self._read[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def _extent(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else mask.shape[0]


def _window(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The part of an image (H, W, 3) uint8 around the person, HEIGHT rows."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        pad = int(MARGIN * (rows[-1] - rows[0] + 1))
        image = image[max(rows[0] - pad, 0) : rows[-1] + pad + 1, max(columns[0] - pad, 0) : columns[-1] + pad + 1]
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((min(width, 3 * HEIGHT), HEIGHT), Image.Resampling.LANCZOS))


def _seen_by(camera: Camera, vertices: np.ndarray, faces: np.ndarray, look: Look) -> np.ndarray:
    """A camera-frame mesh through the photo's camera, cut around it."""
    pixels = camera.project(vertices)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    pad = MARGIN * (bottom - top)
    scale = HEIGHT / (bottom - top + 2 * pad)
    width = int(np.clip(round((right - left + 2 * pad) * scale), HEIGHT // 3, 2 * HEIGHT))
    middle = (left + right) / 2 - width / scale / 2
    return render_looks(vertices, faces, camera.cropped(round(middle), round(top - pad), width, HEIGHT, scale), [look])[0]


def _from_the_front(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A body-frame mesh as clay."""
    span = np.ptp(vertices, axis=0)
    width = int(np.clip(round(HEIGHT * (span[0] / span[1] + 2 * MARGIN)), HEIGHT // 3, 2 * HEIGHT))
    camera, offset = view_camera(vertices, width, HEIGHT, MARGIN)
    return render_looks(vertices + offset, faces, camera, [Look(ambient=0.2)])[0]
