"""RenderPeople's posed people: commercial scans, of which ECON's test uses a hundred in loose clothes.

Layout as downloaded: `rp_NAME_posed_000_OBJ/rp_NAME_posed_000_100k.obj` (or 30k) with `tex/rp_NAME_posed_000_dif_2k.jpg` (any size), in
centimetres; or ECON's: `scans/rp_NAME_posed_000.obj`, `smplx/rp_NAME_posed_000.obj` (AGORA's fits, posed) and `loose.txt`. +Y up,
facing +Z. Rigged people come as FBX, which carve does not read: save the posed mesh as OBJ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Dataset, Protocol, Scan, Surface, listed, unit_by_height
from carve.records import CarveError


def _meshes(folder: Path) -> dict[str, Path]:
    """Name -> mesh, the finest of a person."""
    found = {path.stem: path for path in sorted((folder / "scans").glob("rp_*.obj"))}
    for count in ("30k", "60k", "100k"):
        for path in sorted(folder.glob(f"rp_*/rp_*_{count}.[oO][bB][jJ]")):
            found[path.stem.removesuffix(f"_{count}")] = path
    return found


def names(folder: Path) -> list[str]:
    """People of `loose.txt`, else all."""
    there = _meshes(folder)
    if not there and any(folder.glob("rp_*rigged*")):
        raise CarveError(f"{folder} holds rigged people as FBX, which carve does not read: save their posed meshes as OBJ.")
    return listed(folder, ("loose.txt",), list(there), "people of RenderPeople (rp_dennis_posed_004_OBJ/rp_dennis_posed_004_100k.obj)")


def read(folder: Path, name: str, model: SmplBody | None) -> Scan:
    """One person."""
    path = _meshes(folder)[name]
    textures = sorted(path.parent.glob(f"tex/{name}_dif*.jpg")) + sorted(path.parent.glob(f"{name}_dif*.jpg"))
    surface = read_surface(path, textures[-1] if textures else None)
    unit = unit_by_height(surface.vertices, f"The mesh {path}")
    mesh = folder / "smplx" / f"{name}.obj"
    body = None
    if mesh.is_file():
        fit = read_surface(mesh)
        body = Surface(fit.vertices * unit_by_height(fit.vertices, f"The mesh {mesh}"), fit.faces)
    return Scan(name, surface.moved(np.eye(3), scale=unit), body)


RENDERPEOPLE = Dataset("RenderPeople", names, read, Protocol((0, 120, 240), 512, "ECON, lib/dataset/EvalDataset.py: rotations 0, 120, 240"))
