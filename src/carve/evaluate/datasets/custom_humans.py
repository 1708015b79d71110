"""CustomHumans (Ho et al., CVPR 2023): 646 textured scans with SMPL-X fits, of which SiTH's benchmark uses 60.

Layout: `mesh/SUBJECT_.../mesh-f00000.obj` with its .mtl and .png; `smplx/SUBJECT_.../mesh-f00000.json` with the parameters (`body_pose`,
`betas`, ...; male model, pelvis at rest moved to the origin: tools/load_json_to_smplx.py) and `mesh-f00000_smpl.obj`, the posed body; or
both in one folder, as its tools/prepare_dataset.py makes them. Scans lie in the fit's frame: metres, +Y up, facing +Z.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import need_fit, numbers
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, Surface, listed
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed

TITLE = "CustomHumans"


def _meshes(folder: Path) -> dict[str, Path]:
    """SUBJECT_FRAME -> mesh."""
    root = folder / "mesh" if (folder / "mesh").is_dir() else folder
    files = (path for path in sorted(root.glob("*/mesh-f*.obj")) if not path.stem.endswith("_smpl"))
    return {f"{path.parent.name}_{path.stem.removeprefix('mesh-')}": path for path in files}


def names(folder: Path) -> list[str]:
    """SUBJECT_FRAME of all scans, or of those in `test.txt`."""
    return listed(folder, ("test.txt",), list(_meshes(folder)), "scans of CustomHumans (mesh/0003_.../mesh-f00101.obj)")


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One scan."""
    path = _meshes(folder)[name]
    at = folder / "smplx" / path.parent.name if (folder / "smplx").is_dir() else path.parent
    what = f"The SMPL-X fit of {name}"
    mesh = at / f"{path.stem}_smpl.obj"
    body = read_surface(mesh) if mesh.is_file() else None
    joints = None
    if check_model(model, "smplx", TITLE) is not None and model is not None:
        fit = need_fit(at / path.stem, what)
        orient = numbers(fit, "global_orient", (3,), what) if "global_orient" in fit else np.zeros(3)
        pose = SmplPose(orient, numbers(fit, "body_pose", (21, 3), what), fit["betas"], np.zeros(3), rooted=True)
        made, joints = posed(model, pose)
        body = body or made
    return Scan(name, read_surface(path), None if body is None else Surface(body.vertices, body.faces), joints)


CUSTOM_HUMANS = Dataset(TITLE, names, read, Protocol((0, 90, 180, 270), 1024, "SiTH, EVALUATE.md: parallel views at 1024 px, 4 a scan"))
