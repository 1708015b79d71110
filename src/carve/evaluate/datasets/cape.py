"""CAPE (Ma et al., CVPR 2020): registered, clothed people in motion, and the test set that ICON made of its raw scans.

`cape`, as downloaded: `sequences/SUBJECT/CLOTH_SEQUENCE/*.npz` (perhaps under `cape_release`) with `v_posed` (6890, 3), the clothed mesh in
SMPL's topology, `pose` (72) and `transl` (3); `misc/smpl_tris.npy` has the triangles (or --body-model). The middle frame of each sequence,
or those of `all.txt`. `cape-nfp`, as ICON and ECON give it: `scans/NAME.obj` with vertex colours and `smpl/NAME.obj`, the posed body;
`pose.txt` (ECON's list of 100 poses unlike training's) or `test.txt` chooses. NAME is SUBJECT-CLOTH-SEQUENCE-FRAME. Metres, +Y up.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import need_fit, numbers
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, Surface, listed, unit_by_height
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed
from carve.files.fence import fence
from carve.records import CarveError

PROTOCOL = Protocol((0, 120, 240), 512, "ICON and ECON, lib/dataset/EvalDataset.py: rotations 0, 120, 240 at 512 px")
VERTICES = 6890


def _sequences(folder: Path) -> Path:
    return next((path for root in (folder, folder / "cape_release") if (path := root / "sequences").is_dir()), folder / "sequences")


def _frames(folder: Path) -> dict[str, Path]:
    """SUBJECT-CLOTH-SEQUENCE-FRAME -> file."""
    files = sorted(_sequences(folder).glob("*/*/*.npz"))
    return {f"{path.parent.parent.name}-{path.parent.name.replace('_', '-', 1)}-{path.stem.rpartition('.')[2]}": path for path in files}


def names(folder: Path) -> list[str]:
    """The middle frame of each sequence, or those that a list names."""
    frames = _frames(folder)
    if any((folder / name).is_file() for name in ("pose.txt", "all.txt")):
        return listed(folder, ("pose.txt", "all.txt"), list(frames), "sequences of CAPE (sequences/00032/longlong_hips/*.npz)")
    sequences: dict[Path, list[str]] = {}
    for name, path in frames.items():
        sequences.setdefault(path.parent, []).append(name)
    return listed(folder, (), [own[len(own) // 2] for own in sequences.values()], "sequences of CAPE (sequences/00032/longlong_hips/*.npz)")


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One frame."""
    path, what = _frames(folder)[name], f"The frame {name} of CAPE"
    frame = need_fit(path.with_suffix(""), what)
    translation = numbers(frame, "transl", (3,), what)
    vertices = numbers(frame, "v_posed", (VERTICES, 3), what)
    model = check_model(model, "smpl", "CAPE")
    surface = Surface(vertices, _triangles(folder, model))
    if model is None:
        return Scan(name, surface)
    pose = numbers(frame, "pose", (24, 3), what)
    minimal = _sequences(folder).with_name("minimal_body_shape") / name.partition("-")[0] / f"{name.partition('-')[0]}_minimal.npy"
    body, joints = posed(_with_shape(model, minimal), SmplPose(pose[0], pose[1:22], np.zeros(10), np.zeros(3)))
    gap = surface.vertices.mean(0) - body.vertices.mean(0)
    shift = (
        translation if np.linalg.norm(gap - translation) < np.linalg.norm(gap) else np.zeros(3)
    )  # releases differ in whether it is in v_posed
    joints = {bone: place + shift for bone, place in joints.items()}
    return Scan(name, surface, body.moved(np.eye(3), shift) if minimal.is_file() else None, joints)


def _triangles(folder: Path, model: SmplBody | None) -> np.ndarray:
    if model is not None:
        return model.faces
    path = _sequences(folder).with_name("misc") / "smpl_tris.npy"
    if not path.is_file():
        raise CarveError(f"The triangles of CAPE's meshes are missing: {path}, or --body-model with an SMPL file.")
    with fence(f"The file {path}"):
        return np.load(path, allow_pickle=False).astype(np.int64).reshape(-1, 3)


def _with_shape(model: SmplBody, minimal: Path) -> SmplBody:
    """The model with a subject's own minimally clothed shape (T-pose) in place of the mean, if it is there."""
    if not minimal.is_file():
        return model
    with fence(f"The file {minimal}"):
        shape = np.load(minimal, allow_pickle=False).astype(np.float32).reshape(-1, 3)
        if len(shape) != len(model.template):
            raise CarveError(f"The file {minimal} has {len(shape)} vertices and not {len(model.template)}.")
        # Joints of the own shape: by the model's shapes nearest to it, whose regressed joints the model keeps.
        offset = torch.from_numpy(shape) - model.template
        basis = model.shapes.flatten(1)
        betas = torch.linalg.lstsq(basis.T, offset.flatten()[:, None]).solution[:, 0]
        return replace(model, template=torch.from_numpy(shape), heads=model.heads + torch.tensordot(betas, model.head_shapes, 1))


def split_names(folder: Path) -> list[str]:
    """Those of `pose.txt` (not fashion poses) or `test.txt`, else all scans."""
    there = [path.stem for path in sorted((folder / "scans").glob("*.obj"))]
    return listed(folder, ("pose.txt", "test.txt"), there, "scans of ICON's CAPE (scans/00032-longlong-hips-000121.obj)")


def read_split(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One of ICON's scans; the colours are the raw scan's."""
    path = folder / "scans" / f"{name}.obj"
    surface = read_surface(path)
    unit = unit_by_height(surface.vertices, f"The mesh {path}")
    mesh = folder / "smpl" / f"{name}.obj"
    if not mesh.is_file():
        raise CarveError(f"The body of {name} is missing: {mesh}.")
    fit = read_surface(mesh)
    return Scan(name, surface.moved(np.eye(3), scale=unit), Surface(fit.vertices * unit, fit.faces))


CAPE = Dataset("CAPE", names, read, PROTOCOL)
CAPE_NFP = Dataset("CAPE-NFP", split_names, read_split, PROTOCOL)
