"""A case whose truth is known: a box before a camera, written as the files of a case, and outputs that err by known amounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from carve.evaluate.outer import outer_surface
from carve.evaluate.views import Shape, parallel_view, silhouette, welded_normals
from carve.geometry.camera import Camera
from carve.geometry.queries import MeshQueries
from solids import Solid, box

CAMERA = Camera.centred(240, 320, 500.0)
SIZE, CENTRE = (0.5, 1.2, 0.3), (0.05, -0.1, -2.5)
JOINTS = {"LeftUpLeg": (0.1, -0.2, -2.5), "RightUpLeg": (-0.1, -0.2, -2.5), "LeftLeg": (0.1, -0.5, -2.4), "Head": (0.0, 0.4, -2.5)}


def truth() -> Solid:
    """The person: a box."""
    return box(SIZE, CENTRE)


def write_case(folder: Path, more: Mapping[str, tuple[float, float, float]] | None = None) -> Path:
    """The files of a case; `more` joints than JOINTS."""
    joints = JOINTS | dict(more or {})
    folder.mkdir(parents=True)
    vertices, faces = truth()
    outer = outer_surface(vertices, faces, 20_000, np.random.default_rng(0))
    origin, extent = outer.points.min(0), float(np.ptp(outer.points, axis=0).max())
    points, normals = np.round((outer.points - origin) / extent * 65535).astype(np.uint16), np.round(outer.normals * 127).astype(np.int8)
    np.savez(folder / "outer.npz", points_q=points, normals_q=normals, origin=origin, extent=extent, spacing=outer.spacing)
    shape = Shape(vertices, faces, welded_normals(vertices, faces))
    queries, centre = MeshQueries(vertices, faces), np.array(CENTRE)
    views = [parallel_view(shape, queries, degrees, centre, 1.4, 64) for degrees in (0, 90, 180, 270)]
    np.savez(
        folder / "views.npz",
        centre=centre,
        side=1.4,
        mask=np.stack([v.mask for v in views]),
        normal=np.stack([np.round(v.normals * 127).astype(np.int8) for v in views]),
        albedo=np.full((4, 64, 64, 3), 90, np.uint8),
    )
    np.savez(folder / "gt.npz", joints=np.array(list(joints.values())), joint_names=np.array([f"mixamorig:{name}" for name in joints]))
    camera = {"width": CAMERA.width, "height": CAMERA.height, "projection": CAMERA.projection.tolist()}
    (folder / "camera.json").write_text(json.dumps(camera))
    mask = silhouette(vertices, faces, CAMERA.projection, (CAMERA.width, CAMERA.height))
    Image.fromarray(np.uint8(255 * mask)).save(folder / "mask.png")
    Image.fromarray(np.full((CAMERA.height, CAMERA.width, 3), 90, np.uint8)).save(folder / "photo.png")
    return folder
