"""Which vertices are seen, on shapes where it is known."""

from __future__ import annotations

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.pictures.sampling import sample_image
from carve.geometry.visibility import visibility
from solids import sphere

CAMERA = Camera.centred(200, 200, 400.0)


def ball(centre: tuple[float, float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    return sphere(radius, centre, 4)


def test_the_near_half_of_a_ball_is_seen_from_the_front_and_the_far_half_as_the_back() -> None:
    vertices, faces = ball((0, 0, -3), 0.5)
    facing = -((vertices - [0, 0, -3]) / 0.5 * vertices).sum(1) / np.linalg.norm(vertices, axis=1)
    for farthest, sign in ((False, 1), (True, -1)):
        share = visibility(vertices, faces, CAMERA, farthest, margin=2.0).share
        assert share[sign * facing > 0.5].min() > 0.9
        assert share[sign * facing < 0.05].max() == 0
        assert ((share >= 0) & (share <= 1)).all()


def test_what_stands_in_front_hides() -> None:
    far, faces = ball((0, 0, -4), 0.3)
    near, _ = ball((0, 0, -2), 0.3)
    share = visibility(np.concatenate([far, near]), np.concatenate([faces, faces + len(far)]), CAMERA, False, margin=2.0).share
    assert share[: len(far)].max() == 0
    assert share[len(far) :].max() == 1


def test_the_strip_beside_an_outline_is_not_trusted() -> None:
    vertices, faces = ball((0, 0, -3), 0.5)
    narrow, wide = (visibility(vertices, faces, CAMERA, False, margin=m) for m in (1.0, 12.0))
    assert (wide.share <= narrow.share + 1e-12).all()
    assert (wide.share > 0).sum() < (narrow.share > 0).sum()


def test_vertices_outside_the_picture_or_behind_the_camera_are_not_seen() -> None:
    for centre in ((3.0, 0.0, -3.0), (0.0, 0.0, 3.0)):
        vertices, faces = ball(centre, 0.5)
        assert visibility(vertices, faces, CAMERA, False, margin=2.0).share.max() == 0


def test_images_are_read_between_pixel_centres() -> None:
    image = np.stack(np.meshgrid(np.arange(8.0) + 0.5, np.arange(6.0) + 0.5), -1)
    pixels = np.array([[0.5, 0.5], [3.25, 2.75], [7.5, 5.5], [6.0, 1.1]])
    np.testing.assert_allclose(sample_image(image, pixels), pixels)
    np.testing.assert_allclose(sample_image(image, np.array([[-4.0, 20.0]])), [[0.5, 5.5]])
