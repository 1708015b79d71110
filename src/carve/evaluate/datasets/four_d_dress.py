"""4D-Dress (Wang et al., CVPR 2024): textured 4D scans of clothed people, with photographs of four cameras.

Layout: `SUBJECT/OUTFIT/TAKE/` with `Meshes_pkl/mesh-f00000.pkl` and `atlas-f00000.pkl`, `SMPLX/mesh-f00000_smplx.ply` and `.pkl`,
`Capture/cameras.pkl`, `Capture/CAMERA/images/capture-f00000.png` and `masks/mask-f00000.png`. Pickles are to be converted: meshes to .npz
(`vertices`, `faces`, `uvs`), atlases to .png, cameras to .json ({"0004": {"intrinsics": 3 x 3, "extrinsics": 3 x 4}, ...}), fits to .npz.
The atlas' rows run with v from the top (its tools flip it before trimesh sees it). Cameras are computer vision's (tools/extract_garment.py
negates the first two rows for PyTorch3D): metres, +Y up. A take's middle frame with a photograph of each camera, or those of `test.txt`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import need_fit, numbers, read_fit
from carve.evaluate.datasets.meshes import read_picture, read_surface
from carve.evaluate.datasets.scan import Dataset, Photograph, Protocol, Scan, Surface, listed
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed
from carve.files.fence import fence
from carve.files.text import read_json
from carve.records import CarveError

CAMERAS = ("0004", "0028", "0052", "0076")
WHAT = "takes of 4D-Dress (00122/Outer/Take9/Meshes_pkl/mesh-f00011.npz)"


def _frames(folder: Path) -> dict[str, Path]:
    """SUBJECT-OUTFIT-TAKE-FRAME -> the mesh's path without its ending."""
    files = sorted({path.with_suffix("") for path in folder.glob("*/*/*/Meshes_pkl/mesh-f*") if path.suffix in (".npz", ".pkl")})
    return {"-".join([*path.parts[-5:-2], path.name.removeprefix("mesh-f")]): path for path in files}


def names(folder: Path) -> list[str]:
    """The middle frame of each take, or those of `test.txt`."""
    frames = _frames(folder)
    if (folder / "test.txt").is_file():
        return listed(folder, ("test.txt",), list(frames), WHAT)
    takes: dict[Path, list[str]] = {}
    for name, path in frames.items():
        takes.setdefault(path.parent, []).append(name)
    return listed(folder, (), [own[len(own) // 2] for own in takes.values()], WHAT)


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One frame with its photographs."""
    path = _frames(folder)[name]
    take, frame, what = path.parent.parent, path.name.removeprefix("mesh-f"), f"The mesh of {name}"
    mesh = need_fit(path, what)
    count = len(mesh.get("vertices", ()))
    vertices, faces = numbers(mesh, "vertices", (count, 3), what), np.asarray(mesh.get("faces", ()), np.int64).reshape(-1, 3)
    if not len(faces) or faces.min() < 0 or faces.max() >= count:
        raise CarveError(f"{what} has no usable 'faces'.")
    atlas = path.with_name(f"atlas-f{frame}.png")
    if not atlas.is_file():
        raise CarveError(f"The atlas of {name} is missing: {atlas} (convert it once from its pickle, docs/datasets.md).")
    surface = Surface(vertices, faces, numbers(mesh, "uvs", (count, 2), what), read_picture(atlas))
    body, joints = _fit(take, frame, name, model)
    return Scan(name, surface, body, joints, _photographs(take, frame, name))


def _fit(take: Path, frame: str, name: str, model: SmplBody | None) -> tuple[Surface | None, dict[str, np.ndarray] | None]:
    stem = take / "SMPLX" / f"mesh-f{frame}_smplx"
    body = read_surface(stem.with_suffix(".ply")) if stem.with_suffix(".ply").is_file() else None
    if check_model(model, "smplx", "4D-Dress") is None or model is None:
        return body, None
    what = f"The SMPL-X fit of {name}"
    fit = read_fit(stem, what)
    if fit is None:
        return body, None
    orient, pose = numbers(fit, "global_orient", (3,), what), numbers(fit, "body_pose", (21, 3), what)
    made, joints = posed(model, SmplPose(orient, pose, fit["betas"], numbers(fit, "transl", (3,), what)))
    return body or made, joints


def _photographs(take: Path, frame: str, name: str) -> tuple[Photograph, ...]:
    capture = take / "Capture"
    taken = [camera for camera in CAMERAS if (capture / camera / "images" / f"capture-f{frame}.png").is_file()]
    if not taken:
        return ()
    path = capture / "cameras.json"
    if not path.is_file():
        raise CarveError(f"The cameras of {name} are missing: {path} (convert them once from cameras.pkl, docs/datasets.md).")
    document = read_json(path, f"The file {path}")
    with fence(f"The file {path}"):
        views = {camera: [np.array(document[camera][key], float) for key in ("intrinsics", "extrinsics")] for camera in taken}
    return tuple(
        Photograph(
            camera,
            capture / camera / "images" / f"capture-f{frame}.png",
            capture / camera / "masks" / f"mask-f{frame}.png",
            views[camera][0].reshape(3, 3),
            views[camera][1].reshape(3, 4),
        )
        for camera in taken
    )


FOUR_D_DRESS = Dataset(
    "4D-Dress", names, read, Protocol((0,), 1024, "4D-Dress' own photographs of its four cameras; a rendered front where there are none")
)
