"""What counts as a pattern, and how it lies on a surface."""

from __future__ import annotations

import cv2
import numpy as np

from carve.records import LABELS
from carve.stages.texturing.params import Params
from carve.stages.texturing.pattern import Pattern, _pattern, large_pieces

TOP, BOTTOM, HAIR = (LABELS.index(name) for name in ("top", "bottom", "hair"))
METRE = 500.0
RNG = np.random.default_rng(0)
EVERYWHERE = np.ones((300, 240), bool)


def cloth(noise: float) -> np.ndarray:
    """(300, 240, 3) of one colour with fine noise, 0.6 m high."""
    return np.clip(np.array([140, 90, 70]) + RNG.normal(0, noise, (300, 240, 3)), 0, 255).astype(np.float32)


def test_a_print_is_a_pattern_and_its_swatch_has_its_contrast() -> None:
    spots = cv2.GaussianBlur(RNG.normal(0, 1, (300, 240)).astype(np.float32), (0, 0), 3)
    picture = cloth(2) + 45 * np.sign(spots)[..., None]
    found = _pattern(picture, EVERYWHERE, METRE, TOP, Params())
    assert found is not None and found.metre == METRE
    np.testing.assert_allclose(found.swatch.std(), picture.std((0, 1)).mean(), rtol=0.15)
    assert abs(found.swatch.mean()) < 3


def test_of_plain_cloth_folds_and_a_logo_only_the_grain_counts() -> None:
    assert _pattern(cloth(0.3), EVERYWHERE, METRE, TOP, Params()) is None
    plain = _pattern(cloth(4), EVERYWHERE, METRE, TOP, Params())
    assert plain is not None
    folds = cloth(4)
    for column in (40, 110, 150):
        folds[:, column : column + 12] -= 50  # dark folds, far apart
    logo = cloth(4)
    logo[100:160, 90:150] += 80 * np.sign(RNG.normal(size=(60, 60, 1)))
    for picture in (folds, logo):
        found = _pattern(picture, EVERYWHERE, METRE, TOP, Params())
        assert found is not None
        np.testing.assert_allclose(found.swatch.std(), plain.swatch.std(), rtol=0.35)
        assert np.abs(found.swatch).max() < 25


def test_hair_gets_strands_as_strong_as_those_that_are_seen() -> None:
    """However those run: they hang down where the photo does not show them."""
    across = cloth(1) + 9 * np.sign(RNG.normal(size=(300, 1, 1))) * np.ones((1, 240, 1), np.float32)
    found = _pattern(across, EVERYWHERE, METRE, HAIR, Params())
    assert found is not None
    np.testing.assert_allclose(found.swatch.std(), 9, rtol=0.25)
    steps = [np.abs(np.diff(found.swatch, axis=axis)).mean() for axis in (0, 1)]
    assert steps[0] < 0.4 * steps[1]
    assert _pattern(cloth(0.2), EVERYWHERE, METRE, HAIR, Params()) is None


def test_a_pattern_lies_upright_on_front_and_side_and_repeats() -> None:
    """Stripes go around the body at one height."""
    stripes = np.repeat(np.sin(2 * np.pi * np.arange(40) / 20)[:, None, None], 40, 1).astype(np.float32) * np.ones(3, np.float32)
    pattern = Pattern(stripes, METRE)
    height = np.linspace(-0.3, 1.4, 400)
    front = pattern.at(np.stack([0.1 * np.ones(400), height, 0.15 * np.ones(400)], 1), np.tile([0.0, 0.0, 1.0], (400, 1)))
    side = pattern.at(np.stack([0.2 * np.ones(400), height, -0.03 * np.ones(400)], 1), np.tile([-1.0, 0.0, 0.0], (400, 1)))
    np.testing.assert_allclose(front, side, atol=1e-5)
    wanted = np.interp(np.mod(-height * METRE, 20), np.arange(21), np.sin(2 * np.pi * np.arange(21) / 20))
    np.testing.assert_allclose(front[:, 0], wanted, atol=0.01)
    slanting = pattern.at(np.stack([0.1 * np.ones(400), height, 0.15 * np.ones(400)], 1), np.tile([0.6, 0.0, 0.8], (400, 1)))
    np.testing.assert_allclose(np.abs(slanting).max(), 1, rtol=0.35)


def test_small_pieces_of_a_label_are_not_of_the_cloth() -> None:
    """A strip of triangles: skirt, skin, and a patch that is called skirt, too."""
    faces = np.array([[k, k + 1, k + 2] for k in range(98)])
    labels = np.full(100, BOTTOM, np.uint8)
    labels[60:90], labels[90:] = TOP, BOTTOM
    labels[75:78] = 1
    found = large_pieces(labels, faces)
    assert (found[:60] == BOTTOM).all() and (found[90:] == 0).all()
    assert (found[60:75] == TOP).all() and (found[78:90] == TOP).all() and (found[75:78] == 1).all()
