"""Cases out of a data set's scans: the pictures of its protocol, and the truth that goes with each.

Published protocols look through a parallel camera. carve's, like a photographer's, is a perspective one; at DISTANCE it differs from a
parallel one by less than half a percent between a person's front and back, and scores know the camera of the case.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.scan import Dataset, Photograph, Protocol, Scan, Surface
from carve.evaluate.outer import outer_surface
from carve.evaluate.views import DEGREES, Shape, parallel_view, turn_about_up, welded_normals
from carve.files.fence import fence
from carve.files.text import check_file
from carve.files.whole import writing
from carve.geometry.camera import Camera
from carve.geometry.pictures.shading import Look, render_mesh
from carve.geometry.queries import MeshQueries
from carve.geometry.raster import rasterise
from carve.records import CarveError

DISTANCE = 60.0
"""Metres between the person and the camera of a rendered picture."""
FILLED = 0.85
"""Share of the picture's height that the person takes, or of its width with arms spread."""
AMBIENT = 0.75
SAMPLES = 200_000
"""Of the outer surface."""
VIEW_PIXELS, VIEW_MARGIN = 512, 1.15
"""Of the four views: pixels along a side, side over the largest extent."""
FLIP = np.diag([1.0, -1.0, -1.0])
"""Computer vision's camera axes to ours."""
MAX_PICTURE = 256 << 20


def stage(
    data: Dataset, folder: Path, out: Path, only: frozenset[str], model: SmplBody | None, progress: Callable[[str], None]
) -> frozenset[str]:
    """Write the cases of a data set's people (all, or `only` those named) into `out`; their names. What is there is kept.

    Raises CarveError for a folder of another layout, a person who is not there, or a file that is missing.
    """
    people = data.names(folder)
    if missing := only - set(people):
        raise CarveError(f"{folder} holds nobody named {', '.join(sorted(missing))}; there are {', '.join(people[:5])}, ...")
    made: set[str] = set()
    for name in people:
        if only and name not in only:
            continue
        there = {path.parent.name for path in out.glob(f"{name}@*/outer.npz")}
        if not there:
            there = write_cases(data.read(folder, name, model), data.protocol, out)
            progress(f"{name}: {len(there)} pictures")
        made |= there
    return frozenset(made)


def write_cases(scan: Scan, protocol: Protocol, out: Path) -> set[str]:
    """A case for each picture of a scan; their names: the scan's, @, and the view's."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        pending = Path(tempfile.mkdtemp(prefix=".pending-", dir=out))
        try:
            if scan.photographs:
                for photograph in scan.photographs:
                    _photographed(scan, photograph, pending / f"{scan.name}@{photograph.name}")
            else:
                for degrees in protocol.degrees:
                    _rendered(scan, degrees, protocol.pixels, pending / f"{scan.name}@{degrees:03d}")
            cases = sorted(pending.iterdir())
            for case in cases:
                shutil.rmtree(out / case.name, ignore_errors=True)
                case.rename(out / case.name)
        finally:
            shutil.rmtree(pending, ignore_errors=True)
    return {case.name for case in cases}


def _rendered(scan: Scan, degrees: int, pixels: int, folder: Path) -> None:
    """The picture of the side at azimuth `degrees`."""
    turn = turn_about_up(degrees)
    placed = scan.surface.moved(turn)
    low, high = placed.vertices.min(0), placed.vertices.max(0)
    shift = np.array([0.0, 0.0, -DISTANCE]) - (low + high) / 2
    placed = placed.moved(np.eye(3), shift)
    camera = Camera.centred(pixels, pixels, FILLED * pixels * DISTANCE / float((high - low)[:2].max()))
    look = Look(placed.uv, placed.texture, ambient=AMBIENT, colours=placed.colours)
    picture = render_mesh(placed.vertices, placed.faces, camera, look)
    fine = rasterise(placed.vertices, placed.faces, camera.cropped(0, 0, 2 * pixels, 2 * pixels, 2)).mask
    cover = np.round(255 * fine.reshape(pixels, 2, pixels, 2).mean((1, 3))).astype(np.uint8)
    folder.mkdir()
    Image.fromarray(np.dstack([picture, cover])).save(folder / "photo.png")
    _write_truth(folder, scan, placed, turn, shift, cover, camera.projection)


def _photographed(scan: Scan, photograph: Photograph, folder: Path) -> None:
    """A picture that was taken: the scan moves into its camera's frame."""
    turn, shift = FLIP @ photograph.extrinsic[:, :3], FLIP @ photograph.extrinsic[:, 3]
    folder.mkdir()
    pictures = []
    for path, mode in ((photograph.picture, "RGB"), (photograph.mask, "L")):
        with fence(f"The picture {path}"):
            check_file(path, MAX_PICTURE)
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                pictures.append(np.asarray(picture.convert(mode)))
    if pictures[0].shape[:2] != pictures[1].shape:
        raise CarveError(f"The mask {photograph.mask} is of another size than its picture.")
    Image.fromarray(pictures[0]).save(folder / "photo.png")
    k = photograph.intrinsic
    projection = np.column_stack([k @ FLIP, np.zeros(3)])
    _write_truth(folder, scan, scan.surface.moved(turn, shift), turn, shift, pictures[1], projection)


