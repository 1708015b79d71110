"""Alignments find what was done to a shape, and no more than they may."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.evaluate.alignment import LARGEST_DEGREES, SCALES, Similarity, align, camera_frame, register
from carve.evaluate.outer import OuterSurface, outer_surface
from carve.geometry.camera import Camera
from carve.records import CarveError
from solids import box

CAMERA = Camera.centred(640, 480, 700.0)


@pytest.fixture(scope="module")
def block() -> OuterSurface:
    """A box of three different sides, two metres before the camera."""
    return outer_surface(*box((0.5, 1.2, 0.3), (0.1, -0.1, -2.0)), 8000, np.random.default_rng(1))


def test_similarities_compose() -> None:
    rng = np.random.default_rng(0)
    first, second = (Similarity(s, Rotation.random(random_state=k).as_matrix(), rng.normal(size=3)) for k, s in ((1, 0.7), (2, 1.9)))
    points = rng.normal(size=(5, 3))
    np.testing.assert_allclose(second.after(first)(points), second(first(points)), atol=1e-12)
    assert Similarity(1, Rotation.from_euler("z", 25, degrees=True).as_matrix(), np.zeros(3)).degrees == pytest.approx(25)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_camera_frame_of_a_moved_projection_undoes_the_move(block: OuterSurface, sign: int) -> None:
    turn, shift = Rotation.random(random_state=5).as_matrix(), np.array([0.4, -1.0, 2.0])
    moved = block.points @ turn.T + shift
    projection = sign * CAMERA.projection @ np.block([[turn.T, -(turn.T @ shift)[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
    back = camera_frame(projection, moved)
    np.testing.assert_allclose(back(moved), block.points, atol=1e-9)


def test_a_parallel_projection_gets_a_frame_that_looks_along_its_axis(block: OuterSurface) -> None:
    projection = np.array([[300.0, 0, 0, 100], [0, -300, 0, 100], [0, 0, 0, 1]])
    moved = camera_frame(projection, block.points)(block.points)
    np.testing.assert_allclose(np.ptp(moved, axis=0), np.ptp(block.points, axis=0), atol=1e-9)
    assert moved[:, 2].max() < 0
    assert np.corrcoef(moved[:, 2], block.points[:, 2])[0, 1] == pytest.approx(1)


def test_projections_that_are_no_camera_are_refused(block: OuterSurface) -> None:
    with pytest.raises(CarveError, match="mirrors"):
        camera_frame(CAMERA.projection @ np.diag([-1.0, 1, 1, 1]), block.points)
    with pytest.raises(CarveError, match="plane"):
        camera_frame(CAMERA.projection, block.points - block.points.mean(0))


def test_registration_takes_back_scale_and_place(block: OuterSurface) -> None:
    made = block.points * 0.8 + [0, 0, -0.3]  # smaller, elsewhere; its own camera sees it where the true one sees the truth
    found = register(made, CAMERA.project(block.points), block.points, CAMERA.projection)
    np.testing.assert_allclose(found(made), block.points, atol=1e-6)
    np.testing.assert_array_equal(found.rotation, np.eye(3))


def test_closest_points_undo_a_small_turn(block: OuterSurface) -> None:
    turn = Rotation.from_euler("xyz", [3, -4, 2], degrees=True)
    centre = block.points.mean(0)
    moved = 1.04 * turn.apply(block.points - centre) + centre + [0.01, 0.02, -0.01]
    found = align(moved, block.points, block.normals, np.random.default_rng(0))
    assert found.scale == pytest.approx(1 / 1.04, abs=0.003)
    assert found.degrees == pytest.approx(np.degrees(turn.magnitude()), abs=0.2)
    assert np.abs(found(moved) - block.points).max() < 0.005


def test_closest_points_stop_at_their_limits(block: OuterSurface) -> None:
    centre = block.points.mean(0)
    turned = Rotation.from_euler("z", 25, degrees=True).apply(block.points - centre) + centre
    assert align(turned, block.points, block.normals, np.random.default_rng(0)).degrees <= LARGEST_DEGREES + 1e-6
    half = 0.5 * (block.points - centre) + centre
    assert align(half, block.points, block.normals, np.random.default_rng(0)).scale <= SCALES[1]
