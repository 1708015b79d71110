"""New colours and prints for the clothes of a stored view, drawn anew for each sample. Nothing but the albedo changes."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

from carve.synth.photo.lighting import LUMINANCE
from carve.synth.records import PARTS, View

_CLOTHES = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat", "shoes", "hat"))
_PRINTABLE = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat"))
_SKIN, _HAIR = PARTS.index("skin"), PARTS.index("hair")


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
                colours = _dyed(colours, cloth_colour(rng), rng) if kind < 0.8 else _shifted(colours, 1.0, rng)
        else:
            colours = _shifted(colours, 0.08 if index == _HAIR else 0.02, rng)
        albedo[box][chosen] = colours
    return albedo


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
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
    fresh = cloth_colour(rng)
    base = colours if rng.random() < 0.5 else _dyed(colours, cloth_colour(rng), rng)
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
    r, g, b = (int(c) for c in cloth_colour(rng))
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
