"""Normals of the user's own, read and checked before anything slow begins: maps from pictures, or an ONNX model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from carve.io.normal_files import check_convention, read_normals
from carve.networks.onnx.normals import load_onnx, run_onnx
from carve.records import CarveError
from carve.runner import Deferred
from carve.stages.normals import OwnNormals

SIDE = 512
"""Pixels of the crop where a model leaves the choice."""


def own_normals(size: tuple[int, int], front: Path | None, back: Path | None, model: Path | None) -> Deferred | None:
    """What the stage `normals` is given for a photo of `size` (width, height), or None if the user brings nothing.

    Raises:
        CarveError: a file is missing, broken, of another size or convention, or a model comes together with a front map.
    """
    files = [path for path in (front, back, model) if path is not None]
    if not files:
        return None
    if model is not None and front is not None:
        raise CarveError("Give --normals-front or --normals-model, not both: each replaces the front normals.")
    front_map = None if front is None else read_normals(front, size, "front")[0]
    back_map = None if back is None else read_normals(back, size, "back")[0]
    own = OwnNormals(front_map, back_map) if model is None else _with_model(model, back_map)
    digest = hashlib.sha256()
    for path in files if model is None else [*files, model.with_suffix(".json")]:
        digest.update(path.name.encode() + path.read_bytes())
    return Deferred(f"own normals {digest.hexdigest()}", lambda: own)


def _with_model(path: Path, back: np.ndarray | None) -> OwnNormals:
    conventions = load_onnx(path)

    def ask(crop: np.ndarray, mask: np.ndarray, body_front: np.ndarray, body_back: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        found = run_onnx(path, conventions, crop, mask, body_front, body_back)
        for side, normals in zip(("front", "back"), found, strict=True):
            if normals is not None:
                check_convention(normals, mask > 0.5, side, f"the {side} output of {path}")  # type: ignore[arg-type]
        return found

    return OwnNormals(back=back, model=ask, side=conventions.side(SIDE))
