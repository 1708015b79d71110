"""The scale of a person in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.fitted.landmarks import pixels_per_metre


def person(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (33, 2) and world positions (33, 3) at 240 pixels a metre."""
    world = np.random.default_rng(seed).normal(size=(33, 3)) * [0.3, 0.6, 0.1]
    return world[:, :2] * [240, -240] + [311, 207], world


def test_exact_landmarks_give_the_exact_scale() -> None:
    pixels, world = person()
    assert pixels_per_metre(pixels, world, np.ones(33)) == pytest.approx(240)
    assert pixels_per_metre(3 * pixels + 50, world - 7, np.ones(33)) == pytest.approx(720)


def test_unseen_landmarks_hardly_count() -> None:
    pixels, world = person()
    weight = np.ones(33)
    pixels[:5] += 300
    weight[:5] = 0
    assert pixels_per_metre(pixels, world, weight) == pytest.approx(240, rel=0.02)


def test_landmarks_without_a_world_position_do_not_count() -> None:
    pixels, world = person()
    pixels[3] += 1000
    world[3] = np.nan
    assert pixels_per_metre(pixels, world, np.ones(33)) == pytest.approx(240)


def test_without_any_world_position_a_person_is_taken_to_stand() -> None:
    pixels, world = person()
    assert pixels_per_metre(pixels, np.full_like(world, np.nan), np.ones(33)) == pytest.approx(np.ptp(pixels[:, 1]) / 1.6)


def test_the_scale_is_never_zero() -> None:
    pixels, world = person()
    assert pixels_per_metre(-pixels, world, np.ones(33)) > 0
    assert pixels_per_metre(np.zeros((33, 2)), np.full((33, 3), np.nan), np.ones(33)) > 0
