"""CLOTH3D and CLOTH3D++ (Bertiche et al., ECCV 2020; Madadi et al.): simulated outfits of several open layers on SMPL bodies.

Layout: `SAMPLE/info.mat` (perhaps below `Samples`, `train`, ...), and a garment `NAME.obj` (quads, UVs), `NAME.pc16` (its vertices a frame,
16-bit floats, relative to the pelvis) and, if patterned, `NAME.png`. info.mat: `poses` (72, T), `shape` (10), `trans` (3, T), `gender` (0
female), `zrot` (radians about the vertical), `outfit` (name -> `texture`: `type` colour or pattern, `data`). World: metres, +Z up; pelvis
at `trans`. The body needs the holder's SMPL model (--body-model); without it nothing would be inside the clothes. The middle frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.meshes import combined, plain, read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, Surface, listed
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed
from carve.files.fence import fence
from carve.files.text import check_file
from carve.records import CarveError

TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""From +Z up, facing -Y."""
HEADER = struct.Struct("<12siiffi")
"""Of a point cache: mark, version, points, first frame, frames a step, frames (PC2; .pc16 holds halves instead of floats)."""
MAX_BYTES = 1 << 30
SKIN = (0.78, 0.62, 0.54)


@dataclass(frozen=True)
class Sample:
    """What info.mat says of a sample."""

    poses: np.ndarray
    """(T, 24, 3)."""
    translations: np.ndarray
    """(T, 3)."""
    betas: np.ndarray
    """(10,)."""
    turn: np.ndarray
    """(3, 3) about the vertical."""
    outfit: dict[str, Any]
    """Garment -> its texture as stored."""
    female: bool


def _samples(folder: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for pattern in ("*/info.mat", "*/*/info.mat") for path in sorted(folder.glob(pattern))}


def names(folder: Path) -> list[str]:
    """Samples of `test.txt`, else all."""
    return listed(folder, ("test.txt",), list(_samples(folder)), "samples of CLOTH3D (Samples/01_01_s0/info.mat)")


@dataclass(frozen=True)
class Dressed:
    """One frame of a sample in a scan's frame: +Y up, metres."""

    body: Surface
    """The naked SMPL body."""
    joints: dict[str, np.ndarray]
    """Humanoid bone -> (3,) place of its head."""
    garments: dict[str, Surface]
    """Garment -> its open layer as it is."""


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """The middle frame: body and garments as one surface of several open layers."""
    at = sample_folder(folder, name)
    sample = read_sample(at / "info.mat")
    found = dressed(at, sample, len(sample.poses) // 2, model)
    return Scan(name, combined([plain(found.body, SKIN), *found.garments.values()]), found.body, found.joints)


def sample_folder(folder: Path, name: str) -> Path:
    """Where a sample lies."""
    return _samples(folder)[name]


def dressed(at: Path, sample: Sample, frame: int, model: SmplBody | None) -> Dressed:
    """One frame of the sample in the folder `at`. Raises CarveError without the holder's SMPL model, or where a file is damaged."""
    if check_model(model, "smpl", "CLOTH3D") is None or model is None:
        raise CarveError("The body of CLOTH3D's people is missing: give --body-model with an SMPL file (.npz) that you hold a licence for.")
    pose = sample.poses[frame]
    body, joints = posed(model, SmplPose(pose[0], pose[1:22], sample.betas, sample.translations[frame], rooted=True))
    turn = TO_Y_UP @ sample.turn
    garments = {name: garment(at, name, sample, frame).moved(turn) for name in sample.outfit}
    return Dressed(body.moved(turn), {bone: turn @ place for bone, place in joints.items()}, garments)


def read_sample(path: Path) -> Sample:
    """What info.mat says; a single frame may be stored without its axis of time."""
    from scipy.io import loadmat

    with fence(f"The file {path}"):
        check_file(path, MAX_BYTES)
        info = loadmat(path, simplify_cells=True)
        poses = np.asarray(info["poses"], float).reshape(72, -1).T.reshape(-1, 24, 3)
        translations = np.asarray(info["trans"], float).reshape(3, -1).T
        if len(translations) != len(poses):
            raise CarveError(f"The file {path} has {len(poses)} poses and {len(translations)} places.")
        angle = float(np.asarray(info.get("zrot", 0.0)).reshape(-1)[0])
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        outfit = {str(garment): value for garment, value in info["outfit"].items()}
        female = not float(np.asarray(info.get("gender", 0)).reshape(-1)[0])
        return Sample(poses, translations, np.asarray(info["shape"], float).ravel()[:10], turn, outfit, female)


def garment(at: Path, name: str, sample: Sample, frame: int) -> Surface:
    """One garment in the sample's own frame, its open layer as it is."""
    path = at / f"{name}.obj"
    picture = at / f"{name}.png"
    texture = sample.outfit[name].get("texture", {}) if isinstance(sample.outfit[name], dict) else {}
    own = read_surface(path, picture if picture.is_file() else None)
    places = read_point_cache(at / f"{name}.pc16", frame) + sample.translations[frame]
    shown = _split_as(own, path, places)
    data = np.asarray(texture.get("data", ())) if isinstance(texture, dict) else np.zeros(0)
    if own.texture is None and data.dtype.kind == "f" and data.size == 3:
        return plain(shown, data.ravel())
    return shown if own.texture is not None else plain(shown, (0.5, 0.5, 0.55))


def _split_as(own: Surface, path: Path, places: np.ndarray) -> Surface:
    """A garment as read, which may have split its vertices at seams of the texture, at the places (N, 3) of the file's own vertices."""
    if len(own.vertices) == len(places):
        return Surface(places, own.faces, own.uv, own.texture)
    with fence(f"The mesh {path}"):
        lines = (line.split()[1:4] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("v "))
        stored = np.array([[float(number) for number in line] for line in lines])
    if len(stored) != len(places):
        raise CarveError(f"The mesh {path} has {len(stored)} vertices, its point cache {len(places)}.")
    where = {place.tobytes(): k for k, place in enumerate(stored)}
    return Surface(places[[where[vertex.tobytes()] for vertex in own.vertices]], own.faces, own.uv, own.texture)


def read_point_cache(path: Path, frame: int) -> np.ndarray:
    """(N, 3) vertices of one frame of a .pc16 file, metres."""
    with fence(f"The point cache {path}"):
        size = check_file(path, MAX_BYTES)
        with path.open("rb") as file:
            mark, _, count, _, _, frames = HEADER.unpack(file.read(HEADER.size))
            if not mark.startswith(b"POINTCACHE2") or count <= 0 or frames <= 0 or size != HEADER.size + 6 * count * frames:
                raise CarveError(f"The point cache {path} is none, or is cut off.")
            if frame >= frames:
                raise CarveError(f"The point cache {path} has {frames} frames; frame {frame} is not among them.")
            file.seek(6 * count * frame, 1)
            return np.frombuffer(file.read(6 * count), "<f2").astype(float).reshape(count, 3)


CLOTH3D = Dataset("CLOTH3D", names, read, Protocol((0, 120, 240), 512, "CLOTH3D has no published reconstruction protocol; ICON's views"))
