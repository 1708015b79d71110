"""The pose networks on the example photo: regions, doubt, and landmarks that follow the picture when it is turned, mirrored or scaled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.io.image import read_photo
from carve.networks.detectors.person import MIRRORED, POSE_NAMES, Detection, detect_people
from carve.networks.detectors.pose import _moved, run_pose, run_pose_augmented
from carve.networks.detectors.pose_models import PoseModel, has_heavy

EXAMPLE = Path(__file__).parents[3] / "examples" / "person.jpg"
MODELS: list[PoseModel] = ["full", *(["heavy"] if has_heavy() else [])]  # type: ignore[list-item]
INNER = [POSE_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip", "knee", "ankle")]


@pytest.fixture(scope="module")
def square() -> np.ndarray:
    """(768, 768, 3): the example with its person in the middle, reduced."""
    pixels = read_photo(EXAMPLE).pixels
    side = max(pixels.shape[:2])
    rows, columns = side - pixels.shape[0], side - pixels.shape[1]
    padded = cv2.copyMakeBorder(pixels, rows // 2, rows - rows // 2, columns // 2, columns - columns // 2, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (768, 768), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def person(square: np.ndarray) -> Detection:
    return detect_people(square)[0]


@pytest.mark.parametrize("model", MODELS)
def test_the_region_may_be_chosen_freely(square: np.ndarray, person: Detection, model: PoseModel) -> None:
    """A wider region, or one that is turned, sees the same person; one beside them sees nobody."""
    here = run_pose(square, person, model)
    assert here.presence > 0.9 and here.mask.shape == (768, 768) and here.world.shape == (33, 3)
    height = np.ptp(here.pixels[:, 1])
    for other in (replace(person, radius=1.15 * person.radius), replace(person, turn=0.2)):
        there = run_pose(square, other, model)
        assert np.linalg.norm(there.pixels - here.pixels, axis=1)[INNER].mean() < 0.02 * height
        assert np.linalg.norm(there.world - here.world, axis=1)[INNER].mean() < 0.08
    plain = np.full_like(square, 127)
    assert run_pose(plain, person, model).presence < 0.5


def test_a_detection_moves_with_its_image() -> None:
    one = Detection(np.array([30.0, 40.0]), 20.0, np.zeros(4), 1.0, 0.3)
    turned = _moved(one, cv2.getRotationMatrix2D((0, 0), 90, 2.0))  # counter-clockwise as seen
    np.testing.assert_allclose(turned.centre, [80, -60], atol=1e-9)
    assert turned.radius == pytest.approx(40) and turned.turn == pytest.approx(0.3 - np.pi / 2)
    mirrored = _moved(one, np.array([[-1.0, 0, 100], [0, 1, 0]]))
    np.testing.assert_allclose(mirrored.centre, [70, 40])
    assert mirrored.turn == pytest.approx(-0.3)


@pytest.mark.parametrize("model", MODELS)
def test_every_augmented_run_is_mapped_back(square: np.ndarray, person: Detection, model: PoseModel) -> None:
    runs = run_pose_augmented(square, person, (0.9, 1.1), (-20.0, 0.0, 20.0), 384, (model,))
    assert len(runs) == 12
    pixels, world = np.stack([r.pixels for r in runs]), np.stack([r.world for r in runs])
    height = np.ptp(np.median(pixels, 0)[:, 1])
    away = np.linalg.norm(pixels - np.median(pixels, 0), axis=2)[:, INNER]
    assert np.median(away) < 0.01 * height and away.max() < 0.05 * height
    spun = np.linalg.norm((world - np.median(world, 0))[:, INNER, :2], axis=2)
    assert np.median(spun) < 0.03 and spun.max() < 0.12
    for one in runs:
        both = (one.mask > 0.5) & (runs[0].mask > 0.5)
        assert both.sum() / ((one.mask > 0.5) | (runs[0].mask > 0.5)).sum() > 0.85


def test_landmarks_of_a_mirrored_image_are_the_partners(square: np.ndarray, person: Detection) -> None:
    here = run_pose(square, person)
    there = run_pose(np.ascontiguousarray(square[:, ::-1]), _moved(person, np.array([[-1.0, 0, 768], [0, 1, 0]])))
    away = np.linalg.norm((np.array([768, 0]) + there.pixels * [-1, 1])[MIRRORED] - here.pixels, axis=1)
    assert np.median(away) < 0.01 * np.ptp(here.pixels[:, 1])
