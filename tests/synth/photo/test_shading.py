"""Light on the person against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.synth.photo import shading
from carve.synth.photo.lighting import Key, Lighting, cap
from carve.synth.photo.shading import shade
from carve.synth.records import PARTS, View
from synth.views import LANDMARKS


def card(normals: np.ndarray, albedo: int = 128, part: str = "shoes", suns: int = 1) -> View:
    """A view of 64 x 64 pixels, all covered, with given normals (64, 64, 3), open to all sides."""
    encoded = np.round((normals + 1) * 127.5).astype(np.uint8)
    full = np.full((64, 64), 255, np.uint8)
    flat = np.full((64, 64, 3), albedo, np.uint8)
    return View(
        camera=Camera.centred(64, 64, 100.0),
        up=np.array([0.0, 1.0, 0.0]),
        coverage=full,
        albedo=flat,
        normal=encoded,
        normal_back=encoded,
        albedo_back=flat,
        body_normal=encoded,
        body_normal_back=encoded,
        depth=np.full((64, 64), 1000, np.uint16),
        depth_range=(2.0, 3.0),
        occlusion=full.copy(),
        bent=encoded,
        sun_directions=np.tile([0.0, 0.0, 1.0], (suns, 1)),
        sun_free=np.full((64, 64, suns), 255, np.uint8),
        sun_radii=np.zeros(suns),
        part=np.full((64, 64), PARTS.index(part), np.uint8),
        part_back=np.full((64, 64), PARTS.index(part), np.uint8),
        place=np.zeros((64, 64, 3), np.uint16),
        fabric=np.zeros((64, 64, 2), np.uint16),
        fabric_back=np.zeros((64, 64, 2), np.uint16),
        region=np.ones((64, 64), np.uint8),
        landmarks=np.zeros((len(LANDMARKS), 4)),
    )


def all_round() -> np.ndarray:
    """(64, 64, 3) unit vectors spread evenly over the sphere."""
    k = np.arange(4096) + 0.5
    y, angle = 1 - k / 2048, k * 2.399963
    radius = np.sqrt(1 - y * y)
    return np.column_stack([radius * np.cos(angle), y, radius * np.sin(angle)]).reshape(64, 64, 3)


def light(radiance: float = 0.0, sun: float = 0.0, toward: np.ndarray | None = None, index: int = 0, radius: float = 0.0) -> Lighting:
    toward = np.array([0.0, 0.0, 1.0]) if toward is None else toward
    up = np.array([0.0, 1.0, 0.0])
    keys = (Key(index, toward, np.full(3, sun), radius),) if sun else ()
    return Lighting("lamps", cap(up, np.pi, np.full(3, radiance)), keys, None, np.eye(3))


def diffuse_of(view: View, lighting: Lighting) -> np.ndarray:
    """(64, 64) what the albedo adds: the picture less that of a black person, which is what mirrors."""
    colour, black = (shade(view, albedo, lighting, np.random.default_rng(0)).colour for albedo in (view.albedo, np.zeros_like(view.albedo)))
    return (colour - black)[..., 1]


def test_a_constant_surrounding_makes_every_surface_its_albedo() -> None:
    view = card(all_round(), 188)
    reflectance = ((188 / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(diffuse_of(view, light(radiance=1.7)), 1.7 * reflectance, rtol=3e-3)
    np.testing.assert_allclose(shade(view, view.albedo, light(radiance=1.7), np.random.default_rng(0)).white, 1.7, rtol=3e-3)


def test_the_sun_gives_lamberts_cosine() -> None:
    toward = np.array([0.36, 0.48, 0.8])
    view = card(all_round(), 188)
    reflectance = ((188 / 255 + 0.055) / 1.055) ** 2.4
    expected = reflectance / np.pi * 2.5 * np.maximum(all_round() @ toward, 0)
    np.testing.assert_allclose(diffuse_of(view, light(sun=2.5, toward=toward)), expected, atol=0.01)


def test_light_creeps_around_skin_without_becoming_more() -> None:
    toward = np.array([0.36, 0.48, 0.8])
    cloth, skin = (diffuse_of(card(all_round(), 188, part), light(sun=2.5, toward=toward)) for part in ("shoes", "skin"))
    assert skin.mean() == pytest.approx(cloth.mean(), rel=0.01)
    behind = all_round() @ toward < -0.02
    assert cloth[behind].max() == 0
    assert skin[behind].max() > 0


def test_only_the_chosen_suns_shadow_falls() -> None:
    view = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)), suns=2)
    view.sun_free[:, :32, 1] = 0
    assert np.ptp(diffuse_of(view, light(sun=1.0, index=0))) < 1e-6
    shadowed = diffuse_of(view, light(sun=1.0, index=1))
    assert shadowed[:, :32].max() == 0
    assert shadowed[:, 32:].min() > 0.05


def test_a_large_light_gives_what_its_disc_gives() -> None:
    """Against the mean of Lambert's cosine over the disc, point by point."""
    toward, radius = np.array([0.36, 0.48, 0.8]), 0.4
    rng = np.random.default_rng(0)
    across = np.linalg.svd(toward[None])[2][1:]
    spread = np.tan(radius) * np.sqrt(rng.random(4000))[:, None]
    turn = rng.uniform(0, 2 * np.pi, 4000)
    places = toward + spread * (np.cos(turn)[:, None] * across[0] + np.sin(turn)[:, None] * across[1])
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    expected = np.maximum(all_round()[::8, ::8] @ places.T, 0).mean(-1)
    reflectance = ((188 / 255 + 0.055) / 1.055) ** 2.4
    found = diffuse_of(card(all_round(), 188), light(sun=np.pi, toward=toward, radius=radius))[::8, ::8] / reflectance
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_keys_add_up_and_a_flash_throws_no_shadow_that_is_seen() -> None:
    view = card(all_round(), 188, suns=2)
    view.sun_free[:, :32, 1] = 0
    first, second = light(sun=1.0, index=0), light(sun=2.0, toward=np.array([0.0, 1.0, 0.0]), index=1)
    both = replace(first, keys=first.keys + second.keys)
    np.testing.assert_allclose(diffuse_of(view, both), diffuse_of(view, first) + diffuse_of(view, second), atol=1e-5)
    view.sun_free[:] = 0
    assert diffuse_of(view, light(sun=1.0, index=-1)).max() > 0.1


