"""Slack from strain and by design, and the directions in which folds run across it."""

from __future__ import annotations

import numpy as np

from carve.geometry.compiled import compiled
from carve.synth.wear.folds.tuples import Triple, cross, dot


def noise_waves(rng: np.random.Generator) -> np.ndarray:
    """(2, 6, 4) wave vectors and phases of two smooth random fields with features of 10 to 40 cm."""
    direction = rng.standard_normal((2, 6, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    number = 2 * np.pi / rng.uniform(0.14, 0.45, (2, 6, 1))
    return np.concatenate([direction * number, rng.uniform(0, 2 * np.pi, (2, 6, 1))], axis=-1)


@compiled(nogil=True)
def _wave_sum(waves: np.ndarray, x: Triple) -> float:
    """Sum of sines of wave vectors and phases (N, 4) at a point."""
    total = 0.0
    for k in range(len(waves)):
        total += np.sin(waves[k, 0] * x[0] + waves[k, 1] * x[1] + waves[k, 2] * x[2] + waves[k, 3])
    return total


@compiled(nogil=True)
def strain(rest: np.ndarray, posed: np.ndarray, faces: np.ndarray, taken: float) -> np.ndarray:
    """(V, 7) slack tensors (xx, yy, zz, xy, yz, zx) in the rest frame and the stretch s1 - 1, area-weighted means of the triangles around.

    Slack is 1 / s2 - 1, at most 1, less `taken`; cloth that is stretched in one direction adds a tenth of s1 - 1 across it.
    """
    out, total = np.zeros((len(rest), 7)), np.zeros(len(rest))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        p = (rest[j, 0] - rest[i, 0], rest[j, 1] - rest[i, 1], rest[j, 2] - rest[i, 2])
        q = (rest[k, 0] - rest[i, 0], rest[k, 1] - rest[i, 1], rest[k, 2] - rest[i, 2])
        n = cross(p, q)
        double, base = np.sqrt(dot(n, n)), np.sqrt(dot(p, p))
        if double < 1e-12 or base < 1e-9:
            continue
        x = (p[0] / base, p[1] / base, p[2] / base)
        n = (n[0] / double, n[1] / double, n[2] / double)
        y = cross(n, x)
        qx, qy = dot(q, x), dot(q, y)
        pu = (posed[j, 0] - posed[i, 0], posed[j, 1] - posed[i, 1], posed[j, 2] - posed[i, 2])
        u = (pu[0] / base, pu[1] / base, pu[2] / base)
        pv = (posed[k, 0] - posed[i, 0], posed[k, 1] - posed[i, 1], posed[k, 2] - posed[i, 2])
        v = ((pv[0] - qx * u[0]) / qy, (pv[1] - qx * u[1]) / qy, (pv[2] - qx * u[2]) / qy)
        a, b, c = dot(u, u), dot(u, v), dot(v, v)
        middle, spread = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b * b)
        s1, s2 = np.sqrt(middle + spread), np.sqrt(max(middle - spread, 0.0))
        stretch = min(max(s1 - 1.0, 0.0), 0.6)
        slack = min(1.0 / max(s2, 0.5) - 1.0, 1.0) + 0.1 * stretch - taken
        for corner in (i, j, k):
            total[corner] += double
            out[corner, 6] += double * stretch
        if slack <= 0.0 or spread < 1e-9:
            continue
        # The eigenvector of the smaller eigenvalue, from whichever row is longer.
        small = middle - spread
        ex, ey = (b, small - a) if abs(small - a) > abs(small - c) else (small - c, b)
        size = np.sqrt(ex * ex + ey * ey)
        d = ((ex * x[0] + ey * y[0]) / size, (ex * x[1] + ey * y[1]) / size, (ex * x[2] + ey * y[2]) / size)
        for corner in (i, j, k):
            w = double * slack
            out[corner, 0] += w * d[0] * d[0]
            out[corner, 1] += w * d[1] * d[1]
            out[corner, 2] += w * d[2] * d[2]
            out[corner, 3] += w * d[0] * d[1]
            out[corner, 4] += w * d[1] * d[2]
            out[corner, 5] += w * d[2] * d[0]
    for vertex in range(len(rest)):
        if total[vertex] > 0:
            out[vertex] /= total[vertex]
    return out


@compiled(nogil=True)
def _with_sources(
    a: float,
    b: float,
    c: float,
    x: Triple,
    n: Triple,
    p: Triple,
    q: Triple,
    share: np.ndarray,
    sources: np.ndarray,
    patch: float,
    free: float,
) -> Triple:
    """The tensor (a b; b c) in the tangents p, q at the place x with normal n, with the slack of all sources."""
    for s in range(len(sources)):
        row = sources[s]
        here = share[int(row[1])]
        if here < 0.02:
            continue
        away = (x[0] - row[2], x[1] - row[3], x[2] - row[4])
        axis, facing = (row[5], row[6], row[7]), (row[11], row[12], row[13])
        reach, amount = row[8], row[9] * here * patch * free
        if row[0] == 0.0:
            amount *= np.exp(-0.5 * (dot(away, axis) / reach) ** 2)
            dp, dq = dot(axis, p), dot(axis, q)
        else:
            square = dot(away, away)
            rp, rq = dot(away, p), dot(away, q)
            amount *= np.exp(-0.5 * square / reach**2) * min(1.0, np.sqrt(rp * rp + rq * rq) / (0.25 * reach))
            if dot(axis, axis) > 0:
                amount *= min(max(0.3 + 1.4 * dot(away, axis) / (np.sqrt(square) + 1e-9), 0.0), 1.0)
            dp, dq = -rq, rp
        if dot(facing, facing) > 0:
            amount *= min(max(0.25 + 1.2 * dot(facing, n), 0.0), 1.0)
        size = np.sqrt(dp * dp + dq * dq)
        if amount < 1e-4 or size < 1e-6:
            continue
        cosine, sine = np.cos(row[10]) / size, np.sin(row[10]) / size
        dp, dq = cosine * dp - sine * dq, sine * dp + cosine * dq
        a += amount * dp * dp
        b += amount * dp * dq
        c += amount * dq * dq
    return a, b, c


@compiled(nogil=True)
def fold_lines(
    points: np.ndarray,
    normals: np.ndarray,
    bending: np.ndarray,
    share: np.ndarray,
    sources: np.ndarray,
    waves: np.ndarray,
    tilt: float,
    patches: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (V, 3) in which folds run, sign arbitrary, and the excess (V,) of cloth across them."""
    fold, slack = np.zeros((len(points), 3)), np.zeros(len(points))
    for v in range(len(points)):
        x = (points[v, 0], points[v, 1], points[v, 2])
        n = (normals[v, 0], normals[v, 1], normals[v, 2])
        first, second = 0.6 * _wave_sum(waves[0], x), 0.6 * _wave_sum(waves[1], x)
        patch = min(max(1.0 - patches + patches * (0.45 + 0.75 * first), 0.0), 1.7)
        # A frame of the tangent plane.
        p = cross((0.0, n[2], -n[1]) if abs(n[0]) < 0.7 else (-n[2], 0.0, n[0]), n)
        size = np.sqrt(dot(p, p)) + 1e-12
        p = (p[0] / size, p[1] / size, p[2] / size)
        q = cross(n, p)
        t = bending[v]
        tp = (t[0] * p[0] + t[3] * p[1] + t[5] * p[2], t[3] * p[0] + t[1] * p[1] + t[4] * p[2], t[5] * p[0] + t[4] * p[1] + t[2] * p[2])
        tq = (t[0] * q[0] + t[3] * q[1] + t[5] * q[2], t[3] * q[0] + t[1] * q[1] + t[4] * q[2], t[5] * q[0] + t[4] * q[1] + t[2] * q[2])
        free = max(1.0 - 3.0 * t[6], 0.0)  # taut cloth lies flat
        some = 0.6 + 0.4 * patch
        a, b, c = some * dot(p, tp), some * dot(p, tq), some * dot(q, tq)
        a, b, c = _with_sources(a, b, c, x, n, p, q, share[v], sources, patch, free)
        middle, spread = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b * b)
        # Where slack has no direction, cloth does not fold, it hangs loose.
        slack[v] = max(middle + spread - 0.6 * max(middle - spread, 0.0), 0.0)
        angle = 0.5 * np.arctan2(2 * b, a - c) + np.pi / 2 + tilt * second
        for axis_index in range(3):
            fold[v, axis_index] = np.cos(angle) * p[axis_index] + np.sin(angle) * q[axis_index]
    return fold, slack


@compiled(nogil=True)
def aligned(fold: np.ndarray, normals: np.ndarray, start: np.ndarray, neighbour: np.ndarray, rounds: int) -> np.ndarray:
    """Directions (V, 3) averaged with their neighbours', whatever the signs."""
    now, other = fold.copy(), np.empty_like(fold)
    for _ in range(rounds):
        for v in range(len(now)):
            x, y, z = 1.5 * now[v, 0], 1.5 * now[v, 1], 1.5 * now[v, 2]
            for k in range(start[v], start[v + 1]):
                w = neighbour[k]
                same = now[w, 0] * now[v, 0] + now[w, 1] * now[v, 1] + now[w, 2] * now[v, 2] >= 0
                sign = 1.0 if same else -1.0
                x, y, z = x + sign * now[w, 0], y + sign * now[w, 1], z + sign * now[w, 2]
            out = x * normals[v, 0] + y * normals[v, 1] + z * normals[v, 2]
            x, y, z = x - out * normals[v, 0], y - out * normals[v, 1], z - out * normals[v, 2]
            size = np.sqrt(x * x + y * y + z * z)
            if size > 1e-9:
                other[v, 0], other[v, 1], other[v, 2] = x / size, y / size, z / size
            else:
                other[v] = now[v]
        now, other = other, now
    return now
