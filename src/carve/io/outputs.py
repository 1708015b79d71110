"""The files of the output folder: a contract that other programs rely on (docs/architecture.md lists it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from carve.geometry.frames import normals_to_rgb
from carve.geometry.pictures.excerpt import Excerpt
from carve.gltf.writer import write_body_glb
from carve.io.image import write_png
from carve.io.mesh_files import write_obj, write_ply
from carve.io.preview import preview_sheet
from carve.io.run_folder import to_json
from carve.records import Avatar

Extra = Literal["obj", "ply"]
"""A file format that is written on request, beside GLB."""


def write_outputs(folder: Path, avatar: Avatar, extras: Sequence[Extra] = (), excerpt: Excerpt | None = None) -> None:
    """Write the contract's files into `folder`, but for the avatar's own (`export.outputs`) and the report.

    `excerpt` is the part of the photo that the avatar's pixels are those of; what is written is of the whole photo.
    """
    write_body_glb(folder / "body.glb", avatar.body)
    (folder / "camera.json").write_text(to_json(camera_document(avatar, excerpt)), encoding="utf-8")
    for side in ("front", "back"):
        rgb = normals_to_rgb(getattr(avatar.normals, side), avatar.normals.mask)
        write_png(folder / f"normals_{side}.png", rgb if excerpt is None else excerpt.paste(rgb))
    mask = np.round(avatar.observation.mask * 255).astype(np.uint8)
    write_png(folder / "mask.png", mask if excerpt is None else excerpt.paste(mask))
    write_png(folder / "preview.png", preview_sheet(avatar))
    if "obj" in extras:
        write_obj(folder, avatar)
    if "ply" in extras:
        write_ply(folder / "avatar.ply", avatar)


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json."""
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")


def camera_document(avatar: Avatar, excerpt: Excerpt | None = None) -> dict[str, Any]:
    """camera.json: from posed.glb's coordinates to homogeneous pixels of the photo."""
    camera = avatar.surface.camera if excerpt is None else excerpt.camera_out_of(avatar.surface.camera)
    return {
        "width": camera.width,
        "height": camera.height,
        "projection": camera.projection,
        "focal": camera.focal,
        "focal_source": avatar.observation.focal_source,
        "principal_point": [camera.cx, camera.cy],
        "up": avatar.body.up,
    }
