"""Doubts: silent where all is well, and each says its own thing when its reason is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.records import BodyFit, Landmarks, Observation, Photo
from carve.stages.doubts import doubts, edge_blur, facing, missing_parts
from carve.stages.observe import DISTANCES, likely_focal
from people import capsule_avatar

WELL = {"landmarks": 0.008, "silhouette_iou": 0.85, "loss": 40.0}


@pytest.fixture(scope="module")
def body() -> BodyFit:
    return replace(capsule_avatar().body, residuals=WELL, up=np.array([0.0, np.cos(0.06), np.sin(0.06)]))


def told(observation: Observation, body: BodyFit) -> str:
    """The only doubt there is."""
    found = doubts(observation, body)
    assert len(found) == 1 and 0 < found[0].trust < 1
    assert found[0].sentence.endswith(".") and "\n" not in found[0].sentence
    return found[0].sentence


def painted(observation: Observation, change: Callable[[np.ndarray], np.ndarray]) -> Observation:
    """The observation with other pixels."""
    return replace(observation, photo=replace(observation.photo, pixels=change(observation.photo.pixels)))


def marked(observation: Observation, where: tuple[str, ...], **fields: float | tuple[float, float]) -> Observation:
    """The observation with some landmarks changed."""
    rows = [i for i, name in enumerate(observation.landmarks.names) if name in where]
    changed = {}
    for name, value in fields.items():
        changed[name] = getattr(observation.landmarks, name).copy()
        changed[name][rows] = value
    return replace(observation, landmarks=replace(observation.landmarks, **changed))


def test_a_good_photo_well_fitted_is_not_doubted(observed: Observation, body: BodyFit) -> None:
    assert doubts(observed, body) == []


def test_missing_parts_are_named(observed: Observation, body: BodyFit) -> None:
    feet = marked(observed, ("left_ankle", "right_ankle"), confidence=0.0, pixels=(300.0, 1030.0))
    assert told(feet, body) == "Both feet are beyond the picture: what is made there is a guess."
    hand = marked(observed, ("left_wrist",), confidence=0.1)
    assert told(hand, body) == "The left hand is hidden: what is made there is a guess."
    both = missing_parts(marked(feet, ("left_wrist",), confidence=0.1))
    assert both is not None and both.sentence.startswith("Both feet are beyond the picture and the left hand is hidden:")
    one = missing_parts(hand)
    assert one is not None and both.trust < one.trust
    head = marked(observed, ("nose", "left_ear", "right_ear"), confidence=0.0)
    assert "the head is hidden" in told(head, body).lower()


def test_darkness_and_blur_are_told(observed: Observation, body: BodyFit) -> None:
    assert "dark" in told(painted(observed, lambda p: (p // 8).astype(np.uint8)), body)
    assert "blurred" in told(painted(observed, lambda p: cv2.GaussianBlur(p, (0, 0), 8)), body)


@pytest.mark.parametrize("blur", [2.0, 4.0, 7.0])
def test_the_blur_of_a_step_is_measured(observed: Observation, blur: float) -> None:
    step = np.zeros((200, 200, 3), np.uint8)
    step[:, 100:] = 200
    seen = replace(observed, photo=Photo(cv2.GaussianBlur(step, (0, 0), blur), None, None, "step"), mask=np.ones((200, 200), np.float32))
    assert edge_blur(seen) == pytest.approx(blur, abs=0.8)


def test_drawings_and_statues_are_told(observed: Observation, body: BodyFit) -> None:
    grey = painted(observed, lambda p: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2))
    assert "no colours" in told(grey, body)
    flat = painted(observed, lambda p: (cv2.pyrMeanShiftFiltering(p, 12, 40) // 48 * 48).astype(np.uint8))
    assert "drawn" in told(flat, body)


def test_both_ways_round_nearly_as_good(observed: Observation, body: BodyFit) -> None:
    trunk = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip"))
    assert "front or from behind" in told(marked(observed, trunk, spread=90.0), body)
    index = {name: i for i, name in enumerate(observed.landmarks.names)}
    exchanged = observed.landmarks.pixels.copy()
    for joint in ("shoulder", "hip"):
        left, right = index[f"left_{joint}"], index[f"right_{joint}"]
        exchanged[[left, right]] = exchanged[[right, left]]
    behind = replace(observed, landmarks=replace(observed.landmarks, pixels=exchanged))
    assert "looks back" in told(behind, body)
    rows = [i for name, i in index.items() if not name.startswith("face_")]
    marks = behind.landmarks
    without = Landmarks(
        tuple(marks.names[i] for i in rows), *(getattr(marks, name)[rows] for name in ("pixels", "confidence", "world", "spread"))
    )
    assert facing(replace(behind, landmarks=without)) is None


def test_people_who_touch(observed: Observation, body: BodyFit) -> None:
    assert "touches" in told(replace(observed, contested=0.1), body)


def test_a_body_that_does_not_fit(observed: Observation, body: BodyFit) -> None:
    trusts = []
    for off in (0.027, 0.08, 0.3):
        (doubt,) = doubts(observed, replace(body, residuals=WELL | {"landmarks": off}))
        assert f"{100 * off:.1f} % of the height" in doubt.sentence
        trusts.append(doubt.trust)
    assert trusts[0] < 0.5 and trusts == sorted(trusts, reverse=True) and trusts[-1] < 0.01
    assert "14 %" in told(observed, replace(body, residuals=WELL | {"silhouette_iou": 0.14}))
    assert "Too few joints" in told(observed, replace(body, residuals=WELL | {"landmarks": float("nan")}))
    for degrees, way in ((50, "down from high above"), (-50, "up from far below")):
        theta = np.radians(degrees)
        assert way in told(observed, replace(body, up=np.array([0.0, np.cos(theta), np.sin(theta)])))


def test_a_focal_length_that_puts_the_camera_where_nobody_stands(observed: Observation) -> None:
    camera: Camera = observed.camera
    assert likely_focal(camera.focal, observed.landmarks)
    assert not likely_focal(camera.focal / 4, observed.landmarks) and not likely_focal(camera.focal * 60, observed.landmarks)
    assert DISTANCES[0] < DISTANCES[1]
