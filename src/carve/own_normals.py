"""Normals and depth of the user's own, read and checked before anything slow begins: maps from pictures, or ONNX models."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from carve.io.normal_files import check_convention, read_normals
from carve.networks.onnx.conventions import conventions_path
from carve.networks.onnx.depth import load_depth, run_depth
from carve.networks.onnx.normals import load_onnx, run_onnx
from carve.records import CarveError
from carve.runner import Deferred
from carve.stages.normals import OwnNormals
from carve.stages.predicting.own_depth import OwnDepth

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
    return Deferred(f"own normals {_digest(files if model is None else [*files, conventions_path(model)])}", lambda: own)


def own_depth(model: Path | None) -> Deferred | None:
    """What the stage `evidence` is given, or None if the user brings no depth model.

    Raises:
        CarveError: the model or its conventions are missing, broken or do not fit each other.
    """
    if model is None:
        return None
    conventions = load_depth(model)

    def ask(crop: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return run_depth(model, conventions, crop, mask)

    own = OwnDepth(ask, conventions.meaning, conventions.metric, str(model), conventions.side(SIDE))
    return Deferred(f"own depth {_digest([model, conventions_path(model)])}", lambda: own)


def _digest(files: list[Path]) -> str:
    """sha256 of the files' names and contents, hexadecimal."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _with_model(path: Path, back: np.ndarray | None) -> OwnNormals:
    conventions = load_onnx(path)

    def ask(crop: np.ndarray, mask: np.ndarray, body_front: np.ndarray, body_back: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        found = run_onnx(path, conventions, crop, mask, body_front, body_back)
        for side, normals in zip(("front", "back"), found, strict=True):
            if normals is not None:
                check_convention(normals, mask > 0.5, side, f"the {side} output of {path}")  # type: ignore[arg-type]
        return found

    return OwnNormals(back=back, model=ask, side=conventions.side(SIDE))
