"""Textures of garments and skin: bounds, sizes in metres, colours, detail and what they say of their sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.records import CarveError
from carve.synth.assets.files import Assets, read_assets
from carve.synth.looks.appearance import (
    BACK,
    Mode,
    brow_texture,
    eye_texture,
    garment_texture,
    hair_colour,
    planar_uv,
    redyed,
    skin_texture,
    uv_scale,
    uv_stretch,
)
from carve.synth.looks.fabrics import knit_cloth, leather_cloth
from carve.synth.looks.patterns import Pattern, pattern_cloth, stripe_cloth
from carve.synth.looks.prints import CANVAS, Print, print_cloth
from carve.synth.looks.skins import regions, tone_of
from carve.synth.looks.texture import (
    HIGHEST,
    LINEAR,
    LOWEST,
    LUMINANCE,
    encode,
    lab_from_linear,
    linear_from_lab,
    linear_from_srgb,
    periodic_noise,
    srgb_from_linear,
    veiled,
)
from carve.synth.people.bodies import Traits

SHARED = Path(__file__).parents[3].parent / "shared" / "assets"
needs_assets = pytest.mark.skipif(not (SHARED / "garments").is_dir(), reason="the asset pack is not beside the checkout")


@pytest.fixture(scope="module")
def assets() -> Assets:
    return read_assets(SHARED)


def person(years: float = 30, gender: float = 1.0, race: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Traits:
    return Traits(years, {"gender": gender}, race, {}, {})


def square(side: float, tile: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A flat square of cloth facing +z that spans `tile` in uv: positions, faces, uv."""
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    positions = np.column_stack([corner * side, np.zeros(4)])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return positions, faces, (corner * [1, -1] + [0, 1])[faces] * tile


def test_srgb_and_lab_go_there_and_back() -> None:
    values = np.linspace(0, 1, 50)
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-5)
    colours = np.random.default_rng(0).uniform(0.05, 0.8, (20, 3))
    np.testing.assert_allclose(linear_from_lab(lab_from_linear(colours)), colours, atol=2e-3)
    np.testing.assert_allclose(lab_from_linear(np.ones(3)), [100, 0, 0], atol=0.05)


def test_encoding_rounds_to_the_nearest_value_within_bounds() -> None:
    inside = np.arange(LOWEST, HIGHEST + 1)
    assert np.abs(encode(LINEAR[inside]).astype(int) - inside).max() <= 1
    assert encode(np.array([0.0, 1.0])).tolist() == [LOWEST, HIGHEST]
    ramp = veiled(np.arange(256, dtype=np.uint8)[None])
    assert (np.diff(ramp.astype(int)) >= 0).all() and ramp.min() == LOWEST and ramp.max() == HIGHEST


def test_periodic_noise_has_no_seam() -> None:
    noise = periodic_noise(np.random.default_rng(3), 256, 5)
    step = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= 1.2 * step
    assert np.abs(noise[:, 0] - noise[:, -1]).max() <= 1.2 * np.abs(np.diff(noise, axis=1)).max()


@pytest.mark.parametrize(("side", "tile"), [(0.5, 1.0), (0.3, 0.25), (2.0, 4.0)])
def test_uv_scale_of_a_square(side: float, tile: float) -> None:
    positions, faces, uv = square(side, tile)
    assert uv_scale(positions, faces, uv) == pytest.approx(side / tile)
    np.testing.assert_allclose(uv_stretch(positions, faces, uv), 1.0)
    turned = uv @ np.array([[0.6, 0.8], [-0.8, 0.6]]) * [-1, 1]  # rotated and mirrored charts
    assert uv_scale(positions, faces, turned) == pytest.approx(side / tile)
    np.testing.assert_allclose(uv_stretch(positions, faces, uv * [3, 1]), 3.0)


def test_uv_scale_is_not_moved_by_a_few_bad_triangles() -> None:
    positions, faces, uv = square(0.5, 1.0)
    many, many_uv = np.tile(faces, (20, 1)), np.tile(uv, (20, 1, 1))
    many_uv[0] *= 1e-3
    many_uv[1] = 0
    assert uv_scale(positions, many, many_uv) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no triangle"):
        uv_scale(positions, faces, np.zeros_like(uv))


