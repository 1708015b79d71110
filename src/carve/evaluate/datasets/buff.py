"""BUFF (Zhang et al., CVPR 2017): coloured 4D scans of five people in two outfits.

Layout: `sequences/SUBJECT/CLOTH_MOTION/*.ply` (perhaps under `buff_release`, or without `sequences`), raw scans with vertex colours;
where CAPE's registration of a frame lies beside it as .npz (`v_posed`, `pose`, `transl`, as in CAPE), it gives the pose. Scans are in
metres, those that CAPE gives out in millimetres: the height tells. +Y up, facing +Z in the first frame of a motion. The middle frame of
each sequence, or those of `test.txt` (SUBJECT-CLOTH_MOTION-FRAME).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import numbers, read_fit
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, listed, unit_by_height
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed

WHAT = "scans of BUFF (sequences/00005/shortlong_hips/shortlong_hips.000001.ply)"


def _frames(folder: Path) -> dict[str, Path]:
    """SUBJECT-CLOTH_MOTION-FRAME -> file."""
    for root in (folder / "buff_release" / "sequences", folder / "sequences", folder / "buff_release", folder):
        if files := sorted(root.glob("*/*/*.ply")):
            return {f"{path.parent.parent.name}-{path.parent.name}-{path.stem.rpartition('.')[2]}": path for path in files}
    return {}


def names(folder: Path) -> list[str]:
    """The middle frame of each sequence, or those of `test.txt`."""
    frames = _frames(folder)
    if (folder / "test.txt").is_file():
        return listed(folder, ("test.txt",), list(frames), WHAT)
    sequences: dict[Path, list[str]] = {}
    for name, path in frames.items():
        sequences.setdefault(path.parent, []).append(name)
    return listed(folder, (), [own[len(own) // 2] for own in sequences.values()], WHAT)


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One frame."""
    path = _frames(folder)[name]
    surface = read_surface(path)
    surface = surface.moved(np.eye(3), scale=unit_by_height(surface.vertices, f"The mesh {path}"))
    what = f"The registration of {name}"
    frame = read_fit(path.with_suffix(""), what)
    if check_model(model, "smpl", "BUFF") is None or model is None or frame is None:
        return Scan(name, surface)
    pose = numbers(frame, "pose", (24, 3), what)
    betas = frame.get("betas", np.zeros(10))
    _, joints = posed(model, SmplPose(pose[0], pose[1:22], betas, numbers(frame, "transl", (3,), what)))
    return Scan(name, surface, None, joints)


BUFF = Dataset(
    "BUFF",
    names,
    read,
    Protocol((0, 120, 240), 512, "CAR evaluates on BUFF in rendered views whose angles it does not give; these are ICON's"),
)
