"""The z-buffer against a ray caster that tries every triangle, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.raster import Raster, rasterise
from solids import box, sphere

CAMERA = Camera(37, 29, 30.0, 17.3, 15.1)


def cast(vertices: np.ndarray, faces: np.ndarray, camera: Camera, farthest: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) index of the nearest triangle (-1 for none) and depth along -Z, by Moeller and Trumbore's test for each ray and triangle."""
    face, depth = np.full((camera.height, camera.width), -1), np.full((camera.height, camera.width), np.inf)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    for row in range(camera.height):
        for column in range(camera.width):
            ray = camera.rays(np.array([column + 0.5, row + 0.5]))
            across = np.cross(ray, c - a)
            determinant = ((b - a) * across).sum(1)
            with np.errstate(divide="ignore", invalid="ignore"):
                u = (-a * across).sum(1) / determinant
                around = np.cross(-a, b - a)
                v = (around @ ray) / determinant
                t = ((c - a) * around).sum(1) / determinant
            hit = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0))
            if len(hit):
                best = hit[t[hit].argmax() if farthest else t[hit].argmin()]
                face[row, column], depth[row, column] = best, t[best]
    return face, depth


def soup(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Forty triangles that cut through each other."""
    vertices = np.random.default_rng(seed).normal(scale=0.5, size=(120, 3)) - [0, 0, 2.5]
    return vertices, np.arange(120).reshape(40, 3)


@pytest.mark.parametrize("farthest", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_is_what_its_ray_meets(seed: int, farthest: bool) -> None:
    vertices, faces = soup(seed)
    raster = rasterise(vertices, faces, CAMERA, farthest)
    face, depth = cast(vertices, faces, CAMERA, farthest)
    np.testing.assert_array_equal(raster.face, face)
    np.testing.assert_allclose(raster.depth, depth, rtol=1e-5)
    np.testing.assert_array_equal(raster.mask, face >= 0)
    assert 0.2 < raster.mask.mean() < 0.95


def points_of(raster: Raster, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(H, W, 3) the surface points that the barycentric coordinates name."""
    return np.einsum("hwk,hwkc->hwc", raster.bary.astype(float), vertices[faces[np.maximum(raster.face, 0)]])


def test_barycentric_coordinates_are_those_of_the_triangle_in_space() -> None:
    vertices, faces = soup(7)
    raster = rasterise(vertices, faces, CAMERA)
    rows, columns = np.nonzero(raster.mask)
    points = points_of(raster, vertices, faces)[rows, columns]
    np.testing.assert_allclose(CAMERA.project(points), np.stack([columns, rows], 1) + 0.5, atol=1e-3)
    np.testing.assert_allclose(-points[:, 2], raster.depth[rows, columns], rtol=1e-5)
    np.testing.assert_allclose(raster.bary[rows, columns].sum(1), 1, atol=1e-5)
    assert not raster.bary[~raster.mask].any()
    assert np.isinf(raster.depth[~raster.mask]).all()


def test_depth_of_a_slanted_plane_in_closed_form() -> None:
    """The plane z = -2 + x: a ray (x, y, -1) meets it at depth 2 / (1 + x)."""
    corners = np.array([[x, y, -2.0 + x] for x in (-0.8, 1.5) for y in (-3.0, 3.0)])
    raster = rasterise(corners, np.array([[0, 2, 1], [1, 2, 3]]), CAMERA)
    rows, columns = np.nonzero(raster.mask)
    rays = CAMERA.rays(np.stack([columns, rows], 1) + 0.5)
    np.testing.assert_allclose(raster.depth[rows, columns], 2 / (1 + rays[:, 0]), rtol=1e-5)
    assert np.ptp(raster.depth[raster.mask]) > 1


def test_interpolation_is_perspective_correct() -> None:
    vertices, faces = soup(8)
    raster = rasterise(vertices, faces, CAMERA)
    rng = np.random.default_rng(8)
    slope = rng.normal(size=(3, 2))
    image = raster.interpolate(vertices @ slope + 1, faces)
    expected = points_of(raster, vertices, faces) @ slope + 1
    np.testing.assert_allclose(image[raster.mask], expected[raster.mask], atol=1e-4)
    assert not image[~raster.mask].any()


def test_a_sphere_covers_its_cone_and_shows_both_sides() -> None:
    camera = Camera.centred(201, 201, 400.0)
    vertices, faces = sphere(0.5, centre=(0.0, 0.0, -3.0), splits=5)
    near, far = rasterise(vertices, faces, camera), rasterise(vertices, faces, camera, farthest=True)
    radius = 400 * 0.5 / np.sqrt(9 - 0.25)
    assert near.mask.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    np.testing.assert_array_equal(near.mask, far.mask)
    assert near.depth[100, 100] == pytest.approx(2.5, abs=2e-3)
    assert far.depth[100, 100] == pytest.approx(3.5, abs=2e-3)
    rays = camera.rays(np.stack(np.meshgrid(np.arange(201), np.arange(201)), -1) + 0.5)
    square = (rays**2).sum(-1)
    root = np.sqrt(np.maximum(9 - square * (9 - 0.25), 0)) / square
    inside = near.mask & (root > 0.05)
    np.testing.assert_allclose(near.depth[inside], (3 / square - root)[inside], atol=2e-3)
    np.testing.assert_allclose(far.depth[inside], (3 / square + root)[inside], atol=2e-3)


def test_neighbours_leave_no_gap_and_no_winding_matters() -> None:
    camera = Camera.centred(64, 64, 64.0)
    vertices, faces = box((1.0, 1.0, 1.0), centre=(0.0, 0.0, -2.0))  # its front face covers 64 * 1 / 1.5 pixels
    raster = rasterise(vertices, faces, camera)
    side = 64 / 1.5
    rows, columns = np.nonzero(raster.mask)
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == round(side / 2 - 0.01) * 2
    assert raster.mask.sum() == (np.ptp(rows) + 1) ** 2
    np.testing.assert_array_equal(rasterise(vertices, faces[:, ::-1], camera).depth, raster.depth)


def test_what_reaches_behind_the_camera_is_left_out() -> None:
    vertices, faces = box(centre=(0.0, 0.0, -4.0))
    crossing = np.array([[-5.0, -5, -1], [5, -5, -1], [0, 5, 1], [0, 0, 3], [1, 0, 3], [0, 1, 3], [0, 1, 0]])
    both = np.concatenate([faces, [[8, 9, 10], [11, 12, 13], [8, 9, 14]]])
    with_them, without = rasterise(np.concatenate([vertices, crossing]), both, CAMERA), rasterise(vertices, faces, CAMERA)
    assert without.mask.any()
    np.testing.assert_array_equal(with_them.face, without.face)
    np.testing.assert_array_equal(with_them.depth, without.depth)


def test_an_empty_picture() -> None:
    vertices, faces = box(centre=(100.0, 0.0, -2.0))
    raster = rasterise(vertices, faces, CAMERA)
    assert not raster.mask.any()
    assert raster.interpolate(vertices, faces).shape == (29, 37, 3)
