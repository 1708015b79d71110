"""A training sample drawn from a stored view: new clothes' colours, light, framing, background and camera, and the truth moved with them.

Notation: p = (u, v) pixels of the stored view, p' those of the sample, k its scale; a motion mirrors the picture by F = diag(-1, 1) or not
and turns it counter-clockwise by the angle a,
    p' = A (p - centre) + centre' + shift,    A = k [[cos a, sin a], [-sin a, cos a]] F,
which v pointing down makes counter-clockwise. Vectors of the camera frame (y up) turn with [[cos a, -sin a], [sin a, cos a]] F in x and y.
Any such motion is a camera of its own: the principal point moves with the pixels, the focal length becomes k f, z stays.

Light is added up in linear RGB with 1 for the white of a developed picture; colours are premultiplied by coverage until the background
comes.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numba
import numpy as np

from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.records import CarveError
from carve.synth.lighting import LUMINANCE, Environment, Lighting, draw_lighting, irradiance, load_environments, seen
from carve.synth.records import PARTS, View

Field = Literal[
    "normal_front",
    "normal_back",
    "normal_left",
    "normal_right",
    "body_normal_front",
    "body_normal_back",
    "depth",
    "part",
    "region",
]
FIELDS: tuple[Field, ...] = get_args(Field)
_STORED = {
    "normal_front": "normal",
    "normal_back": "normal_back",
    "normal_left": "normal_left",
    "normal_right": "normal_right",
    "body_normal_front": "body_normal",
    "body_normal_back": "body_normal_back",
    "depth": "depth",
    "part": "part",
    "region": "region",
}
"""Field -> the member of View that holds it."""
_OTHER_SIDE = {"normal_left": "normal_right", "normal_right": "normal_left"}
_SHADING = ("albedo", "coverage", "normal", "depth", "occlusion", "bent", "sun_free", "part")

_CLOTHES = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat", "shoes", "hat"))
_PRINTABLE = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat"))
_SKIN, _HAIR = PARTS.index("skin"), PARTS.index("hair")

_GLOSS = {
    "skin": (0.7, 18.0, 0.3),
    "hair": (0.9, 35.0, 0.3),
    "eyes": (2.0, 300.0, 0.9),
    "shoes": (0.9, 40.0, 0.35),
    "accessory": (1.0, 60.0, 0.5),
}
_CLOTH = (0.3, 8.0, 0.05)
"""Strength against a dielectric's 4 %, Blinn-Phong exponent, share of Fresnel's rise at grazing angles."""
_WRAP = (0.25, 0.12, 0.08)
"""How far light creeps around skin, red, green, blue, as a cosine."""


@dataclass(frozen=True)
class Scenery:
    """What stands around the person."""

    environments: tuple[Environment, ...]
    backgrounds: tuple[np.ndarray, ...]
    """(h, w, 3) uint8 sRGB pictures."""
    places: tuple[str, ...]
    """The name of each background's file without its ending; it begins with that of the panorama it was cut from, if any."""


@dataclass(frozen=True)
class Foreground:
    """The lit person, before exposure."""

    colour: np.ndarray
    """(H, W, 4) float32 linear RGB premultiplied by coverage, and coverage 0..1."""
    white: np.ndarray
    """(3,) radiance that a white card would have on average where the person is."""


