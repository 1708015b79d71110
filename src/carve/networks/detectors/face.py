"""The face in a photo: mediapipe's face mesh with irises on crops of the head, behind plain arrays.

A first run on a crop around the head finds the face; a few runs on tight, upright crops around what it found are averaged, which
halves the network's own noise. Where nothing is found the crop is enlarged, turned and brightened. Pixels are (u, v) with the centre of the
first pixel at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from carve.geometry.frames import camera_from_vision
from carve.networks.detectors.mediapipe_graph import kept, mediapipe
from carve.networks.detectors.person import processed

POINTS = 478
"""Points of the face mesh, 468 of the skin and five for each iris."""
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Corners of the person's eyes among the points."""
MOUTH = (61, 291)
"""Corners of the mouth, the person's right one first."""
NOSE = 1
"""Its tip."""
CHIN, BROW = 152, 10
"""Lowest point of the chin, highest one of the forehead."""

_SIZE = 384
"""Pixels along the crops that the network is given."""
_TIGHT = (1.7, 2.0, 2.4)
"""Sides of the crops that are averaged, in heights of the face."""


@dataclass(frozen=True)
class Face:
    """One face."""

    pixels: np.ndarray
    """(478, 2) in the photo."""
    points: np.ndarray
    """(478, 3) in pixels of the photo on the camera's axes, depth relative to the head's middle (weak perspective)."""
    spread: float
    """Mean deviation of a point between the runs, pixels of the photo."""
    how: str
    """What had to be done to the crop: `plain`, or `enlarged`, `turned`, `brightened`."""


@dataclass(frozen=True)
class _Crop:
    """A turned square window of the photo."""

    middle: np.ndarray
    """(2,) pixels."""
    side: float
    """Pixels."""
    turn: float
    """Radians by which the crop's upright is turned clockwise against the photo's."""

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """(_SIZE, _SIZE, 3) of the photo (H, W, 3)."""
        how = cv2.INTER_AREA if self.side > _SIZE else cv2.INTER_CUBIC
        matrix = self._photo_from_crop()
        # OpenCV's pixel centres lie at whole numbers.
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
        return cv2.warpAffine(pixels, matrix, (_SIZE, _SIZE), flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)

    def _photo_from_crop(self) -> np.ndarray:
        scale, c, s = self.side / _SIZE, np.cos(self.turn), np.sin(self.turn)
        linear = scale * np.array([[c, -s], [s, c]])
        return np.column_stack([linear, self.middle - linear @ [_SIZE / 2, _SIZE / 2]])

    def to_photo(self, raw: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the crop, u, v and depth in its pixels, to the photo's."""
        matrix = self._photo_from_crop()
        return np.column_stack([raw[:, :2] @ matrix[:, :2].T + matrix[:, 2], raw[:, 2] * self.side / _SIZE])


@kept
def _solution() -> Any:
    return mediapipe().solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=2, refine_landmarks=True, min_detection_confidence=0.3
    )


def faces_in(image: np.ndarray) -> list[np.ndarray]:
    """(478, 3) u, v and depth away from the viewer, pixels, of each face (two at most) in an image (h, w, 3) uint8 sRGB."""
    found = processed(_solution, image).multi_face_landmarks or []
    height, width = image.shape[:2]
    return [np.array([[p.x * width, p.y * height, p.z * width] for p in face.landmark]) for face in found]


@dataclass(frozen=True)
class Expected:
    """Where a body network has the parts of a face, pixels of the photo."""

    right_eye: np.ndarray
    """(2,) the person's right one."""
    left_eye: np.ndarray
    nose: np.ndarray
    mouth: np.ndarray
    size: float
    """About the head's height."""

    @property
    def middle(self) -> np.ndarray:
        """(2,) between eyes and mouth."""
        return ((self.right_eye + self.left_eye) / 2 + self.mouth) / 2

    @property
    def turn(self) -> float:
        """How far the head is turned clockwise in the picture, radians."""
        return _turn_of(self.mouth - (self.right_eye + self.left_eye) / 2)

    def fits(self, face: np.ndarray) -> bool:
        """Whether a face (478, 3) can be this one: its parts are near and its right side is right. Hair and hands look like faces."""
        parts = [face[[*RIGHT_EYE], :2].mean(0), face[[*LEFT_EYE], :2].mean(0), face[NOSE, :2], face[[*MOUTH], :2].mean(0)]
        wanted = [self.right_eye, self.left_eye, self.nose, self.mouth]
        away = np.linalg.norm(np.subtract(parts, wanted), axis=1).mean()
        seen, guessed = parts[1] - parts[0], self.left_eye - self.right_eye
        mirrored = seen @ guessed < 0 and min(np.linalg.norm(seen), np.linalg.norm(guessed)) > 0.08 * self.size
        return bool(away < 0.2 * self.size and not mirrored and 0.3 < face_height(face) / self.size < 1.6)


