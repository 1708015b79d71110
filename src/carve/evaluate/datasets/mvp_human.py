"""MVP-Human (Zhu et al., TBIOM 2023): 400 people in 15 poses, on whose test people CAR is evaluated.

Layout as downloaded: `Data/SUBJECT/indoor/ActionNN/*.obj` with its material, `Params/SUBJECT/indoor/ActionNN/FViewPOSE/R0.txt` (a matrix
whose rotation turns the scan to the front view); or its example's: `SUBJECT/scan/ActionNN.obj` and `R0.txt`. SMPL fits, as its
apps/fit_smpl.py writes them: `SUBJECT/ActionNN/smpl/smpl.obj` (the posed body in the turned scan's frame and unit; older ones about its
middle) and `param.npz` (`pose` 72, `betas`, `scale`, `transl`): metres are units over `scale`; without a fit the height tells. +Y up.
Action01 is the A-pose, Action03 the T-pose. `mvp_test50.txt` (CAR's list) or `test.txt` chooses subjects.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.fits import numbers, read_fit
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, Surface, listed, unit_by_height
from carve.evaluate.datasets.smpl_pose import SmplPose, check_model, posed
from carve.files.fence import fence
from carve.records import CarveError


def _scans(folder: Path) -> dict[str, tuple[Path, Path]]:
    """SUBJECT-ACTION -> mesh, and the text file of the turn to the front."""
    found = {}
    for path in sorted(folder.glob("Data/*/indoor/Action*/*.obj")):
        subject, action = path.parts[-4], path.parts[-2]
        found[f"{subject}-{action}"] = (path, folder / "Params" / subject / "indoor" / action / "FViewPOSE" / "R0.txt")
    for path in sorted(folder.glob("*/scan/Action*.obj")):
        found[f"{path.parts[-3]}-{path.stem}"] = (path, path.with_name("R0.txt"))
    return found


def names(folder: Path) -> list[str]:
    """SUBJECT-ACTION of all scans, or of the subjects of a list."""
    there = list(_scans(folder))
    what = "scans of MVP-Human (Data/237553/indoor/Action03/*.obj)"
    for name in ("mvp_test50.txt", "test.txt"):
        if (folder / name).is_file():
            subjects = listed(folder, (name,), sorted({one.partition("-")[0] for one in there}), what)
            return [one for one in there if one.partition("-")[0] in subjects]
    return listed(folder, (), there, what)


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One scan, turned to the front, in metres."""
    path, turned = _scans(folder)[name]
    subject, _, action = name.partition("-")
    if not turned.is_file():
        raise CarveError(f"The turn of {name} to the front view is missing: {turned}.")
    with fence(f"The file {turned}"):
        turn = np.loadtxt(turned)[:3, :3]
    surface = read_surface(path).moved(turn)
    what = f"The SMPL fit of {name}"
    at = folder / subject / action / "smpl"
    fit = read_fit(at / "param", what)
    unit = unit_by_height(surface.vertices, f"The mesh {path}") if fit is None else 1 / float(numbers(fit, "scale", (1,), what)[0])
    mesh = at / "smpl.obj"
    body = read_surface(mesh) if mesh.is_file() else None
    middle = _middle(surface.vertices)
    offset = np.zeros(3)
    if body is not None and np.linalg.norm(_middle(body.vertices) - middle) > 0.3 * np.ptp(surface.vertices[:, 1]):
        offset = middle  # an older fit, made about the scan's middle
    joints = None
    if check_model(model, "smpl", "MVP-Human") is not None and model is not None and fit is not None:
        pose = numbers(fit, "pose", (24, 3), what)
        shift = numbers(fit, "transl", (3,), what) + offset
        made, joints = posed(model, SmplPose(pose[0], pose[1:22], fit["betas"], shift * unit))
        body = body or made.moved(np.eye(3), scale=1 / unit)
    naked = None if body is None else Surface((body.vertices + offset) * unit, body.faces)
    return Scan(name, surface.moved(np.eye(3), scale=unit), naked, joints)


def _middle(vertices: np.ndarray) -> np.ndarray:
    return (vertices.min(0) + vertices.max(0)) / 2


MVP_HUMAN = Dataset("MVP-Human", names, read, Protocol((0,), 512, "CAR, lib/data/EvalDataset.py: the front view at 512 px"))
