"""Backgrounds fill the picture and show the place that the light comes from, shadows lie at the feet, occluders replace what they cover."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.synth.photo.augmentation import Motion, Truth
from carve.synth.photo.backdrop import compose, contact_shadow, draw_background, occlude
from carve.synth.photo.lighting import Environment, Lighting, cap, environment_of
from carve.synth.photo.scenery import Scenery

SIZE = 128
RED, BLUE = ((np.eye(3)[c] * 200).astype(np.uint8) for c in (0, 2))
FIELD = environment_of("field_512", np.full((32, 64, 3), 0.5, np.float32))


@pytest.fixture(scope="module")
def scenery() -> Scenery:
    """A red place, from which FIELD is, and a blue one."""
    pictures = tuple(np.tile(colour, (SIZE, SIZE, 1)) for colour in (RED, BLUE))
    return Scenery((FIELD,), pictures, ("field_0", "street_0"))


def background(scenery: Scenery, environment: Environment | None, seed: int) -> np.ndarray:
    up, empty = np.array([0.0, 1.0, 0.0]), np.zeros((SIZE, SIZE), np.float32)
    lighting = Lighting("lamps", cap(up, np.pi, np.ones(3)), (), environment, np.eye(3))
    truth = Truth(Camera.centred(SIZE, SIZE, 150.0), up, empty, empty > 0, {}, None, {}, None, {}, np.zeros((0, 4)))
    return draw_background(scenery, lighting, truth, Motion(angle=0.2), np.ones(3), np.random.default_rng(seed))


@pytest.mark.parametrize("environment", [None, FIELD])
def test_backgrounds_fill_the_picture(scenery: Scenery, environment: Environment | None) -> None:
    for seed in range(40):
        picture = background(scenery, environment, seed)
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert picture.min() >= 0
        assert (picture.max(-1) > 0).mean() > 0.99


def places(scenery: Scenery, environment: Environment | None) -> tuple[int, int]:
    """How many of 150 backgrounds show the red and the blue place."""
    means = np.array([background(scenery, environment, seed).mean((0, 1)) for seed in range(150)])
    pure = means[:, 1] < 1e-6
    return int((pure & (means[:, 2] < 1e-6)).sum()), int((pure & (means[:, 0] < 1e-6)).sum())


def test_most_backgrounds_are_of_the_place_that_the_light_comes_from(scenery: Scenery) -> None:
    red, blue = places(scenery, FIELD)
    assert red > 4 * blue > 0
    red, blue = places(scenery, None)
    assert 0.6 < red / blue < 1.7


def test_the_person_is_put_over_the_background() -> None:
    rng = np.random.default_rng(0)
    front, behind, gain = rng.random((8, 8, 4), np.float32), rng.random((8, 8, 3), np.float32), np.array([0.5, 1.0, 2.0])
    out = np.empty((8, 8, 3), np.float32)
    compose(front, behind, gain, out)
    np.testing.assert_allclose(out, gain * front[..., :3] + (1 - front[..., 3:]) * behind, rtol=1e-5)


def test_a_contact_shadow_darkens_the_ground_at_the_feet_only() -> None:
    coverage = np.zeros((100, 100), np.float32)
    coverage[10:81, 40:60] = 1
    darkened = 0
    for seed in range(40):
        behind = np.ones((100, 100, 3), np.float32)
        contact_shadow(behind, coverage, np.random.default_rng(seed))
        assert behind.max() <= 1
        assert behind.min() > 0.3
        assert (behind[:50] == 1).all()
        darkened += bool(behind[80, 50, 0] < 0.9)
    assert 14 <= darkened <= 34


def test_no_contact_shadow_of_feet_outside_the_picture() -> None:
    coverage = np.zeros((100, 100), np.float32)
    coverage[10:, 40:60] = 1
    for seed in range(10):
        behind = np.ones((100, 100, 3), np.float32)
        contact_shadow(behind, coverage, np.random.default_rng(seed))
        assert (behind == 1).all()


def test_an_occluder_replaces_what_it_covers_and_nothing_else(scenery: Scenery) -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:110, 50:80] = True
    for seed in range(20):
        white, black = np.ones((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
        cover, again = (occlude(picture, scenery, mask, np.random.default_rng(seed)) for picture in (white, black))
        np.testing.assert_array_equal(cover, again)
        assert cover.min() >= 0
        assert cover.max() < 1 + 1e-6
        assert (cover[mask] > 0.5).any()
        np.testing.assert_allclose(white - black, np.repeat(1 - cover[..., None], 3, -1), atol=1e-5)
        assert (white[cover == 0] == 1).all()
