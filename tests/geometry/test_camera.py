"""The camera: one projection in all its forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carve.geometry.camera import Camera, equivalent_of_focal, focal_from_equivalent

CAMERA = Camera(640, 480, 700.0, 310.5, 250.25)


def points(seed: int = 0, count: int = 50) -> np.ndarray:
    """(count, 3) before the camera."""
    return np.random.default_rng(seed).normal(size=(count, 3)) * [1, 1, 0.5] - [0, 0, 3]


def test_right_is_right_and_up_is_up() -> None:
    u, v = CAMERA.project(np.array([[0.5, 0.25, -2.0]]))[0]
    assert (u, v) == (310.5 + 700 * 0.25, 250.25 - 700 * 0.125)


def test_the_matrix_is_the_projection() -> None:
    homogeneous = np.column_stack([points(), np.ones(50)]) @ CAMERA.projection.T
    assert (homogeneous[:, 2] > 0).all()
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], CAMERA.project(points()), atol=1e-10)
    np.testing.assert_allclose(homogeneous[:, 2], -points()[:, 2])


def test_torch_projects_as_numpy_does_and_knows_its_gradient() -> None:
    x = torch.from_numpy(points()).reshape(5, 10, 3).requires_grad_()
    np.testing.assert_allclose(CAMERA.project(x).detach().numpy().reshape(-1, 2), CAMERA.project(points()), atol=1e-10)
    assert torch.autograd.gradcheck(CAMERA.project, (x,), atol=1e-4)
    assert CAMERA.project(x.float()).dtype == torch.float32


def test_rays_lead_back_to_the_points() -> None:
    x = points(1)
    rays = CAMERA.rays(CAMERA.project(x))
    np.testing.assert_array_equal(rays[:, 2], -1)
    np.testing.assert_allclose(rays * -x[:, 2:], x, atol=1e-12)
    np.testing.assert_allclose(CAMERA.rays(np.array([CAMERA.cx, CAMERA.cy])), [0, 0, -1])


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.25])
def test_a_crop_only_shifts_and_scales_pixels(scale: float) -> None:
    window = CAMERA.cropped(-20.0, 33.5, 200, 300, scale)
    assert (window.width, window.height) == (200, 300)
    np.testing.assert_allclose(window.project(points()), (CAMERA.project(points()) - [-20.0, 33.5]) * scale, atol=1e-9)


def test_crops_compose() -> None:
    both = CAMERA.cropped(10, 20, 300, 300, 2.0).cropped(50, 60, 100, 100, 0.5)
    once = CAMERA.cropped(10 + 25, 20 + 30, 100, 100, 1.0)
    assert both == once


def test_an_uncropped_camera_looks_through_the_middle() -> None:
    camera = Camera.centred(800, 600, 900.0)
    np.testing.assert_allclose(camera.project(np.array([0.0, 0.0, -7.0])), [400, 300])


@pytest.mark.parametrize("size", [(3600, 2400), (2400, 3600), (3000, 4000)])
def test_an_equivalent_focal_length_sees_films_diagonal(size: tuple[int, int]) -> None:
    camera = Camera.centred(*size, focal_from_equivalent(size, 50.0))
    corner, opposite = camera.rays(np.array([[0.0, 0.0], [float(size[0]), float(size[1])]]))
    cosine = corner @ opposite / np.linalg.norm(corner) / np.linalg.norm(opposite)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(46.8, abs=0.05)  # of a 50 mm lens on full frame


def test_equivalents_go_both_ways() -> None:
    assert equivalent_of_focal((6000, 4000), focal_from_equivalent((6000, 4000), 35.0)) == pytest.approx(35.0)
    assert equivalent_of_focal((3000, 2000), focal_from_equivalent((6000, 4000), 35.0)) == pytest.approx(70.0)  # half the picture cut away
