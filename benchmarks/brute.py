"""Plain loops over triangles in double precision: exact winding numbers and distances, to hold fast ones against.

Sources: van Oosterom & Strackee, "The solid angle of a plane triangle" (1983); Ericson, "Real-Time Collision Detection" (2005), 5.1.5.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def winding(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) winding numbers of a closed surface, vertices (V, 3), faces (F, 3), about points (N, 3)."""
    out = np.zeros(len(points))
    for n in range(len(points)):
        px, py, pz = points[n]
        total = 0.0
        for f in range(len(faces)):
            i, j, k = faces[f]
            ax, ay, az = vertices[i, 0] - px, vertices[i, 1] - py, vertices[i, 2] - pz
            bx, by, bz = vertices[j, 0] - px, vertices[j, 1] - py, vertices[j, 2] - pz
            cx, cy, cz = vertices[k, 0] - px, vertices[k, 1] - py, vertices[k, 2] - pz
            la = math.sqrt(ax * ax + ay * ay + az * az)
            lb = math.sqrt(bx * bx + by * by + bz * bz)
            lc = math.sqrt(cx * cx + cy * cy + cz * cz)
            top = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            bottom = (
                la * lb * lc + (ax * bx + ay * by + az * bz) * lc + (bx * cx + by * cy + bz * cz) * la + (cx * ax + cy * ay + cz * az) * lb
            )
            total += math.atan2(top, bottom)
        out[n] = total / (2 * math.pi)
    return out


@numba.njit(cache=True)
def _squared(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Squared distance of a point from a triangle."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = ab @ ap, ac @ ap
    if d1 <= 0 and d2 <= 0:
        return ap @ ap
    bp = p - b
    d3, d4 = ab @ bp, ac @ bp
    if d3 >= 0 and d4 <= d3:
        return bp @ bp
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        q = ap - d1 / (d1 - d3) * ab
        return q @ q
    cp = p - c
    d5, d6 = ab @ cp, ac @ cp
    if d6 >= 0 and d5 <= d6:
        return cp @ cp
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        q = ap - d2 / (d2 - d6) * ac
        return q @ q
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        q = bp - (d4 - d3) / ((d4 - d3) + (d5 - d6)) * (c - b)
        return q @ q
    scale = 1.0 / (va + vb + vc)
    q = ap - vb * scale * ab - vc * scale * ac
    return q @ q


@numba.njit(cache=True)
def distance(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) distance of points (N, 3) from the nearest of all triangles and (N,) that triangle.

    A triangle's bounding sphere decides whether it is looked at.
    """
    count = len(faces)
    centre, radius = np.empty((count, 3)), np.empty(count)
    for f in range(count):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        for d in range(3):
            centre[f, d] = (a[d] + b[d] + c[d]) / 3
        radius[f] = math.sqrt(max(_norm(a, centre[f]), _norm(b, centre[f]), _norm(c, centre[f])))
    out, nearest = np.empty(len(points)), np.zeros(len(points), np.int64)
    for n in range(len(points)):
        p = points[n]
        best = np.inf
        for f in range(count):
            x, y, z = p[0] - centre[f, 0], p[1] - centre[f, 1], p[2] - centre[f, 2]
            reach = best + radius[f]
            if x * x + y * y + z * z < reach * reach:
                squared = _squared(p, vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]])
                if squared < best * best:
                    best = math.sqrt(squared)
                    nearest[n] = f
        out[n] = best
    return out, nearest


@numba.njit(cache=True)
def _norm(a: np.ndarray, b: np.ndarray) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2


@numba.njit(cache=True)
def spread(corners: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) inside triangles (F, 3, 3), at most `spacing` metres apart and one each at least, and the triangle (N,) of each."""
    origin, steps = np.empty(len(corners), np.int64), np.empty((len(corners), 2), np.int64)
    total = 0
    for f in range(len(corners)):
        # Rows along the two shorter edges.
        longest = -1.0
        for k in range(3):
            length = _norm(corners[f, (k + 1) % 3], corners[f, (k + 2) % 3])
            if length > longest:
                longest, origin[f] = length, k
        for e in range(2):
            steps[f, e] = max(1, math.ceil(math.sqrt(_norm(corners[f, origin[f]], corners[f, (origin[f] + 1 + e) % 3])) / spacing))
        total += steps[f, 0] * steps[f, 1]
    points, face = np.empty((total, 3)), np.empty(total, np.int64)
    filled = 0
    for f in range(len(corners)):
        a, b, c = corners[f, origin[f]], corners[f, (origin[f] + 1) % 3], corners[f, (origin[f] + 2) % 3]
        for i in range(steps[f, 0]):
            for j in range(steps[f, 1]):
                u, v = (i + 1 / 3) / steps[f, 0], (j + 1 / 3) / steps[f, 1]
                if u + v < 1:
                    for d in range(3):
                        points[filled, d] = (1 - u - v) * a[d] + u * b[d] + v * c[d]
                    face[filled] = f
                    filled += 1
    return points[:filled].copy(), face[:filled].copy()
