"""The detectors on the example photo: silence, and landmarks that follow the picture when it is turned, mirrored or moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.io.image import read_photo
from carve.networks.person import MIRRORED, POSE_NAMES, PoseRun, detect_people, run_hands, run_pose, run_pose_augmented

EXAMPLE = Path(__file__).parents[2] / "examples" / "person.jpg"


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
    found = run_pose(square)
    assert found is not None
    return found


def at(run: PoseRun, name: str) -> np.ndarray:
    """(2,) pixels of a landmark."""
    point: np.ndarray = run.pixels[POSE_NAMES.index(name)]
    return point


def test_the_detectors_say_nothing_but_errors_are_heard() -> None:
    code = f"""
from pathlib import Path
from carve.io.image import read_photo
from carve.networks import person
pixels = read_photo(Path({str(EXAMPLE)!r})).pixels
assert person.detect_people(pixels) and person.run_pose(pixels) is not None
person.run_hands(pixels)
with person._quiet():
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


def test_every_augmented_run_is_mapped_back(square: np.ndarray) -> None:
    runs = run_pose_augmented(square, (0.9, 1.1), (-20.0, 0.0, 20.0), 384)
    assert len(runs) == 12
    pixels, world = np.stack([r.pixels for r in runs]), np.stack([r.world for r in runs])
    inner = [POSE_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip", "knee", "ankle")]
    height = np.ptp(np.median(pixels, 0)[:, 1])
    away = np.linalg.norm(pixels - np.median(pixels, 0), axis=2)[:, inner]
    assert np.median(away) < 0.01 * height and away.max() < 0.05 * height
    spun = np.linalg.norm((world - np.median(world, 0))[:, inner, :2], axis=2)
    assert np.median(spun) < 0.03 and spun.max() < 0.12
    for one in runs:
        both = (one.mask > 0.5) & (runs[0].mask > 0.5)
        assert both.sum() / ((one.mask > 0.5) | (runs[0].mask > 0.5)).sum() > 0.85


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