@pytest.mark.parametrize(("period", "vertical"), [(0.02, False), (0.035, True), (0.006, False)])
def test_stripes_have_the_period_in_metres_on_a_flat_garment(period: float, vertical: bool) -> None:
    cloth = stripe_cloth(period, np.array([0.7, 0.3]), np.array([[0.1, 0.1, 0.1], [0.6, 0.6, 0.6]]), vertical=vertical)
    positions, faces, uv = square(0.8, 0.4)
    lookup = uv * uv_scale(positions, faces, uv) / cloth.metres  # as the renderer does it
    count = 7919  # samples along the garment's own edge, v from 0 to 0.8 m
    first, last = (lookup[0, 0], lookup[0, 1]) if vertical else (lookup[1, 0], lookup[1, 2])
    t = np.linspace(0, 1, count, endpoint=False)[:, None]
    place = first + t * (last - first)
    n = len(cloth.image)
    line = cloth.image[(place[:, 1] * n).astype(int) % n, (place[:, 0] * n).astype(int) % n, 0]
    spectrum = np.abs(np.fft.rfft(line - line.mean()))
    assert 0.8 / spectrum.argmax() == pytest.approx(period, rel=0.02)
    assert (line > 0.3).mean() == pytest.approx(0.3, abs=0.03)