def find_face(pixels: np.ndarray, expected: Expected) -> Face | None:
    """The face of a head in a photo (H, W, 3) uint8 sRGB, or None if nothing that fits what is expected is found twice."""
    for crop, image, how in _tries(pixels, expected.middle, expected.size, expected.turn):
        for raw in faces_in(image):
            face = _averaged(pixels, crop.to_photo(raw), how) if expected.fits(crop.to_photo(raw)) else None
            if face is not None:
                return face
    return None


def face_height(points: np.ndarray) -> float:
    """Extent of the face's points (N, 2 or more), pixels, the larger of both ways."""
    return float(np.ptp(points[:468, :2], axis=0).max())


def _tries(pixels: np.ndarray, middle: np.ndarray, size: float, turn: float) -> Iterator[tuple[_Crop, np.ndarray, str]]:
    """Crops around the head: as it is, then enlarged, turned, brightened."""
    plain = _Crop(middle, 2.2 * size, turn)
    yield plain, plain.cut(pixels), "plain"
    for side in (1.5, 3.2):
        crop = _Crop(middle, side * size, turn)
        yield crop, crop.cut(pixels), "enlarged"
    for degrees in (-25, 25, -50, 50):
        crop = _Crop(middle, 2.0 * size, turn + np.radians(degrees))
        yield crop, crop.cut(pixels), "turned"
    for side in (1.5, 2.2):
        crop = _Crop(middle, side * size, turn)
        yield crop, brightened(crop.cut(pixels)), "brightened"


def brightened(image: np.ndarray) -> np.ndarray:
    """An image (h, w, 3) uint8 with its light evened out locally (CLAHE; Zuiderveld, Graphics Gems IV, 1994) and its shadows lifted."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    even = cv2.createCLAHE(3.0, (4, 4)).apply(lab[..., 0])
    lab[..., 0] = np.round(255 * (even / 255) ** 0.7).astype(np.uint8)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _averaged(pixels: np.ndarray, first: np.ndarray, how: str) -> Face | None:
    """The mean over tight, upright crops around a face (478, 3) that was found; None where at most one of them shows it again."""
    runs: list[np.ndarray] = []
    for side in _TIGHT:
        guess = np.mean(runs, 0) if runs else first
        low, high = guess[:468, :2].min(0), guess[:468, :2].max(0)
        across = guess[[*LEFT_EYE], :2].mean(0) - guess[[*RIGHT_EYE], :2].mean(0)
        along = guess[CHIN, :2] - guess[BROW, :2]
        # Of a profile the eyes are in one place: the face's length tells its turn.
        turn = float(np.arctan2(across[1], across[0])) if np.linalg.norm(across) > 0.3 * np.linalg.norm(along) else _turn_of(along)
        crop = _Crop((low + high) / 2, side * face_height(guess), turn)
        image = crop.cut(pixels)
        found = faces_in(brightened(image) if how == "brightened" else image)
        near = [
            raw for raw in map(crop.to_photo, found) if np.linalg.norm(raw[:, :2] - guess[:, :2], axis=1).mean() < 0.2 * face_height(guess)
        ]
        runs += near[:1]
    if len(runs) < 2:
        return None
    mean = np.mean(runs, 0)
    spread = float(np.mean([np.linalg.norm(run[:, :2] - mean[:, :2], axis=1).mean() for run in runs]))
    return Face(mean[:, :2], mean @ camera_from_vision.T, spread, how)


def _turn_of(along: np.ndarray) -> float:
    """Clockwise turn of the direction from brow to chin (2,) against straight down, radians."""
    return float(np.arctan2(-along[0], along[1]))
