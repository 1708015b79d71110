"""Tones of garments: which labels are one garment, and what is common in it."""

from __future__ import annotations

import numpy as np
import pytest

from carve.records import LABELS, CanonicalSurface
from carve.stages.texturing.tone import _alike, _around_limbs, _commonness, _garments, _in_one_light

TOP, OUTER, BOTTOM, SKIN = (LABELS.index(name) for name in ("top", "outer", "bottom", "skin"))


def test_labels_of_cloth_that_looks_alike_are_one_garment() -> None:
    kind = np.repeat([TOP, OUTER, BOTTOM, SKIN], 20)
    colours = np.repeat([[100.0, 150, 180], [115, 160, 190], [40, 40, 45], [105, 150, 180]], 20, axis=0)
    good = np.ones(80, bool)
    assert _garments(colours, kind, good).tolist() == np.repeat([TOP, TOP, BOTTOM, SKIN], 20).tolist()
    # Of what is not seen nothing is known.
    assert (_garments(colours, kind, good & (kind != OUTER)) == kind).all()


def test_trousers_of_a_tops_lightness_and_another_hue_are_another_garment() -> None:
    kind = np.repeat([TOP, BOTTOM], 20)
    colours = np.repeat([[182.0, 153, 187], [152, 150, 209]], 20, axis=0)
    assert (_garments(colours, kind, np.ones(40, bool)) == kind).all()


def test_a_cloth_in_shade_is_brought_to_its_own_light_and_another_colour_is_not() -> None:
    usual = np.array([105.0, 160, 40])
    shade, blue, black = 0.88 * usual, np.array([60.0, 90, 170]), np.array([25.0, 26, 25])
    found = _in_one_light(np.stack([usual, shade, blue, black]), usual)
    np.testing.assert_allclose(found[0], usual)
    np.testing.assert_allclose(found[1], usual - 0.3 * (usual - shade), atol=0.5)
    np.testing.assert_array_equal(found[2:], np.stack([blue, black]))


def test_tones_that_are_alike_are_summed_by_their_weights() -> None:
    rng = np.random.default_rng(0)
    tones, among, weight = rng.uniform(0, 255, (5000, 3)), rng.uniform(0, 255, (60, 3)), rng.uniform(size=60)
    square = ((tones[:, None] - among) ** 2).sum(2)
    assert _alike(tones, among, weight) == pytest.approx(np.exp(-square / (2 * 25.0**2)) @ weight, rel=1e-3, abs=1e-6)


def test_what_is_well_known_keeps_its_tone(canonical: CanonicalSurface) -> None:
    count = len(canonical.vertices)
    colours = np.random.default_rng(0).uniform(0, 255, (count, 4))
    known = np.where(np.arange(count) % 2, 1.0, 0.0)
    guess, trust = _around_limbs(canonical, colours, known, np.full(count, TOP), [TOP])
    np.testing.assert_array_equal(guess[1::2], colours[1::2])
    assert (trust[1::2] == 1).all() and np.ptp(guess[::2], axis=0).max() < 250 and not np.array_equal(guess[::2], colours[::2])


def test_what_is_rare_in_a_garment_counts_little() -> None:
    colours = np.repeat([[100.0, 150, 180], [20, 20, 20]], [90, 10], axis=0)
    kind, known = np.full(100, TOP), np.ones(100)
    common = _commonness(colours, known, kind, known > 0)
    assert common[:90] == pytest.approx(1.0)
    # A ninth of the others, and an eighth of their light, which is below the least share.
    assert common[90:] == pytest.approx(0.2 / 81, rel=0.05)
    # Each kind for itself: the same black as trousers is common there.
    kind[90:] = BOTTOM
    assert _commonness(colours, known, kind, known > 0) == pytest.approx(1.0)


def test_a_coat_under_hair_is_the_coat(canonical: CanonicalSurface) -> None:
    """In a band of height hair covers the front: what is left of the coat there is dark and rare, and not its back's colour."""
    count = len(canonical.vertices)
    height = canonical.vertices[:, 1]
    low, high = np.quantile(height[canonical.region == 0], [0.2, 0.9])
    band = (height > low) & (height < high)
    front = canonical.vertices[:, 2] > np.median(canonical.vertices[:, 2])
    colours = np.tile([150.0, 110, 120, 5], (count, 1))
    colours[band] = [40, 30, 35, 5]
    known = np.where(front, np.where(band, 0.3, 1.0), 0.0)
    guess, _ = _around_limbs(canonical, colours, known, np.full(count, OUTER), [OUTER])
    asked = band & ~front & (canonical.region == 0)
    assert asked.sum() > 50
    assert np.median(guess[asked, 0]) > 130


def test_a_cloth_that_is_hardly_seen_still_has_a_tone(canonical: CanonicalSurface) -> None:
    """A few vertices are known well and a hundred hardly: fewer good ones than are asked for."""
    count = len(canonical.vertices)
    torso = np.flatnonzero(canonical.region == 0)
    known = np.zeros(count)
    known[torso[:12]] = 0.03
    known[torso[:4]] = 1.0
    colours = np.tile([150.0, 110, 120, 5], (count, 1))
    guess, _ = _around_limbs(canonical, colours, known, np.full(count, OUTER), [OUTER])
    np.testing.assert_allclose(guess[torso, :3], [[150.0, 110, 120]] * len(torso), atol=1)
