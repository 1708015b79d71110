"""Sections of what hangs, against a cone whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.level_sections import LevelSections


def ring(radius: float, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a circle at one depth."""
    angle = np.linspace(0, 2 * np.pi, 480, endpoint=False)
    return radius * np.column_stack([np.cos(angle), np.sin(angle)]), np.full(480, depth)


def test_a_tube_is_met_within_and_beside_it() -> None:
    rings = [ring(0.2, depth) for depth in np.arange(0, 0.5, 0.01)]
    sections = LevelSections(np.concatenate([r[0] for r in rings]), np.concatenate([r[1] for r in rings]), 0.4, 0.1, 0.01)
    places = np.array([[0.3, 0.0], [0.0, 0.1], [-0.21, 0.0]])
    assert sections.outside(places, np.array([0.05, 0.2, 0.333])) == pytest.approx([0.09, -0.11, 0.0], abs=1e-4)
    assert 0.4 <= sections.length < 0.43


def test_what_hangs_falls_no_faster_than_it_may_and_bridges_hollows() -> None:
    """A wide ring above, two narrow legs below."""
    above, depth = ring(0.2, 0.0)
    legs = [ring(0.05, d) for d in np.arange(0.05, 0.5, 0.01)]
    aside = np.array([0.1, 0.0])
    left, right = ([(p + sign * aside, d) for p, d in legs] for sign in (1, -1))
    places = np.concatenate([above, *(p for p, _ in left + right)])
    depths = np.concatenate([depth, *(d for _, d in left + right)])
    sections = LevelSections(places, depths, 0.4, 0.5)
    front = np.array([[0.0, 0.0]])
    # Along the second axis it falls by a half until the legs' own 5 cm; between the legs it is convex.
    for below, reach in ((0.1, 0.155), (0.2, 0.105), (0.38, 0.05)):
        assert -sections.outside(front, np.array([below]))[0] == pytest.approx(reach, abs=0.012)


def test_levels_without_points_are_empty() -> None:
    places, depths = ring(0.2, 0.3)
    sections = LevelSections(places, depths, 0.4, 0.1)
    found = sections.outside(np.zeros((3, 2)), np.array([0.0, 0.1, 0.35]))
    assert np.isfinite(found).all() and (found[:2] > 1).all() and found[2] < 0
