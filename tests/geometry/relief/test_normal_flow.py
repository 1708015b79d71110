"""Displacements between pictures of normals: known ones are found, and none where there is nothing to see."""

from __future__ import annotations

import numpy as np

from carve.geometry.relief.normal_flow import normal_flow


def hills(shift: tuple[float, float]) -> np.ndarray:
    """(120, 100, 3) normals of a bumpy disc whose bumps lie moved by `shift` pixels (right, down)."""
    v, u = np.mgrid[:120, :100].astype(float)
    x, y = u - shift[0], v - shift[1]
    slope = np.stack([0.4 * np.cos(x / 5) * np.sin(y / 7), 0.4 * np.sin(x / 6) * np.cos(y / 5), np.ones_like(x)], -1)
    normals = slope / np.linalg.norm(slope, axis=-1, keepdims=True)
    return np.where(((x - 50) ** 2 + (y - 60) ** 2 < 40**2)[..., None], normals, 0).astype(np.float32)


def test_a_known_displacement_is_found() -> None:
    flow = normal_flow(hills((0, 0)), hills((3.0, -2.0)), (4.0, 2.0, 1.0), 8.0)
    inside = np.s_[40:80, 30:70]
    np.testing.assert_allclose(np.median(flow.displacement[inside], axis=(0, 1)), [3.0, -2.0], atol=0.5)
    assert flow.certainty[inside].mean() > 0.5


def test_no_displacement_is_longer_than_the_farthest() -> None:
    flow = normal_flow(hills((0, 0)), hills((6.0, 0.0)), (4.0, 2.0), 2.0)
    assert np.abs(flow.displacement).max() <= 2.0


def test_nothing_moves_where_nothing_is_to_be_seen() -> None:
    flat = np.zeros((60, 60, 3), np.float32)
    flat[10:50, 10:50, 2] = 1
    flow = normal_flow(flat, flat, (4.0, 2.0), 8.0)
    assert np.abs(flow.displacement).max() < 1e-3 and flow.certainty.max() < 1e-3
