"""Lines of folds: traced, and raised to ridges between valleys."""

from __future__ import annotations

import numpy as np

from carve.geometry.compiled import compiled
from carve.synth.wear.folds.neighbours import sorted_grid
from carve.synth.wear.folds.tuples import Triple, cross, dot, square_distance

SAMPLE = 0.16
"""Distance of the samples of a stroke as a share of the wavelength."""

REACH = 1.35
"""How far from its line a stroke moves the cloth and keeps others of its size away, in wavelengths."""


@compiled(nogil=True)
def _mean_around(
    v: int,
    p: Triple,
    d: Triple,
    points: np.ndarray,
    normals: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    length: np.ndarray,
    longest: np.ndarray,
) -> np.ndarray:
    """(12,) point, normal, fold along d, slack, wavelength about the place p near the vertex v, and the weights' sum."""
    mean = np.zeros(12)
    for k in range(start[v] - 1, start[v + 1]):
        w = v if k < start[v] else neighbour[k]
        weight = np.exp(-2 * square_distance(points[w], p) / (longest[v] ** 2 + 1e-12))
        side = weight if fold[w, 0] * d[0] + fold[w, 1] * d[1] + fold[w, 2] * d[2] >= 0 else -weight
        for c in range(3):
            mean[c] += weight * points[w, c]
            mean[3 + c] += weight * normals[w, c]
            mean[6 + c] += side * fold[w, c]
        mean[9] += weight * slack[w]
        mean[10] += weight * length[w]
        mean[11] += weight
    mean /= mean[11]
    return mean


@compiled(nogil=True)
def _trace(
    seed: int,
    sign: float,
    most: float,
    least_slack: float,
    points: np.ndarray,
    normals: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    rim: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    length: np.ndarray,
    longest: np.ndarray,
    covered: np.ndarray,
    out: np.ndarray,
) -> int:
    """Follow a fold from a vertex for at most `most` metres into `out`; returns the number of rows.

    Rows: point, direction, normal, slack, wavelength.
    """
    v, p = seed, (points[seed, 0], points[seed, 1], points[seed, 2])
    d = (sign * fold[seed, 0], sign * fold[seed, 1], sign * fold[seed, 2])
    step, gone, number = SAMPLE * length[seed], 0.0, 0
    while number < len(out) and gone < most:
        moved, nearest = True, square_distance(points[v], p)
        while moved:
            moved = False
            for k in range(start[v], start[v + 1]):
                w = neighbour[k]
                square = square_distance(points[w], p)
                if square < nearest:
                    nearest, v, moved = square, w, True
                    break
        if nearest > (1.5 * longest[v]) ** 2 or (rim[v] and number > 0 and nearest > (0.5 * longest[v]) ** 2):
            break
        mean = _mean_around(v, p, d, points, normals, start, neighbour, fold, slack, length, longest)
        size = np.sqrt(mean[3] ** 2 + mean[4] ** 2 + mean[5] ** 2) + 1e-12
        n = (mean[3] / size, mean[4] / size, mean[5] / size)
        above = dot((p[0] - mean[0], p[1] - mean[1], p[2] - mean[2]), n)
        p = (p[0] - above * n[0], p[1] - above * n[1], p[2] - above * n[2])
        # Cloth does not turn at once.
        f = (mean[6] + 0.8 * d[0], mean[7] + 0.8 * d[1], mean[8] + 0.8 * d[2])
        above = dot(f, n)
        f = (f[0] - above * n[0], f[1] - above * n[1], f[2] - above * n[2])
        size = np.sqrt(dot(f, f))
        if size < 0.2 or mean[9] < least_slack or covered[v] > 0.6:
            break
        d = (f[0] / size, f[1] / size, f[2] / size)
        for c in range(3):
            out[number, c], out[number, 3 + c], out[number, 6 + c] = p[c], d[c], n[c]
        out[number, 9], out[number, 10] = mean[9], mean[10]
        number += 1
        p = (p[0] + step * d[0], p[1] + step * d[1], p[2] + step * d[2])
        gone += step
    return number


