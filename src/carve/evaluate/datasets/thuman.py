"""THuman2.0 and 2.1 (Yu et al., "Function4D", CVPR 2021): 526 and 2,445 textured scans of clothed people.

Layout: `ID/ID.obj` with `material0.jpeg`, in the folder or one of SCANS; fits of SMPL-X (male) in one of FITS: `ID/smplx_param.pkl`, to be
converted to .npz, and `ID/mesh_smplx.obj`. Scans have sizes and headings of their own: with the fit's `scale` s and `translation` t,
x_scan = s x_smplx + t, as ICON's loader (lib/dataset) and SiTH's (tools/align_thuman.py) have it, so that metres are (x_scan - t) / s.
+Y up. People face any way: `global_orient` is undone about the vertical.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import need_fit, numbers
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, listed
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed
from carve.evaluate.views import turn_about_up
from carve.geometry.rotations import matrix_from_rotvec

SCANS = ("scans", "model", "THuman2.0", "THuman2.1", "THuman2.0_Release", ".")
FITS = ("fits", "smplx", "THuman2.0_smplx", "THuman2.1_smplx", "THuman2.0_Smpl_X_Paras", "SmplX", ".")


def names(folder: Path) -> list[str]:
    """Numbers of the people: those of `test.txt` or `all.txt` if one is there, else all."""
    there = sorted({path.parent.name for scans in SCANS for path in (folder / scans).glob("*/*.obj") if path.stem == path.parent.name})
    return listed(folder, ("test.txt", "all.txt"), there, "scans of THuman2 (scans/0000/0000.obj)")


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One scan in metres, as it faces +Z."""
    path = next(path for scans in SCANS if (path := folder / scans / name / f"{name}.obj").is_file())
    at = next((place for fits in FITS if any((place := folder / fits / name).glob("smplx_param.*"))), path.parent)
    what = f"The SMPL-X fit of {name} (its `scale` makes metres of the scan)"
    fit = need_fit(at / "smplx_param", what)
    scale, shift = float(numbers(fit, "scale", (1,), what)[0]), numbers(fit, "translation", (3,), what)
    orient = numbers(fit, "global_orient", (3,), what)
    forward = matrix_from_rotvec(torch.from_numpy(orient[None])).numpy()[0] @ [0.0, 0.0, 1.0]
    turn = turn_about_up(np.degrees(np.arctan2(forward[0], forward[2])))
    surface = read_surface(path).moved(turn, -turn @ shift / scale, 1 / scale)
    mesh = at / "mesh_smplx.obj"
    body = read_surface(mesh).moved(turn, -turn @ shift / scale, 1 / scale) if mesh.is_file() else None
    joints = None
    if check_model(model, "smplx", "THuman2") is not None and model is not None:
        pose = SmplPose(orient, numbers(fit, "body_pose", (21, 3), what), fit["betas"], np.zeros(3))
        made, places = posed(model, pose)
        body = body or made.moved(turn)
        joints = {bone: turn @ place for bone, place in places.items()}
    return Scan(name, surface, None if body is None else replace(body, texture=None, uv=None), joints)


THUMAN = Dataset("THuman2", names, read, Protocol((0, 120, 240), 512, "ICON, lib/dataset/PIFuDataset.py: rotations 0, 120, 240 at 512 px"))
