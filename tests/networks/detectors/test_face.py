from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.io.image import read_photo
from carve.networks.detectors.face import CHIN, LEFT_EYE, NOSE, POINTS, RIGHT_EYE, Expected, Face, faces_in, find_face
from carve.networks.detectors.person import POSE_NAMES, detect_people
from carve.networks.detectors.pose import run_pose

EXAMPLE = next((Path(__file__).parents[3] / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    photo = read_photo(EXAMPLE).pixels
    rows, columns = photo.shape[:2]
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    return cv2.copyMakeBorder(photo, top, side - rows - top, left, side - columns - left, cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def expected(pixels: np.ndarray) -> Expected:
    run = run_pose(pixels, detect_people(pixels)[0])
    assert run is not None
    at = {name: run.pixels[k] for k, name in enumerate(POSE_NAMES)}
    size = 0.13 * float(np.linalg.norm(at["left_shoulder"] - at["left_ankle"]))
    return Expected(at["right_eye"], at["left_eye"], at["nose"], (at["mouth_left"] + at["mouth_right"]) / 2, size)


@pytest.fixture(scope="module")
def face(pixels: np.ndarray, expected: Expected) -> Face:
    found = find_face(pixels, expected)
    assert found is not None
    return found


def test_the_face_looks_at_the_camera(face: Face, expected: Expected) -> None:
    assert face.pixels.shape == (POINTS, 2) and face.points.shape == (POINTS, 3)
    np.testing.assert_allclose(face.points[:, :2], face.pixels * [1, -1])
    assert face.points[NOSE, 2] > face.points[[234, 454], 2].max()  # the nose before the ears
    assert face.pixels[LEFT_EYE[1], 0] > face.pixels[RIGHT_EYE[0], 0] and face.pixels[CHIN, 1] > face.pixels[10, 1]
    assert face.spread < 0.03 * expected.size


def test_a_turned_photo_has_the_same_face(pixels: np.ndarray, face: Face, expected: Expected) -> None:
    turned = np.ascontiguousarray(np.rot90(pixels))  # (u, v) goes to (v, width - u)
    turn = lambda p: np.stack([p[..., 1], pixels.shape[1] - p[..., 0]], -1)  # noqa: E731
    parts = [turn(p) for p in (expected.right_eye, expected.left_eye, expected.nose, expected.mouth)]
    found = find_face(turned, Expected(*parts, expected.size))
    assert found is not None
    assert np.linalg.norm(found.pixels - turn(face.pixels), axis=1).mean() < 0.03 * expected.size


def test_what_does_not_fit_the_body_is_no_face(pixels: np.ndarray, expected: Expected) -> None:
    mirrored = Expected(expected.left_eye, expected.right_eye, expected.nose, expected.mouth, expected.size)
    assert find_face(pixels, mirrored) is None  # somebody seen from behind
    assert find_face(np.full_like(pixels, 127), expected) is None
    assert faces_in(np.full((96, 96, 3), 127, np.uint8)) == []
