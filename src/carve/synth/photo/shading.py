"""Light on the surface of a stored view: harmonics of order 2 for the surroundings, keys with their shadows, gloss and sheen.

Light is added up in linear RGB with 1 for the white of a developed picture; colours are premultiplied by coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from carve.geometry.compiled import compiled
from carve.synth.photo.lighting import Lighting, irradiance
from carve.synth.photo.transfer import to_linear
from carve.synth.records import PARTS, View

_SKIN = PARTS.index("skin")
_GLOSS = {
    "skin": (0.7, 18.0, 0.3, 0.0),
    "hair": (0.9, 35.0, 0.3, 0.0),
    "eyes": (2.0, 300.0, 0.9, 0.0),
    "shoes": (0.9, 40.0, 0.35, 0.0),
    "accessory": (1.0, 60.0, 0.5, 0.0),
    "glasses": (1.5, 90.0, 0.7, 0.0),
    "bag": (0.9, 35.0, 0.3, 0.0),
}
"""Strength against a dielectric's 4 %, Blinn-Phong exponent, share of Fresnel's rise at grazing angles, sheen."""
_CLOTHS = (
    (0.56, (0.3, 8.0, 0.05, 0.05)),  # cotton, jersey, denim
    (0.14, (0.7, 14.0, 0.1, 0.03)),  # smooth weaves
    (0.12, (0.1, 6.0, 0.0, 0.35)),  # wool and fleece: fibres that stand up are lit from the side
    (0.08, (3.2, 26.0, 0.4, 0.0)),  # satin and silk
    (0.05, (1.6, 38.0, 0.4, 0.0)),  # leather
    (0.03, (1.4, 18.0, 0.3, 0.0)),  # coated nylon
    (0.02, (0.1, 6.0, 0.0, 0.9)),  # velvet
)
"""How often cloth is of each kind, and its gloss."""
_SOFT = ("top", "bottom", "dress", "suit", "coat", "scarf")
_WRAP = (0.25, 0.12, 0.08)
"""How far light creeps around skin, red, green, blue, as a cosine."""
_DEEPER = (1.1, 2.2)
"""Powers of the stored occlusion: between the corners of a mesh folds are sharper and darker than what rays from its corners find."""


@dataclass(frozen=True)
class Foreground:
    """The lit person, before exposure."""

    colour: np.ndarray
    """(H, W, 4) float32 linear RGB premultiplied by coverage, and coverage 0..1."""
    white: np.ndarray
    """(3,) radiance that a white card would have on average where the person is."""


@compiled(nogil=True, fastmath=True)
def _harmonic_sum(k: np.ndarray, c: int, x: float, y: float, z: float) -> float:
    """Sum of harmonics whose constants are in the coefficients k (9, 3)."""
    first = k[0, c] + k[1, c] * y + k[2, c] * z + k[3, c] * x
    return first + k[4, c] * x * y + k[5, c] * y * z + k[6, c] * (3 * z * z - 1) + k[7, c] * x * z + k[8, c] * (x * x - y * y)


@compiled(nogil=True, fastmath=True)
def _shade(
    albedo: np.ndarray,
    coverage: np.ndarray,
    normal: np.ndarray,
    bent: np.ndarray,
    occlusion: np.ndarray,
    part: np.ndarray,
    sun_free: np.ndarray,
    linear: np.ndarray,
    diffuse: np.ndarray,
    radiance: np.ndarray,
    keys: np.ndarray,
    toward: np.ndarray,
    key_colour: np.ndarray,
    spread: np.ndarray,
    gloss: np.ndarray,
    wrap: np.ndarray,
    optics: np.ndarray,
    box: tuple[int, int, int, int],
    out: np.ndarray,
    white: np.ndarray,
) -> None:
    """Fill `out` (H, W, 4) and the sum of irradiance / pi and coverage `white` (4,).

    `keys` (K,) are indices into `sun_free` or -1, `toward` (K, 3) and `key_colour` (K, 3) directions and irradiances, `spread` (K,)
    sines of angular radii.
    """
    direct, shine = np.zeros(3, np.float32), np.zeros(3, np.float32)
    one = np.float32(1.0)
    byte = np.float32(1.0 / 127.5)
    inverse_pi = np.float32(1 / np.pi)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            if coverage[i, j] == 0:
                continue
            alpha = np.float32(coverage[i, j]) * np.float32(1 / 255)
            nx, ny, nz = normal[i, j, 0] * byte - one, normal[i, j, 1] * byte - one, normal[i, j, 2] * byte - one
            length = one / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-9))
            nx, ny, nz = nx * length, ny * length, nz * length
            ao = np.float32(occlusion[i, j]) * np.float32(1 / 255)
            # Where little of the hemisphere is free, light comes from there and not from along the normal.
            bx = nx * ao + (bent[i, j, 0] * byte - one) * (one - ao)
            by = ny * ao + (bent[i, j, 1] * byte - one) * (one - ao)
            bz = nz * ao + (bent[i, j, 2] * byte - one) * (one - ao)
            length = one / np.sqrt(bx * bx + by * by + bz * bz + np.float32(1e-9))
            bx, by, bz = bx * length, by * length, bz * length
            vx, vy = -(j + np.float32(0.5) - optics[1]) / optics[0], -(optics[2] - i - np.float32(0.5)) / optics[0]
            length = one / np.sqrt(vx * vx + vy * vy + one)
            vx, vy, vz = vx * length, vy * length, length
            p = part[i, j]
            nv = max(nx * vx + ny * vy + nz * vz, np.float32(0.0))
            fresnel = gloss[p, 0] * (np.float32(0.04) + gloss[p, 2] * (one - nv) ** 5)
            rx, ry, rz = 2 * nv * nx - vx, 2 * nv * ny - vy, 2 * nv * nz - vz
            direct[:], shine[:] = np.float32(0.0), np.float32(0.0)
            for k in range(len(keys)):
                free = one if keys[k] < 0 else np.float32(sun_free[i, j, keys[k]]) * np.float32(1 / 255)
                nl = nx * toward[k, 0] + ny * toward[k, 1] + nz * toward[k, 2]
                s = spread[k]
                if free <= 0 or nl <= -one:
                    continue
                # Of a disc that the horizon cuts, what is above it gives about this much.
                above = nl if nl >= s else (nl + s) * (nl + s) / (4 * s) if nl > -s else np.float32(0.0)
                for c in range(3):
                    w = wrap[p, c]
                    if w > 0:
                        w = max(w, np.float32(0.5) * s)
                        direct[c] += max(nl + w, np.float32(0.0)) / ((one + w) * (one + w)) * free * key_colour[k, c]
                    else:
                        direct[c] += above * free * key_colour[k, c]
                if nl > 0:
                    hx, hy, hz = vx + toward[k, 0], vy + toward[k, 1], vz + toward[k, 2]
                    nh = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-9))
                    if nh > np.float32(0.5):
                        # A large light's highlight is as much wider.
                        e = gloss[p, 1] / (one + np.float32(0.25) * gloss[p, 1] * s * s)
                        lobe = (e + 8) * np.float32(1 / (8 * np.pi)) * np.exp(e * np.log(nh)) * nl * free * fresnel
                        for c in range(3):
                            shine[c] += lobe * key_colour[k, c]
            fuzz = gloss[p, 3] * (one - nv) ** 2
            for c in range(3):
                a = linear[albedo[i, j, c]]
                # Light that is thrown to and fro in a fold (Jimenez et al., "Practical real-time strategies for accurate indirect
                # occlusion", 2016): white cloth is less dark there than black cloth.
                open_share = max(
                    ao,
                    ((ao * (np.float32(2.0404) * a - np.float32(0.3324)) + np.float32(0.6417) - np.float32(4.7951) * a) * ao) * ao
                    + (np.float32(2.7552) * a + np.float32(0.6903)) * ao,
                )
                # Order 2 undershoots opposite to a strong light.
                around = max(_harmonic_sum(diffuse, c, bx, by, bz), np.float32(0.08) * diffuse[0, c]) * open_share
                e = (around + direct[c]) * inverse_pi
                mirrored = max(_harmonic_sum(radiance, c, rx, ry, rz), np.float32(0.0)) * ao * fresnel
                out[i, j, c] = alpha * ((a + fuzz * np.sqrt(a)) * e + mirrored + shine[c])
                white[c] += alpha * e
            out[i, j, 3] = alpha
            white[3] += alpha


def shade(view: View, albedo: np.ndarray, lighting: Lighting, rng: np.random.Generator) -> Foreground:
    """Light a view with colours `albedo` (H, W, 3) uint8 sRGB; `rng` varies how glossy the parts are."""
    constants = _constants()
    gloss = _materials(rng)
    deeper = (255 * (np.arange(256) / 255) ** rng.uniform(*_DEEPER) + 0.5).astype(np.uint8)
    wrap = np.zeros((len(PARTS), 3), np.float32)
    wrap[_SKIN] = _WRAP
    camera = view.camera
    colour = np.zeros((*view.coverage.shape, 4), np.float32)
    white = np.zeros(4)
    _shade(
        albedo,
        view.coverage,
        view.normal,
        view.bent,
        deeper[view.occlusion],
        view.part,
        view.sun_free,
        to_linear(),
        (irradiance(lighting.radiance) * constants).astype(np.float32),
        (lighting.radiance * constants).astype(np.float32),
        np.array([key.sun for key in lighting.keys], np.int64),
        np.array([key.direction for key in lighting.keys], np.float32).reshape(-1, 3),
        np.array([key.irradiance for key in lighting.keys], np.float32).reshape(-1, 3),
        np.sin([key.radius for key in lighting.keys]).astype(np.float32),
        gloss,
        wrap,
        np.array([camera.focal, camera.cx, camera.cy], np.float32),
        cv2.boundingRect(view.coverage),
        colour,
        white,
    )
    return Foreground(colour, white[:3] / max(white[3], 1e-9))


def _materials(rng: np.random.Generator) -> np.ndarray:
    """(len(PARTS), 4) float32 gloss of each part: of a random kind of cloth where it is cloth, more or less of it."""
    kinds = rng.choice(len(_CLOTHS), len(PARTS), p=[chance for chance, _ in _CLOTHS])
    gloss = np.array([_CLOTHS[k][1] if name in _SOFT else _GLOSS.get(name, _CLOTHS[0][1]) for name, k in zip(PARTS, kinds, strict=True)])
    gloss[:, 0] *= rng.uniform(0.3, 1.3, len(PARTS))
    gloss[:, 1] *= rng.uniform(0.7, 1.6, len(PARTS))
    gloss[:, 3] *= rng.uniform(0.3, 1.5, len(PARTS))
    return gloss.astype(np.float32)


@cache
def _constants() -> np.ndarray:
    """(9, 1) the numbers before the polynomials of `harmonics`."""
    a, b, c = np.sqrt(1 / (4 * np.pi)), np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi))
    return np.array([a, b, b, b, c, c, c / np.sqrt(12), c, c / 2])[:, None]
