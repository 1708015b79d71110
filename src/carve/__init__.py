"""carve: one photo of a clothed person in, a textured, rigged, animatable avatar out.

from carve import reconstruct
avatar = reconstruct("photo.jpg", out="out/photo")
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes as long to import as all the rest, and nothing may interrupt it with a traceback
if TYPE_CHECKING:
    from typing import Any

    from carve.pipeline import reconstruct as reconstruct
    from carve.records import Avatar as Avatar
    from carve.records import Photo as Photo

__version__ = "0.1.0"
__all__ = ["Avatar", "Photo", "__version__", "reconstruct"]

_HOMES = {"reconstruct": "carve.pipeline", "Avatar": "carve.records", "Photo": "carve.records"}
"""Public name -> the module that defines it; imported on first use because torch and mediapipe take seconds to load."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'carve' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
