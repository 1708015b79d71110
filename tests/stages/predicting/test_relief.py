"""Folds of known depth on a body of known form: what is restored and what goes."""

from __future__ import annotations

import numpy as np

from carve.stages.predicting.relief import plainness, restore_relief

SIDE, SIGMA = 192, 8.0
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)
INSIDE = np.zeros((SIDE, SIDE), bool)
INSIDE[16:-16, 16:-16] = True
CLOTH = INSIDE.astype(np.float32)
CORE = (slice(56, -56), slice(56, -56))


def unit(slope_across: np.ndarray, slope_down: np.ndarray) -> np.ndarray:
    """Normals of a height field with these slopes."""
    n = np.stack([-slope_across, slope_down, np.ones_like(slope_across)], -1)
    return np.asarray(n / np.linalg.norm(n, axis=-1, keepdims=True))


def wave(length: float, size: float, across: bool) -> np.ndarray:
    return size * np.sin(2 * np.pi * (COLUMNS if across else ROWS) / length)


STILL = np.zeros((SIDE, SIDE), np.float32)
BODY = unit(STILL, wave(24, 0.2, False))
FOLDS = unit(wave(20, 0.1, True), STILL)


def relief(normals: np.ndarray, channel: int) -> float:
    return float(np.std(normals[CORE][..., channel]))


def test_folds_that_the_body_does_not_have_become_deeper_by_the_gain() -> None:
    flat = unit(STILL, STILL)
    found = restore_relief(FOLDS, flat, INSIDE, CLOTH, SIGMA, 2.0, 1.0)
    assert 1.8 < relief(found, 0) / relief(FOLDS, 0) < 2.1
    np.testing.assert_allclose(np.linalg.norm(found[CORE], axis=-1), 1, atol=1e-5)


def test_the_bodys_relief_is_not_taken_for_folds() -> None:
    found = restore_relief(BODY, BODY, INSIDE, CLOTH, SIGMA, 2.0, 1.0)
    assert 0.9 < relief(found, 1) / relief(BODY, 1) < 1.15
    less = restore_relief(BODY, BODY, INSIDE, CLOTH, SIGMA, 2.0, 0.4)
    assert relief(less, 1) / relief(BODY, 1) < 0.65


def test_both_are_told_apart_where_they_lie_over_each_other() -> None:
    both = unit(wave(20, 0.1, True), wave(24, 0.2, False))
    found = restore_relief(both, BODY, INSIDE, CLOTH, SIGMA, 2.0, 0.4)
    assert relief(found, 0) / relief(both, 0) > 1.6 and relief(found, 1) / relief(both, 1) < 0.75


def test_roundness_stays_and_so_does_what_is_no_cloth_or_has_no_body() -> None:
    round_one = unit((COLUMNS - SIDE / 2) / SIDE, STILL)
    found = restore_relief(round_one, unit(STILL, STILL), INSIDE, CLOTH, SIGMA, 3.0, 0.0)
    assert np.degrees(np.arccos(np.clip((found * round_one).sum(-1), -1, 1)))[CORE].max() < 1
    for cloth, body in ((0 * CLOTH, BODY), (CLOTH, 0 * BODY)):
        np.testing.assert_allclose(restore_relief(FOLDS, body, INSIDE, cloth, SIGMA, 2.0, 0.5), FOLDS, atol=1e-6)


def test_a_gain_of_one_that_keeps_the_body_changes_nothing() -> None:
    np.testing.assert_allclose(restore_relief(FOLDS, BODY, INSIDE, CLOTH, SIGMA, 1.0, 1.0), FOLDS, atol=1e-6)


def test_folds_in_the_light_are_plain_and_prints_are_not() -> None:
    grey = np.full((SIDE, SIDE, 3), 130.0)
    shaded = grey * (1 + wave(20, 0.12, True))[..., None]
    striped = grey + wave(16, 80, True)[..., None]
    coloured = grey + wave(16, 40, True)[..., None] * np.array([1.0, -0.5, -0.5])
    found = [plainness(np.clip(p, 0, 255).astype(np.uint8), INSIDE, SIGMA)[CORE].mean() for p in (grey, shaded, striped, coloured)]
    assert found[0] > 0.99 and found[1] > 0.9 and found[2] < 0.25 and found[3] < 0.25


def test_each_pixel_may_have_a_gain_of_its_own() -> None:
    gain = np.where(ROWS < SIDE / 2, 1.0, 2.0)
    found = restore_relief(FOLDS, unit(STILL, STILL), INSIDE, CLOTH, SIGMA, gain, 1.0)
    above, below = (float(np.std(found[part, 56:-56, 0])) for part in (slice(40, 90), slice(102, 152)))
    assert 1.8 < below / above < 2.1