@compiled(nogil=True)
def _raise(
    height: np.ndarray,
    covered: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    low: np.ndarray,
    size: np.ndarray,
    starts: np.ndarray,
    which: np.ndarray,
    cell: float,
    lie: tuple[Triple, Triple, Triple, Triple],
    wide: float,
    reach: float,
    sigma: float,
    lean: float,
    crest: float,
    share: float,
) -> None:
    """Add one sample of a stroke to the heights around it, and mark them covered; `lie`: its place, normal, direction and across."""
    p, n, d, across = lie
    i0, i1 = max(int((p[0] - reach - low[0]) / cell), 0), min(int((p[0] + reach - low[0]) / cell), size[0] - 1)
    j0, j1 = max(int((p[1] - reach - low[1]) / cell), 0), min(int((p[1] + reach - low[1]) / cell), size[1] - 1)
    k0, k1 = max(int((p[2] - reach - low[2]) / cell), 0), min(int((p[2] + reach - low[2]) / cell), size[2] - 1)
    for i in range(i0, i1 + 1):
        for j in range(j0, j1 + 1):
            base = (i * size[1] + j) * size[2]
            for place in range(starts[base + k0], starts[base + k1 + 1]):
                v = which[place]
                x, y, z = points[v, 0] - p[0], points[v, 1] - p[1], points[v, 2] - p[2]
                square = x * x + y * y + z * z
                if square > reach * reach:
                    continue
                agree = normals[v, 0] * n[0] + normals[v, 1] * n[1] + normals[v, 2] * n[2]
                if agree < 0.2:
                    continue
                covered[v] = max(covered[v], 1.0 - np.sqrt(square) / reach)
                along = (x * d[0] + y * d[1] + z * d[2]) / sigma
                if abs(along) > 3.0:
                    continue
                u = (x * across[0] + y * across[1] + z * across[2]) / wide
                u *= 1.0 + lean * np.tanh(4.0 * u)
                ridge = np.exp(-10.0 * u * u) - 0.42 * np.exp(-2.4 * u * u)
                height[v] += crest * ridge * share * np.exp(-0.5 * along * along) * min((agree - 0.2) * 2.5, 1.0)


@compiled(nogil=True)
def _profile(luck: np.ndarray) -> Triple:
    """How a fold rises and falls along its length, and its highest value: pinned at one end, it dies out towards the other."""
    rise, fall = 0.35 + 0.5 * luck[4], 0.7 + 0.8 * luck[5]
    if luck[6] < 0.5:
        rise, fall = fall, rise
    peak = (rise / (rise + fall)) ** rise * (fall / (rise + fall)) ** fall
    return rise, fall, peak


@compiled(nogil=True)
def strokes(
    points: np.ndarray,
    normals: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    rim: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    length: np.ndarray,
    longest: np.ndarray,
    order: np.ndarray,
    chance: np.ndarray,
    lengthen: float,
    skew: float,
    creases: float,
) -> np.ndarray:
    """(V,) heights of folds of wavelengths `length` (V,), seeded in the order of vertices `order`, `chance` (V, 8) uniform numbers."""
    height, covered = np.zeros(len(points)), np.full(len(points), -1.0)
    cell = 0.025
    low, size, starts, which = sorted_grid(points, cell)
    one, two = np.empty((120, 11)), np.empty((120, 11))
    for rank in range(len(order)):
        seed = order[rank]
        luck = chance[rank]
        if slack[seed] < 0.01 or covered[seed] > 1.0 - (0.75 + 0.75 * luck[0]) / REACH:
            continue
        wave = length[seed]
        most = lengthen * wave * (1.8 + 5.0 * luck[1])
        least = slack[seed] * (0.1 + 0.2 * luck[2])
        forward = _trace(
            seed, 1.0, most * (0.3 + luck[3]), least, points, normals, start, neighbour, rim, fold, slack, length, longest, covered, one
        )
        back = _trace(
            seed, -1.0, most * (1.3 - luck[3]), least, points, normals, start, neighbour, rim, fold, slack, length, longest, covered, two
        )
        number = forward + back - 1
        step = SAMPLE * wave
        if forward < 1 or back < 1 or number * step < 1.5 * wave:
            covered[seed] = max(covered[seed], 0.3)
            continue
        rise, fall, peak = _profile(luck)
        side = -1.0 if luck[7] < creases else 1.0
        lean = skew if luck[4] + luck[5] < 1.0 else -skew
        size_of = side * (0.65 + 0.6 * luck[0])
        for m in range(0, number, 2):
            row = two[back - 1 - m] if m < back else one[m - back + 1]
            t = (m + 0.5) / number
            taper = t**rise * (1 - t) ** fall / peak
            ahead = -1.0 if m < back else 1.0
            p, n = (row[0], row[1], row[2]), (row[6], row[7], row[8])
            d = (ahead * row[3], ahead * row[4], ahead * row[5])
            across = cross(n, d)
            wide = row[10] * (0.8 + 0.4 * luck[2])
            # The profile below spans 0.75 from top to bottom, a sine wave 2 a: a crest of about 2.4 a, at most a quarter wave deep.
            crest = size_of * taper * wide * min(2.4 * np.sqrt(row[9]) / np.pi, 0.32)
            sigma = 0.3 * wide
            share = 2 * step / (sigma * np.sqrt(2 * np.pi))
            reach = REACH * wide
            lie = (p, n, d, across)
            _raise(height, covered, points, normals, low, size, starts, which, cell, lie, wide, reach, sigma, lean, crest, share)
    return height
