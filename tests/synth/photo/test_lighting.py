"""Spherical harmonics against integrals and closed forms, suns of panoramas that are known, and the light that is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.rotations import axis_rotation
from carve.records import CarveError
from carve.synth.photo.light_setups import Suns, draw_lighting
from carve.synth.photo.lighting import (
    LUMINANCE,
    Kind,
    cap,
    directional,
    environment_of,
    harmonics,
    irradiance,
    level,
    load_environments,
    panorama_directions,
    project,
    rotated,
    seen,
    turn,
)

DIRECTIONS, SOLID = panorama_directions(64, 128)
RNG = np.random.default_rng(0)
NORMALS = RNG.normal(size=(200, 3))
NORMALS /= np.linalg.norm(NORMALS, axis=1, keepdims=True)
ROTATION = axis_rotation(0, 0.4) @ axis_rotation(1, 1.3) @ axis_rotation(2, -0.8)


def test_the_harmonics_are_orthonormal_and_the_solid_angles_cover_the_sphere() -> None:
    basis = harmonics(DIRECTIONS)
    assert SOLID.sum() * 128 == pytest.approx(4 * np.pi)
    np.testing.assert_allclose(np.einsum("hwi,hwj,hx->ij", basis, basis, SOLID), np.eye(9), atol=2e-3)


def test_a_constant_environment_gives_pi_times_its_radiance() -> None:
    radiance = np.array([0.2, 0.5, 1.5])
    light = project(np.tile(radiance, (64, 128, 1)))
    np.testing.assert_allclose(harmonics(NORMALS) @ irradiance(light), np.tile(np.pi * radiance, (200, 1)), rtol=2e-3)


def test_a_directional_light_gives_the_clamped_cosine_as_far_as_order_two_can() -> None:
    toward = NORMALS[0]
    cosine = NORMALS @ toward
    got = (harmonics(NORMALS) @ irradiance(directional(toward, np.ones(3))))[:, 0]
    # The order-2 approximation of max(0, t), closed form: 1/4 + t/2 + 5/32 (3 t^2 - 1).
    np.testing.assert_allclose(got, 0.25 + cosine / 2 + 5 / 32 * (3 * cosine**2 - 1), atol=1e-12)
    assert np.abs(got - np.maximum(cosine, 0)).max() < 0.1


def test_irradiance_of_a_smooth_panorama_is_the_integral_over_the_hemisphere() -> None:
    panorama = 1 + 0.5 * DIRECTIONS + 0.3 * (DIRECTIONS**2)
    got = harmonics(NORMALS) @ irradiance(project(panorama))
    cosine = np.maximum(np.einsum("hwc,nc->nhw", DIRECTIONS, NORMALS), 0)
    np.testing.assert_allclose(got, np.einsum("nhw,hx,hwc->nc", cosine, SOLID, panorama), rtol=3e-3)


@pytest.mark.parametrize("degrees", [20, 90, 140, 180])
def test_a_cap_is_the_projection_of_the_cap(degrees: float) -> None:
    directions, _ = panorama_directions(360, 720)
    inside = directions @ NORMALS[1] > np.cos(np.radians(degrees))
    expected = project(np.where(inside[..., None], np.array([1.0, 2.0, 0.0]), 0.0))
    np.testing.assert_allclose(cap(NORMALS[1], float(np.radians(degrees)), np.array([1.0, 2.0, 0.0])), expected, atol=0.02)


def test_turning_the_light_turns_what_it_gives() -> None:
    light = RNG.normal(size=(9, 3))
    np.testing.assert_allclose(harmonics(NORMALS @ ROTATION.T) @ rotated(light, ROTATION), harmonics(NORMALS) @ light, atol=1e-12)
    np.testing.assert_allclose(rotated(rotated(light, ROTATION), ROTATION.T), light, atol=1e-12)
    np.testing.assert_allclose(
        rotated(directional(NORMALS[2], np.ones(3)), ROTATION), directional(ROTATION @ NORMALS[2], np.ones(3)), atol=1e-12
    )


def test_the_level_world_stands_upright_before_the_camera() -> None:
    up = np.array([0.1, 0.9, 0.3]) / np.linalg.norm([0.1, 0.9, 0.3])
    rotation = level(up)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ [0, 1, 0], up)
    assert (rotation @ [0, 0, -1])[2] < -0.9
    azimuth = lambda d: np.arctan2(d[2], d[0])  # noqa: E731
    assert azimuth(turn(0.3) @ np.array([1.0, 0.2, 0.5])) == pytest.approx(azimuth(np.array([1.0, 0.2, 0.5])) - 0.3)


def with_sun(power: float = 4000.0) -> tuple[np.ndarray, np.ndarray]:
    """A grey panorama with a sun of 2 degrees, and the sun's direction."""
    directions, _ = panorama_directions(128, 256)
    toward = np.array([0.5, 0.6, -0.3]) / np.linalg.norm([0.5, 0.6, -0.3])
    disc = directions @ toward > np.cos(np.radians(2.0))
    return np.where(disc[..., None], power * np.array([1.0, 0.9, 0.7]), 0.5).astype(np.float32), toward


def test_the_sun_of_a_panorama_is_found_and_cut_out() -> None:
    panorama, toward = with_sun()
    environment = environment_of("grey", panorama)
    assert environment.sun_direction is not None
    assert environment.sun_direction @ toward > np.cos(np.radians(0.5))
    solid = 2 * np.pi * (1 - np.cos(np.radians(2.0)))
    np.testing.assert_allclose(environment.sun_irradiance, 4000 * solid * np.array([1.0, 0.9, 0.7]), rtol=0.1)
    np.testing.assert_allclose(environment.ambient, project(np.full_like(panorama, 0.5)), atol=0.01)
    np.testing.assert_allclose(
        environment.whole, environment.ambient + directional(toward, environment.sun_irradiance), rtol=0.02, atol=0.3
    )


