"""Moving a stored view's picture, its truth and its camera together: mirrored, turned, scaled, shifted.

Notation: p = (u, v) pixels of the stored view, p' those of the sample, k its scale; a motion mirrors the picture by F = diag(-1, 1) or not
and turns it counter-clockwise by the angle a,
    p' = A (p - centre) + centre' + shift,    A = k [[cos a, sin a], [-sin a, cos a]] F,
which v pointing down makes counter-clockwise. Vectors of the camera frame (y up) turn with [[cos a, -sin a], [sin a, cos a]] F in x and y.
Any such motion is a camera of its own: the principal point moves with the pixels, the focal length becomes k f, z stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import cv2
import numpy as np

from carve.body.model import REGIONS
from carve.body.places import PLACE_UNIT, decode_places
from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.synth.records import View, label_table

Field = Literal[
    "normal_front",
    "normal_back",
    "body_normal_front",
    "body_normal_back",
    "depth",
    "label_front",
    "label_back",
    "region",
    "place",
    "albedo_front",
    "albedo_back",
]
FIELDS: tuple[Field, ...] = get_args(Field)
_STORED = {
    "normal_front": "normal",
    "normal_back": "normal_back",
    "body_normal_front": "body_normal",
    "body_normal_back": "body_normal_back",
    "depth": "depth",
    "label_front": "part",
    "label_back": "part_back",
    "region": "region",
    "place": "place",
    "albedo_front": "albedo",
    "albedo_back": "albedo_back",
}
"""Field -> the member of View that holds it."""
_LABELS: tuple[Field, ...] = ("label_front", "label_back", "region")
WINDOWS = 0.2
"""Share of the views of whole persons that are shown in part."""
_SURROUNDED = 0.02
"""Share of a view's border from which on the person goes on beyond it: such a view is not shown smaller than it is."""


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
    """Field -> (3, S, S) float32 unit vectors, camera frame; those of the body are zero outside the body."""
    depth: np.ndarray | None
    """(S, S) float32 metres along the viewing axis."""
    labels: dict[str, np.ndarray]
    """`label_front`, `label_back` -> (S, S) uint8 index into `carve.records.LABELS`; `region` -> 1 + index into REGIONS."""
    place: np.ndarray | None
    """(3, S, S) float32 metres, see `carve.body.places`."""
    albedo: dict[str, np.ndarray]
    """Field -> (3, S, S) float32 sRGB 0..1, of the front or the back surface."""
    landmarks: np.ndarray
    """(L, 4) float64 u, v in pixels of the sample, distance in metres, 1 where the point is seen."""


def draw_motion(view: View, rng: np.random.Generator, windows: float = WINDOWS) -> Motion:
    """The whole person, a little larger or smaller, level or tilted; a share `windows` shows a part of them.

    A view that ends within the person is moved so that its border stays out of the picture.
    """
    flip = bool(rng.random() < 0.5)
    angle = float(rng.normal(0, np.radians(6))) if rng.random() < 0.5 else 0.0
    size = max(view.camera.width, view.camera.height)
    left, top, width, height = cv2.boundingRect(view.coverage)
    border = np.concatenate([view.coverage[0], view.coverage[-1], view.coverage[:, 0], view.coverage[:, -1]])
    surrounded = float((border > 127).mean()) > _SURROUNDED
    if rng.random() < windows:
        scale = rng.uniform(1.3, 2.6)
        middle = np.array([left + width * rng.uniform(0.3, 0.7), top + height * rng.uniform(0.1, 0.8)])
    else:
        scale = rng.uniform(0.78, 1.08)
        middle = np.array([left + width / 2, top + height / 2])
    if surrounded:
        scale = (abs(np.cos(angle)) + abs(np.sin(angle))) * rng.uniform(1.0, 1.25)
        # The picture's half side and what its corners reach beyond it, in pixels of the view, stay inside the view.
        inner = size / 2 * (1 - (abs(np.cos(angle)) + abs(np.sin(angle))) / scale)
        middle = size / 2 + rng.uniform(-1, 1, 2) * inner
    framed = Motion(flip, angle, scale)
    away = framed.matrix(view.camera, size)[:, :2] @ (middle - size / 2) / size
    if surrounded:
        return Motion(flip, angle, scale, (float(-away[0]), float(-away[1])))
    loose = max(0.02, (1 - scale * max(width, height) / size) / 2)
    shift = rng.uniform(-loose, loose, 2) - away
    return Motion(flip, angle, scale, (float(shift[0]), float(shift[1])))


