"""`carve doctor`: what is installed, what is missing and how to get it."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from carve import __version__
from carve.cache import is_there

State = Literal["ok", "missing", "optional"]
"""`missing` stops a reconstruction, `optional` does not."""

DETECTOR_MODELS = (
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
    "palm_detection/palm_detection_full.tflite",
    "hand_landmark/hand_landmark_full.tflite",
    "face_detection/face_detection_short_range.tflite",
    "face_landmark/face_landmark.tflite",
)
"""What the detectors load, below mediapipe/modules; mediapipe after 0.10.21 no longer brings them."""

NETWORKS = ("normals", "implicit", "hyper", "shading")
"""Whose weights ship."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: State
    detail: str


def doctor() -> int:
    """Print all findings; 0 if carve can reconstruct, else 1."""
    findings = list(examine())
    for finding in findings:
        print(f"{finding.state:<9} {finding.what:<22} {finding.detail}")
    return int(any(finding.state == "missing" for finding in findings))


def examine() -> Iterator[Finding]:
    """Look at the installation without loading anything heavy."""
    python_fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding(
        "python", "ok" if python_fits else "missing", platform.python_version() + ("" if python_fits else "; carve needs 3.11 or 3.12")
    )
    yield Finding("carve", "ok", __version__)
    yield from _packages()
    yield from _detector_models()
    yield _heavy_pose()
    yield _body_cache()
    yield _weights()
    yield from _optional()


def _weights() -> Finding:
    """Whether the weights that ship are whole."""
    folder = Path(__file__).parents[1] / "networks" / "weights"
    try:
        for name in NETWORKS:
            wanted = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["sha256"]
            if hashlib.sha256((folder / f"{name}.safetensors").read_bytes()).hexdigest() != wanted:
                raise ValueError(name)
    except (OSError, ValueError, KeyError):
        return Finding("learned weights", "missing", f"{folder} is damaged: install carve again")
    return Finding("learned weights", "ok", ", ".join(NETWORKS))


def _packages() -> Iterator[Finding]:
    """Every package that carve's own metadata asks for, without the extras."""
    for requirement in metadata.requires("carve") or []:
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0]
        for sign in "<>=!~ [":
            name = name.split(sign)[0]
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "missing", "run `make setup`, or pip install -c constraints.txt carve")


def _detector_models() -> Iterator[Finding]:
    spec = util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        return
    modules = Path(spec.origin).parent / "modules"
    absent = [name for name in DETECTOR_MODELS if not (modules / name).is_file()]
    if absent:
        yield Finding("detector models", "missing", f"{', '.join(absent)}; install mediapipe 0.10.14")
    else:
        yield Finding("detector models", "ok", f"{len(DETECTOR_MODELS)} bundled with mediapipe")


def _heavy_pose() -> Finding:
    """The larger pose network, which is not in mediapipe's package."""
    from carve.networks.detectors import pose_models

    path = pose_models.heavy_path()
    if not is_there(path):
        return Finding("heavy pose network", "optional", "reads depth better than the bundled one: run `carve models`")
    if not pose_models.has_heavy() or not pose_models.is_heavy(path.read_bytes()):
        return Finding("heavy pose network", "optional", f"{path} is damaged or may not be read and is not used: run `carve models`")
    return Finding("heavy pose network", "ok", str(path))


def _body_cache() -> Finding:
    try:
        from carve.body.anny import cache_path, read_cache
        from carve.records import CarveError
    except ImportError as error:
        return Finding("body model", "missing", f"{error}; run `make setup`")
    path = cache_path()
    try:
        read_cache(path)
        return Finding("body model", "ok", f"{path} ({path.stat().st_size / 2**20:.0f} MiB)")
    except CarveError as error:
        problem = f"{error} " if is_there(path) else ""
    try:
        path.exists()  # a name that the system does not take is an error here
        with TemporaryFile(dir=_first_folder(path.parent)):
            return Finding("body model", "ok", f"{problem}{path} will be made at the next run")
    except OSError:
        return Finding("body model", "optional", f"{problem}{path} cannot be written: every run makes it anew (10 s); set CARVE_CACHE")


def _first_folder(path: Path) -> Path:
    """The nearest to `path` of what is there, itself or above it: a folder, if it can be made."""
    return next(folder for folder in (path, *path.absolute().parents) if is_there(folder))


def _optional() -> Iterator[Finding]:
    for extra, module, purpose in (
        ("heic", "pi_heif", "reads HEIC photos"),
        ("synth", "embreex", "lights synthetic people"),
        ("onnx", "onnxruntime", "runs normal and depth models of your own"),
        ("web", "fastapi", "serves the page and REST"),
        ("ray", "ray", "works on batches on a cluster"),
    ):
        there = util.find_spec(module) is not None
        yield Finding(module, "ok" if there else "optional", purpose if there else f"{purpose}: pip install 'carve[{extra}]'")
    node = shutil.which("node")
    yield Finding("node", "ok" if node else "optional", node or "only for the tests: install nodejs and npm")
    validator = Path("tests/validator/node_modules/gltf-validator").is_dir()
    yield Finding(
        "gltf-validator", "ok" if validator else "optional", "installed" if validator else "only for the tests: `make setup` in a checkout"
    )
