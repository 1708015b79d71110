"""A sphere of two cloths under a known light: the light is found and the cloths come out plain."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.pictures.colour import encoded, linear
from carve.stages.texturing.light import LEAST_FACING, Light, delighted, find_light, harmonics

SIDE = 240
X, Y = np.meshgrid(np.linspace(-1.1, 1.1, SIDE), np.linspace(1.1, -1.1, SIDE))
INSIDE = X**2 + Y**2 < 0.8  # normals that face the camera by more than LEAST_FACING
NORMALS = np.where(INSIDE[..., None], np.stack([X, Y, np.sqrt(np.maximum(1 - X**2 - Y**2, 0))], -1), 0)
LABELS = np.where(INSIDE, np.where(Y > 0.1, 3, 5), 0).astype(np.uint8)
CLOTHS = {0: (0.5, 0.5, 0.5), 3: (0.35, 0.08, 0.1), 5: (0.1, 0.15, 0.3)}
BETA = np.zeros((8, 3))
BETA[:3] = np.array([-0.35, 0.2, 0.15])[:, None]
BETA[6] = 0.05


def photograph(beta: np.ndarray, pattern: float = 0.0) -> np.ndarray:
    """(S, S, 3) float32 sRGB 0..255 of the sphere under a light; `pattern`: log-contrast of prints."""
    albedo = np.array([CLOTHS[k] for k in range(6) if k in CLOTHS])[np.searchsorted([0, 3, 5], LABELS)]
    rng = np.random.default_rng(0)
    print_ = np.exp(pattern * rng.normal(size=(SIDE, SIDE, 1)))
    light = np.where(INSIDE[..., None], albedo * print_ * np.exp(harmonics(NORMALS) @ beta), 0.5)
    return (255 * encoded(np.clip(light, 0, 1))).astype(np.float32)


def spread(picture: np.ndarray, label: int) -> float:
    """Standard deviation of the log-light of one cloth."""
    where = (label == LABELS) & (X**2 + Y**2 < 0.7)
    return float(np.log(np.maximum(linear(picture[where] / 255), 1e-4)).std(0).mean())


@pytest.mark.parametrize("pattern", [0.0, 0.15])
def test_the_light_of_a_sphere_is_found(pattern: float) -> None:
    light = find_light(linear(photograph(BETA, pattern) / 255), NORMALS, LABELS, INSIDE)
    assert light is not None
    wanted = harmonics(NORMALS[INSIDE]) @ BETA
    found = light.shading(NORMALS[INSIDE])
    assert np.abs((found - found.mean(0)) - (wanted - wanted.mean(0))).mean() < 0.03
    assert light.direction @ (BETA[:3, 0] / np.linalg.norm(BETA[:3, 0])) > 0.85
    assert light.contrast == pytest.approx(np.exp(np.ptp(wanted[:, 0])), rel=0.15)


def test_cloth_comes_out_plain_and_as_bright_as_before() -> None:
    photo = photograph(BETA)
    found, light = delighted(photo, NORMALS, LABELS, INSIDE)
    assert light is not None
    for label in (3, 5):
        assert spread(found, label) < 0.25 * spread(photo, label)
    assert np.median(found[INSIDE] / photo[INSIDE]) == pytest.approx(1, abs=0.03)
    away = X**2 + Y**2 > 1.1
    np.testing.assert_allclose(found[away], photo[away], atol=1.0)


def test_two_colours_of_two_labels_are_not_taken_for_light() -> None:
    photo = photograph(0 * BETA)
    found, light = delighted(photo, NORMALS, LABELS, INSIDE)
    assert light is not None and light.contrast < 1.05
    np.testing.assert_allclose(found, photo, atol=2.0)


def test_the_same_thing_lit_from_left_and_right_comes_out_alike() -> None:
    other = BETA.copy()
    other[0] *= -1
    photos = [photograph(beta) for beta in (BETA, other)]
    albedos = [delighted(photo, NORMALS, LABELS, INSIDE)[0] for photo in photos]
    before, after = (np.abs(a - b)[INSIDE].mean() for a, b in (photos, albedos))
    assert after < 0.2 * before


def test_too_little_that_is_seen_tells_no_light() -> None:
    photo = photograph(BETA)
    few = np.zeros_like(INSIDE)
    few[100:104, 100:104] = True
    found, light = delighted(photo, NORMALS, LABELS, few)
    assert light is None and found is photo


def test_towards_the_outline_no_light_is_invented() -> None:
    light = Light(BETA, np.zeros(3))
    grazing, turned = np.array([0.99, 0.0, 0.141]), np.array([0.99, 0.0, LEAST_FACING])
    np.testing.assert_allclose(light.shading(grazing), harmonics(turned / np.linalg.norm(turned)) @ BETA)


def test_it_is_stored_and_told() -> None:
    light = Light(BETA, np.array([0.1, 0.2, 0.3]))
    again = Light.of(light.stored)
    np.testing.assert_array_equal(again.coefficients, light.coefficients)
    np.testing.assert_array_equal(again.offset, light.offset)
    told = light.as_json()
    assert told["direction"] == [round(float(x), 3) for x in light.direction] and told["contrast"] == round(light.contrast, 2)
    assert Light(0 * BETA, np.zeros(3)).direction.tolist() == [0, 0, 0]
