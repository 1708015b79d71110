"""A large photo is worked on in the person's excerpt, and everything that is told of it is in pixels of the whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from carve import large_photo as module
from carve.geometry.camera import Camera
from carve.large_photo import into_overview, large_photo, moved, own_normals_in, whole_box
from carve.records import Landmarks, Observation, PersonBox, Photo
from carve.runner import Deferred
from carve.stages.normals import OwnNormals

WIDTH, HEIGHT = 400, 300
BODY = (slice(90, 210), slice(180, 230))
"""Rows and columns of the person."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_PIXELS", WIDTH * HEIGHT // 4)
    monkeypatch.setattr(module, "PERSON_PIXELS", 90)


def photo() -> Photo:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.dstack([columns * 255 // WIDTH, rows * 255 // HEIGHT, np.zeros_like(rows)]).astype(np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[BODY] = 255
    return Photo(pixels, alpha, 500.0, "someone")


def observed(source: str, image: Photo) -> Observation:
    """What the first stage says of the smaller copy."""
    mask = np.zeros(image.pixels.shape[:2], np.float32)
    mask[45:105, 90:115] = 1
    names = ("nose", "left_ankle", "hidden")
    marks = Landmarks(
        names, np.array([[102.0, 50], [100, 100], [0, 0]]), np.array([1.0, 1, 0]), np.full((3, 3), np.nan), np.array([[1.0, 2, 0.05]] * 3)
    )
    box = PersonBox(85.0, 40.0, 120.0, 110.0, 0.9)
    return Observation(image, 0, (box,), mask, source, marks, Camera.centred(*image.size, 250.0), "default", 1.0, ())


def test_a_small_photo_is_worked_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_PIXELS", WIDTH * HEIGHT)
    assert large_photo(photo(), None) is None


@pytest.mark.parametrize("source", ["detector", "alpha", "file"])
def test_the_person_is_cut_out_of_the_whole_photo(source: str) -> None:
    whole = photo()
    given = (whole.alpha > 0).astype(np.float32) if whole.alpha is not None and source == "file" else None
    large = large_photo(whole, given)
    assert large is not None and large.small.size == (200, 150) and large.small.focal == 250.0
    found = observed(source, large.small)
    framed, excerpt = large.framed(found)
    assert framed.photo.size == excerpt.size == (framed.camera.width, framed.camera.height)
    assert excerpt.scale == pytest.approx(90 / 120, rel=0.02)
    assert excerpt.left < 180 and excerpt.right > 230 and excerpt.top < 90 and excerpt.bottom > 210
    np.testing.assert_allclose(excerpt.out_of(framed.landmarks.pixels)[:2], [[204, 100], [200, 200]])
    np.testing.assert_allclose(framed.landmarks.spread[0], [2 * excerpt.scale, 4 * excerpt.scale, 0.05])
    back = excerpt.camera_out_of(framed.camera)
    assert (back.focal, back.cx, back.cy) == pytest.approx((500, WIDTH / 2, HEIGHT / 2))
    assert dataclasses.astuple(whole_box(framed.people[0], excerpt)) == pytest.approx((170, 80, 240, 220, 0.9))
    shown = excerpt.paste(framed.mask) > 0.5
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[BODY] = True
    assert (shown & truth).sum() / (shown | truth).sum() > 0.97
    inside = excerpt.paste(framed.photo.pixels)[BODY].astype(int) - whole.pixels[BODY]
    assert np.abs(inside).max() <= 2


def test_landmarks_go_to_the_overview_and_back() -> None:
    large = large_photo(photo(), None)
    assert large is not None
    marks = observed("detector", large.small).landmarks
    whole = moved(marks, large.overview, None)
    np.testing.assert_allclose(whole.pixels[0], [204, 100])
    again = into_overview(whole, large.overview)
    np.testing.assert_allclose(again.pixels, marks.pixels)
    np.testing.assert_allclose(again.spread, marks.spread)


def test_normals_of_the_user_s_own_are_cut_out_too() -> None:
    large = large_photo(photo(), None)
    assert large is not None
    _, excerpt = large.framed(observed("detector", large.small))
    front = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    front[BODY] = (0, 0, 1)
    own = own_normals_in(Deferred("mine", lambda: OwnNormals(front=front)), excerpt)
    assert own.identity == "mine"
    cut = own.make().front
    assert cut is not None and cut.shape[:2] == excerpt.size[::-1] and cut[..., 2].max() == pytest.approx(1)
