"""What a run was made with: versions, licences, memory."""

from __future__ import annotations

import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("anny", "mediapipe", "numba", "numpy", "pillow", "pygltflib", "scipy", "torch", "xatlas")
"""Distributions whose versions can change a result."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def versions() -> dict[str, str]:
    """Version of carve, Python, the platform and every package that can change a result."""
    found = {"carve": metadata.version("carve"), "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


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
