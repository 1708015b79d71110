"""An excerpt and the way back: pictures, pixels and cameras."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.pictures.excerpt import Excerpt, whole_within

PART = Excerpt(40, 20, 140, 220, 0.5, 300, 260)


def test_pixels_go_there_and_back() -> None:
    pixels = np.random.default_rng(0).uniform(0, 300, (20, 2))
    np.testing.assert_allclose(PART.out_of(PART.into(pixels)), pixels)
    np.testing.assert_allclose(PART.into(np.array([40.0, 20.0])), [0, 0])
    np.testing.assert_allclose(PART.into(np.array([140.0, 220.0])), PART.size)


def test_a_camera_projects_to_the_same_place() -> None:
    camera, points = Camera.centred(300, 260, 400.0), np.random.default_rng(1).normal(size=(30, 3)) - [0, 0, 5]
    small = PART.camera_into(camera)
    assert (small.width, small.height) == PART.size
    np.testing.assert_allclose(PART.out_of(small.project(points)), camera.project(points))
    back = PART.camera_out_of(small)
    for name in ("width", "height", "focal", "cx", "cy"):
        assert getattr(back, name) == pytest.approx(getattr(camera, name))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_picture_comes_back_where_it_was(scale: float) -> None:
    rows, columns = np.mgrid[0:260, 0:300]
    image = np.dstack([columns / 300, rows / 260]).astype(np.float32)
    part = Excerpt(40, 20, 140, 220, scale, 300, 260)
    whole = part.paste(part.cut(image))
    assert whole.shape == image.shape
    inside = (slice(22, 218), slice(42, 138))
    np.testing.assert_allclose(whole[inside], image[inside], atol=2e-3)
    whole[20:220, 40:140] = 0
    assert not whole.any()


def test_an_overview_has_at_most_so_many_pixels() -> None:
    assert whole_within(30, 20, 600).scale == 1
    width, height = whole_within(3000, 2000, 60_000).size
    assert (width, height) == (300, 200)
