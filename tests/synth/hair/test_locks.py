"""Wrapped hair: closed, outward, exact on the reference, clear of the eyes, and without spikes on other people; strands and noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from carve.geometry.mesh import components, is_watertight, signed_volume, unique_edges
from carve.geometry.queries import MeshQueries
from carve.synth.assets.files import GarmentAsset, read_assets
from carve.synth.hair.locks import (
    SPACING,
    _distance,
    _linear,
    gradient_noise,
    hair_pattern,
    moved_to,
    strand_image,
    with_relief,
    wrapped_hair,
)
from carve.synth.people.bodies import FullBody, ShapedBody, Traits, load_full_body, shape_body
from carve.synth.wear.garments import Pattern, fit

ASSETS = Path(__file__).parents[3].parent / "shared" / "assets"
BASE = {"age": 0.7, "muscle": 0.5, "weight": 0.5, "height": 0.45, "proportions": 0.6, "cupsize": 0.5, "firmness": 0.5}
needs_assets = pytest.mark.skipif(not ASSETS.is_dir(), reason="the shared asset pack is absent")


@lru_cache(maxsize=4)
def person(gender: float, weight: float = 0.5, muscle: float = 0.5) -> ShapedBody:
    phenotypes = {**BASE, "gender": gender, "weight": weight, "muscle": muscle}
    return shape_body(load_full_body(), Traits(30, phenotypes, (1 / 3, 1 / 3, 1 / 3), {}, {}))


@lru_cache(maxsize=1)
def assets() -> dict[str, GarmentAsset]:
    return dict(read_assets(ASSETS).garments)


@lru_cache(maxsize=3)
def wrapped(name: str) -> Pattern:
    return wrapped_hair(load_full_body(), assets()[name], person(1.0))


def eyes(body: FullBody, shaped: ShapedBody) -> np.ndarray:
    return shaped.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]


def longest(pattern: Pattern, shaped: ShapedBody) -> float:
    where, edges = fit(pattern, shaped), unique_edges(pattern.faces)
    return float(np.linalg.norm(where[edges[:, 0]] - where[edges[:, 1]], axis=1).max())


@needs_assets
@pytest.mark.parametrize("name", ["bob01", "ponytail01"])
def test_a_wrapped_style_is_one_solid_that_covers_the_scalp_and_leaves_the_eyes_free(name: str) -> None:
    body, shaped = load_full_body(), person(1.0)
    pattern = with_relief(wrapped(name), body, shaped, "straight", 3)
    where = fit(pattern, shaped)
    assert pattern.closed
    assert is_watertight(pattern.faces)
    assert signed_volume(where, pattern.faces) > 1e-3
    assert components(pattern.faces, len(where)).max() == 0
    np.testing.assert_allclose(np.asarray(pattern.joints.sum(1)).ravel(), 1, atol=1e-9)
    np.testing.assert_allclose(np.asarray(pattern.binding.sum(1)).ravel(), 1, atol=1e-3)
    assert longest(wrapped(name), shaped) < 0.0105
    assert longest(pattern, person(0.0, 0.7, 0.3)) < 0.016
    # Nothing hangs before the eyes.
    seen = eyes(body, shaped)
    assert not MeshQueries(where, pattern.faces).blocked(seen, np.tile([0.0, 0.0, 1.0], (2, 1))).any()


@needs_assets
def test_the_scalp_stays_below_the_hair_on_other_bodies() -> None:
    body, shaped = load_full_body(), person(1.0)
    pattern = wrapped("ponytail01")
    skin = shaped.rest[body.base]
    scalp = MeshQueries(fit(pattern, shaped), pattern.faces, winding=True).inside(skin) & (skin[:, 1] > eyes(body, shaped)[:, 1].mean())
    assert scalp.sum() > 200
    for other in (person(0.0), person(0.0, 0.95, 0.1)):
        outside = MeshQueries(fit(pattern, other), pattern.faces, winding=True).signed_distance(other.rest[body.base][scalp])
        assert outside.max() < 0.002


@needs_assets
def test_relief_only_moves_vertices_a_little_and_depends_on_its_seed_alone() -> None:
    body, shaped = load_full_body(), person(1.0)
    smooth = wrapped("ponytail01")
    first, again, other = (with_relief(smooth, body, shaped, "straight", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.offsets, again.offsets)
    moved = np.linalg.norm(fit(first, shaped) - fit(smooth, shaped), axis=1)
    assert 0.0004 < moved.mean() < 0.003
    assert moved.max() < 0.009
    assert np.abs(fit(first, shaped) - fit(other, shaped)).max() > 0.001


@needs_assets
def test_wrapping_is_deterministic() -> None:
    body, shaped, asset = load_full_body(), person(1.0), assets()["ponytail01"]
    first, second = hair_pattern(body, asset, shaped, relief_seed=4), with_relief(wrapped("ponytail01"), body, shaped, "straight", 4)
    np.testing.assert_array_equal(first.faces, second.faces)
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(first.uv, second.uv)


@needs_assets
def test_offsets_reproduce_any_positions_on_the_body_they_were_made_for() -> None:
    pattern, shaped = wrapped("ponytail01"), person(0.0)
    target = fit(pattern, shaped) + np.random.default_rng(0).normal(0, 0.01, pattern.offsets.shape)
    np.testing.assert_allclose(fit(moved_to(pattern, shaped, target), shaped), target, atol=1e-12)


@pytest.mark.parametrize("curl", ["straight", "wavy", "curly"])
def test_the_texture_tiles_and_its_strands_run_along_the_rows(curl: str) -> None:
    rng = np.random.default_rng(0)
    texture = strand_image(rng, np.array([120.0, 80.0, 50.0]), curl, 256).astype(float)  # type: ignore[arg-type]
    assert texture.shape == (256, 256, 3)
    np.testing.assert_allclose(texture.mean((0, 1)), [120, 80, 50], rtol=0.12)
    down, across = np.abs(np.diff(texture, axis=0)).mean(), np.abs(np.diff(texture, axis=1)).mean()
    assert np.abs(texture[0] - texture[-1]).mean() < 2 * down + 1
    assert np.abs(texture[:, 0] - texture[:, -1]).mean() < 2 * across + 1
    if curl == "straight":
        assert down < 0.3 * across


def test_distances_to_samples_are_exact_nearby() -> None:
    rng = np.random.default_rng(0)
    points, low, shape = rng.uniform(0.04, 0.08, (40, 3)), np.zeros(3), (40, 41, 42)
    found = _distance(points, low, shape)
    grid = SPACING * np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    true = cKDTree(points).query(grid)[0]
    near = true < 0.012
    assert 0.01 < near.mean() < 0.5
    np.testing.assert_allclose(found[near], true[near], atol=1e-12)
    assert np.abs(found - true)[~near].max() < SPACING  # the samples are rounded to the grid


def test_between_places_values_are_straight() -> None:
    places, wanted = np.array([0.0, 3.0, 6.0, 7.0]), np.arange(8.0)
    values = np.array([[1.0, 2.0], [4.0, -1.0], [7.0, -4.0], [8.0, -5.0]])
    np.testing.assert_allclose(_linear(values, places, wanted, 0), np.column_stack([1 + wanted, 2 - wanted]), atol=1e-12)


def test_noise_is_zero_on_its_lattice_smooth_and_bounded() -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(gradient_noise(rng.integers(-9, 9, (50, 3)).astype(float), 1), 0, atol=1e-12)
    points = rng.uniform(-20, 20, (5000, 3))
    values = gradient_noise(points, 1)
    assert np.abs(values).max() < 1.1
    assert 0.15 < values.std() < 0.4
    assert np.abs(gradient_noise(points + 1e-4, 1) - values).max() < 1e-3
