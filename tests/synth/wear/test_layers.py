"""Pushing cloth out, and hiding what it covers, on solids whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.mesh import uniform_laplacian, vertex_normals
from carve.synth.records import Layer
from carve.synth.wear.layers import REACH, SUNK, Against, Obstacle, hide, push_out
from solids import sphere


def still(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bones and weights of one bone that does not move, and its map."""
    bones, weights = np.zeros((count, 4), np.int64), np.zeros((count, 4))
    weights[:, 0] = 1
    return bones, weights, np.concatenate([np.eye(3), np.zeros((3, 1))], 1)[None]


def layer_of(vertices: np.ndarray, faces: np.ndarray, name: str) -> Layer:
    bones, weights, _ = still(len(vertices))
    return Layer(name, 1, vertices, vertices, faces, np.ones(len(faces), bool), np.zeros((len(faces), 3, 2)), bones, weights, True)


def test_heights_above_a_sphere() -> None:
    ball = Obstacle(*sphere(0.5, splits=5))
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = rng.uniform(0.46, 0.55, 200)
    height, normal = ball.heights(radius[:, None] * direction, 0.06)
    np.testing.assert_allclose(height, radius - 0.5, atol=5e-4)
    assert (np.einsum("nd,nd->n", normal, direction) > 0.999).all()
    far, _ = ball.heights(0.3 * direction, 0.06)
    assert np.isinf(far).all()


def test_points_at_the_rim_of_an_open_surface_have_no_height() -> None:
    vertices, faces = sphere(0.5, splits=4)
    half = Obstacle(vertices, faces[(vertices[faces][..., 1] > 0).all(1)])
    beyond, _ = half.heights(np.array([[0.5, -0.05, 0.0], [0.0, 0.52, 0.0]]), 0.06)
    assert np.isinf(beyond[0])
    assert abs(beyond[1] - 0.02) < 1e-3


def test_cloth_ends_at_its_clearance_and_moves_no_more_than_needed() -> None:
    ball, cloth = sphere(0.5, splits=5), sphere(0.49, splits=4)
    pushed = push_out(cloth[0], cloth[1], [Against(Obstacle(*ball), 0.004)])
    radius = np.linalg.norm(pushed, axis=1)
    assert radius.min() > 0.5035
    assert radius.max() < 0.506
    outside = sphere(0.52, splits=4)
    np.testing.assert_array_equal(push_out(outside[0], outside[1], [Against(Obstacle(*ball), 0.004)]), outside[0])


def test_fixed_points_stay() -> None:
    ball, cloth = sphere(0.5, splits=4), sphere(0.49, splits=4)
    fixed = cloth[0][:, 1] > 0.3
    pushed = push_out(cloth[0], cloth[1], [Against(Obstacle(*ball), 0.004)], fixed=fixed)
    np.testing.assert_array_equal(pushed[fixed], cloth[0][fixed])
    assert (np.linalg.norm(pushed[~fixed], axis=1) > 0.5).all()


def test_two_obstacles_both_count() -> None:
    inner, outer = Obstacle(*sphere(0.5, splits=4)), Obstacle(*sphere(0.5, (0.0, 0.03, 0.0), splits=4))
    cloth = sphere(0.5, splits=4)
    pushed = push_out(cloth[0], cloth[1], [Against(inner, 0.002), Against(outer, 0.002)])
    assert (np.linalg.norm(pushed, axis=1) > 0.5).all()
    assert (np.linalg.norm(pushed - [0.0, 0.03, 0.0], axis=1) > 0.5).all()


def test_asking_only_those_that_moved_is_as_good_as_asking_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    obstacles = [Against(Obstacle(*sphere(0.5, splits=4)), 0.004), Against(Obstacle(*sphere(0.3, (0.3, 0.1, 0.0), splits=3)), 0.006)]
    vertices, faces = sphere(0.51, splits=4)
    vertices = vertices + rng.normal(0, 0.006, vertices.shape)
    moved, asked = np.array(vertices), []
    laplacian = uniform_laplacian(faces, len(vertices))
    for number in range(5):  # all points, every round
        found = [(item.clearance - h, n) for item in obstacles for h, n in [item.obstacle.heights(moved, REACH)]]
        missing = np.stack([np.where(np.isfinite(m), np.maximum(m, 0), 0) for m, _ in found])
        worst = missing.argmax(0)
        move = missing.max(0)[:, None] * np.stack([n for _, n in found])[worst, np.arange(len(moved))]
        for _ in range(3 if number < 4 else 0):
            move = move - 0.5 * (laplacian @ move)
        moved += move
    heights = Obstacle.heights
    monkeypatch.setattr(Obstacle, "heights", lambda self, points, reach: asked.append(len(points)) or heights(self, points, reach))
    np.testing.assert_allclose(push_out(vertices, faces, obstacles), moved, atol=1e-9)
    assert asked[0] == len(vertices) > asked[-1]


def test_what_is_covered_is_hidden_but_for_the_rings_at_an_opening() -> None:
    body = layer_of(*sphere(0.5, splits=5), "skin")
    vertices, faces = sphere(0.51, splits=5)
    shirt = layer_of(vertices, faces[(vertices[faces][..., 1] > 0).all(1)], "shirt")
    _, _, maps = still(1)
    hidden = hide(body, [shirt], maps)
    height = body.posed[body.faces].mean(1)[:, 1]
    assert not hidden.shown[height > 0.15].any()
    assert hidden.shown[height < 0.0].all()
    below = np.linalg.norm(hidden.posed, axis=1)
    np.testing.assert_allclose(below[body.posed[:, 1] > 0.2], 0.5 - SUNK, atol=1e-3)
    np.testing.assert_allclose(below[body.posed[:, 1] < -0.05], 0.5, atol=1e-12)


def test_skin_that_pokes_through_a_little_is_hidden_too() -> None:
    body = layer_of(*sphere(0.5, splits=5), "skin")
    shirt = layer_of(*sphere(0.497, splits=5), "shirt")
    hidden = hide(body, [shirt], still(1)[2])
    assert not hidden.shown.any()
    assert np.linalg.norm(hidden.posed, axis=1).max() < 0.497


def test_cloth_far_above_hides_nothing() -> None:
    body = layer_of(*sphere(0.5, splits=4), "skin")
    skirt = layer_of(*sphere(0.6, splits=4), "skirt")
    hidden = hide(body, [skirt], still(1)[2])
    assert hidden.shown.all()
    np.testing.assert_array_equal(hidden.posed, body.posed)


def test_pushing_is_along_smooth_normals() -> None:
    """The pushed sphere is a sphere: no facet pattern of the obstacle comes through."""
    ball, cloth = sphere(0.5, splits=5), sphere(0.495, splits=3)
    pushed = push_out(cloth[0], cloth[1], [Against(Obstacle(*ball), 0.01)])
    unit = pushed / np.linalg.norm(pushed, axis=1, keepdims=True)
    assert (np.einsum("nd,nd->n", vertex_normals(pushed, cloth[1]), unit) > 0.99).all()
