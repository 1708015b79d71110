"""Packing charts."""

import numpy as np

from carve.geometry.packing import pack


def boxes(seed: int, count: int) -> list[np.ndarray]:
    """Rectangles of two triangles each, turned by any angle."""
    rng = np.random.default_rng(seed)
    charts = []
    for _ in range(count):
        w, h = rng.uniform(0.1, 1.0, 2)
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]])
        c, s = np.cos(angle := rng.uniform(0, 7)), np.sin(angle)
        corners = corners @ np.array([[c, -s], [s, c]]) + rng.normal(size=2)
        charts.append(corners[[[0, 1, 2], [0, 2, 3]]])
    return charts


def test_rectangles_are_moved_rigidly_scaled_alike_and_fill_the_square() -> None:
    charts = boxes(0, 40)
    packed = pack(charts, padding=0.004)
    flat = np.concatenate(packed).reshape(-1, 2)
    assert flat.min() >= 0 and flat.max() <= 1

    def lengths(charts: list[np.ndarray]) -> np.ndarray:
        triangles = np.concatenate(charts)
        return np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=-1).ravel()

    ratio = lengths(packed) / lengths(charts)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    p, q = np.concatenate(packed)[:, 1] - np.concatenate(packed)[:, 0], np.concatenate(packed)[:, 2] - np.concatenate(packed)[:, 0]
    assert np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / 2 > 0.6


def test_charts_keep_their_distance() -> None:
    padding = 0.01
    packed = pack(boxes(1, 30), padding)
    low = np.array([chart.reshape(-1, 2).min(0) for chart in packed])
    high = np.array([chart.reshape(-1, 2).max(0) for chart in packed])
    gap = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(-1)
    assert gap[~np.eye(len(packed), dtype=bool)].min() >= padding - 1e-9
    assert low.min() >= padding / 2 - 1e-9 and high.max() <= 1 - padding / 2 + 1e-9


def test_one_chart_and_one_needle() -> None:
    assert np.ptp(pack(boxes(2, 1), 0.01)[0].reshape(-1, 2), axis=0).max() > 0.5
    needle = np.array([[[0.0, 0.0], [100.0, 0.0], [100.0, 0.01]]])
    flat = pack([needle, *boxes(3, 5)], 0.01)
    assert min(chart.min() for chart in flat) >= 0 and max(chart.max() for chart in flat) <= 1