@dataclass(frozen=True)
class Motion:
    """How the picture is mirrored, turned, scaled and shifted, in this order, about its centre."""

    flip: bool = False
    angle: float = 0.0
    """Radians, counter-clockwise as one looks at the picture."""
    scale: float = 1.0
    """1 keeps the whole view."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Along u and v, in sides of the picture."""

    def matrix(self, view: Camera, size: int) -> np.ndarray:
        """(2, 3) from pixels of the view to pixels of a sample of size x size."""
        k = self.scale * size / max(view.width, view.height)
        c, s = np.cos(self.angle), np.sin(self.angle)
        linear = k * np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if self.flip else 1.0, 1.0])
        centre = np.array([view.width / 2, view.height / 2])
        return np.column_stack([linear, size * (0.5 + np.array(self.shift)) - linear @ centre])

    @property
    def turn(self) -> np.ndarray:
        """(3, 3) what it does to vectors of the camera frame."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ np.diag([-1.0 if self.flip else 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Truth:
    """What is known of the pixels of a sample, S x S. All zero outside the mask unless a field says otherwise."""

    camera: Camera
    up: np.ndarray
    """(3,) against gravity, camera frame."""
    coverage: np.ndarray
    """(S, S) float32 share of the pixel that the person covers, what stands in front of them not counted."""
    mask: np.ndarray
    """(S, S) bool: coverage of at least a half."""
    normals: dict[str, np.ndarray]
    """Field -> (3, S, S) float32 unit vectors, camera frame; those of the body are zero outside the body, those of the sides have outlines
    of their own."""
    depth: np.ndarray | None
    """(S, S) float32 metres along the viewing axis."""
    part: np.ndarray | None
    """(S, S) uint8 index into PARTS."""
    region: np.ndarray | None
    """(S, S) uint8, 1 + index into REGIONS."""
    landmarks: np.ndarray
    """(L, 4) float64 u, v in pixels of the sample, distance in metres, 1 where the point is seen."""


@dataclass(frozen=True)
class Photograph:
    """A finished sample."""

    image: np.ndarray
    """(S, S, 3) uint8 sRGB."""
    visible: np.ndarray
    """(S, S) bool: the mask without what stands in front of the person."""
    truth: Truth


def load_scenery(assets: Path) -> Scenery:
    """Panoramas of `assets`/hdri and pictures of `assets`/backgrounds (*.jpg)."""
    files = sorted((assets / "backgrounds").glob("*.jpg"))
    if not files:
        raise CarveError(f"There are no backgrounds (*.jpg) in {assets / 'backgrounds'}; point --assets at the asset pack.")
    return Scenery(load_environments(assets / "hdri"), tuple(_load_background(file) for file in files), tuple(file.stem for file in files))


def _load_background(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise CarveError(f"The background {file} cannot be decoded; replace it.")
    return np.asarray(picture)


def view_fields(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """The members of View that a photograph with these fields needs, both sides where one is asked for (a flip swaps them)."""
    wanted = [_STORED[field] for field in (*fields, *(_OTHER_SIDE[f] for f in fields if f in _OTHER_SIDE))]
    return tuple(dict.fromkeys((*_SHADING, *wanted)))


def photograph(
    view: View,
    names: tuple[str, ...],
    scenery: Scenery,
    rng: np.random.Generator,
    size: int = 512,
    fields: tuple[Field, ...] = FIELDS,
    augmented: bool = True,
) -> Photograph:
    """Draw a sample of size x size pixels from a view; equal generators give equal samples.

    `names` (L) are those of the view's landmarks. Without `augmented` the framing is the view's own and nothing stands in front.
    """
    lighting = draw_lighting(scenery.environments, view.sun_directions, view.up, rng)
    foreground = shade(view, repaint(view, rng), lighting, rng)
    motion = draw_motion(view, rng) if augmented else Motion()
    truth = augment(view, names, motion, size, fields)
    gain = _exposure(foreground.white, rng)
    behind = draw_background(scenery, lighting, truth, motion, gain, rng)
    _contact_shadow(behind, truth.coverage, rng)
    picture = np.empty((size, size, 3), np.float32)
    _compose(_moved_colour(foreground.colour, motion.matrix(view.camera, size), size), behind, gain, picture)
    cover = _occlude(picture, scenery, truth.mask, rng) if augmented and rng.random() < 0.1 else None
    visible = truth.mask if cover is None else truth.mask & (cover < 0.5)
    if cover is not None:
        _hide(truth.landmarks, cover)
    return Photograph(develop(picture, rng), visible, truth)


# Colours of clothes.


@cache
def _to_linear() -> np.ndarray:
    """(256,) float32 linear value of each sRGB code (IEC 61966-2-1)."""
    x = np.arange(256) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Linear values 0..1 to sRGB 0..1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


@cache
def _from_linear() -> np.ndarray:
    """(4096,) uint8 sRGB code of linear values 0..1 at the squares of 0..1."""
    return np.round(255 * srgb(np.linspace(0, 1, 4096) ** 2)).astype(np.uint8)


def repaint(view: View, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 albedo of a view with some garments shifted in colour, dyed or printed; hair and skin vary a little.

    Prints are flat: nothing but the albedo changes, so that a network learns that contrast is no relief.
    """
    left, top, width, height = cv2.boundingRect(view.coverage)
    box = np.s_[top : top + height, left : left + width]
    part = view.part[box]
    counts = np.bincount(part.ravel(), minlength=len(PARTS))
    albedo = view.albedo.copy()
    for index in (*_CLOTHES, _HAIR, _SKIN):
        chance = rng.random()
        if counts[index] < 150 or chance > (0.35 if index in _CLOTHES else 0.4):
            continue
        chosen = part == index
        colours = albedo[box][chosen]
        if index in _CLOTHES:
            kind = rng.random()
            if index in _PRINTABLE and kind < 0.55:
                colours = _printed(colours, _surface_coordinates(view, box, chosen), rng)
            else:
                colours = _dyed(colours, _cloth_colour(rng), rng) if kind < 0.8 else _shifted(colours, 1.0, rng)
        else:
            colours = _shifted(colours, 0.08 if index == _HAIR else 0.02, rng)
        albedo[box][chosen] = colours
    return albedo


def _cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) sRGB 0..255; a third are the greys, navies and beiges that people wear."""
    if rng.random() < 0.35:
        base = np.array(
            [[235, 235, 232], [28, 28, 30], [120, 120, 122], [35, 42, 70], [196, 178, 148], [82, 66, 52]][int(rng.integers(6))], float
        )
        return np.clip(base * rng.uniform(0.8, 1.1), 12, 245)
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.15, 0.9)))


def _shifted(colours: np.ndarray, hue: float, rng: np.random.Generator) -> np.ndarray:
    """Colours (N, 3) turned in hue by up to `hue` half circles, with other saturation, value and contrast."""
    hsv = cv2.cvtColor(colours[:, None], cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + 90 * hue * rng.uniform(-1, 1)) % 180
    hsv[..., 1:] *= rng.uniform([0.75, 0.75], [1.2, 1.2])
    value = hsv[..., 2]
    hsv[..., 2] = value.mean() + (value - value.mean()) * rng.uniform(0.7, 1.4)
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, [179, 255, 245]).astype(np.uint8), cv2.COLOR_HSV2RGB)[:, 0])


def _texture(colours: np.ndarray) -> np.ndarray:
    """(N, 1) brightness of sRGB colours (N, 3) against their mean: weave, seams and dirt."""
    grey = colours @ LUMINANCE.astype(np.float32)
    return np.clip(grey / max(float(grey.mean()), 4.0), 0.4, 1.7)[:, None]


def _dyed(colours: np.ndarray, dye: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dye, the texture kept."""
    return np.clip(dye * _texture(colours) ** rng.uniform(0.5, 1.1), 4, 248).astype(np.uint8)


@dataclass(frozen=True)
class _Patch:
    """Where the pixels of a garment lie on a plane through it."""

    u: np.ndarray
    """(N,) float32 metres."""
    v: np.ndarray
    metres_a_pixel: float


