"""What hair slides over: distances of a ball in closed form, the hollow between two balls, strands that keep their place on a slope."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from carve.synth.hair.mantle import CLOSING, Mantle

RADIUS = 0.08


def mantle(*centres: float) -> Mantle:
    """Of balls of RADIUS at heights `centres`."""
    balls = [trimesh.creation.icosphere(4, RADIUS).apply_translation([0, y, 0]) for y in centres]
    both = trimesh.util.concatenate(balls)
    high = both.vertices.max(0) + 3 * CLOSING
    return Mantle(np.asarray(both.vertices), np.asarray(both.faces), both.vertices.min(0) - 3 * CLOSING, high)


@pytest.fixture(scope="module")
def ball() -> Mantle:
    return mantle(0.0)


def test_points_are_lifted_off_a_ball_and_fly_no_more_into_it(ball: Mantle) -> None:
    rng = np.random.default_rng(0)
    out = rng.normal(size=(500, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    points, ways = (RADIUS + rng.uniform(-0.004, 0.02, 500))[:, None] * out, rng.normal(size=(500, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    clear = np.full(500, 0.01)
    moved, turned, normal = ball.lift_out(points, ways, clear, np.zeros(500, bool))
    height = np.linalg.norm(moved, axis=1) - RADIUS
    assert height.min() > 0.008
    touch = np.linalg.norm(normal, axis=1) > 0
    assert touch.any() and not touch.all()
    np.testing.assert_array_equal(moved[~touch], points[~touch])
    assert np.abs(height[touch] - 0.01).max() < 0.003
    assert (turned[touch] * out[touch]).sum(1).min() > -0.15
    assert (normal[touch] * out[touch]).sum(1).min() > 0.97


def test_strands_that_hold_together_do_not_slide_down_a_side(ball: Mantle) -> None:
    start = np.array([[0.04, RADIUS, 0.0], [0.04, RADIUS, 0.0]]) * [1, 0.8, 1]
    ways = np.array([[0.0, -1.0, 0.0]] * 2)
    moved, _, normal = ball.lift_out(start, ways, np.full(2, 0.005), np.array([False, True]))
    assert (normal[:, 0] > 0.3).all()
    assert moved[1, 0] - start[1, 0] < 0.7 * (moved[0, 0] - start[0, 0])
    assert np.linalg.norm(moved, axis=1).min() > RADIUS


def test_hollows_are_filled() -> None:
    """Balls 2 cm apart: the middle is inside, though no skin is nearer than 1 cm."""
    pair = mantle(0.0, 2 * RADIUS + 0.02)
    between = np.array([[0.01, RADIUS + 0.01, 0.0]])
    moved, _, normal = pair.lift_out(between, np.array([[0.0, -1.0, 0.0]]), np.array([0.003]), np.array([False]))
    assert normal[0, 0] > 0.9
    assert moved[0, 0] > 0.02