def _write_truth(
    folder: Path, scan: Scan, placed: Surface, turn: np.ndarray, shift: np.ndarray, cover: np.ndarray, projection: np.ndarray
) -> None:
    """All files of a case but the photo; `placed` is the scan's surface in the camera frame, x -> turn x + shift."""
    Image.fromarray(cover).save(folder / "mask.png")
    camera = {"width": cover.shape[1], "height": cover.shape[0], "projection": projection.tolist()}
    (folder / "camera.json").write_text(json.dumps(camera), encoding="utf-8")
    (folder / "meta.json").write_text(json.dumps({"subject": scan.name, "up_in_camera_frame": turn[:, 1].tolist()}), encoding="utf-8")
    if scan.joints is not None:
        joints = {bone: turn @ place + shift for bone, place in scan.joints.items()}
        np.savez(folder / "gt.npz", joints=np.array(list(joints.values())), joint_names=np.array(list(joints)))
    if scan.body is not None:
        np.savez(folder / "body.npz", vertices=scan.body.vertices @ turn.T + shift, faces=scan.body.faces)
    _write_views(folder / "views.npz", placed)
    outer = outer_surface(placed.vertices, placed.faces, SAMPLES, np.random.default_rng(0))
    origin, extent = outer.points.min(0), float(np.ptp(outer.points, axis=0).max())
    points = np.round((outer.points - origin) / extent * 65535).astype(np.uint16)
    normals = np.round(outer.normals * 127).astype(np.int8)
    np.savez(folder / "outer.npz", points_q=points, normals_q=normals, origin=origin, extent=extent, spacing=outer.spacing)


def _write_views(path: Path, placed: Surface) -> None:
    """The four parallel views that scores look at."""
    low, high = placed.vertices.min(0), placed.vertices.max(0)
    centre, side = (low + high) / 2, VIEW_MARGIN * float((high - low).max())
    normals = welded_normals(placed.vertices, placed.faces)
    shape = Shape(placed.vertices, placed.faces, normals, placed.uv, placed.texture, placed.colours)
    queries = MeshQueries(placed.vertices, placed.faces)
    views = [parallel_view(shape, queries, degrees, centre, side, VIEW_PIXELS) for degrees in DEGREES]
    arrays = {
        "centre": centre,
        "side": np.array(side),
        "mask": np.stack([view.mask for view in views]),
        "normal": np.stack([np.round(view.normals * 127).astype(np.int8) for view in views]),
    }
    colours = [view.albedo for view in views if view.albedo is not None]
    if colours:
        arrays["albedo"] = np.stack([np.round(255 * np.clip(albedo, 0, 1)).astype(np.uint8) for albedo in colours])
    np.savez(path, **arrays)