def _surface_coordinates(view: View, box: tuple[slice, slice], chosen: np.ndarray) -> _Patch:
    """Positions of the chosen pixels of a box, metres, about their middle."""
    rows, columns = (axis.astype(np.float32) for axis in np.nonzero(chosen))
    near, far = view.depth_range
    z = near + (view.depth[box][chosen].astype(np.float32) - 1) * np.float32((far - near) / 65534)
    focal, cx, cy = (np.float32(n) for n in (view.camera.focal, view.camera.cx, view.camera.cy))
    x = (columns + box[1].start + np.float32(0.5) - cx) * z / focal
    y = (cy - rows - box[0].start - np.float32(0.5)) * z / focal
    x, y, z = x - x.mean(), y - y.mean(), z - z.mean()
    # A slanted cut through the solid pattern: prints follow folds a little instead of lying flat in the picture.
    return _Patch(x + np.float32(0.45) * z, y - np.float32(0.3) * z, (near + far) / 2 / float(focal))


def _printed(colours: np.ndarray, patch: _Patch, rng: np.random.Generator) -> np.ndarray:
    """A print over colours (N, 3): a tile that repeats or one motif, drawn at the picture's own scale."""
    kind = int(rng.integers(6))
    fresh = _cloth_colour(rng)
    base = colours if rng.random() < 0.5 else _dyed(colours, _cloth_colour(rng), rng)
    tile, metres = _TILES[kind](fresh, rng)
    metres = max(metres, 14 * patch.metres_a_pixel)
    across = int(np.clip(round(metres / patch.metres_a_pixel), 14, 256))
    tile = cv2.resize(tile, (across, across), interpolation=cv2.INTER_AREA)
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)]) if kind < 3 else rng.uniform(-0.3, 0.3)
    c, s = np.float32(np.cos(angle) / metres * across), np.float32(np.sin(angle) / metres * across)
    single = kind >= 4 and rng.random() < 0.6
    phase = across / 2 + (rng.uniform(-0.3, 0.3, 2) if single else rng.uniform(0, 1, 2)) * across
    u = c * patch.u - s * patch.v + np.float32(phase[0])
    v = -s * patch.u - c * patch.v + np.float32(phase[1])
    border = cv2.BORDER_CONSTANT if single else cv2.BORDER_WRAP
    ink = _looked_up(tile, u, v, border).astype(np.float32)
    alpha = ink[:, 3:] / 255
    texture = 1 + 0.6 * (_texture(base) - 1)
    return np.clip(base * (1 - alpha) + ink[:, :3] * texture * alpha, 3, 250).astype(np.uint8)


def _looked_up(tile: np.ndarray, u: np.ndarray, v: np.ndarray, border: int) -> np.ndarray:
    """(N, 4) tile (T, T, 4) at pixels (N,), (N,); as rows of 1024, since OpenCV's maps have at most 32767 columns."""
    count = -(-len(u) // 1024) * 1024
    x, y = (np.resize(a - np.float32(0.5), count).reshape(-1, 1024) for a in (u, v))
    return np.asarray(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=(0, 0, 0, 0))).reshape(-1, 4)[: len(u)]


_TILE = 256


def _blank(colour: np.ndarray, alpha: int) -> np.ndarray:
    return np.tile(np.array([*colour, alpha], np.float32).astype(np.uint8), (_TILE, _TILE, 1))