@compiled(nogil=True, fastmath=True)
def _weigh(
    inverse: np.ndarray, i: int, j: int, height: int, width: int, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray
) -> None:
    """Rows, columns and bilinear weights (4,) of the view's pixels around a sample's pixel."""
    u = inverse[0, 0] * j + inverse[0, 1] * i + inverse[0, 2]
    v = inverse[1, 0] * j + inverse[1, 1] * i + inverse[1, 2]
    x, y = int(np.floor(u)), int(np.floor(v))
    a, b = u - x, v - y
    weights[0], weights[1], weights[2], weights[3] = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
    for t in range(4):
        columns[t], rows[t] = x + t % 2, y + t // 2
        if columns[t] < 0 or columns[t] >= width or rows[t] < 0 or rows[t] >= height:
            weights[t] = 0.0
            columns[t] = rows[t] = 0


@compiled(nogil=True, fastmath=True)
def _move_labels(
    coverage: np.ndarray,
    labels: np.ndarray,
    tables: np.ndarray,
    inverse: np.ndarray,
    box: tuple[int, int, int, int],
    out_coverage: np.ndarray,
    out_labels: np.ndarray,
) -> None:
    """Coverage by bilinear lookup; labels (K, H, W) from the nearest pixel that has one, through their tables (K, 256)."""
    weights, rows, columns = np.zeros(4), np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            _weigh(inverse, i, j, coverage.shape[0], coverage.shape[1], rows, columns, weights)
            total = 0.0
            for t in range(4):
                total += weights[t] * coverage[rows[t], columns[t]]
            out_coverage[i, j] = total / 255
            if out_coverage[i, j] < 0.5:
                continue
            for k in range(len(labels)):
                best = 0.0
                for t in range(4):
                    value = labels[k, rows[t], columns[t]]
                    if weights[t] > best and value > 0:
                        best = weights[t]
                        out_labels[k, i, j] = tables[k, value]


@compiled(nogil=True, fastmath=True)
def _move_values(
    codes: np.ndarray, jump: float, inverse: np.ndarray, box: tuple[int, int, int, int], mask: np.ndarray, out: np.ndarray
) -> None:
    """Codes (H, W, C) into `out` (C, S, S) by bilinear lookup over the pixels that hold one (not all zero), or from the nearest of them
    where some component differs by more than `jump`."""
    channels = codes.shape[2]
    weights, rows, columns = np.zeros(4), np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            if not mask[i, j]:
                continue
            _weigh(inverse, i, j, codes.shape[0], codes.shape[1], rows, columns, weights)
            mass, best, nearest, broken = 0.0, 0.0, -1, False
            for t in range(4):
                if codes[rows[t], columns[t], 0] == 0:
                    weights[t] = 0.0
                mass += weights[t]
                if weights[t] > best:
                    best, nearest = weights[t], t
            if nearest < 0:
                continue
            for c in range(channels):
                centre = float(codes[rows[nearest], columns[nearest], c])
                total = 0.0
                for t in range(4):
                    if weights[t] > 0:
                        value = float(codes[rows[t], columns[t], c])
                        total += weights[t] * value
                        broken = broken or abs(value - centre) > jump
                out[c, i, j] = total / mass
            if broken:
                for c in range(channels):
                    out[c, i, j] = codes[rows[nearest], columns[nearest], c]


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


