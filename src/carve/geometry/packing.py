"""Packing charts into a square: each falls as low as the outline of those before it lets it.

Notation: skyline (G,) height that is taken in each of G columns; a chart's profile is its lowest and highest point in each column.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_COLUMNS = 512


def pack(charts: list[np.ndarray], padding: float) -> list[np.ndarray]:
    """Place flat charts, triangles (n, 3, 2) each, in the unit square without overlap, all scaled alike; same shapes in 0..1.

    `padding` is the least gap between charts and the least distance to the border times two, as a share of the square's side.
    """
    upright = [_upright(chart) for chart in charts]
    area = sum(float(np.prod(np.ptp(chart.reshape(-1, 2), axis=0))) for chart in upright)
    scale = 0.9 / np.sqrt(max(area, 1e-20))
    best: tuple[float, list[np.ndarray]] | None = None
    # The height that charts fill grows with the square of their scale: a few corrections make it the width.
    for _ in range(3):
        placed, height = _drop([chart * scale for chart in upright], padding)
        if placed is not None and height <= 1 and (best is None or scale > best[0]):
            best = scale, placed
        scale *= float(np.clip(np.sqrt(0.995 / height), 0.7, 1.3)) if placed is not None else 0.7
    while best is None:
        scale *= 0.93
        placed, height = _drop([chart * scale for chart in upright], padding)
        if placed is not None and height <= 1:
            best = scale, placed
    return best[1]


def _upright(chart: np.ndarray) -> np.ndarray:
    """Turn a chart so that its narrowest bounding box stands upright with its corner at the origin."""
    points = chart.reshape(-1, 2)
    angle = np.radians(cv2.minAreaRect(points.astype(np.float32))[2])
    rotated = points @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if np.ptp(rotated[:, 0]) > np.ptp(rotated[:, 1]):
        rotated = rotated[:, ::-1] * [1, -1]
    return (rotated - rotated.min(0)).reshape(chart.shape)


def _drop(charts: list[np.ndarray], padding: float) -> tuple[list[np.ndarray] | None, float]:
    """Pack at the charts' own scale into a strip of width 1; None if one is wider. Returns the height of the strip too."""
    skyline = np.full(_COLUMNS, padding / 2)
    placed: list[np.ndarray] = [np.empty(0)] * len(charts)
    for k in sorted(range(len(charts)), key=lambda k: -float(charts[k][..., 1].max())):
        options = []
        for turned in (charts[k], _turned(charts[k]), _half_turned(charts[k])):
            if turned[..., 0].max() + padding >= 1:
                continue
            low, high = _profile(turned, padding)
            rest = (sliding_window_view(skyline, len(low)) - low).max(1)
            column = int(np.argmin(rest))
            options.append((rest[column] + high.max(), column, rest[column], turned, high))
        if not options:
            return None, np.inf
        _, column, height, turned, high = min(options, key=lambda option: option[0])
        skyline[column : column + len(high)] = height + high
        placed[k] = turned + np.array([column / _COLUMNS + padding / 2, height])
    return placed, float(skyline.max() + padding / 2)


def _turned(chart: np.ndarray) -> np.ndarray:
    """A quarter turn about the middle, back in the corner."""
    turned = chart[..., ::-1] * [1, -1]
    return turned - turned.reshape(-1, 2).min(0)


def _half_turned(chart: np.ndarray) -> np.ndarray:
    """Half a turn, back in the corner."""
    return chart.reshape(-1, 2).max(0) - chart


def _profile(chart: np.ndarray, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest point in each column, half the padding included on all sides; the chart is moved right by half the padding."""
    first = np.floor(chart[..., 0].min(1) * _COLUMNS).astype(int)
    last = np.floor((chart[..., 0].max(1) + padding) * _COLUMNS).astype(int)
    low, high = np.full(last.max() + 1, np.inf), np.full(last.max() + 1, -np.inf)
    bottom, top = chart[..., 1].min(1) - padding / 2, chart[..., 1].max(1) + padding / 2
    for step in range(int((last - first).max()) + 1):
        reached = first + step <= last
        np.minimum.at(low, first[reached] + step, bottom[reached])
        np.maximum.at(high, first[reached] + step, top[reached])
    return low, high