def _ink(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A colour for OpenCV's drawing functions, opaque."""
    r, g, b = (int(c) for c in _cloth_colour(rng))
    return r, g, b, 255


def _stripes(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile, at = _blank(colour, 0), 0
    count = int(rng.integers(1, 4))
    for k in range(count):
        width = int(_TILE / count * rng.uniform(0.15, 0.7))
        tile[:, at : at + width] = _blank(colour, 255)[0, 0] if k == 0 else _ink(rng)
        at += _TILE // count
    return tile, float(np.exp(rng.uniform(np.log(0.015), np.log(0.12)))) * count


def _checks(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile, wide = _blank(colour, 0), int(_TILE * rng.uniform(0.25, 0.6))
    soft = int(rng.choice([120, 150, 255]))
    tile[:wide, :, 3] = soft
    tile[:, :wide, 3] = soft
    tile[:wide, :wide, 3] = 255 if soft < 255 else 0
    if rng.random() < 0.5:
        thin = _ink(rng)
        at = (wide + _TILE) // 2
        tile[at : at + 10] = thin
        tile[:, at : at + 10] = thin
    return tile, float(np.exp(rng.uniform(np.log(0.012), np.log(0.2))))


def _dots(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile, radius = _blank(colour, 0), int(_TILE * rng.uniform(0.08, 0.24))
    for x, y in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)):
        cv2.circle(tile, (int(x * _TILE), int(y * _TILE)), radius, (*(int(c) for c in colour), 255), -1, cv2.LINE_AA)
    return tile, float(np.exp(rng.uniform(np.log(0.015), np.log(0.2))))


def _camouflage(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile = _blank(colour, 255)
    for k in range(int(rng.integers(2, 5))):
        noise = cv2.GaussianBlur(np.tile(rng.standard_normal((48, 48)).astype(np.float32), (3, 3)), (0, 0), rng.uniform(1.5, 4))[
            48:96, 48:96
        ]
        large = cv2.resize(np.tile(noise, (3, 3)), (3 * _TILE, 3 * _TILE), interpolation=cv2.INTER_CUBIC)[
            _TILE : 2 * _TILE, _TILE : 2 * _TILE
        ]
        tile[large > np.quantile(noise, rng.uniform(0.5, 0.75))] = _blank(colour, 0)[0, 0] if k == 0 else _ink(rng)
    return tile, rng.uniform(0.12, 0.7)


def _letters(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile, ink = _blank(colour, 0), (*(int(c) for c in colour), 255)
    signs = "".join(chr(int(c)) for c in rng.integers(33, 91, int(rng.integers(1, 6))))
    font, thick = int(rng.integers(0, 8)), int(rng.integers(4, 22))
    (width, height), _ = cv2.getTextSize(signs, font, 1.0, 1)
    size = 0.85 * _TILE / max(width, height)
    cv2.putText(tile, signs, (int((_TILE - width * size) / 2), int((_TILE + height * size) / 2)), font, size, ink, thick, cv2.LINE_AA)
    return tile, rng.uniform(0.06, 0.4)


def _blobs(colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    tile = _blank(colour, 0)
    for k in range(int(rng.integers(1, 6))):
        ink = (*(int(c) for c in colour), 255) if k == 0 else _ink(rng)
        middle, reach = rng.uniform(0.35, 0.65, 2) * _TILE, rng.uniform(0.1, 0.32) * _TILE
        if rng.random() < 0.5:
            cv2.ellipse(tile, (tuple(middle), tuple(reach * rng.uniform(0.5, 1.8, 2)), rng.uniform(0, 180)), ink, -1, cv2.LINE_AA)
            continue
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = middle + reach * rng.uniform(0.5, 1, (corners, 1)) * np.column_stack([np.cos(angles), np.sin(angles)])
        cv2.fillPoly(tile, [points.astype(np.int32)], ink, cv2.LINE_AA)
    return tile, rng.uniform(0.05, 0.4)


_TILES = (_stripes, _checks, _dots, _camouflage, _letters, _blobs)
"""Makers of a tile (T, T, 4) uint8 sRGB and opacity, and its side in metres, from one colour (3,)."""


# Light on the person.


@numba.njit(cache=True, nogil=True, fastmath=True)
def _harmonic_sum(k: np.ndarray, c: int, x: float, y: float, z: float) -> float:
    """Sum of harmonics whose constants are in the coefficients k (9, 3)."""
    first = k[0, c] + k[1, c] * y + k[2, c] * z + k[3, c] * x
    return first + k[4, c] * x * y + k[5, c] * y * z + k[6, c] * (3 * z * z - 1) + k[7, c] * x * z + k[8, c] * (x * x - y * y)


@numba.njit(cache=True, nogil=True, fastmath=True)
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
    sun: int,
    toward: np.ndarray,
    sun_colour: np.ndarray,
    gloss: np.ndarray,
    wrap: np.ndarray,
    optics: np.ndarray,
    box: tuple[int, int, int, int],
    out: np.ndarray,
    white: np.ndarray,
) -> None:
    """Fill `out` (H, W, 4) and the sum of irradiance / pi and coverage `white` (4,)."""
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
            nl, lobe, free = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            if sun >= 0:
                nl = nx * toward[0] + ny * toward[1] + nz * toward[2]
                free = np.float32(sun_free[i, j, sun]) * np.float32(1 / 255)
                if nl > 0 and free > 0:
                    hx, hy, hz = vx + toward[0], vy + toward[1], vz + toward[2]
                    nh = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-9))
                    if nh > np.float32(0.5):
                        lobe = (gloss[p, 1] + 8) * np.float32(1 / (8 * np.pi)) * np.exp(gloss[p, 1] * np.log(nh)) * nl * free * fresnel
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
                w = wrap[p, c]
                direct = max(nl + w, np.float32(0.0)) / ((one + w) * (one + w)) * free * sun_colour[c]
                e = (around + direct) * inverse_pi
                mirrored = max(_harmonic_sum(radiance, c, rx, ry, rz), np.float32(0.0)) * ao * fresnel
                out[i, j, c] = alpha * (a * e + mirrored + lobe * sun_colour[c])
                white[c] += alpha * e
            out[i, j, 3] = alpha
            white[3] += alpha


def shade(view: View, albedo: np.ndarray, lighting: Lighting, rng: np.random.Generator) -> Foreground:
    """Light a view with colours `albedo` (H, W, 3) uint8 sRGB; `rng` varies how glossy the parts are."""
    constants = _constants()
    gloss = np.array([_GLOSS.get(name, _CLOTH) for name in PARTS], np.float32)
    gloss[:, 0] *= rng.uniform(0.2, 1.3, len(PARTS))
    gloss[:, 1] *= rng.uniform(0.7, 1.6, len(PARTS))
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
        view.occlusion,
        view.part,
        view.sun_free,
        _to_linear(),
        (irradiance(lighting.radiance) * constants).astype(np.float32),
        (lighting.radiance * constants).astype(np.float32),
        lighting.sun,
        lighting.sun_direction.astype(np.float32),
        lighting.sun_irradiance.astype(np.float32),
        gloss,
        wrap,
        np.array([camera.focal, camera.cx, camera.cy], np.float32),
        cv2.boundingRect(view.coverage),
        colour,
        white,
    )
    return Foreground(colour, white[:3] / max(white[3], 1e-9))


@cache
def _constants() -> np.ndarray:
    """(9, 1) the numbers before the polynomials of `harmonics`."""
    a, b, c = np.sqrt(1 / (4 * np.pi)), np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi))
    return np.array([a, b, b, b, c, c, c / np.sqrt(12), c, c / 2])[:, None]


# Moving picture and truth.


