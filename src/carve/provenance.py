"""What a run was made with: versions, licences, memory."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import platform
import resource
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "anny",
    "manifold3d",
    "mediapipe",
    "numba",
    "numpy",
    "opencv-contrib-python",
    "pillow",
    "pygltflib",
    "safetensors",
    "scipy",
    "torch",
    "warp-lang",
    "xatlas",
)
"""Distributions whose versions can change a result."""

HOME = Path(__file__).parent

_NO_PRODUCT = ("app", "synth", "train", "evaluate", "__pycache__")
"""Rooms of the package that no stage imports."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def versions() -> dict[str, str]:
    """Version of carve, Python, the platform and every package that can change a result."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """The same, read once: what is imported stays as it is."""
    found = {"carve": metadata.version("carve"), "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


@cache
def made_with() -> str:
    """carve's version, a hash of the sources and data that the stages come from, and the versions of all that can change a result."""
    found = versions()
    packages = ", ".join(f"{name} {found[name]}" for name in PACKAGES)
    return f"carve {found['carve']} {source_hash(HOME)}, {packages}"


def source_hash(package: Path) -> str:
    """sha256 over the files of a package that its stages are made of: code, cards of weights (which hold the weights' own), models."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        inside = file.relative_to(package)
        told_by_card = file.suffix == ".safetensors" and inside.parts[:2] == ("networks", "weights")
        if told_by_card or inside.parts[0] in _NO_PRODUCT or "__pycache__" in inside.parts or not file.is_file():
            continue
        data = file.read_bytes()
        digest.update(f"{inside.as_posix()} {len(data)} ".encode())
        digest.update(data)
    return digest.hexdigest()


def licences(body_model: str) -> list[dict[str, str]]:
    """Licence of everything that leaves a trace in the avatar: the code, the detectors' weights, the body."""
    free = body_model.startswith("anny")
    return [
        {"part": "carve", "licence": "Apache-2.0"},
        {"part": "mediapipe code and models (pose, hands, face)", "licence": "Apache-2.0"},
        {
            "part": f"body model {body_model}",
            "licence": "code Apache-2.0, data CC0-1.0" if free else "that of your own file; the avatar inherits it",
        },
        {"part": "the photo", "licence": "its owner's; the texture is made from it"},
    ]


def reset_peak_memory() -> None:
    """Start a new measurement of `peak_memory` where the system can (Linux)."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return  # elsewhere the peak is that of the whole process so far


def peak_memory() -> float:
    """Largest resident memory since `reset_peak_memory`, MiB."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def give_memory_back() -> None:
    """Let the system have what arrays took that are gone: between stages and runs a process keeps only what it holds."""
    gc.collect()
    with suppress(OSError, AttributeError):  # a libc that has no such function
        ctypes.CDLL(None).malloc_trim(0)
