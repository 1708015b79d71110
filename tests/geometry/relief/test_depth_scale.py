"""The unit of a relative depth, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.relief.depth_scale import compare_relief

PER_METRE = 100.0
ROW, COLUMN = np.meshgrid((np.arange(180) + 0.5) / PER_METRE, (np.arange(120) + 0.5) / PER_METRE, indexing="ij")
TRUNK, LIMB = np.hypot(COLUMN - 0.5, (ROW - 0.9) / 3) < 0.25, np.hypot(COLUMN - 0.95, (ROW - 0.9) / 5) < 0.08
KNOWN = TRUNK | LIMB


def person(limb: float = 0.0) -> np.ndarray:
    """(H, W) metres: a round trunk and a round limb, which is `limb` nearer."""
    trunk = 3 - np.sqrt(np.maximum(0.25**2 - (COLUMN - 0.5) ** 2 - ((ROW - 0.9) / 3) ** 2, 0))
    return np.where(LIMB, 3 - limb - np.sqrt(np.maximum(0.08**2 - (COLUMN - 0.95) ** 2 - ((ROW - 0.9) / 5) ** 2, 0)), trunk)


@pytest.mark.parametrize(("factor", "constant"), [(0.01, 3.0), (1.0, 0.0), (250.0, -900.0)])
def test_a_line_gives_its_slope(factor: float, constant: float) -> None:
    found = compare_relief(person(), factor * person() + constant, KNOWN, PER_METRE)
    assert found.scale == pytest.approx(1 / factor, rel=1e-6)
    assert found.correlation == pytest.approx(1, abs=1e-6)
    assert compare_relief(person(), constant - factor * person(), KNOWN, PER_METRE).correlation == pytest.approx(-1, abs=1e-6)


def test_a_leaning_body_and_a_limb_out_of_place_change_little() -> None:
    """Which an ordinary line through the pixels would take for another scale."""
    true = person(limb=0.3)
    leaning = person() + 0.25 * (ROW - 0.9)
    assert compare_relief(leaning, 40 * true, KNOWN, PER_METRE).scale * 40 == pytest.approx(1, abs=0.12)
    slope = np.polyfit(true[KNOWN], leaning[KNOWN], 1)[0]
    assert abs(slope - 1) > 0.4


def test_noise_and_the_unknown_do_not_count() -> None:
    noise = np.random.default_rng(0).normal(size=KNOWN.shape)
    found = compare_relief(person(), person() + 0.01 * noise, KNOWN, PER_METRE)
    assert found.scale == pytest.approx(1, abs=0.1)
    wild = np.where(KNOWN, person(), 1e6 * noise)
    assert compare_relief(person(), wild, KNOWN, PER_METRE).scale == pytest.approx(1, rel=1e-9)


def test_a_flat_answer_has_no_scale() -> None:
    found = compare_relief(person(), np.full_like(person(), 7.0), KNOWN, PER_METRE)
    assert (found.scale, found.correlation) == (0, 0)
