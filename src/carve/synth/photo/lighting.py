"""Light for a synthetic photograph: spherical harmonics of what surrounds the person, and one sun that casts the stored shadows.

Notation: d, n unit directions, L(d) radiance, Y_k the nine real orthonormal spherical harmonics up to order 2, k = l (l + 1) + m,
c_k = integral of L Y_k over the sphere. The irradiance of a surface with normal n (Ramamoorthi & Hanrahan, SIGGRAPH 2001) is
    E(n) = sum_k A_l c_k Y_k(n),    A = (pi, 2 pi / 3, pi / 4);
A_3 is zero and the higher orders carry less than 1 % of E, so order 2 is enough. The world of a panorama has +Y up; its column u and row v,
both in 0..1, look along (sin t cos p, cos t, sin t sin p) with t = pi v and p = 2 pi u. Colours are linear RGB, their units arbitrary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from carve.files.fence import fence
from carve.geometry.camera import Camera
from carve.records import CarveError

Kind = Literal["environment", "sky", "overcast", "window", "studio", "back", "flash", "lamps"]
"""What a photograph is lit by."""

_BAND = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2])
"""Order l of each coefficient."""
_CLAMPED_COSINE = np.array([np.pi, 2 * np.pi / 3, np.pi / 4])[_BAND]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of linear sRGB (ITU-R BT.709)."""
_SUN_RADIUS = np.radians(7.0)
_SUN_SHARE = 0.2
"""The brightest spot is a sun where it gives at least this share of the irradiance of a surface that faces it."""


@dataclass(frozen=True)
class Environment:
    """One panorama, its harmonics with and without its sun. World frame."""

    name: str
    panorama: np.ndarray
    """(h, w, 3) float32 radiance."""
    whole: np.ndarray
    """(9, 3) harmonics of everything."""
    ambient: np.ndarray
    """(9, 3) harmonics without the sun; equal to `whole` where there is none."""
    sun_direction: np.ndarray | None
    """(3,) unit vector towards the brightest spot."""
    sun_irradiance: np.ndarray
    """(3,) of a surface that faces the sun; zero where there is none."""


@dataclass(frozen=True)
class Key:
    """A light that casts shadows. Camera frame."""

    sun: int
    """Index of the view's light whose shadows it throws; -1 for one beside the lens, which shines on all that is seen."""
    direction: np.ndarray
    """(3,) unit vector towards it."""
    irradiance: np.ndarray
    """(3,) of a surface that faces it."""
    radius: float
    """Angular radius, radians."""


@dataclass(frozen=True)
class Lighting:
    """The light of one photograph. Camera frame."""

    kind: Kind
    radiance: np.ndarray
    """(9, 3) harmonics, without the keys."""
    keys: tuple[Key, ...]
    environment: Environment | None
    """The panorama that the light comes from."""
    camera_from_world: np.ndarray
    """(3, 3) rotation of its world."""


def harmonics(directions: np.ndarray) -> np.ndarray:
    """(..., 9) Y_k of unit directions (..., 3)."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    first, second = np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi))
    return np.stack(
        [
            np.full_like(x, np.sqrt(1 / (4 * np.pi))),
            first * y,
            first * z,
            first * x,
            second * x * y,
            second * y * z,
            second / np.sqrt(12) * (3 * z * z - 1),
            second * x * z,
            second / 2 * (x * x - y * y),
        ],
        axis=-1,
    )


def panorama_directions(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (h, w, 3) of a panorama's pixel centres in its world, and their solid angles (h, 1)."""
    edges = np.cos(np.linspace(0, np.pi, height + 1))
    polar = (np.arange(height) + 0.5)[:, None] * np.pi / height
    azimuth = (np.arange(width) + 0.5)[None] * 2 * np.pi / width
    x, y, z = np.sin(polar) * np.cos(azimuth), np.broadcast_to(np.cos(polar), (height, width)), np.sin(polar) * np.sin(azimuth)
    return np.stack([x, y, z], -1), ((edges[:-1] - edges[1:]) * 2 * np.pi / width)[:, None]


def project(panorama: np.ndarray) -> np.ndarray:
    """(9, 3) harmonics of a panorama (h, w, 3)."""
    directions, solid = panorama_directions(*panorama.shape[:2])
    return np.einsum("hwk,hwc->kc", harmonics(directions) * solid[..., None], panorama.astype(float))


def irradiance(radiance: np.ndarray) -> np.ndarray:
    """(9, 3) harmonics of E from those of L."""
    return radiance * _CLAMPED_COSINE[:, None]