def augment(
    view: View,
    names: tuple[str, ...],
    motion: Motion,
    size: int,
    fields: tuple[Field, ...] = FIELDS,
    albedo: Mapping[str, np.ndarray] | None = None,
) -> Truth:
    """The truth of a view after `motion`, in a picture of size x size, and the camera that would see it so.

    A flip makes another person, whose left is the first one's right: landmarks (`names`, L), regions and places change sides. `albedo`
    (field -> (H, W, 3) uint8) replaces the view's own, as it is after repainting.
    """
    matrix = motion.matrix(view.camera, size)
    inverse = _index_inverse(matrix)
    box = _reach(cv2.boundingRect(view.coverage), matrix, size)
    kept = tuple(field for field in _LABELS if field in fields)
    coverage, labels = np.zeros((size, size), np.float32), np.zeros((len(kept), size, size), np.uint8)
    stored = np.stack([getattr(view, _STORED[field]) for field in kept]) if kept else np.zeros((0, *view.coverage.shape), np.uint8)
    tables = np.stack([_table(field, motion.flip) for field in kept]) if kept else np.zeros((0, 256), np.uint8)
    _move_labels(view.coverage, stored, tables, inverse, box, coverage, labels)
    mask = coverage >= 0.5
    normals: dict[str, np.ndarray] = {}
    for field in (f for f in fields if "normal" in f):
        out = np.zeros((3, size, size), np.float32)
        # The front and the back are continued beyond the outline and end at the mask; the body's end where it has no normals.
        least = 0.5 if field.startswith("body") else 0.0
        _move_normals(getattr(view, _STORED[field]), inverse, motion.turn.astype(np.float32), box, mask, least, out)
        normals[field] = out
    camera, k = view.camera, motion.scale * size / max(view.camera.width, view.camera.height)
    principal = matrix[:, :2] @ [camera.cx, camera.cy] + matrix[:, 2]
    colours = {f: view.albedo if f == "albedo_front" else view.albedo_back for f in fields if f.startswith("albedo")}
    return Truth(
        camera=Camera(size, size, camera.focal * k, float(principal[0]), float(principal[1])),
        up=motion.turn @ view.up,
        coverage=coverage,
        mask=mask,
        normals=normals,
        depth=_moved_depth(view, inverse, box, mask) if "depth" in fields else None,
        labels=dict(zip(kept, labels, strict=True)),
        place=_moved_places(view, motion.flip, inverse, box, mask) if "place" in fields else None,
        albedo={f: _moved_albedo((albedo or {}).get(f, own), inverse, mask) for f, own in colours.items()},
        landmarks=_moved_landmarks(view.landmarks, names, motion.flip, matrix, size),
    )


def _reach(stored: Sequence[int], matrix: np.ndarray, size: int) -> tuple[int, int, int, int]:
    """The rectangle (left, top, width, height) of a sample that a rectangle of the view moves into."""
    left, top, width, height = stored
    corners = np.array([[left, top], [left + width, top], [left, top + height], [left + width, top + height]])
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    low = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, low, size)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _moved_depth(view: View, inverse: np.ndarray, box: tuple[int, int, int, int], mask: np.ndarray) -> np.ndarray:
    """(S, S) float32 metres."""
    near, far = view.depth_range
    step = (far - near) / 65534
    out = np.zeros((1, *mask.shape), np.float32)
    _move_values(view.depth[..., None], 0.03 / step, inverse, box, mask, out)
    return np.where(out[0] > 0, near + (out[0] - 1) * step, 0).astype(np.float32)


def _moved_places(view: View, flip: bool, inverse: np.ndarray, box: tuple[int, int, int, int], mask: np.ndarray) -> np.ndarray:
    """(3, S, S) float32 metres; a mirrored person's are the mirrored ones."""
    out = np.zeros((3, *mask.shape), np.float32)
    _move_values(view.place, 0.03 / PLACE_UNIT, inverse, box, mask, out)
    places = decode_places(out)
    if flip:
        places[0] *= -1
    return places


def _moved_albedo(albedo: np.ndarray, inverse: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(3, S, S) float32 sRGB 0..1."""
    moved = cv2.warpAffine(albedo, inverse, mask.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return (moved * mask[..., None]).transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def stored_members(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """The members of View that hold these fields."""
    return tuple(_STORED[field] for field in fields)


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
def _table(field: Field, flip: bool) -> np.ndarray:
    """(256,) what becomes of a stored label: parts as their kinds, regions with left and right exchanged after a flip."""
    table = np.zeros(256, np.uint8)
    kinds = label_table()
    if field != "region":
        table[: len(kinds)] = kinds
    else:
        table[1 : len(REGIONS) + 1] = [1 + REGIONS.index(other_side(name) if flip else name) for name in REGIONS]
    return table


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
