"""Every change of frame, on directions whose meaning is known."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.frames import body_from_anny, camera_from_vision, mirrored_x, normals_to_rgb
from normal_pictures import rgb_to_normals


@pytest.mark.parametrize("rotation", [body_from_anny, camera_from_vision])
def test_frames_are_changed_by_rotations(rotation: np.ndarray) -> None:
    np.testing.assert_array_equal(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_anny_stands_up_and_turns_to_face_us() -> None:
    up, forward, left = np.array([0.0, 0, 1]), np.array([0.0, -1, 0]), np.array([1.0, 0, 0])
    np.testing.assert_array_equal(up @ body_from_anny.T, [0, 1, 0])
    np.testing.assert_array_equal(forward @ body_from_anny.T, [0, 0, 1])
    np.testing.assert_array_equal(left @ body_from_anny.T, [1, 0, 0])


def test_vision_looks_along_minus_z() -> None:
    down, away, right = np.array([0.0, 1, 0]), np.array([0.0, 0, 1]), np.array([1.0, 0, 0])
    np.testing.assert_array_equal(down @ camera_from_vision.T, [0, -1, 0])
    np.testing.assert_array_equal(away @ camera_from_vision.T, [0, 0, -1])
    np.testing.assert_array_equal(right @ camera_from_vision.T, [1, 0, 0])


def test_mirroring_swaps_the_sides_and_nothing_else() -> None:
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    np.testing.assert_array_equal(mirrored_x(mirrored_x(points)), points)
    np.testing.assert_array_equal(mirrored_x(points)[..., 0], -points[..., 0])
    np.testing.assert_array_equal(mirrored_x(points)[..., 1:], points[..., 1:])


def test_colours_of_known_normals() -> None:
    normals = np.array([[[0.0, 0, 1], [1, 0, 0], [0, -1, 0], [0, 0, 1]]])
    mask = np.array([[True, True, True, False]])
    assert normals_to_rgb(normals, mask).tolist() == [[[128, 128, 255], [255, 128, 128], [128, 0, 128], [0, 0, 0]]]


def test_normals_survive_eight_bits() -> None:
    normals = np.random.default_rng(1).normal(size=(40, 30, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    mask = np.random.default_rng(2).random((40, 30)) < 0.7
    decoded = rgb_to_normals(normals_to_rgb(normals, mask))
    np.testing.assert_allclose(np.linalg.norm(decoded[mask], axis=-1), 1, atol=1e-6)
    angle = np.degrees(np.arccos(np.clip((decoded * normals).sum(-1), -1, 1)))
    assert angle[mask].max() < 0.5
    assert not decoded[~mask].any()
