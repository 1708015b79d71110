"""What a view stores so that light can be drawn later: suns and their shadows, and how deep in folds each pixel lies.

Notation: n unit normals; p a pixel's point, q another's, d = |q - p|, both in the camera frame, metres.
"""

from __future__ import annotations

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.synth.views.occluders import Occluders

SUNS = 4
"""Lights whose shadows are stored with a view: two as small as a sun or a bare flash, two as large as windows and softboxes."""
_SMALL, _LARGE = (0.012, 0.05), (0.15, 0.5)
"""Ranges of their angular radii, radians."""
_HORIZON, _BEYOND = 0.05, 0.4
"""Sine of the height to which a light is lifted, and how far below the horizon it may be for that."""
CAVITY_REACH = 0.06
"""Folds nearer than this darken each other, metres."""
_DIRECTIONS, _STEPS = 8, 6
_BIAS = 0.08
"""Sine of the angle above the tangent plane from which on something counts: triangles are flat, normals smooth."""


def sun_directions(up: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(SUNS, 3) directions towards the lights of a view whose vertical is `up` (3,), camera frame, and (SUNS,) their angular radii.

    They stand at any side of the person, rather beside or before them than behind; the large ones also low, as windows are.
    """
    ahead = np.array([0.0, 0.0, 1.0]) - up * up[2]
    ahead /= np.linalg.norm(ahead)
    across = np.cross(up, ahead)
    side = rng.choice([-1.0, 1.0], SUNS)
    azimuth = np.radians(side * (rng.choice([20, 55, 85, 115, 160], SUNS, p=[0.1, 0.27, 0.36, 0.16, 0.11]) + rng.normal(0, 14, SUNS)))
    large = np.arange(SUNS) % 2 == 1
    height = np.radians(np.where(large, rng.uniform(-5, 50, SUNS), rng.uniform(12, 70, SUNS)))
    radii = np.where(large, rng.uniform(*_LARGE, SUNS), np.exp(rng.uniform(np.log(_SMALL[0]), np.log(_SMALL[1]), SUNS)))
    flat = np.cos(azimuth)[:, None] * ahead + np.sin(azimuth)[:, None] * across
    return np.cos(height)[:, None] * flat + np.sin(height)[:, None] * up, radii


def suns_seen(
    occluders: Occluders, points: np.ndarray, normals: np.ndarray, directions: np.ndarray, radii: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N, S) bool: points (N, 3) with normals (N, 3) see a random place on each light's disc.

    Places below a point's horizon are lifted to just above it: cast shadows end where the surface's own begins, which shading draws, and
    skin, around which light creeps, has no dark seam there. `directions` (S, 3) and `radii` (S,) are in the frame of the points.
    """
    count = len(points)
    points, normals = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(normals, np.float32)
    free = np.zeros((count, len(directions)), bool)
    origins, toward, lit = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32), np.empty(count, np.int64)
    for k, (direction, radius) in enumerate(zip(directions, radii, strict=True)):
        across = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0])
        across /= np.linalg.norm(across)
        frame = np.tan(radius) * np.stack([across, np.cross(direction, across)])
        places = rng.random((count, 2), np.float32)
        rays = _toward_light(points, normals, direction.astype(np.float32), frame.astype(np.float32), places, origins, toward, lit)
        free[lit[:rays], k] = ~occluders.blocked(origins[:rays], toward[:rays], 3.0)
    return free


@compiled(nogil=True)
def _toward_light(
    points: np.ndarray,
    normals: np.ndarray,
    direction: np.ndarray,
    frame: np.ndarray,
    places: np.ndarray,
    origins: np.ndarray,
    toward: np.ndarray,
    lit: np.ndarray,
) -> int:
    """Rays from points (N, 3) to places (N, 2), 0..1, on the disc that `frame` (2, 3) spans about `direction`, and how many there are.

    Written are their origins and directions (N, 3), and which point each is of (N,): those that the light does not reach are left out.
    """
    rays = 0
    for i in range(len(points)):
        away, turn = np.sqrt(places[i, 0]), 2 * np.float32(np.pi) * places[i, 1]
        a, b = away * np.cos(turn), away * np.sin(turn)
        height = np.float32(0.0)
        for c in range(3):
            toward[rays, c] = direction[c] + a * frame[0, c] + b * frame[1, c]
            height += normals[i, c] * toward[rays, c]
        if height <= -_BEYOND:
            continue
        lift = max(_HORIZON - height, np.float32(0.0))
        for c in range(3):
            toward[rays, c] += lift * normals[i, c]
            origins[rays, c] = points[i, c] + np.float32(0.004) * normals[i, c]
        lit[rays] = i
        rays += 1
    return rays


def cavity(depth: np.ndarray, normals: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W) float32 share of the light from everywhere that reaches a pixel past what is within CAVITY_REACH of it.

    Horizon-based ambient occlusion (Bavoil, Sainz and Dimitrov, "Image-space horizon-based ambient occlusion", SIGGRAPH 2008): over each of
    eight directions in the picture the highest q above the tangent plane takes sin^2 of its angle of the cosine-weighted light away.

    Args:
        depth: (H, W) metres along the viewing axis, 0 outside.
        normals: (H, W, 3) unit vectors, camera frame.
    """
    out = np.ones(depth.shape, np.float32)
    _cavity(
        np.ascontiguousarray(depth, np.float32),
        np.ascontiguousarray(normals, np.float32),
        np.array([camera.focal, camera.cx, camera.cy], np.float32),
        _STARS,
        out,
    )
    return out


def _stars() -> np.ndarray:
    """(4, _DIRECTIONS, 2) directions in the picture: neighbours turn the star differently, so that no stripes show."""
    angle = 2 * np.pi * (np.arange(_DIRECTIONS) + np.arange(4)[:, None] / 4) / _DIRECTIONS
    return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


_STARS = _stars()


@compiled(nogil=True, fastmath=True)
def _cavity(depth: np.ndarray, normals: np.ndarray, optics: np.ndarray, stars: np.ndarray, out: np.ndarray) -> None:
    height, width = depth.shape
    focal, cx, cy = optics[0], optics[1], optics[2]
    for i in range(height):
        for j in range(width):
            z = depth[i, j]
            if z <= 0:
                continue
            px, py = (j + 0.5 - cx) * z / focal, (cy - i - 0.5) * z / focal
            nx, ny, nz = normals[i, j, 0], normals[i, j, 1], normals[i, j, 2]
            reach = CAVITY_REACH * focal / z
            taken = 0.0
            for k in range(_DIRECTIONS):
                c, s = stars[(i * 3 + j * 5) % 4, k]
                most = 0.0
                for step in range(_STEPS):
                    away = reach * (step + 1) / _STEPS
                    a, b = int(i + 0.5 + s * away), int(j + 0.5 + c * away)
                    if a < 0 or a >= height or b < 0 or b >= width or depth[a, b] <= 0 or (a == i and b == j):
                        continue
                    q = depth[a, b]
                    vx, vy, vz = (b + 0.5 - cx) * q / focal - px, (cy - a - 0.5) * q / focal - py, z - q
                    d = np.sqrt(vx * vx + vy * vy + vz * vz)
                    if d >= CAVITY_REACH:
                        continue
                    sine = (nx * vx + ny * vy + nz * vz) / max(d, 1e-6) - _BIAS
                    if sine > 0:
                        most = max(most, sine * sine * (1 - (d / CAVITY_REACH) ** 2))
                taken += most
            out[i, j] = 1 - taken / _DIRECTIONS
