"""Landmarks as a JSON file that people can edit: pixels of the full photo by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from carve.files.text import read_json, readable
from carve.records import CarveError, Landmarks

MAX_POINTS = 10_000
"""A file with more landmarks is no file of carve's."""

_Number = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)] | None
"""null where the detector gave nothing; NaN in the record."""
_Spread = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)] | None


class _Point(BaseModel):
    """One landmark in the file."""

    model_config = ConfigDict(extra="forbid")

    pixel: tuple[_Number, _Number]
    """u, v in pixels of the full photo."""
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0 (not seen) to 1; a point that was placed by hand is certain."""
    world: tuple[_Number, _Number, _Number] = (None, None, None)
    """Metres relative to the hips' midpoint, axes of the camera frame."""
    spread: tuple[_Spread, _Spread, _Spread] = (0.0, 0.0, 0.0)
    """Standard deviation of u and v in pixels and of the depth in metres."""


_FILE = TypeAdapter(dict[str, _Point])


def landmark_document(landmarks: Landmarks) -> dict[str, dict[str, Any]]:
    """Landmarks as JSON-ready data, one entry a point; NaN becomes null when it is written."""
    return {
        name: {
            "pixel": [round(float(x), 2) for x in landmarks.pixels[i]],
            "confidence": round(float(landmarks.confidence[i]), 4),
            "world": [round(float(x), 4) for x in landmarks.world[i]],
            "spread": [round(float(x), 4) for x in landmarks.spread[i]],
        }
        for i, name in enumerate(landmarks.names)
    }


def read_landmarks(path: Path) -> Landmarks:
    """Read a file such as OUT/stages/landmarks.json."""
    document = read_json(path, f"The landmarks file {path}")
    try:
        points = _FILE.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = readable(".".join(str(part) for part in first["loc"]))[:80]
        raise CarveError(f"The landmarks file {path} is wrong at '{where}': {first['msg'].lower()}.") from error
    if not points:
        raise CarveError(f"The landmarks file {path} holds no landmarks.")
    if len(points) > MAX_POINTS:
        raise CarveError(f"The landmarks file {path} holds {len(points)} landmarks; {MAX_POINTS} are the most.")
    return Landmarks(
        names=tuple(points),
        pixels=_array([point.pixel for point in points.values()]),
        confidence=_array([(point.confidence,) for point in points.values()])[:, 0],
        world=_array([point.world for point in points.values()]),
        spread=_array([point.spread for point in points.values()]),
    )


def _array(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[np.nan if x is None else x for x in row] for row in rows], float)
