"""Where the pose networks lie: the full one comes with mediapipe, the heavy one lies in carve's cache once it has been put there.

mediapipe's package folder is never written to. The heavy network is mediapipe's own too (Apache-2.0); its file comes with the npm package
`@mediapipe/pose` and can be downloaded from mediapipe's storage.
"""

from __future__ import annotations

import hashlib
import os
from importlib import util
from pathlib import Path
from typing import Literal

from carve.cache import cache_folder, is_there
from carve.files.whole import write_whole, writing
from carve.records import CarveError

PoseModel = Literal["full", "heavy"]

HEAVY_BYTES = 27_709_200
HEAVY_SHA256 = "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe"


def heavy_path() -> Path:
    """Where the heavy network lies, or would."""
    return cache_folder() / "pose_landmark_heavy.tflite"


def has_heavy() -> bool:
    """Whether the heavy network is there, whole by its size."""
    path = heavy_path()
    return is_there(path) and path.is_file() and path.stat().st_size == HEAVY_BYTES and os.access(path, os.R_OK)


def is_heavy(data: bytes) -> bool:
    """Whether these are the heavy network's bytes."""
    return len(data) == HEAVY_BYTES and hashlib.sha256(data).hexdigest() == HEAVY_SHA256


def install_heavy(data: bytes, source: str) -> Path:
    """Put the heavy network in place, whole or not at all. Raises CarveError if these bytes are another file's."""
    if not is_heavy(data):
        raise CarveError(f"{source} is not the pose network that carve knows ({HEAVY_BYTES:,} bytes, sha256 {HEAVY_SHA256[:12]}...).")
    path = heavy_path()
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def model_bytes(model: PoseModel) -> bytes:
    """The network as a TensorFlow Lite file. Raises CarveError if it is not there or not whole."""
    if model == "heavy":
        data = heavy_path().read_bytes() if has_heavy() else b""
        if not is_heavy(data):
            raise CarveError(f"{heavy_path()} is not there or not whole: run `carve models`, or use --set observe.pose=full.")
        return data
    spec = util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise CarveError("mediapipe is not installed: run `make setup`.")
    path = Path(spec.origin).parent / "modules" / "pose_landmark" / "pose_landmark_full.tflite"
    if not path.is_file():
        raise CarveError(f"{path} is missing: install mediapipe 0.10.14.")
    return path.read_bytes()
