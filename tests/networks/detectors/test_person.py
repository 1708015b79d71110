"""The detectors on the example photo: silence, and people, hands and faces that follow the picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.io.image import read_photo
from carve.networks.detectors.face import faces_in
from carve.networks.detectors.person import MIRRORED, POSE_NAMES, detect_people, run_hands
from carve.networks.detectors.pose import PoseRun, run_pose

EXAMPLE = Path(__file__).parents[3] / "examples" / "person.jpg"


@pytest.fixture(scope="module")
def square() -> np.ndarray:
    """(768, 768, 3): the example with its person in the middle, reduced."""
    pixels = read_photo(EXAMPLE).pixels
    side = max(pixels.shape[:2])
    rows, columns = side - pixels.shape[0], side - pixels.shape[1]
    padded = cv2.copyMakeBorder(pixels, rows // 2, rows - rows // 2, columns // 2, columns - columns // 2, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (768, 768), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def run(square: np.ndarray) -> PoseRun:
    return run_pose(square, detect_people(square)[0])


def at(run: PoseRun, name: str) -> np.ndarray:
    """(2,) pixels of a landmark."""
    point: np.ndarray = run.pixels[POSE_NAMES.index(name)]
    return point


def test_the_detectors_say_nothing_but_errors_are_heard() -> None:
    code = f"""
from pathlib import Path
from carve.io.image import read_photo
from carve.networks.detectors import face, mediapipe_graph, person, pose
pixels = read_photo(Path({str(EXAMPLE)!r})).pixels
pose.run_pose(pixels, person.detect_people(pixels)[0])
person.run_hands(pixels), face.faces_in(pixels)
with mediapipe_graph.quiet():
    raise ValueError("this is heard")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1] == "ValueError: this is heard"


def test_mirrored_landmarks_are_partners() -> None:
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(33))
    assert POSE_NAMES[MIRRORED[POSE_NAMES.index("left_wrist")]] == "right_wrist"
    assert MIRRORED[POSE_NAMES.index("nose")] == POSE_NAMES.index("nose")


def test_left_is_the_persons_own(run: PoseRun) -> None:
    """The person of the example faces the camera."""
    for part in ("shoulder", "elbow", "hip", "knee", "ankle"):
        assert at(run, f"left_{part}")[0] > at(run, f"right_{part}")[0]
        left, right = (run.world[POSE_NAMES.index(f"{side}_{part}")] for side in ("left", "right"))
        assert left[0] > right[0]
    heights = [run.world[POSE_NAMES.index(f"left_{part}")][1] for part in ("eye", "shoulder", "hip", "knee", "ankle")]
    assert heights == sorted(heights, reverse=True)
    assert run.world[POSE_NAMES.index("nose")][2] > run.world[[POSE_NAMES.index(f"{s}_ear") for s in ("left", "right")], 2].max()


def test_the_person_is_found_where_the_landmarks_are(square: np.ndarray, run: PoseRun) -> None:
    (person,) = detect_people(square)
    hips = (at(run, "left_hip") + at(run, "right_hip")) / 2
    assert np.linalg.norm(person.centre - hips) < 0.1 * person.radius
    assert (np.linalg.norm(run.pixels - person.centre, axis=1) < 1.15 * person.radius).all()
    assert (person.head[:2] < at(run, "nose")).all() and (at(run, "nose") < person.head[2:]).all()
    assert run.mask.shape == square.shape[:2]
    assert run.mask[tuple(np.round(hips[::-1]).astype(int))] > 0.9
    assert run.mask[:5].max() < 0.1


def test_a_moved_picture_moves_the_person(square: np.ndarray) -> None:
    (person,) = detect_people(square)
    (moved,) = detect_people(cv2.warpAffine(square, np.array([[1.0, 0, 64], [0, 1, -48]]), (768, 768), borderMode=cv2.BORDER_REPLICATE))
    np.testing.assert_allclose(moved.centre - person.centre, [64, -48], atol=0.04 * person.radius)
    assert moved.radius == pytest.approx(person.radius, rel=0.1)


def test_hands_are_found_at_the_wrists(square: np.ndarray, run: PoseRun) -> None:
    wrist = at(run, "left_wrist")
    u, v = np.round(wrist).astype(int)
    crop = cv2.resize(square[v - 40 : v + 56, u - 48 : u + 48], (288, 288), interpolation=cv2.INTER_CUBIC)
    hands = run_hands(crop)
    assert hands
    pixels, world, score = min(hands, key=lambda h: float(np.linalg.norm(h[0][0] - 120)))
    assert pixels.shape == (21, 2) and world.shape == (21, 3) and 0 < score <= 1
    assert 0.1 < np.linalg.norm(np.ptp(world, axis=0)) < 0.3  # a hand's size, metres
    assert (world[9] - world[0])[1] * (pixels[9] - pixels[0])[1] < 0  # world is y up, pixels are v down


def test_the_face_looks_at_the_camera(square: np.ndarray, run: PoseRun) -> None:
    u, v = np.round(at(run, "nose")).astype(int)
    crop = cv2.resize(square[max(v - 48, 0) : max(v - 48, 0) + 96, u - 48 : u + 48], (288, 288), interpolation=cv2.INTER_CUBIC)
    (points,) = faces_in(crop)
    assert points.shape == (478, 3)
    assert points[1, 2] < points[[234, 454], 2].min()  # the nose before the ears: depth grows away from the viewer
    assert points[263, 0] > points[33, 0] and points[152, 1] > points[10, 1]
    assert faces_in(np.full((96, 96, 3), 127, np.uint8)) == []
