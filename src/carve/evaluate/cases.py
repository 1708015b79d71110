"""Evaluation cases: a photo, its camera, and the person's true outer surface.

A case is a folder: `photo.png`; `mask.png`, the person's coverage; `camera.json` with `width`, `height` and the 3 x 4 `projection` from
the camera frame to pixels; `outer.npz`, samples of the outer surface in the camera frame; `views.npz`, normals, masks and albedo of four
parallel views;
`gt.npz` with `joints` (J, 3) and `joint_names` in the camera frame; `body.npz`, the naked body's posed `vertices` (V, 3) and `faces`
(F, 3) there; `meta.json` with `up_in_camera_frame`. The last four may be missing.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from carve.files.arrays import check_total, read_member
from carve.files.fence import fence
from carve.files.text import MAX_JSON, parse_json, read_text
from carve.humanoid import table
from carve.records import CarveError

CASE_JOINTS = table("- - - - Neck Head", "- Arm ForeArm Hand UpLeg Leg Foot -", lambda side, name: f"{side.title()}{name}")
"""Humanoid bone (VRM 1.0) -> the joint at its head in a case's skeleton (Mixamo's names, or VRM's own)."""

MAX_ARRAYS = 1 << 30
"""Bytes of one archive of a case."""

FACING = ("leftUpperLeg", "rightUpperLeg", "neck")
"""Joints without which nobody can tell which way the person faces."""


@dataclass(frozen=True)
class TrueViews:
    """The true person in four parallel views: front, and turned by 90, 180, 270 degrees about +Y of the camera frame."""

    centre: np.ndarray
    """(3,) middle of the pictures, camera frame, metres."""
    side: float
    """Metres along a side of the square pictures."""
    masks: np.ndarray
    """(4, S, S) bool."""
    normals: np.ndarray
    """(4, S, S, 3) float32 unit normals in each view's own frame, zero outside."""
    albedo: np.ndarray | None
    """(4, S, S, 3) float32 sRGB 0..1."""


@dataclass(frozen=True)
class Case:
    """One person whose shape is known. Camera frame, metres."""

    name: str
    photo: Path
    mask: np.ndarray
    """(H, W) bool."""
    projection: np.ndarray
    """(3, 4) camera frame to pixels of the photo."""
    points: np.ndarray
    """(N, 3) samples of the outer surface."""
    normals: np.ndarray
    """(N, 3) unit."""
    spacing: float
    """Mean distance between neighbouring samples."""
    views: TrueViews | None
    joints: dict[str, np.ndarray]
    """Humanoid bone -> (3,) place of its head; empty where the case has no skeleton."""
    up: np.ndarray
    """(3,) unit vector against gravity."""
    body: tuple[np.ndarray, np.ndarray] | None = None
    """The naked body below the clothes, if it is known: (V, 3) vertices, (F, 3) faces wound outward."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the photo."""
        return self.mask.shape[1], self.mask.shape[0]

    @property
    def knows_body(self) -> bool:
        """Whether a body can be laid into the person: its joints tell which way it faces."""
        return all(joint in self.joints for joint in FACING)


def find_cases(folder: Path, only: frozenset[str] = frozenset()) -> list[Path]:
    """Folders of cases in `folder`, sorted by name. Raises CarveError if there are none or one of `only` is missing."""
    with fence(f"The folder of cases {folder}"):
        if not folder.is_dir():
            raise CarveError(f"The folder of cases {folder} does not exist.")
        found = [path.parent for path in sorted(folder.glob("*/outer.npz")) if not only or path.parent.name in only]
    if missing := only - {path.name for path in found}:
        raise CarveError(f"{folder} holds no case named {', '.join(sorted(missing))}.")
    if not found:
        raise CarveError(f"{folder} holds no cases: each is a folder with photo.png, camera.json, mask.png and outer.npz.")
    return found


def read_case(folder: Path) -> Case:
    """Read a case; a CarveError names what is missing or damaged."""
    with fence(f"The case {folder.name}"):
        for name in ("photo.png", "mask.png", "camera.json", "outer.npz"):
            if not (folder / name).is_file():
                raise CarveError(f"The case {folder.name} lacks {name}.")
        camera = parse_json(read_text(folder / "camera.json", MAX_JSON))
        with Image.open(folder / "mask.png", formats=("PNG",)) as picture:
            mask = np.asarray(picture.convert("L")) > 127
        outer = _arrays(folder / "outer.npz")
        points = outer["points_q"].astype(float) / 65535 * float(outer["extent"]) + outer["origin"]
        normals = outer["normals_q"].astype(float)
        spacing = float(outer["spacing"])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        projection = np.array(camera["projection"], float)
        views, joints = _views(folder / "views.npz"), _joints(folder / "gt.npz")
        up, body = _up(folder / "meta.json"), _body(folder / "body.npz")
        if projection.shape != (3, 4) or mask.shape != (camera["height"], camera["width"]):
            raise CarveError(f"The case {folder.name} does not fit together: camera.json and mask.png are of different pictures.")
        if not len(points) or points.shape != normals.shape or points.shape[1:] != (3,) or not mask.any():
            raise CarveError(f"The case {folder.name} shows nobody: outer.npz or mask.png is empty, or its points and normals do not fit.")
        numbers = (projection, points, normals, np.array(spacing), up, *joints.values())
        if not all(np.isfinite(values).all() for values in numbers) or spacing <= 0 or np.linalg.matrix_rank(projection) < 3:
            raise CarveError(f"The case {folder.name} holds numbers that cannot be: make joints, camera and surface finite, not all zero.")
    return Case(folder.name, folder / "photo.png", mask, projection, points, normals, spacing, views, joints, up, body)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an archive, of at most `MAX_ARRAYS` bytes together; inside a `fence`."""
    with zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist()]
        check_total(archive, keys, MAX_ARRAYS)
        return {key: read_member(archive, key) for key in keys}


def _up(path: Path) -> np.ndarray:
    """(3,) against gravity; a level camera where nothing is said."""
    told = parse_json(read_text(path, MAX_JSON)).get("up_in_camera_frame") if path.is_file() else None
    up = np.array([0.0, 1.0, 0.0] if told is None else told, float).reshape(3)
    return up / np.linalg.norm(up)


def _body(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    if not path.is_file():
        return None
    file = _arrays(path)
    return file["vertices"].astype(float), file["faces"].astype(np.int64)


def _views(path: Path) -> TrueViews | None:
    if not path.is_file():
        return None
    file = _arrays(path)
    masks = file["mask"]
    normals = file["normal"].astype(np.float32)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    albedo = file["albedo"].astype(np.float32) / 255 if "albedo" in file else None
    return TrueViews(file["centre"].astype(float), float(file["side"]), masks, normals * masks[..., None], albedo)


def _joints(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    file = _arrays(path)
    names = [str(name).split(":")[-1].removeprefix("mixamorig7").removeprefix("mixamorig") for name in file["joint_names"]]
    where = dict(zip(names, file["joints"].astype(float), strict=True))
    named = {bone: where.get(name, where.get(bone)) for bone, name in CASE_JOINTS.items()}
    return {bone: place for bone, place in named.items() if place is not None}
