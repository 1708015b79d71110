"""Normal maps: a sphere in closed form, and a person from both sides."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.records import CanonicalSurface, NormalMaps, Observation, Photo, Pose, PosedSurface, Skeleton
from carve.stages.normals import Params, render_normals
from solids import sphere
from synthetic import Truth

CAMERA, CENTRE, RADIUS = Camera(160, 120, 150.0, 70.0, 65.0), np.array([0.2, -0.1, -3.0]), 0.8


@pytest.fixture(scope="module")
def maps(clothed: Truth) -> NormalMaps:
    """Of a sphere."""
    vertices, faces = sphere(RADIUS, tuple(CENTRE), splits=5)
    skeleton = Skeleton(("root",), np.array([-1]), np.zeros((1, 3)), {"hips": "root"})
    bones, weights = np.zeros((len(vertices), 4), int), np.tile([1.0, 0, 0, 0], (len(vertices), 1))
    region, sigma = np.zeros(len(vertices), np.uint8), np.full(len(vertices), 0.01)
    canonical = CanonicalSurface(vertices, faces, skeleton, bones, weights, region, sigma, 0.0, 0.0)
    return render_normals(clothed.observation, PosedSurface(canonical, Pose(np.eye(3)[None], np.zeros(3)), CAMERA, vertices), Params())


def test_a_sphere_in_closed_form(maps: NormalMaps) -> None:
    rays = CAMERA.rays(np.stack(np.meshgrid(np.arange(160), np.arange(120)), -1) + 0.5)
    square, along = (rays**2).sum(-1), rays @ CENTRE
    root = np.sqrt(np.maximum(along**2 - square * (CENTRE @ CENTRE - RADIUS**2), 0))
    inside = maps.mask & (root > 0.05 * along)
    assert inside.sum() > 0.9 * maps.mask.sum()
    for image, sign in ((maps.front, -1), (maps.back, 1)):
        expected = (rays * ((along + sign * root) / square)[..., None] - CENTRE) / RADIUS
        np.testing.assert_allclose(image[inside], expected[inside], atol=0.02)


def test_normals_have_unit_length_inside_and_none_outside(maps: NormalMaps) -> None:
    for image in (maps.front, maps.back):
        assert image.dtype == np.float16 and image.shape == (120, 160, 3)
        np.testing.assert_allclose(np.linalg.norm(image[maps.mask].astype(float), axis=1), 1, atol=2e-3)
        assert not image[~maps.mask].any()


def test_the_variance_is_that_of_the_expected_angle(maps: NormalMaps) -> None:
    assert maps.log_variance.shape == (120, 160)
    np.testing.assert_allclose(np.degrees(np.exp(maps.log_variance[maps.mask].astype(float) / 2)), 20, rtol=1e-3)
    assert not maps.log_variance[~maps.mask].any()


def test_a_person_faces_the_camera_in_front_and_turns_away_behind(clothed: Truth, refined: PosedSurface) -> None:
    observation: Observation = clothed.observation
    maps = render_normals(observation, refined, Params())
    photo: Photo = observation.photo
    assert maps.mask.shape == photo.pixels.shape[:2]
    np.testing.assert_array_equal(maps.mask, rasterise(refined.vertices, refined.canonical.faces, refined.camera).mask)
    rays = refined.camera.rays(np.stack(np.meshgrid(np.arange(maps.mask.shape[1]), np.arange(maps.mask.shape[0])), -1) + 0.5)
    towards = -(rays / np.linalg.norm(rays, axis=-1, keepdims=True) * maps.front).sum(-1)
    away = (rays / np.linalg.norm(rays, axis=-1, keepdims=True) * maps.back).sum(-1)
    for facing in (towards[maps.mask], away[maps.mask]):
        assert (facing > 0).mean() > 0.98
        assert np.median(facing) > 0.7
    assert (maps.front[maps.mask][:, 2] > 0).mean() > 0.95
    assert (maps.back[maps.mask][:, 2] < 0).mean() > 0.95
    assert np.isfinite(maps.front).all() and np.isfinite(maps.back).all()