def draw_motion(view: View, rng: np.random.Generator) -> Motion:
    """Mostly the whole person, a little larger or smaller, level or tilted; one in five a window of them."""
    flip = bool(rng.random() < 0.5)
    angle = float(rng.normal(0, np.radians(6))) if rng.random() < 0.5 else 0.0
    size = max(view.camera.width, view.camera.height)
    left, top, width, height = cv2.boundingRect(view.coverage)
    if rng.random() < 0.2:
        scale = rng.uniform(1.3, 2.6)
        middle = np.array([left + width * rng.uniform(0.3, 0.7), top + height * rng.uniform(0.1, 0.8)])
    else:
        scale = rng.uniform(0.78, 1.08)
        middle = np.array([left + width / 2, top + height / 2])
    framed = Motion(flip, angle, scale)
    away = framed.matrix(view.camera, size)[:, :2] @ (middle - size / 2) / size
    loose = max(0.02, (1 - scale * max(width, height) / size) / 2)
    shift = rng.uniform(-loose, loose, 2) - away
    return Motion(flip, angle, scale, (float(shift[0]), float(shift[1])))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _move_labels(
    coverage: np.ndarray,
    depth: np.ndarray,
    part: np.ndarray,
    region: np.ndarray,
    other: np.ndarray,
    inverse: np.ndarray,
    box: tuple[int, int, int, int],
    near: float,
    step: float,
    out_coverage: np.ndarray,
    out_depth: np.ndarray,
    out_part: np.ndarray,
    out_region: np.ndarray,
) -> None:
    """Coverage by bilinear lookup; labels from the nearest pixel that has one; depth by bilinear lookup unless it jumps, then nearest."""
    height, width = coverage.shape
    jump = 0.03 / step
    weights = np.zeros(4)
    rows, columns = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            u = inverse[0, 0] * j + inverse[0, 1] * i + inverse[0, 2]
            v = inverse[1, 0] * j + inverse[1, 1] * i + inverse[1, 2]
            x, y = int(np.floor(u)), int(np.floor(v))
            a, b = u - x, v - y
            weights[0], weights[1], weights[2], weights[3] = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
            total = 0.0
            for t in range(4):
                columns[t], rows[t] = x + t % 2, y + t // 2
                if columns[t] < 0 or columns[t] >= width or rows[t] < 0 or rows[t] >= height:
                    weights[t] = 0.0
                    columns[t] = rows[t] = 0
                total += weights[t] * coverage[rows[t], columns[t]]
            out_coverage[i, j] = total / 255
            if out_coverage[i, j] < 0.5:
                continue
            if len(depth):
                low, high, mean, mass, best, nearest = 65536.0, 0.0, 0.0, 0.0, -1.0, 0.0
                for t in range(4):
                    d = float(depth[rows[t], columns[t]])
                    if weights[t] > 0 and d > 0:
                        low, high = min(low, d), max(high, d)
                        mean += weights[t] * d
                        mass += weights[t]
                        if weights[t] > best:
                            best, nearest = weights[t], d
                if mass > 0:
                    out_depth[i, j] = near + ((nearest if high - low > jump else mean / mass) - 1) * step
            best_part, best_region = 0.0, 0.0
            for t in range(4):
                r, c = rows[t], columns[t]
                if len(part) and weights[t] > best_part and part[r, c] > 0:
                    best_part = weights[t]
                    out_part[i, j] = part[r, c]
                if len(region) and weights[t] > best_region and region[r, c] > 0:
                    best_region = weights[t]
                    out_region[i, j] = other[region[r, c]]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _move_normals(
    source: np.ndarray,
    inverse: np.ndarray,
    turn: np.ndarray,
    box: tuple[int, int, int, int],
    mask: np.ndarray,
    least: float,
    out: np.ndarray,
) -> None:
    """Bilinear mean of the pixels (H, W, 3) that hold a normal, turned and of unit length, into `out` (3, S, S).

    Only where `mask` (S, S) is true and the pixels that hold one have a weight of at least `least`.
    """
    height, width = source.shape[:2]
    byte, one = np.float32(1 / 127.5), np.float32(1.0)
    for i in range(box[1], box[1] + box[3]):
        for j in range(box[0], box[0] + box[2]):
            if not mask[i, j]:
                continue
            u = inverse[0, 0] * j + inverse[0, 1] * i + inverse[0, 2]
            v = inverse[1, 0] * j + inverse[1, 1] * i + inverse[1, 2]
            x, y = int(np.floor(u)), int(np.floor(v))
            a, b = np.float32(u - x), np.float32(v - y)
            nx, ny, nz, mass = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for t in range(4):
                c, r = x + t % 2, y + t // 2
                if c < 0 or c >= width or r < 0 or r >= height:
                    continue
                sx, sy, sz = source[r, c, 0], source[r, c, 1], source[r, c, 2]
                if sx == 0 and sy == 0 and sz == 0:
                    continue
                w = (a if t % 2 else one - a) * (b if t // 2 else one - b)
                nx += w * (sx * byte - one)
                ny += w * (sy * byte - one)
                nz += w * (sz * byte - one)
                mass += w
            if mass <= least:
                continue
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if length < np.float32(1e-6):
                continue
            nx, ny, nz = nx / length, ny / length, nz / length
            out[0, i, j] = turn[0, 0] * nx + turn[0, 1] * ny
            out[1, i, j] = turn[1, 0] * nx + turn[1, 1] * ny
            out[2, i, j] = nz


def augment(view: View, names: tuple[str, ...], motion: Motion, size: int, fields: tuple[Field, ...] = FIELDS) -> Truth:
    """The truth of a view after `motion`, in a picture of size x size, and the camera that would see it so.

    A flip makes another person, whose left is the first one's right: landmarks (`names`, L), regions and the two side views change places.
    """
    matrix = motion.matrix(view.camera, size)
    inverse = _index_inverse(matrix)
    left, top, width, height = cv2.boundingRect(view.coverage)
    corners = (
        np.array([[left, top], [left + width, top], [left, top + height], [left + width, top + height]]) @ matrix[:, :2].T + matrix[:, 2]
    )
    low = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, low, size)
    box = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    coverage = np.zeros((size, size), np.float32)
    depth, part, region = np.zeros((size, size), np.float32), np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    none8, none16 = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.uint16)
    near, far = view.depth_range
    _move_labels(
        view.coverage,
        view.depth if "depth" in fields else none16,
        view.part if "part" in fields else none8,
        view.region if "region" in fields else none8,
        _other_regions() if motion.flip else np.arange(len(REGIONS) + 1, dtype=np.uint8),
        inverse,
        box,
        near,
        (far - near) / 65534,
        coverage,
        depth,
        part,
        region,
    )
    mask = coverage >= 0.5
    normals: dict[str, np.ndarray] = {}
    whole = np.ones((size, size), bool)
    for field in (f for f in fields if "normal" in f):
        out = np.zeros((3, size, size), np.float32)
        side = field in _OTHER_SIDE
        source = getattr(view, _STORED[_OTHER_SIDE[field] if side and motion.flip else field])
        # The front and the back are continued beyond the outline and end at the mask; the others end where they have no normals.
        least = 0.5 if side or field.startswith("body") else 0.0
        _move_normals(
            source, inverse, motion.turn.astype(np.float32), (0, 0, size, size) if side else box, whole if side else mask, least, out
        )
        normals[field] = out
    camera, k = view.camera, motion.scale * size / max(view.camera.width, view.camera.height)
    principal = matrix[:, :2] @ [camera.cx, camera.cy] + matrix[:, 2]
    return Truth(
        camera=Camera(size, size, camera.focal * k, float(principal[0]), float(principal[1])),
        up=motion.turn @ view.up,
        coverage=coverage,
        mask=mask,
        normals=normals,
        depth=depth if "depth" in fields else None,
        part=part if "part" in fields else None,
        region=region if "region" in fields else None,
        landmarks=_moved_landmarks(view.landmarks, names, motion.flip, matrix, size),
    )


