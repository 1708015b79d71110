"""Moving a stored view's picture, its truth and its camera together: mirrored, turned, scaled, shifted.

Notation: p = (u, v) pixels of the stored view, p' those of the sample, k its scale; a motion mirrors the picture by F = diag(-1, 1) or not
and turns it counter-clockwise by the angle a,
    p' = A (p - centre) + centre' + shift,    A = k [[cos a, sin a], [-sin a, cos a]] F,
which v pointing down makes counter-clockwise. Vectors of the camera frame (y up) turn with [[cos a, -sin a], [sin a, cos a]] F in x and y.
Any such motion is a camera of its own: the principal point moves with the pixels, the focal length becomes k f, z stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import cv2
import numpy as np

from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.synth.records import View

Field = Literal[
    "normal_front",
    "normal_back",
    "normal_left",
    "normal_right",
    "body_normal_front",
    "body_normal_back",
    "depth",
    "part",
    "region",
]
FIELDS: tuple[Field, ...] = get_args(Field)
_STORED = {
    "normal_front": "normal",
    "normal_back": "normal_back",
    "normal_left": "normal_left",
    "normal_right": "normal_right",
    "body_normal_front": "body_normal",
    "body_normal_back": "body_normal_back",
    "depth": "depth",
    "part": "part",
    "region": "region",
}
"""Field -> the member of View that holds it."""
_OTHER_SIDE = {"normal_left": "normal_right", "normal_right": "normal_left"}


@dataclass(frozen=True)
class Motion:
    """How the picture is mirrored, turned, scaled and shifted, in this order, about its centre."""

    flip: bool = False
    angle: float = 0.0
    """Radians, counter-clockwise as one looks at the picture."""
    scale: float = 1.0
    """1 keeps the whole view."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Along u and v, in sides of the picture."""

    def matrix(self, view: Camera, size: int) -> np.ndarray:
        """(2, 3) from pixels of the view to pixels of a sample of size x size."""
        k = self.scale * size / max(view.width, view.height)
        c, s = np.cos(self.angle), np.sin(self.angle)
        linear = k * np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if self.flip else 1.0, 1.0])
        centre = np.array([view.width / 2, view.height / 2])
        return np.column_stack([linear, size * (0.5 + np.array(self.shift)) - linear @ centre])

    @property
    def turn(self) -> np.ndarray:
        """(3, 3) what it does to vectors of the camera frame."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ np.diag([-1.0 if self.flip else 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Truth:
    """What is known of the pixels of a sample, S x S. All zero outside the mask unless a field says otherwise."""

    camera: Camera
    up: np.ndarray
    """(3,) against gravity, camera frame."""
    coverage: np.ndarray
    """(S, S) float32 share of the pixel that the person covers, what stands in front of them not counted."""
    mask: np.ndarray
    """(S, S) bool: coverage of at least a half."""
    normals: dict[str, np.ndarray]
    """Field -> (3, S, S) float32 unit vectors, camera frame; those of the body are zero outside the body, those of the sides have outlines
    of their own."""
    depth: np.ndarray | None
    """(S, S) float32 metres along the viewing axis."""
    part: np.ndarray | None
    """(S, S) uint8 index into PARTS."""
    region: np.ndarray | None
    """(S, S) uint8, 1 + index into REGIONS."""
    landmarks: np.ndarray
    """(L, 4) float64 u, v in pixels of the sample, distance in metres, 1 where the point is seen."""


def draw_motion(view: View, rng: np.random.Generator) -> Motion:
    """Mostly the whole person, a little larger or smaller, level or tilted; one in five a window of them."""
    flip = bool(rng.random() < 0.5)
    angle = float(rng.normal(0, np.radians(6))) if rng.random() < 0.5 else 0.0
    size = max(view.camera.width, view.camera.height)
    left, top, width, height = cv2.boundingRect(view.coverage)
    if rng.random() < 0.2:
        scale = rng.uniform(1.3, 2.6)
        middle = np.array([left + width * rng.uniform(0.3, 0.7), top + height * rng.uniform(0.1, 0.8)])
    else:
        scale = rng.uniform(0.78, 1.08)
        middle = np.array([left + width / 2, top + height / 2])
    framed = Motion(flip, angle, scale)
    away = framed.matrix(view.camera, size)[:, :2] @ (middle - size / 2) / size
    loose = max(0.02, (1 - scale * max(width, height) / size) / 2)
    shift = rng.uniform(-loose, loose, 2) - away
    return Motion(flip, angle, scale, (float(shift[0]), float(shift[1])))


@compiled(nogil=True, fastmath=True)
def _move_labels(
    coverage: np.ndarray,
    depth: np.ndarray,
    part: np.ndarray,
    region: np.ndarray,
    other: np.ndarray,
    inverse: np.ndarray,
    box: tuple[int, int, int, int],
    near: float,
    step: float,
    out_coverage: np.ndarray,
    out_depth: np.ndarray,
    out_part: np.ndarray,
    out_region: np.ndarray,
) -> None:
    """Coverage by bilinear lookup; labels from the nearest pixel that has one; depth by bilinear lookup unless it jumps, then nearest."""
    height, width = coverage.shape
    jump = 0.03 / step
    weights = np.zeros(4)
    rows, columns = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            u = inverse[0, 0] * j + inverse[0, 1] * i + inverse[0, 2]
            v = inverse[1, 0] * j + inverse[1, 1] * i + inverse[1, 2]
            x, y = int(np.floor(u)), int(np.floor(v))
            a, b = u - x, v - y
            weights[0], weights[1], weights[2], weights[3] = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
            total = 0.0
            for t in range(4):
                columns[t], rows[t] = x + t % 2, y + t // 2
                if columns[t] < 0 or columns[t] >= width or rows[t] < 0 or rows[t] >= height:
                    weights[t] = 0.0
                    columns[t] = rows[t] = 0
                total += weights[t] * coverage[rows[t], columns[t]]
            out_coverage[i, j] = total / 255
            if out_coverage[i, j] < 0.5:
                continue
            if len(depth):
                low, high, mean, mass, best, nearest = 65536.0, 0.0, 0.0, 0.0, -1.0, 0.0
                for t in range(4):
                    d = float(depth[rows[t], columns[t]])
                    if weights[t] > 0 and d > 0:
                        low, high = min(low, d), max(high, d)
                        mean += weights[t] * d
                        mass += weights[t]
                        if weights[t] > best:
                            best, nearest = weights[t], d
                if mass > 0:
                    out_depth[i, j] = near + ((nearest if high - low > jump else mean / mass) - 1) * step
            best_part, best_region = 0.0, 0.0
            for t in range(4):
                r, c = rows[t], columns[t]
                if len(part) and weights[t] > best_part and part[r, c] > 0:
                    best_part = weights[t]
                    out_part[i, j] = part[r, c]
                if len(region) and weights[t] > best_region and region[r, c] > 0:
                    best_region = weights[t]
                    out_region[i, j] = other[region[r, c]]


@compiled(nogil=True, fastmath=True)
def _move_normals(
    source: np.ndarray,
    inverse: np.ndarray,
    turn: np.ndarray,
    box: tuple[int, int, int, int],
    mask: np.ndarray,
    least: float,
    out: np.ndarray,
) -> None:
    """Bilinear mean of the pixels (H, W, 3) that hold a normal, turned and of unit length, into `out` (3, S, S).

    Only where `mask` (S, S) is true and the pixels that hold one have a weight of at least `least`.
    """
    height, width = source.shape[:2]
    byte, one = np.float32(1 / 127.5), np.float32(1.0)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            if not mask[i, j]:
                continue
            u = inverse[0, 0] * j + inverse[0, 1] * i + inverse[0, 2]
            v = inverse[1, 0] * j + inverse[1, 1] * i + inverse[1, 2]
            x, y = int(np.floor(u)), int(np.floor(v))
            a, b = np.float32(u - x), np.float32(v - y)
            nx, ny, nz, mass = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for t in range(4):
                c, r = x + t % 2, y + t // 2
                if c < 0 or c >= width or r < 0 or r >= height:
                    continue
                sx, sy, sz = source[r, c, 0], source[r, c, 1], source[r, c, 2]
                if sx == 0 and sy == 0 and sz == 0:
                    continue
                w = (a if t % 2 else one - a) * (b if t // 2 else one - b)
                nx += w * (sx * byte - one)
                ny += w * (sy * byte - one)
                nz += w * (sz * byte - one)
                mass += w
            if mass <= least:
                continue
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if length < np.float32(1e-6):
                continue
            nx, ny, nz = nx / length, ny / length, nz / length
            out[0, i, j] = turn[0, 0] * nx + turn[0, 1] * ny
            out[1, i, j] = turn[1, 0] * nx + turn[1, 1] * ny
            out[2, i, j] = nz


def augment(view: View, names: tuple[str, ...], motion: Motion, size: int, fields: tuple[Field, ...] = FIELDS) -> Truth:
    """The truth of a view after `motion`, in a picture of size x size, and the camera that would see it so.

    A flip makes another person, whose left is the first one's right: landmarks (`names`, L), regions and the two side views change places.
    """
    matrix = motion.matrix(view.camera, size)
    inverse = _index_inverse(matrix)
    left, top, width, height = cv2.boundingRect(view.coverage)
    corners = (
        np.array([[left, top], [left + width, top], [left, top + height], [left + width, top + height]]) @ matrix[:, :2].T + matrix[:, 2]
    )
    low = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, low, size)
    box = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    coverage = np.zeros((size, size), np.float32)
    depth, part, region = np.zeros((size, size), np.float32), np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    none8, none16 = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.uint16)
    near, far = view.depth_range
    _move_labels(
        view.coverage,
        view.depth if "depth" in fields else none16,
        view.part if "part" in fields else none8,
        view.region if "region" in fields else none8,
        _other_regions() if motion.flip else np.arange(len(REGIONS) + 1, dtype=np.uint8),
        inverse,
        box,
        near,
        (far - near) / 65534,
        coverage,
        depth,
        part,
        region,
    )
    mask = coverage >= 0.5
    normals: dict[str, np.ndarray] = {}
    whole = np.ones((size, size), bool)
    for field in (f for f in fields if "normal" in f):
        out = np.zeros((3, size, size), np.float32)
        side = field in _OTHER_SIDE
        source = getattr(view, _STORED[_OTHER_SIDE[field] if side and motion.flip else field])
        # The front and the back are continued beyond the outline and end at the mask; the others end where they have no normals.
        least = 0.5 if side or field.startswith("body") else 0.0
        _move_normals(
            source, inverse, motion.turn.astype(np.float32), (0, 0, size, size) if side else box, whole if side else mask, least, out
        )
        normals[field] = out
    camera, k = view.camera, motion.scale * size / max(view.camera.width, view.camera.height)
    principal = matrix[:, :2] @ [camera.cx, camera.cy] + matrix[:, 2]
    return Truth(
        camera=Camera(size, size, camera.focal * k, float(principal[0]), float(principal[1])),
        up=motion.turn @ view.up,
        coverage=coverage,
        mask=mask,
        normals=normals,
        depth=depth if "depth" in fields else None,
        part=part if "part" in fields else None,
        region=region if "region" in fields else None,
        landmarks=_moved_landmarks(view.landmarks, names, motion.flip, matrix, size),
    )


def stored_members(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """The members of View that hold these fields, both sides where one is asked for (a flip swaps them)."""
    return tuple(_STORED[field] for field in (*fields, *(_OTHER_SIDE[f] for f in fields if f in _OTHER_SIDE)))


def _index_inverse(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) from an index (column, row) of the sample to one of the view; `matrix` (2, 3) maps pixels the other way."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, linear @ (np.array([0.5, 0.5]) - matrix[:, 2]) - 0.5])


def moved_colour(colour: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 4) colour (H, W, 4) in the sample's pixels."""
    inverse = _index_inverse(matrix)
    if colour.shape[:2] == (size, size) and np.array_equal(inverse, np.eye(2, 3)):
        return colour
    return np.asarray(cv2.warpAffine(colour, inverse, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def other_side(name: str) -> str:
    """The name with left and right exchanged, as a word between underscores or before a capital (`left_hip`, `bone:leftHand`)."""
    return re.sub(r"(?<![a-z])(left|right)(?![a-z])", lambda side: "right" if side[0] == "left" else "left", name)


@cache
def _other_regions() -> np.ndarray:
    """(R + 1,) region values with left and right exchanged."""
    return np.array([0, *(1 + REGIONS.index(other_side(name)) for name in REGIONS)], np.uint8)


def _moved_landmarks(landmarks: np.ndarray, names: tuple[str, ...], flip: bool, matrix: np.ndarray, size: int) -> np.ndarray:
    moved = np.array(landmarks, float)
    if flip:
        moved = moved[[names.index(other_side(name)) for name in names]]
    moved[:, :2] = moved[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    moved[:, 3] *= ((moved[:, :2] >= 0) & (moved[:, :2] < size)).all(1)
    return moved


def hide(landmarks: np.ndarray, cover: np.ndarray) -> None:
    """Landmarks (L, 4) behind what covers a pixel of `cover` (S, S) are not seen."""
    seen_now = landmarks[:, 3] > 0
    columns, rows = landmarks[seen_now, :2].astype(int).T
    landmarks[seen_now, 3] *= cover[rows, columns] < 0.5