def tube(radius: float, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """An upright cylinder about the y axis, wound outward."""
    around, up = 48, 12
    angle = 2 * np.pi * np.arange(around) / around
    rings = [np.column_stack([radius * np.sin(angle), np.full(around, y), radius * np.cos(angle)]) for y in np.linspace(high, low, up)]
    a = np.arange(around)
    b = (a + 1) % around
    faces = [
        np.concatenate([np.column_stack([a, a + around, b]), np.column_stack([b, a + around, b + around])]) + k * around
        for k in range(up - 1)
    ]
    return np.concatenate(rings), np.concatenate(faces)


def test_planar_coordinates_unroll_a_tube_in_metres() -> None:
    positions, faces = tube(0.15, 0.0, 0.6)
    planar = planar_uv(positions, faces, np.zeros(len(positions), np.uint8))
    corners = positions[faces]
    np.testing.assert_allclose(planar[..., 1], 0.6 - corners[..., 1], atol=1e-9)
    angle = np.arctan2(corners[..., 0], corners[..., 2])
    front = np.abs(np.arctan2(corners[..., 0].mean(1), corners[..., 2].mean(1))) < np.pi / 2
    np.testing.assert_allclose(planar[front, :, 0], 0.15 * angle[front], atol=2e-3)
    behind = np.arctan2(-corners[~front, :, 0], -corners[~front, :, 2])
    np.testing.assert_allclose(planar[~front, :, 0], BACK + 0.15 * behind, atol=2e-3)
    # Lengths are kept: the map is an unrolling, and reads from left to right for who faces it.
    assert uv_scale(positions, faces, planar) == pytest.approx(1.0, abs=0.01)
    nearest = front & (np.abs(angle).max(1) < 0.5)
    assert (np.sign(planar[nearest, :, 0] * corners[nearest, :, 0]) >= 0).all()


def test_trouser_legs_are_tubes_of_their_own_and_skirts_are_not() -> None:
    left, right = REGIONS.index("left_upper_leg"), REGIONS.index("right_upper_leg")
    leg, faces = tube(0.08, -0.7, 0.0)
    aside = np.array([0.12, 0, 0])
    both = np.concatenate([leg + aside, leg - aside])
    joined = np.concatenate([faces, faces + len(leg)])
    region = np.repeat([left, right], len(leg)).astype(np.uint8)
    planar = planar_uv(both, joined, region)
    np.testing.assert_allclose(planar[: len(faces)], planar[len(faces) :], atol=1e-6)
    skirt, faces = tube(0.2, -0.7, 0.0)
    region = np.where(skirt[:, 0] > 0, left, right).astype(np.uint8)
    np.testing.assert_allclose(planar_uv(skirt, faces, region), planar_uv(skirt, faces, np.zeros(len(skirt), np.uint8)))


def test_a_sleeve_has_level_stripes_along_its_own_axis() -> None:
    arm, faces = tube(0.05, -0.4, 0.0)
    turn = np.array([[np.cos(0.8), -np.sin(0.8), 0], [np.sin(0.8), np.cos(0.8), 0], [0, 0, 1]])
    sleeve = arm @ turn.T + [0.2, 0.5, 0]
    planar = planar_uv(sleeve, faces, np.full(len(arm), REGIONS.index("left_upper_arm"), np.uint8))
    np.testing.assert_allclose(planar[..., 1], -arm[faces][..., 1], atol=1e-6)


@pytest.mark.parametrize("colour", [(0.04, 0.05, 0.10), (0.3, 0.1, 0.1), (0.7, 0.68, 0.6)])
def test_dyeing_hits_the_colour_and_keeps_the_detail(colour: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(2)
    shade = 0.35 * np.exp(0.15 * periodic_noise(rng, 256, 20))
    shade[100:103] *= 0.5  # a seam
    picture = encode(shade[..., None] * np.array([0.9, 0.7, 0.4]))
    mask = np.zeros((256, 256), bool)
    mask[:, 20:230] = True
    dyed = redyed(picture, mask, np.array(colour))
    mean = LINEAR[dyed[mask]].mean(0)
    np.testing.assert_allclose(mean, colour, rtol=0.06, atol=0.004)

    def fine(image: np.ndarray) -> np.ndarray:
        y = LINEAR[image] @ LUMINANCE
        return (y - cv2.GaussianBlur(y, (0, 0), 6))[mask]

    assert np.corrcoef(fine(picture), fine(dyed))[0, 1] > 0.9


def test_trims_of_another_hue_survive_dyeing() -> None:
    picture = np.full((64, 64, 3), (60, 80, 160), np.uint8)
    picture[10:20] = (220, 140, 40)
    dyed = redyed(picture, np.ones((64, 64), bool), np.array([0.3, 0.05, 0.05]), keep_accents=True)
    assert np.abs(dyed[15, 5].astype(int) - veiled(picture)[15, 5]).max() <= 1
    assert dyed[40, 5, 0] > dyed[40, 5, 2]


@pytest.mark.parametrize("name", get_args(Pattern))
def test_patterns_repeat_at_sizes_of_cloth(name: Pattern) -> None:
    for seed in range(3):
        cloth, drawn = pattern_cloth("top", np.random.default_rng(seed), name)
        assert drawn == name and cloth.image.shape == (512, 512, 3) and 0.01 < cloth.metres < 1.0
        assert cloth.image.min() >= 0.0299 and cloth.image.max() <= 0.8501
        assert cloth.image.reshape(-1, 3).std(0).max() > 0.004


def test_drawn_cloth_is_within_bounds_and_not_flat() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        for cloth in (leather_cloth(rng), knit_cloth(np.array([0.2, 0.1, 0.1]), rng)):
            image = encode(cloth.image)
            assert image.min() >= LOWEST and image.max() <= HIGHEST and len(np.unique(image)) > 3


@needs_assets
def test_prints_keep_to_the_middle_of_front_and_back(assets: Assets) -> None:
    for name in get_args(Print):
        cloth, drawn = print_cloth(assets, (), "top", np.random.default_rng(7), name)
        assert drawn == name and cloth.metres == pytest.approx(2 * BACK) and cloth.image.shape == (CANVAS, CANVAS, 3)
    cloth, _ = print_cloth(assets, (), "top", np.random.default_rng(1), "words")
    columns = np.abs(cloth.image - np.median(cloth.image, (0, 1))).max((0, 2))
    side = columns[int(0.25 * CANVAS) - 40 : int(0.25 * CANVAS) + 40]
    assert columns[:60].max() > 3 * side.max()


@needs_assets
def test_every_look_of_every_kind_stays_within_bounds_and_names_its_sources(assets: Assets) -> None:
    fabrics = tuple(assets.fabrics)[:20]
    first = {g.kind: g for g in assets.garments.values() if g.diffuse is not None}
    for number, kind in enumerate(("top", "bottom", "dress", "suit", "coat", "shoes", "hat")):
        for mode in get_args(Mode):
            texture = garment_texture(assets, first[kind], fabrics, np.random.default_rng(number), mode)
            assert texture.image.dtype == np.uint8 and texture.image.shape[2] == 3
            assert texture.image.min() >= LOWEST and texture.image.max() <= HIGHEST
            assert texture.coordinates == "uv" or texture.scale is not None
            assert texture.source["mode"] == mode and texture.source["asset"] == first[kind].name
            assert first[kind].author in texture.source["credits"][0] and first[kind].licence in texture.source["credits"][0]
            used = [texture.source.get("fabric"), *(p.get("fabric") for p in texture.source.get("pieces", []))]
            for fabric in filter(None, used):
                assert fabric in fabrics and any(fabric in line and "ambientCG" in line for line in texture.source["credits"])


@needs_assets
def test_looks_are_deterministic(assets: Assets) -> None:
    for name in ("male_casualsuit03", "VNeckTop", "cargo_pants"):
        one, two = (garment_texture(assets, assets.garments[name], assets.fabrics, np.random.default_rng(11)) for _ in range(2))
        np.testing.assert_array_equal(one.image, two.image)
        assert one.source == two.source
    one, two = (skin_texture(assets, person(), np.random.default_rng(4), np.array([60, 40, 30])) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)


@needs_assets
def test_a_garment_without_a_picture_gets_cloth(assets: Assets) -> None:
    bare = replace(assets.garments["VNeckTop"], diffuse=None)
    for seed in range(12):
        texture = garment_texture(assets, bare, assets.fabrics, np.random.default_rng(seed))
        assert texture.source["mode"] not in ("own", "dyed") and texture.alpha is None
    suit = replace(assets.garments["male_casualsuit03"], diffuse=None)
    assert {p["piece"] for p in garment_texture(assets, suit, (), np.random.default_rng(0)).source["pieces"]} == {"upper", "lower"}
    with pytest.raises(CarveError, match="no diffuse picture"):
        garment_texture(assets, bare, (), np.random.default_rng(0), "dyed")
    with pytest.raises(CarveError, match="no fabric silk"):
        garment_texture(assets, bare, ("silk",), np.random.default_rng(0))
    with pytest.raises(CarveError, match="not cloth"):
        garment_texture(assets, assets.garments["eyebrow001"], (), np.random.default_rng(0))


@needs_assets
@pytest.mark.parametrize("gender", [0.0, 1.0])
@pytest.mark.parametrize("years", [5.0, 16.0, 30.0, 50.0, 75.0])
def test_there_is_a_skin_for_every_sex_and_age(assets: Assets, gender: float, years: float) -> None:
    texture = skin_texture(assets, person(years, gender, (1 / 3, 1 / 3, 1 / 3)), np.random.default_rng(0))
    assert texture.image.shape == (1024, 1024, 3) and texture.image.min() >= LOWEST and texture.image.max() <= HIGHEST
    words = texture.source["skin"].split("_")
    assert ("female" if gender > 0.5 or years < 14 else "male") in words
    assert (years == 75.0) == ("old" in words) and not assets.skins[texture.source["skin"]].underwear
    assert "CC0" in texture.source["credits"][0]


@needs_assets
def test_everybody_wears_underwear(assets: Assets) -> None:
    part = regions()
    for years, gender, band in ((30.0, 0.0, False), (30.0, 1.0, True), (8.0, 0.0, True)):
        texture = skin_texture(assets, person(years, gender), np.random.default_rng(5))
        for name, worn in (("briefs", True), ("band", band)):
            covered = texture.image[part[name] > 0.999]
            assert (np.ptp(covered.astype(int), axis=0).max() == 0) == worn
        assert texture.source["underwear"] == ("briefs and band" if band else "briefs")


@needs_assets
def test_a_painted_suit_serves_where_there_is_nothing_else(assets: Assets) -> None:
    suits = replace(assets, skins={n: s for n, s in assets.skins.items() if s.underwear})
    assert skin_texture(suits, person(), np.random.default_rng(0)).source["underwear"] == "painted suit"
    assert skin_texture(replace(assets, skins={}), person(), np.random.default_rng(0)).source["skin"] == "plain"


@needs_assets
def test_skin_has_the_tone_that_was_drawn(assets: Assets) -> None:
    part = regions()
    bare = part["exposed"] + part["face"] + part["briefs"] + part["band"] + part["mouth"] + part["scalp"] < 0.01
    for seed, race in enumerate([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]):
        _, tone = tone_of(person(race=race), np.random.default_rng(seed))
        texture = skin_texture(assets, person(race=race), np.random.default_rng(seed))
        found = lab_from_linear(np.median(LINEAR[texture.image[bare]], axis=0))
        assert np.linalg.norm(found - tone) < 9.0


def test_tones_run_from_very_pale_to_very_dark() -> None:
    rng = np.random.default_rng(0)
    light = [tone_of(person(race=(0, 0, 1)), rng)[1][0] for _ in range(200)]
    dark = [tone_of(person(race=(1, 0, 0)), rng)[1][0] for _ in range(200)]
    assert np.mean(light) - np.mean(dark) > 25 and max(light) > 70 and min(dark) < 33


def test_hair_greys_with_age() -> None:
    rng = np.random.default_rng(1)
    black = (1.0, 0.0, 0.0)
    young = [hair_colour(person(25, race=black), rng).mean() for _ in range(100)]
    old = [hair_colour(person(75, race=black), rng).mean() for _ in range(100)]
    assert np.median(old) > 2 * np.median(young)


@needs_assets
def test_eyes_and_brows(assets: Assets) -> None:
    for seed in range(6):
        eyes = eye_texture(assets, np.random.default_rng(seed))
        assert eyes.image.shape[:2] == eyes.alpha.shape if eyes.alpha is not None else True
        whites = LINEAR[eyes.image].mean(-1)
        assert np.median(whites) > 0.3 and (whites < 0.1).mean() > 0.01
    asset = assets.garments["eyebrow003"]
    blond, black = (brow_texture(assets, asset, np.array(c), np.random.default_rng(0)) for c in ((190, 160, 110), (30, 25, 22)))
    covered = blond.alpha > 127
    assert LINEAR[blond.image[covered]].mean() > 1.5 * LINEAR[black.image[covered]].mean()
    assert 0.001 < covered.mean() < 0.5