def cap(direction: np.ndarray, half_angle: float, colour: np.ndarray) -> np.ndarray:
    """(9, 3) harmonics of a round light about `direction` (3,) of angular radius `half_angle`, in radians up to pi.

    `colour` (3,) is its radiance. The zonal coefficients are 2 pi times
    the integral of the Legendre polynomial P_l from cos(half_angle) to 1.
    """
    c = np.cos(half_angle)
    zonal = np.array([2 * np.pi * (1 - c), np.pi * (1 - c * c), np.pi * (c - c**3)])
    return (zonal[_BAND] * harmonics(np.asarray(direction, float)))[:, None] * np.asarray(colour, float)


def directional(direction: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(9, 3) harmonics of a light at infinity: `colour` (3,) is the irradiance of a surface that faces `direction` (3,)."""
    return harmonics(np.asarray(direction, float))[:, None] * np.asarray(colour, float)


_PROBES = np.array(
    [
        [np.sqrt(1 - y * y) * np.cos(k * 2.399963), y, np.sqrt(1 - y * y) * np.sin(k * 2.399963)]
        for k in range(24)
        for y in [(k + 0.5) / 12 - 1]
    ]
)
_FROM_PROBES = np.linalg.pinv(harmonics(_PROBES))


def rotated(coefficients: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Harmonics (9, C) of the light turned by `rotation` (3, 3): L'(d) = L(rotation^T d).

    A rotation maps each order onto itself, so fitting the turned function at two dozen directions is exact.
    """
    return np.asarray(_FROM_PROBES @ (harmonics(_PROBES @ rotation) @ coefficients))


def level(up: np.ndarray) -> np.ndarray:
    """(3, 3) camera_from_world for a world whose +Y is `up` (3,) of the camera frame and whose -Z is the horizontal viewing direction."""
    up = up / np.linalg.norm(up)
    ahead = np.array([0.0, 0.0, -1.0])
    if abs(up @ ahead) > 0.999:
        ahead = np.array([0.0, 1.0, 0.0])
    ahead = ahead - (ahead @ up) * up
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), up, -ahead], axis=1)


def turn(angle: float) -> np.ndarray:
    """(3, 3) rotation about +Y that lowers the azimuth atan2(z, x) by `angle`."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def environment_of(name: str, panorama: np.ndarray) -> Environment:
    """Find the sun of a panorama (h, w, 3) and take the harmonics with and without it.

    The sun is what is brighter than a tenth of the peak within 7 degrees of it; in its place comes the median of the ring around.
    """
    directions, solid = panorama_directions(*panorama.shape[:2])
    brightness = panorama.astype(float) @ LUMINANCE
    peak = directions[np.unravel_index(int(brightness.argmax()), brightness.shape)]
    angle = np.arccos(np.clip(directions @ peak, -1, 1))
    spot = (angle < _SUN_RADIUS) & (brightness > brightness.max() / 10)
    ring = np.median(panorama[(angle >= _SUN_RADIUS) & (angle < 2 * _SUN_RADIUS)], axis=0)
    weights = (solid * spot)[..., None] * np.maximum(panorama - ring, 0)
    light = weights.sum((0, 1))
    whole = project(panorama)
    facing = float(harmonics(peak) @ irradiance(whole) @ LUMINANCE)
    direction = np.einsum("hwc,hwd->d", weights, directions)
    if float(light @ LUMINANCE) < _SUN_SHARE * facing or peak[1] <= 0.02:
        return Environment(name, panorama, whole, whole, None, np.zeros(3))
    return Environment(
        name,
        panorama,
        whole,
        project(np.where(spot[..., None], np.minimum(panorama, ring), panorama)),
        direction / np.linalg.norm(direction),
        light,
    )


def load_environments(folder: Path) -> tuple[Environment, ...]:
    """The panoramas `*.hdr` (equirectangular, linear) of a folder, by name."""
    files = sorted(folder.glob("*.hdr"))
    if not files:
        raise CarveError(f"There are no panoramas (*.hdr) in {folder}; point --assets at the asset pack.")
    return tuple(_load_environment(file) for file in files)


def _load_environment(file: Path) -> Environment:
    with fence(f"The panorama {file}", "replace it"):
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.dtype != np.float32:
        raise CarveError(f"The panorama {file} is no Radiance HDR picture that OpenCV can read; replace it.")
    return environment_of(file.stem, np.ascontiguousarray(image[..., ::-1]))


def seen(environment: Environment, camera_from_world: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W, 3) float32 radiance of a panorama as `camera` sees it."""
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.rays(np.stack([u, v], -1)) @ camera_from_world
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    height, width = environment.panorama.shape[:2]
    columns = np.arctan2(rays[..., 2], rays[..., 0]) / (2 * np.pi) % 1.0 * width - 0.5
    rows = np.arccos(np.clip(rays[..., 1], -1, 1)) / np.pi * height - 0.5
    picture = cv2.remap(
        environment.panorama, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    return np.asarray(picture)