def test_a_closed_in_place_is_darker_and_less_so_where_it_is_white(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shading, "_DEEPER", (1.0, 1.0))

    def share(albedo: int) -> float:
        view = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)), albedo)
        closed = replace(view, occlusion=np.full((64, 64), 100, np.uint8))
        return float(diffuse_of(closed, light(radiance=1.0)).mean() / diffuse_of(view, light(radiance=1.0)).mean())

    assert share(30) == pytest.approx(100 / 255, abs=0.02)
    assert share(30) < share(240) < 0.8
    shallow = share(30)
    monkeypatch.setattr(shading, "_DEEPER", (2.0, 2.0))
    assert share(30) == pytest.approx((100 / 255) ** 2, abs=0.02)
    assert share(30) < shallow


def test_some_cloth_is_lighter_at_grazing_angles() -> None:
    """Against the same light on what has no fibres that stand up."""
    steep = np.abs(all_round()[..., 2]) < 0.3
    ratios = []
    for seed in range(40):
        cloth, smooth = (
            shade(
                card(all_round(), 188, part), np.full((64, 64, 3), 188, np.uint8), light(radiance=1.0), np.random.default_rng(seed)
            ).colour
            for part in ("top", "bag")
        )
        ratios.append(float(cloth[steep][:, 1].mean() / smooth[steep][:, 1].mean()))
    assert max(ratios) > 1.15
    assert np.median(ratios) < 1.1


def test_gloss_is_weak_on_cloth_and_mirrors_the_sun() -> None:
    facing = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)))
    black = np.zeros_like(facing.albedo)
    for part in ("top", "skin"):
        lit = shade(replace(facing, part=np.full((64, 64), PARTS.index(part), np.uint8)), black, light(sun=np.pi), np.random.default_rng(0))
        assert 0 < lit.colour[32, 32, 0] < 0.35
    slanted = light(sun=np.pi, toward=np.array([0.8, 0.0, 0.6]))
    row = shade(facing, black, slanted, np.random.default_rng(0)).colour[32, :, 0]
    assert row[-1] > 2 * row[0]  # one looks to the right of a wall to see a light mirrored that stands at the right


def test_colours_are_premultiplied_and_stay_inside_the_coverage() -> None:
    view = card(all_round())
    view.coverage[:, :10] = 0
    view.coverage[:, 10:12] = 51
    colour = shade(view, view.albedo, light(radiance=1.0), np.random.default_rng(0)).colour
    assert not colour[:, :10].any()
    np.testing.assert_allclose(colour[:, 10:12, 3], 0.2, atol=1e-6)
    assert colour[:, 10:12, 1].mean() == pytest.approx(0.2 * colour[:, 20:, 1].mean(), rel=0.05)
