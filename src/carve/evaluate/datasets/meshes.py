"""Meshes of data sets, by trimesh: OBJ with materials, PLY with colours; several parts as one surface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from carve.evaluate.datasets.scan import Surface
from carve.files.fence import fence
from carve.files.text import check_file
from carve.records import CarveError

MAX_BYTES = 1 << 30
"""Of a mesh file: 4D scans of a million triangles as text take a fifth."""
LARGEST_TEXTURE = 4096
"""Pixels along a side of a texture that are kept."""


def read_surface(path: Path, texture: Path | None = None) -> Surface:
    """A mesh file with its colour, in its own frame and unit; `texture` where the file's material names none.

    Raises CarveError for a file that is missing, damaged or holds no triangles.
    """
    import trimesh

    with fence(f"The mesh {path}"):
        check_file(path, MAX_BYTES)
        scene: Any = trimesh.load_scene(path, process=False, maintain_order=True)
        parts = [_surface(part, texture) for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
        if not parts:
            raise CarveError(f"The mesh {path} holds no triangles.")
        whole = combined(parts)
        if not np.isfinite(whole.vertices).all():
            raise CarveError(f"The mesh {path} has vertices that are no numbers.")
        return whole


def _surface(mesh: Any, texture: Path | None) -> Surface:
    vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64)
    visual = mesh.visual
    uv = getattr(visual, "uv", None)
    if uv is not None:
        material = visual.material
        picture = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
        pixels = read_picture(texture) if texture is not None else None if picture is None else shrunk(picture.convert("RGB"))
        if pixels is not None:
            return Surface(vertices, faces, np.column_stack([uv[:, 0], 1 - uv[:, 1]]) % 1.0000001, pixels)
    if visual.kind == "vertex":
        return Surface(vertices, faces, colours=np.asarray(visual.vertex_colors[:, :3], np.uint8))
    return Surface(vertices, faces)


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of a picture file, at most LARGEST_TEXTURE along a side."""
    with fence(f"The picture {path}"):
        check_file(path, MAX_BYTES)
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP", "TIFF")) as picture:
            return shrunk(picture.convert("RGB"))


def shrunk(picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8, at most LARGEST_TEXTURE along a side."""
    if max(picture.size) > LARGEST_TEXTURE:
        picture.thumbnail((LARGEST_TEXTURE, LARGEST_TEXTURE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def plain(surface: Surface, colour: ArrayLike) -> Surface:
    """A surface in one colour, sRGB 0..1."""
    pixels = np.broadcast_to(np.round(255 * np.clip(colour, 0, 1)).astype(np.uint8), (4, 4, 3)).copy()
    return Surface(surface.vertices, surface.faces, np.full((len(surface.vertices), 2), 0.5), pixels)


def combined(parts: Sequence[Surface]) -> Surface:
    """Several surfaces as one. Textures are laid above each other in one picture; without any, colours (grey where there are none)."""
    start = np.cumsum([0, *(len(part.vertices) for part in parts)])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + first for part, first in zip(parts, start, strict=False)])
    if all(part.texture is None for part in parts):
        if all(part.colours is None for part in parts):
            return Surface(vertices, faces)
        grey = [np.full((len(p.vertices), 3), 160, np.uint8) if p.colours is None else p.colours for p in parts]
        return Surface(vertices, faces, colours=np.concatenate(grey))
    textured = [part if part.texture is not None else plain(part, (0.63, 0.63, 0.63)) for part in parts]
    if len(textured) == 1:
        return Surface(vertices, faces, textured[0].uv, textured[0].texture)
    width = max(part.texture.shape[1] for part in textured if part.texture is not None)
    pictures, rows = [], []
    for part in textured:
        assert part.texture is not None
        height = max(round(part.texture.shape[0] * width / part.texture.shape[1]), 1)
        pictures.append(np.asarray(Image.fromarray(part.texture).resize((width, height), Image.Resampling.BILINEAR)))
        rows.append(height)
    top = np.cumsum([0, *rows])
    uv = [
        np.column_stack([part.uv[:, 0], (first + part.uv[:, 1] * high) / top[-1]])
        for part, first, high in zip(textured, top, rows, strict=False)
        if part.uv is not None
    ]
    return Surface(vertices, faces, np.concatenate(uv), np.concatenate(pictures))
