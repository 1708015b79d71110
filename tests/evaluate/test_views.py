"""Parallel views and silhouettes of solids against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from carve.evaluate.views import Shape, barycentric, parallel_view, silhouette, turn_about_up, welded_normals
from carve.geometry.camera import Camera
from carve.geometry.queries import MeshQueries
from solids import box, sphere


def test_a_sphere_is_a_disk_with_the_normals_of_a_sphere() -> None:
    vertices, faces = sphere(0.5, splits=4)
    shape = Shape(vertices, faces, welded_normals(vertices, faces))
    view = parallel_view(shape, MeshQueries(vertices, faces), 90, np.zeros(3), 1.2, 128)
    line = ((np.arange(128) + 0.5) / 128 - 0.5) * 1.2
    x, y = np.meshgrid(line, -line)
    assert view.mask.sum() * (1.2 / 128) ** 2 == pytest.approx(np.pi / 4, rel=0.01)
    inner = np.hypot(x, y) < 0.45
    truth = np.stack([x, y, np.sqrt(np.maximum(0.25 - x**2 - y**2, 0))], -1) / 0.5
    assert np.abs(view.normals - truth)[inner].max() < 0.02
    assert not view.normals[~view.mask].any()


@pytest.mark.parametrize(("degrees", "size"), [(0, (0.4, 0.8)), (90, (0.2, 0.8)), (180, (0.4, 0.8)), (270, (0.2, 0.8))])
def test_sides_of_a_box_have_its_sizes(degrees: int, size: tuple[float, float]) -> None:
    vertices, faces = box((0.4, 0.8, 0.2))
    shape = Shape(vertices, faces, welded_normals(vertices, faces))
    mask = parallel_view(shape, MeshQueries(vertices, faces), degrees, np.zeros(3), 1.0, 100).mask
    assert (mask.any(0).sum() / 100, mask.any(1).sum() / 100) == pytest.approx(size, abs=0.011)


def test_the_side_at_an_azimuth_faces_the_viewer() -> None:
    for degrees in (0, 90, 180, 270, 33):
        side = np.array([np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))])
        np.testing.assert_allclose(turn_about_up(degrees) @ side, [0, 0, 1], atol=1e-12)


def test_colours_come_from_the_texture() -> None:
    vertices = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0.0]])
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :, 0], texture[4:, :, 1] = 200, 100
    shape = Shape(vertices, faces, np.tile([0.0, 0, 1], (4, 1)), uv, texture)
    view = parallel_view(shape, MeshQueries(vertices, faces), 0, np.zeros(3), 1.0, 32)
    assert view.albedo is not None
    np.testing.assert_allclose(view.albedo[4, 10], [200 / 255, 0, 0], atol=0.002)
    np.testing.assert_allclose(view.albedo[28, 10], [0, 100 / 255, 0], atol=0.002)


def test_barycentric_coordinates_give_the_point_back(rng: np.random.Generator) -> None:
    corners, weights = rng.normal(size=(20, 3, 3)), rng.dirichlet(np.ones(3), 20)
    points = np.einsum("nk,nkd->nd", weights, corners)
    np.testing.assert_allclose(barycentric(corners, points), weights, atol=1e-9)


def test_welded_vertices_share_their_normals() -> None:
    vertices, faces = box()
    split = vertices[faces].reshape(-1, 3)
    normals = welded_normals(split, np.arange(len(split)).reshape(-1, 3))
    np.testing.assert_allclose(normals, welded_normals(vertices, faces)[faces].reshape(-1, 3), atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_silhouette_of_a_sphere_through_a_camera(sign: int) -> None:
    vertices, faces = sphere(0.3, (0, 0, -3.0), 4)
    camera = Camera.centred(200, 160, 400.0)
    cover = silhouette(vertices, faces, sign * camera.projection, (200, 160))
    radius = 400 * 0.3 / np.sqrt(9 - 0.09)
    assert cover.sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    assert cover[80, 100] and not cover[80, 100 + int(radius) + 2]
    assert not silhouette(vertices + np.array([9, 0, 0]), faces, camera.projection, (200, 160)).any()