def _index_inverse(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) from an index (column, row) of the sample to one of the view; `matrix` (2, 3) maps pixels the other way."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, linear @ (np.array([0.5, 0.5]) - matrix[:, 2]) - 0.5])


def _moved_colour(colour: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 4) colour (H, W, 4) in the sample's pixels."""
    inverse = _index_inverse(matrix)
    if colour.shape[:2] == (size, size) and np.array_equal(inverse, np.eye(2, 3)):
        return colour
    return np.asarray(cv2.warpAffine(colour, inverse, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def other_side(name: str) -> str:
    """The name with left and right exchanged, as a word between underscores or before a capital (`left_hip`, `bone:leftHand`)."""
    return re.sub(r"(?<![a-z])(left|right)(?![a-z])", lambda side: "right" if side[0] == "left" else "left", name)


@cache
def _other_regions() -> np.ndarray:
    """(R + 1,) region values with left and right exchanged."""
    return np.array([0, *(1 + REGIONS.index(other_side(name)) for name in REGIONS)], np.uint8)


def _moved_landmarks(landmarks: np.ndarray, names: tuple[str, ...], flip: bool, matrix: np.ndarray, size: int) -> np.ndarray:
    moved = np.array(landmarks, float)
    if flip:
        moved = moved[[names.index(other_side(name)) for name in names]]
    moved[:, :2] = moved[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    moved[:, 3] *= ((moved[:, :2] >= 0) & (moved[:, :2] < size)).all(1)
    return moved


def _hide(landmarks: np.ndarray, cover: np.ndarray) -> None:
    """Landmarks (L, 4) behind what covers a pixel of `cover` (S, S) are not seen."""
    seen_now = landmarks[:, 3] > 0
    columns, rows = landmarks[seen_now, :2].astype(int).T
    landmarks[seen_now, 3] *= cover[rows, columns] < 0.5


# What is behind and before the person.


def draw_background(
    scenery: Scenery, lighting: Lighting, truth: Truth, motion: Motion, gain: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(S, S, 3) float32 linear: a picture of the place that the light comes from if there is one, the panorama itself, a studio, noise."""
    size = truth.camera.width
    kind = rng.choice(4, p=(0.58, 0.12, 0.22, 0.08))
    if kind == 1 and lighting.environment is not None:
        small = Camera(128, 128, truth.camera.focal * 128 / size, 64, 64)
        picture = seen(lighting.environment, motion.turn @ lighting.camera_from_world, small)
        # A panorama's pixels are coarse and its lamps far too bright for them: always out of focus.
        picture = cv2.GaussianBlur(np.minimum(picture * gain.astype(np.float32), 8.0), (0, 0), rng.uniform(1.0, 3.0))
        return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)).clip(0)
    if kind == 2:
        return _studio_wall(size, rng)
    return _noise_wall(size, rng) if kind == 3 else _place(scenery, lighting, motion, size, rng)


def _place(scenery: Scenery, lighting: Lighting, motion: Motion, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop of a background picture, out of focus more or less."""
    candidates = list(range(len(scenery.backgrounds)))
    if lighting.environment is not None and rng.random() < 0.8:
        name = lighting.environment.name.removesuffix("_512")
        candidates = [i for i in candidates if scenery.places[i].startswith(name)] or candidates
    picture = scenery.backgrounds[candidates[int(rng.integers(len(candidates)))]]
    sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(10.0)))) * size / 512
    coarse = 4 if sigma > 5 else 2 if sigma > 2 else 1
    side = size // coarse
    # Zoomed in far enough that the tilted crop stays within the picture.
    tilt = 0.5 * motion.angle
    zoom = rng.uniform(1.0, 1.6) * (abs(np.cos(tilt)) + abs(np.sin(tilt)))
    c, s = np.cos(tilt), np.sin(tilt)
    across = min(picture.shape[:2]) / zoom
    linear = across / side * np.array([[c, -s], [s, c]]) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    loose = (np.array(picture.shape[1::-1]) - across * (abs(c) + abs(s))) / 2
    middle = np.array(picture.shape[1::-1]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(loose, 0)
    inverse = np.column_stack([linear, middle - linear @ [side / 2, side / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.LUT(cv2.warpAffine(picture, inverse, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT), _to_linear())
    crop *= np.float32(2 ** rng.normal(0, 0.45))
    if sigma / coarse > 0.6:
        crop = cv2.GaussianBlur(crop, (0, 0), sigma / coarse)
    return np.asarray(crop if coarse == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR))


def _studio_wall(size: int, rng: np.random.Generator) -> np.ndarray:
    """A plain colour, lighter in one spot and darker towards an edge."""
    colour = _to_linear()[_cloth_colour(rng).astype(int)] if rng.random() < 0.4 else np.full(3, rng.choice([0.03, 0.15, 0.3, 0.6, 0.85]))
    v, u = np.mgrid[:32, :32].astype(np.float32) / 31
    at, fall = rng.uniform(0.2, 0.8, 2), rng.uniform(0, 1.2)
    light = np.exp(-fall * ((u - at[0]) ** 2 + (v - at[1]) ** 2) * 2) * (1 - rng.uniform(0, 0.4) * v)
    wall = light[..., None] * colour.astype(np.float32) * rng.uniform(0.8, 1.2)
    return np.asarray(cv2.resize(wall.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR))


def _noise_wall(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two colours mixed by noise of several scales."""
    mixed = np.zeros((size, size), np.float32)
    for cells in rng.choice([3, 6, 12, 24, 48, 96], 3, replace=False):
        noise = rng.standard_normal((int(cells), int(cells))).astype(np.float32)
        mixed += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / np.float32(np.sqrt(cells))
    share = 1 / (1 + np.exp(-mixed * np.float32(rng.uniform(1, 6))))
    a, b = (_to_linear()[_cloth_colour(rng).astype(int)] for _ in range(2))
    return np.asarray(share[..., None] * a + (1 - share[..., None]) * b, np.float32)


def _contact_shadow(behind: np.ndarray, coverage: np.ndarray, rng: np.random.Generator) -> None:
    """Darken the ground around the lowest pixels of a person whose feet are in the picture, in place."""
    size = len(coverage)
    rows = np.flatnonzero(coverage.max(1) > 0.5)
    darkness = rng.uniform(0.2, 0.65)
    if rng.random() > 0.6 or not len(rows) or rows[-1] > 0.97 * size:
        return
    feet = np.flatnonzero(coverage[max(rows[-1] - size // 25, 0) : rows[-1] + 1].max(0) > 0.5)
    middle, reach = (feet[0] + feet[-1]) / 2, max((feet[-1] - feet[0]) / 2, 0.02 * size) * rng.uniform(1.1, 1.7)
    flat = reach * rng.uniform(0.15, 0.3)
    base = rows[-1] - 0.3 * flat
    top, bottom = (int(np.clip(base + side * 3 * flat, 0, size)) for side in (-1, 1))
    v, u = np.arange(top, bottom)[:, None] - base, np.arange(size)[None] - middle
    shadow = 1 - darkness * np.exp(-((u / reach) ** 2) - (v / flat) ** 2)
    behind[top:bottom] *= shadow[..., None].astype(np.float32)


def _occlude(picture: np.ndarray, scenery: Scenery, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a polygon, an ellipse or a bar in front of the person of `mask`, in place: (S, S) float32 how much of each pixel it covers."""
    size = len(mask)
    cover = np.zeros((size, size), np.uint8)
    rows, columns = np.nonzero(mask[::8, ::8])
    pick = int(rng.integers(max(len(rows), 1)))
    middle = 8.0 * np.array([columns[pick], rows[pick]]) if len(rows) else np.full(2, size / 2)
    reach = size * rng.uniform(0.06, 0.22)
    kind = int(rng.integers(3))
    if kind == 0:
        cv2.ellipse(cover, (tuple(middle), tuple(2 * reach * rng.uniform(0.4, 1.2, 2)), rng.uniform(0, 180)), 255, -1, cv2.LINE_AA)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        points = reach * rng.uniform(0.6, 1.4, (len(angles), 1)) * np.column_stack([np.cos(angles), np.sin(angles)])
        if kind == 2:
            turn, thick = rng.uniform(0, np.pi), 0.3 * reach
            along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
            points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ np.stack([2 * size * along, thick * across])
        cv2.fillPoly(cover, [np.round(middle + points).astype(np.int32)], 255, cv2.LINE_AA)
    soft = cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), rng.uniform(0.5, 2.5) * size / 512)
    look = rng.random()
    if look < 0.4:
        front = _studio_wall(size, rng) * np.float32(0.6)
    elif look < 0.7:
        front = _noise_wall(size, rng) * np.float32(0.6)
    else:
        background = scenery.backgrounds[int(rng.integers(len(scenery.backgrounds)))]
        front = cv2.LUT(cv2.resize(background, (size, size)), _to_linear())
    picture += soft[..., None] * (front - picture)
    return np.asarray(soft)


# The camera.


def _exposure(white: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3,) factors an automatic camera puts on radiance: a white card in the mean light `white` (3,) becomes about 0.7, nearly neutral."""
    luminance = max(float(white @ LUMINANCE), 1e-9)
    neutral = np.clip(white / luminance, 0.3, 3.0) ** -rng.uniform(0.6, 1.0)
    neutral *= np.exp(rng.normal(0, 0.03, 3))
    return np.asarray(0.7 * 2 ** rng.normal(0, 0.33) / luminance * neutral / (neutral * white / luminance @ LUMINANCE))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _compose(front: np.ndarray, behind: np.ndarray, gain: np.ndarray, out: np.ndarray) -> None:
    """``out = gain front + (1 - alpha) behind``; front (S, S, 4) is premultiplied."""
    g0, g1, g2 = np.float32(gain[0]), np.float32(gain[1]), np.float32(gain[2])
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            through = np.float32(1.0) - front[i, j, 3]
            out[i, j, 0] = front[i, j, 0] * g0 + through * behind[i, j, 0]
            out[i, j, 1] = front[i, j, 1] * g1 + through * behind[i, j, 1]
            out[i, j, 2] = front[i, j, 2] * g2 + through * behind[i, j, 2]


_BRIGHTEST = 8.0
"""Linear value at the end of the tone curve's table."""
_STEPS = 4096
_GRAIN_SIDE = 1024


@cache
def _grain() -> np.ndarray:
    """(1024, 3 * 1024) float32 standard normal noise, of which each photograph takes a window."""
    return np.random.default_rng(20231).standard_normal((_GRAIN_SIDE, 3 * _GRAIN_SIDE), np.float32)


def _tone_curve(rng: np.random.Generator) -> np.ndarray:
    """(_STEPS,) float32 codes 0..255 of linear values at the squares of 0..1 times _BRIGHTEST: shoulder, sRGB, contrast, lifted blacks."""
    x = np.linspace(0, 1, _STEPS) ** 2 * _BRIGHTEST
    knee = rng.uniform(0.4, 0.9)
    x = np.where(x < knee, x, knee + (1 - knee) * (1 - np.exp(-(np.maximum(x, knee) - knee) / (1 - knee))))
    y = srgb(np.clip(x, 0, 1)) ** np.exp(rng.normal(0, 0.08))
    y += rng.uniform(-0.12, 0.4) * (y * y * (3 - 2 * y) - y)
    lift = max(rng.uniform(-0.03, 0.035), 0.0)
    return (255 * (lift + (1 - lift) * y)).astype(np.float32)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _expose(
    picture: np.ndarray,
    grain: np.ndarray,
    corner: tuple[int, int],
    noise: tuple[float, float],
    vignette: float,
    curve: np.ndarray,
    saturation: float,
    out: np.ndarray,
) -> None:
    """Vignette, photon and read-out noise, tone curve and saturation of a linear picture (S, 3 S) into codes (S, 3 S).

    `corner` is that of the window of `grain` (G, 3 G); the variance of the noise is noise[0] times the value plus noise[1].
    """
    height, width = picture.shape
    top, left = corner
    a, b, s, dark = np.float32(noise[0]), np.float32(noise[1]), np.float32(saturation), np.float32(2 * vignette)
    scale, last = np.float32((len(curve) - 1) / np.sqrt(_BRIGHTEST)), np.float32(len(curve) - 1)
    half, zero, one, most = np.float32(0.5), np.float32(0.0), np.float32(1.0), np.float32(255.0)
    falloff = np.empty(width, np.float32)
    for k in range(width):
        falloff[k] = dark * np.float32(((k // 3) * 3 / width - 0.5) ** 2)
    index = np.empty(width, np.int32)
    for i in range(height):
        across = one - dark * np.float32((i / height - 0.5) ** 2)
        # Two loops, since the first has no table lookup and so becomes vector instructions.
        for k in range(width):
            x = max(picture[i, k], zero) * (across - falloff[k])
            x = max(x + np.sqrt(a * x + b) * grain[top + i, left + k], zero)
            index[k] = np.int32(min(np.sqrt(x) * scale + half, last))
        for j in range(0, width, 3):
            r, g, c = curve[index[j]], curve[index[j + 1]], curve[index[j + 2]]
            grey = np.float32(0.2126) * r + np.float32(0.7152) * g + np.float32(0.0722) * c
            out[i, j] = np.uint8(min(max(grey + s * (r - grey), zero), most) + half)
            out[i, j + 1] = np.uint8(min(max(grey + s * (g - grey), zero), most) + half)
            out[i, j + 2] = np.uint8(min(max(grey + s * (c - grey), zero), most) + half)


def develop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of a linear picture (S, S, 3) float32: (S, S, 3) uint8 sRGB. Each fault comes in some of the photographs only."""
    size = picture.shape[0]
    picture = _blurred(picture, rng)
    top, left = (int(n) for n in rng.integers(0, _GRAIN_SIDE - size + 1, 2))
    shot, read = np.exp(rng.uniform(np.log([1e-5, 1e-4]), np.log([1.5e-3, 2.5e-3])))
    vignette = rng.uniform(0, 0.45) if rng.random() < 0.35 else 0.0
    saturation = rng.uniform(0.75, 1.25)
    if rng.random() < 0.04:
        saturation = 0.0
    codes = np.empty((size, size, 3), np.uint8)
    rows = picture.reshape(size, -1), codes.reshape(size, -1)
    _expose(rows[0], _grain(), (top, 3 * left), (shot, read * read), vignette, _tone_curve(rng), saturation, rows[1])
    if rng.random() < 0.3:
        small = max(int(size * rng.uniform(0.4, 0.9)), 8)
        codes = cv2.resize(cv2.resize(codes, (small, small), interpolation=cv2.INTER_AREA), (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        amount = rng.uniform(0.2, 0.9)
        codes = cv2.addWeighted(codes, 1 + amount, cv2.GaussianBlur(codes, (0, 0), rng.uniform(0.7, 1.6)), -amount, 0)
    if rng.random() < 0.6:
        quality = int(rng.integers(40, 96))
        _, data = cv2.imencode(".jpg", cv2.cvtColor(codes, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    return np.asarray(codes)


def _blurred(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus or moved, sometimes."""
    size, chance = len(picture), rng.random()
    if chance < 0.25:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5) * size / 512))
    if chance < 0.32:
        length = max(int(rng.uniform(2, 9) * size / 512), 2)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
        angle = rng.uniform(0, np.pi)
        offset = length / 2 * np.array([np.cos(angle), np.sin(angle)])
        start, end = (np.round(length + sign * offset).astype(int) for sign in (-1, 1))
        cv2.line(kernel, tuple(start.tolist()), tuple(end.tolist()), 1.0, 1)
        return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()))
    return picture
