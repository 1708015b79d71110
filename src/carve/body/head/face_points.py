"""Where the points of mediapipe's face mesh lie on Anny's skin: found once (`carve synth face-points`) and kept beside this module."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Points around the face."""
INNER = np.setdiff1d(np.arange(468), OVAL)
"""The others."""
PATH = Path(__file__).with_name("face_points.json")


@dataclass(frozen=True)
class FacePoints:
    """468 points of the skin, each as a mean of the corners of a triangle."""

    corners: np.ndarray
    """(468, 3) int64 vertices of the body."""
    bary: np.ndarray
    """(468, 3) sum to 1."""
    spread: np.ndarray
    """(468,) metres: median distance between where the point is seen on different people and from different sides."""

    def on(self, vertices: np.ndarray) -> np.ndarray:
        """The points (468, ...) on a body with per-vertex values (V, ...)."""
        return np.einsum("nk,nk...->n...", self.bary, vertices[self.corners])


@cache
def face_points() -> FacePoints:
    """The points that carve ships."""
    table = json.loads(PATH.read_text(encoding="utf-8"))
    return FacePoints(np.array(table["corners"], np.int64), np.array(table["bary"], float), np.array(table["spread"], float))


def write_face_points(path: Path, points: FacePoints) -> None:
    """Write the table as JSON, one point a line."""
    rows = {"corners": points.corners.tolist(), "bary": points.bary.round(4).tolist(), "spread": points.spread.round(5).tolist()}
    text = ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in values) + "\n]" for name, values in rows.items())
    path.write_text("{\n" + text + "\n}\n", encoding="utf-8")
