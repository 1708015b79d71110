"""What mediapipe's face mesh says of a face and what the face is at rest: a linear map that was learned from portraits of known heads.

The detector draws every face towards one of its own: of heads of known shape its points lie as far from where they should as those of the
mean head do, and its depth is farther off. What it does say of a person is read out of all points at once.

Notation: q (468, 3) the detector's points, q0 the mean over portraits, A the similarity that takes q to q0 best; p (468, 3) where the
points lie on the neutral face, brought together in one size and turn, p0 their mean. Learned by ridge regression of p on A q
(`carve.synth.face_lesson`), kept as its leading directions:
    p = p0 + U V^T (A q - q0)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from carve.geometry.similarity import procrustes

PATH = Path(__file__).with_name("face_reading.safetensors")


@dataclass(frozen=True)
class FaceReading:
    """The map."""

    seen: np.ndarray
    """(468, 3) q0; in size and turn of one of the portraits, axes of the detector (+X right, +Y up, +Z towards the viewer)."""
    true: np.ndarray
    """(468, 3) p0; body frame, canonical pose, metres."""
    into: np.ndarray
    """(1404, R) V."""
    out: np.ndarray
    """(1404, R) U."""

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(468, 3) the neutral face, body frame, canonical pose, in the size of p0; from the detector's points (468, 3) in any
        unit and turn."""
        scale, rotation, shift = procrustes(points, self.seen)
        aligned = scale * points @ rotation.T + shift
        return np.asarray(self.true + (self.out @ (self.into.T @ (aligned - self.seen).ravel())).reshape(-1, 3))


def learn_reading(seen: np.ndarray, true: np.ndarray, ridge: float = 0.003, rank: int = 120) -> FaceReading:
    """The map from N portraits: the detector's points (N, 468, 3), each in a frame of its own, and the neutral faces (N, 468, 3).

    `ridge` is the penalty as a share of the mean square of a portrait's deviations, `rank` how many directions are kept.
    """
    x, y = (_brought_together(points).reshape(len(points), -1) for points in (seen, true))
    x0, y0 = x.mean(0), y.mean(0)
    gram = (x - x0) @ (x - x0).T
    weights = np.linalg.solve(gram + ridge * np.trace(gram) / len(x) * np.eye(len(x)), y - y0)
    # The map is (x - x0)^T weights: its leading directions.
    u, size, vt = np.linalg.svd((x - x0).T @ weights, full_matrices=False)
    keep = min(rank, int((size > 1e-9).sum()))
    return FaceReading(x0.reshape(-1, 3), y0.reshape(-1, 3), u[:, :keep] * size[:keep], vt[:keep].T)


def _brought_together(points: np.ndarray, rounds: int = 4) -> np.ndarray:
    """Faces (N, 468, 3), each moved, turned and scaled to lie best on their mean, which has frame and size of the first."""
    middle = points[0]
    for _ in range(rounds):
        moves = [procrustes(each, middle) for each in points]
        moved = np.stack([scale * each @ rotation.T + shift for each, (scale, rotation, shift) in zip(points, moves, strict=True)])
        middle = moved.mean(0)
    return moved


@cache
def face_reading() -> FaceReading:
    """The map that carve ships."""
    with safe_open(PATH, framework="np") as archive:
        return FaceReading(*(archive.get_tensor(name).astype(float) for name in ("seen", "true", "into", "out")))


def write_face_reading(path: Path, reading: FaceReading) -> None:
    """Write the map in single precision."""
    save_file({name: np.ascontiguousarray(getattr(reading, name), np.float32) for name in ("seen", "true", "into", "out")}, path)
