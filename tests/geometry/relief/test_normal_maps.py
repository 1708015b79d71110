"""Normal maps of meshes: a sphere in closed form, winding, what lies outside."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.relief.normal_maps import front_and_back
from solids import box, sphere

CAMERA, CENTRE, RADIUS = Camera(96, 72, 110.0, 41.0, 40.0), np.array([0.25, 0.1, -3.0]), 0.7
Maps = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def maps() -> Maps:
    return front_and_back(*sphere(RADIUS, tuple(CENTRE), splits=5), CAMERA)


def test_a_sphere_in_closed_form(maps: Maps) -> None:
    rays = CAMERA.rays(np.stack(np.meshgrid(np.arange(96), np.arange(72)), -1) + 0.5)
    square, along = (rays**2).sum(-1), rays @ CENTRE
    under = along**2 - square * (CENTRE @ CENTRE - RADIUS**2)
    root = np.sqrt(np.maximum(under, 0))
    inside = root > 0.05 * along
    for image, sign in zip(maps, (-1, 1), strict=True):
        expected = (rays * ((along + sign * root) / square)[..., None] - CENTRE) / RADIUS
        np.testing.assert_allclose(image[inside], expected[inside], atol=0.01)
        assert not image[under < -1e-3].any()


def test_they_are_unit_vectors_or_zero(maps: Maps) -> None:
    for image in maps:
        assert image.dtype == np.float32
        length = np.linalg.norm(image, axis=-1)
        assert ((np.abs(length - 1) < 1e-5) | (length == 0)).all()
    np.testing.assert_array_equal(maps[0].any(-1), maps[1].any(-1))


def test_outward_is_what_the_winding_says(maps: Maps) -> None:
    vertices, faces = sphere(RADIUS, tuple(CENTRE), splits=5)
    for inward, outward in zip(front_and_back(vertices, faces[:, ::-1], CAMERA), maps, strict=True):
        np.testing.assert_allclose(inward, -outward, atol=1e-6)


def test_a_mirrored_mesh_has_the_mirrored_maps(maps: Maps) -> None:
    vertices, faces = sphere(RADIUS, tuple(CENTRE), splits=5)
    camera = Camera(96, 72, CAMERA.focal, 96 - CAMERA.cx, CAMERA.cy)
    for found, image in zip(front_and_back(vertices * [-1, 1, 1], faces[:, ::-1], camera), maps, strict=True):
        np.testing.assert_allclose(found[:, ::-1] * [-1, 1, 1], image, atol=1e-4)


def test_behind_another_body_the_back_is_the_farthest_surface() -> None:
    near, far = box((0.6, 0.6, 0.6), (0, 0, -2)), sphere(1.0, (0, 0, -6), splits=3)
    vertices, faces = np.concatenate([near[0], far[0]]), np.concatenate([near[1], far[1] + len(near[0])])
    camera = Camera.centred(32, 32, 60.0)
    front, back = front_and_back(vertices, faces, camera)
    only_far = front_and_back(*far, camera)[1]
    middle = only_far.any(-1)
    np.testing.assert_allclose(back[middle], only_far[middle], atol=1e-6)
    assert (front[16, 16] @ [0, 0, 1]) > 0.5
