"""Swatches look like what they are made of, and go on where they end."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.pictures.quilting import _least_path, quilted


def checks(side: int, period: int = 12) -> np.ndarray:
    """(side, side, 3) a check in three colours."""
    v, u = np.indices((side, side)) // (period // 2) % 2
    return np.stack([u, v, u ^ v], -1).astype(np.float32) * 60 - 30


def steps(picture: np.ndarray) -> tuple[float, float]:
    """Mean square difference of neighbours inside a picture, and across its ends."""
    inside = [(np.diff(picture, axis=axis) ** 2).mean() for axis in (0, 1)]
    return float(np.mean(inside)), float(
        np.mean([((picture[0] - picture[-1]) ** 2).mean(), ((picture[:, 0] - picture[:, -1]) ** 2).mean()])
    )


def test_a_check_stays_a_check_and_continues_itself() -> None:
    picture = checks(200)
    swatch = quilted(picture, np.ones((200, 200), bool), 192)
    assert swatch is not None and swatch.shape[0] == swatch.shape[1] and abs(len(swatch) - 192) <= 32
    before, (inside, across) = steps(picture)[0], steps(swatch)
    assert inside == pytest.approx(before, rel=0.15)
    assert across < 2.5 * before
    assert set(np.unique(swatch)) <= {-30.0, 30.0}  # blocks are cut, never mixed


def test_noise_keeps_its_spectrum() -> None:
    rng = np.random.default_rng(0)
    picture = rng.normal(0, 20, (160, 160, 3)).astype(np.float32)
    swatch = quilted(picture, np.ones((160, 160), bool), 128)
    assert swatch is not None
    np.testing.assert_allclose(swatch.std(), picture.std(), rtol=0.05)
    assert steps(swatch)[0] == pytest.approx(steps(picture)[0], rel=0.05)


def test_what_stands_out_or_is_not_usable_is_not_copied() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(0, 5, (256, 256, 3)).astype(np.float32)
    picture[100:130, 90:130] = 200  # a logo
    usable = np.ones((256, 256), bool)
    picture[:, 200:], usable[:, 200:] = -150, False
    swatch = quilted(picture, usable, 128)
    assert swatch is not None
    assert np.abs(swatch).max() < 40


def test_too_little_to_choose_from_gives_nothing() -> None:
    usable = np.zeros((80, 80), bool)
    usable[:15] = True
    assert quilted(np.ones((80, 80, 3), np.float32), usable, 64) is None
    assert quilted(np.ones((8, 8, 3), np.float32), np.ones((8, 8), bool), 64) is None


def test_the_same_seed_gives_the_same_swatch_and_another_one_another() -> None:
    picture = np.random.default_rng(2).normal(0, 20, (120, 120, 3)).astype(np.float32)
    usable = np.ones((120, 120), bool)
    first, again, other = (quilted(picture, usable, 96, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_cheapest_path_is_found() -> None:
    """Against all paths of a small table."""
    cost = np.random.default_rng(3).random((5, 4))
    every = [[c] for c in range(4)]
    for _ in range(4):
        every = [[*path, c] for path in every for c in range(4) if abs(c - path[-1]) <= 1]
    best = min(every, key=lambda path: sum(cost[r, c] for r, c in enumerate(path)))
    np.testing.assert_array_equal(_least_path(cost), best)