def test_an_even_panorama_has_no_sun() -> None:
    environment = environment_of("even", np.full((64, 128, 3), 0.5, np.float32))
    assert environment.sun_direction is None
    np.testing.assert_array_equal(environment.whole, environment.ambient)


def test_a_camera_sees_the_panorama_where_it_looks() -> None:
    panorama, toward = with_sun()
    environment = environment_of("grey", panorama)
    # A world turned so that the sun lies straight ahead, a little right of and above the axis.
    up = np.array([0.0, 1.0, 0.0])
    ahead = np.array([0.1, 0.2, -1.0]) / np.linalg.norm([0.1, 0.2, -1.0])
    right = np.cross(ahead, up) / np.linalg.norm(np.cross(ahead, up))
    sideways = np.cross(toward, up) / np.linalg.norm(np.cross(toward, up))
    rotation = np.stack([right, np.cross(right, ahead), -ahead], 1) @ np.stack([sideways, np.cross(sideways, toward), -toward], 0)
    camera = Camera.centred(80, 60, 70.0)
    picture = seen(environment, rotation, camera)
    row, column = np.unravel_index(picture[..., 0].argmax(), (60, 80))
    np.testing.assert_allclose([column + 0.5, row + 0.5], camera.project(ahead[None])[0], atol=3)
    assert picture.shape == (60, 80, 3)


def test_the_panorama_is_not_mirrored() -> None:
    panorama = np.zeros((32, 64, 3), np.float32)
    panorama[:, 34:40] = 1.0  # to the right of the middle column, as one sees it from inside
    camera = Camera.centred(40, 40, 30.0)
    # Looking along the middle column's direction (-1, 0, 0) with +Y up, to the right is (-1, 0, 0) x (0, 1, 0) = (0, 0, -1).
    rotation = np.stack([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    picture = seen(environment_of("bar", panorama), rotation, camera)
    assert picture[:, 22:].sum() > 0
    assert picture[:, :19].sum() == 0


def test_drawn_light_is_repeatable_positive_and_uses_the_stored_suns() -> None:
    bank = (environment_of("grey", with_sun()[0]), environment_of("even", np.full((64, 128, 3), 0.5, np.float32)))
    up = np.array([0.0, 0.98, 0.2]) / np.linalg.norm([0.0, 0.98, 0.2])
    suns = np.array([[0.4, 0.7, 0.5], [-0.6, 0.5, -0.3]])
    suns = Suns(suns / np.linalg.norm(suns, axis=1, keepdims=True), np.array([0.02, 0.3]))
    kinds, shining = set(), 0
    for seed in range(200):
        light = draw_lighting(bank, suns, up, np.random.default_rng(seed))
        again = draw_lighting(bank, suns, up, np.random.default_rng(seed))
        np.testing.assert_array_equal(light.radiance, again.radiance)
        kinds.add(light.kind)
        mean = float(light.radiance[0] @ LUMINANCE)
        assert mean > 0
        assert np.isfinite(light.radiance).all()
        shining += bool(light.keys)
        for key in light.keys:
            assert key.irradiance.min() > 0
            if key.sun < 0:
                assert light.kind == "flash" and key.direction[2] > 0.9
            else:
                np.testing.assert_allclose(key.direction, suns.directions[key.sun])
                assert key.radius == suns.radii[key.sun]
    assert kinds == set(get_args(Kind))
    assert 100 < shining < 190
    none = Suns(np.zeros((0, 3)), np.zeros(0))
    assert all(key.sun == -1 for s in range(50) for key in draw_lighting(bank, none, up, np.random.default_rng(s)).keys)


def test_the_environment_turns_its_own_sun_below_the_stored_one() -> None:
    bank = (environment_of("grey", with_sun()[0]),)
    up = np.array([0.0, 1.0, 0.0])
    suns = Suns(np.array([[0.4, 0.7, 0.5]]) / np.linalg.norm([0.4, 0.7, 0.5]), np.array([0.02]))
    drawn = [draw_lighting(bank, suns, up, np.random.default_rng(seed)) for seed in range(60)]
    turned = [light for light in drawn if light.kind == "environment" and np.ptp(light.radiance[1:]) < 0.05]
    assert turned
    for light in turned:
        toward = light.camera_from_world @ bank[0].sun_direction
        assert np.arctan2(toward[2], toward[0]) == pytest.approx(np.arctan2(0.5, 0.4))
        np.testing.assert_allclose(light.radiance, rotated(bank[0].ambient, light.camera_from_world))


def test_a_folder_without_panoramas_is_told(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="no panoramas"):
        load_environments(tmp_path)
    (tmp_path / "bad.hdr").write_bytes(b"nothing")
    with pytest.raises(CarveError, match=r"bad\.hdr"):
        load_environments(tmp_path)


def test_the_asset_packs_suns_are_bright_spots_above_the_horizon() -> None:
    folder = Path(__file__).parents[3].parent / "shared" / "assets" / "hdri"
    if not folder.is_dir():
        pytest.skip("the asset pack is absent")
    environments = load_environments(folder)
    suns = [e for e in environments if e.sun_direction is not None]
    assert len(environments) >= 12
    assert 3 <= len(suns) < len(environments)
    for environment in suns:
        assert environment.sun_direction is not None
        assert environment.sun_direction[1] > 0
        assert (environment.ambient[0] > 0).all()
        assert environment.ambient[0] @ LUMINANCE < environment.whole[0] @ LUMINANCE
