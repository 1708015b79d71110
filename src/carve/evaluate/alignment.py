"""Bringing an output onto the truth: without and with iterative closest points.

Scale and distance cannot be told from one picture, so the smallest honest alignment, `register`, finds them by the camera. `align` then
lets the output turn and shrink a little, which hides leaning and inflation: both are always shown.
Frames: the truth's camera frame (metres, +X right, +Y up, looking along -Z); outputs may be in any rigid frame that their projection knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import rq
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from carve.records import CarveError

LARGEST_DEGREES = 10.0
"""How far `align` may turn."""
SCALES = (0.85, 1.15)
"""How far `align` may scale."""
FLIP = np.diag([1.0, -1.0, -1.0])
"""Computer vision's camera axes (y down, z forward) to ours."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: np.ndarray
    """(3, 3)."""
    shift: np.ndarray
    """(3,) metres."""

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) moved."""
        return self.scale * points @ self.rotation.T + self.shift

    def after(self, first: Similarity) -> Similarity:
        """The map that does `first`, then this."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self(first.shift[None])[0])

    @property
    def degrees(self) -> float:
        """Angle of the rotation."""
        return float(np.degrees(Rotation.from_matrix(self.rotation).magnitude()))


def camera_frame(projection: np.ndarray, points: np.ndarray) -> Similarity:
    """The rigid map from the frame of a 3 x 4 `projection` to its own camera frame; `points` (N, 3) tell which side is in front.

    Raises CarveError if the matrix is no camera: singular, mirroring, or through the subject.
    """
    extent, centre = float(np.ptp(points, axis=0).max()), points.mean(0)
    depth = float(projection[2] @ np.append(centre, 1))
    if abs(depth) < 1e-12:
        raise CarveError("the subject lies in the plane of the projection's camera")
    matrix = projection if depth > 0 else -projection
    inner = matrix[:, :3]
    if np.linalg.norm(inner[2]) * extent < 1e-6 * abs(depth):  # a parallel projection
        right = inner[0] / np.linalg.norm(inner[0])
        forward = np.cross(right, inner[1])
        forward /= np.linalg.norm(forward)
        turn = FLIP @ np.stack([right, np.cross(forward, right), forward])
        return Similarity(1.0, turn, -turn @ centre - np.array([0, 0, 3 * extent]))
    if np.linalg.det(inner) <= 0:
        raise CarveError("the projection mirrors what it shows, or is singular")
    upper, turn = rq(inner)
    turn = FLIP @ (np.sign(np.diag(upper))[:, None] * turn)
    return Similarity(1.0, turn, turn @ np.linalg.solve(inner, matrix[:, 3]))


def register(points: np.ndarray, pixels: np.ndarray, truth: np.ndarray, projection: np.ndarray) -> Similarity:
    """Scale and shift that let the true camera (3 x 4) see camera-frame `points` (N, 3) at their own `pixels` (N, 2), in least squares.

    One factor stays free, a larger person farther away; it makes the median depths of the points and of `truth` (M, 3) agree.
    """
    rows = []
    for axis in (0, 1):
        a = projection[axis, :3] - pixels[:, axis, None] * projection[2, :3]
        rows.append(np.column_stack([np.einsum("ij,ij->i", a, points), a]))
    system = np.concatenate(rows)
    norm = np.linalg.norm(system, axis=0)
    solution = np.linalg.svd((system / norm).T @ (system / norm))[2][-1] / norm
    solution *= np.sign(solution[0]) or 1.0
    scale, shift = float(solution[0]), solution[1:]
    depth = -float(np.median((scale * points + shift)[:, 2]))
    if scale <= 0 or depth <= 0:
        raise CarveError("the output's projection cannot be matched to the photo's camera")
    factor = -float(np.median(truth[:, 2])) / depth
    return Similarity(scale * factor, np.eye(3), shift * factor)


def align(
    points: np.ndarray, truth: np.ndarray, normals: np.ndarray, rng: np.random.Generator, iterations: int = 40, count: int = 15_000
) -> Similarity:
    """Similarity by iterative closest points in both directions, held within LARGEST_DEGREES and SCALES.

    Point-to-plane (Chen & Medioni 1992) with a tenth of point-to-point, under Cauchy weights of twice the median distance.
    `truth`, `normals` (M, 3).
    """
    source = points[rng.choice(len(points), min(count, len(points)), replace=False)]
    pick = rng.choice(len(truth), min(count, len(truth)), replace=False)
    target, target_normals = truth[pick], normals[pick]
    tree, centre = cKDTree(target), source.mean(0)
    scale, rotation, shift = 1.0, np.eye(3), np.zeros(3)
    for _ in range(iterations):
        local = scale * (source - centre) @ rotation.T
        step = _step(local, centre + shift, target, target_normals, tree)
        turned = Rotation.from_rotvec(step[:3]) * Rotation.from_matrix(rotation)
        angle = turned.magnitude()
        rotation = (turned ** min(1.0, np.radians(LARGEST_DEGREES) / max(angle, 1e-12))).as_matrix()
        scale = float(np.clip(scale * (1 + step[3]), *SCALES))
        shift = shift + step[4:]
        if np.abs(step).max() < 2e-6:
            break
    return Similarity(scale, rotation, centre + shift - scale * rotation @ centre)


def _step(local: np.ndarray, origin: np.ndarray, target: np.ndarray, normals: np.ndarray, tree: cKDTree) -> np.ndarray:
    """(7,) rotation vector, relative scale and shift of one Gauss-Newton step for points `local` (N, 3) about `origin`."""
    moved = local + origin
    _, near = tree.query(moved)
    _, back = cKDTree(moved).query(target)
    arm = np.concatenate([local, local[back]])
    gap = np.concatenate([target[near] - moved, target - moved[back]])
    normal = np.concatenate([normals[near], normals])
    distance = np.linalg.norm(gap, axis=1)
    weight = 1 / (1 + (distance / max(2 * float(np.median(distance)), 0.01)) ** 2)
    rows, right = [], []
    for direction, w in ((normal, weight), *((np.tile(axis, (len(arm), 1)), 0.1 * weight) for axis in np.eye(3))):
        root = np.sqrt(w)
        rows.append(np.column_stack([np.cross(arm, direction), np.einsum("ij,ij->i", arm, direction), direction]) * root[:, None])
        right.append(np.einsum("ij,ij->i", gap, direction) * root)
    a, b = np.concatenate(rows), np.concatenate(right)
    return np.linalg.solve(a.T @ a + 1e-9 * np.eye(7), a.T @ b)
