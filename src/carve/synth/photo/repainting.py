"""New colours and prints for the clothes of a stored view, drawn anew for each sample. Nothing but the albedo changes."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from carve.synth.photo.lighting import LUMINANCE
from carve.synth.records import FABRIC_UNIT, PARTS, View

_CLOTHES = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat", "shoes", "hat"))
_PRINTABLE = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat"))
_SKIN, _HAIR = PARTS.index("skin"), PARTS.index("hair")


@dataclass(frozen=True)
class Surface:
    """The pixels of one part on one side of a view."""

    colours: np.ndarray
    """(N, 3) uint8 sRGB."""
    cloth: np.ndarray
    """(N, 2) float32 metres on the cloth; not a number where there is no cloth below."""


Recolour = Callable[[Surface], np.ndarray]
"""New colours (N, 3) uint8 of a surface."""


def repaint(view: View, rng: np.random.Generator, back: bool = False) -> dict[str, np.ndarray]:
    """`albedo_front` (and `albedo_back`) -> (H, W, 3) uint8: a view's with some garments dyed or printed; hair and skin vary a little.

    Most cloth ends in one colour. Prints lie in the cloth and follow its folds, but change nothing but the albedo, so that a network
    learns that contrast is no relief. The front is the same whether the back is asked for or not.
    """
    sides = {"albedo_front": (view.albedo.copy(), view.part, view.fabric)}
    if back:
        sides["albedo_back"] = (view.albedo_back.copy(), view.part_back, view.fabric_back)
    left, top, width, height = cv2.boundingRect(view.coverage)
    box = np.s_[top : top + height, left : left + width]
    counts = np.bincount(view.part[box].ravel(), minlength=len(PARTS))
    metres_a_pixel = sum(view.depth_range) / 2 / view.camera.focal
    for index in (*_CLOTHES, _HAIR, _SKIN):
        chance = rng.random()
        if counts[index] < 150 or chance > (0.5 if index in _CLOTHES else 0.4):
            continue
        recolour: Recolour | None = None
        for albedo, part, fabric in sides.values():
            chosen = part[box] == index
            surface = Surface(albedo[box][chosen], _metres(fabric[box][chosen]))
            recolour = recolour or _draw(surface, index, metres_a_pixel, rng)
            if chosen.any():
                albedo[box][chosen] = recolour(surface)
    return {name: albedo for name, (albedo, _, _) in sides.items()}


def _draw(front: Surface, index: int, metres_a_pixel: float, rng: np.random.Generator) -> Recolour:
    """What happens to a part, by what is seen of it in front."""
    if index in (_HAIR, _SKIN):
        return _shifted(front.colours, 0.08 if index == _HAIR else 0.02, rng)
    kind = rng.random()
    if index in _PRINTABLE and kind < 0.22 and np.isfinite(front.cloth).all(1).mean() > 0.9:
        return _printed(front, metres_a_pixel, rng)
    return _dyed(front.colours, cloth_colour(rng), rng) if kind < 0.85 else _shifted(front.colours, 1.0, rng)


def _metres(codes: np.ndarray) -> np.ndarray:
    """(N, 2) float32 of stored places on cloth (N, 2) uint16."""
    return np.where(codes > 0, (codes.astype(np.float32) - 32768) * np.float32(FABRIC_UNIT), np.float32(np.nan))


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) sRGB 0..255; a third are the greys, navies and beiges that people wear."""
    if rng.random() < 0.35:
        base = np.array(
            [[235, 235, 232], [28, 28, 30], [120, 120, 122], [35, 42, 70], [196, 178, 148], [82, 66, 52]][int(rng.integers(6))], float
        )
        return np.clip(base * rng.uniform(0.8, 1.1), 12, 245)
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.15, 0.9)))


def _shifted(colours: np.ndarray, hue: float, rng: np.random.Generator) -> Recolour:
    """Turned in hue by up to `hue` half circles, with other saturation, value and contrast about the mean of `colours` (N, 3)."""
    turn, factors, contrast = 90 * hue * rng.uniform(-1, 1), rng.uniform([0.75, 0.75], [1.2, 1.2]), rng.uniform(0.7, 1.4)
    middle = float(colours.max(1).mean()) * factors[1]

    def recolour(surface: Surface) -> np.ndarray:
        hsv = cv2.cvtColor(surface.colours[:, None], cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + turn) % 180
        hsv[..., 1:] *= factors
        hsv[..., 2] = middle + (hsv[..., 2] - middle) * contrast
        return np.asarray(cv2.cvtColor(np.clip(hsv, 0, [179, 255, 245]).astype(np.uint8), cv2.COLOR_HSV2RGB)[:, 0])

    return recolour


def _texture(colours: np.ndarray, middle: float) -> np.ndarray:
    """(N, 1) brightness of sRGB colours (N, 3) against a mean: weave, seams and dirt."""
    return np.clip(colours @ LUMINANCE.astype(np.float32) / max(middle, 4.0), 0.4, 1.7)[:, None]


def _middle(colours: np.ndarray) -> float:
    return float((colours @ LUMINANCE.astype(np.float32)).mean())


def _dyed(colours: np.ndarray, dye: np.ndarray, rng: np.random.Generator) -> Recolour:
    """One dye; of the texture about the mean of `colours` (N, 3) some is kept."""
    middle, power = _middle(colours), rng.uniform(0.2, 0.9)
    return lambda surface: np.clip(dye * _texture(surface.colours, middle) ** power, 4, 248).astype(np.uint8)


def _printed(front: Surface, metres_a_pixel: float, rng: np.random.Generator) -> Recolour:
    """A tile that repeats over the cloth, or one motif on its front, drawn at the picture's own scale."""
    kind = int(rng.integers(6))
    fresh = cloth_colour(rng)
    plain: Recolour = (lambda surface: surface.colours) if rng.random() < 0.3 else _dyed(front.colours, cloth_colour(rng), rng)
    tile, metres = _TILES[kind](fresh, rng)
    metres = max(metres, 14 * metres_a_pixel)
    across = int(np.clip(round(metres / metres_a_pixel), 14, 256))
    tile = cv2.resize(tile, (across, across), interpolation=cv2.INTER_AREA)
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)]) if kind < 3 else rng.uniform(-0.3, 0.3)
    c, s = np.float32(np.cos(angle) / metres * across), np.float32(np.sin(angle) / metres * across)
    single = kind >= 4 and rng.random() < 0.6
    centre = np.nanmedian(front.cloth, 0)
    phase = across / 2 + (rng.uniform(-0.3, 0.3, 2) if single else rng.uniform(0, 1, 2)) * across
    border = cv2.BORDER_CONSTANT if single else cv2.BORDER_WRAP
    middle = _middle(plain(front))

    def recolour(surface: Surface) -> np.ndarray:
        base, where = plain(surface), np.nan_to_num(surface.cloth - centre, nan=-100.0)
        u = c * where[:, 0] + s * where[:, 1] + np.float32(phase[0])
        v = -s * where[:, 0] + c * where[:, 1] + np.float32(phase[1])
        ink = _looked_up(tile, u, v, border).astype(np.float32)
        alpha = ink[:, 3:] / 255
        texture = 1 + 0.6 * (_texture(base, middle) - 1)
        return np.clip(base * (1 - alpha) + ink[:, :3] * texture * alpha, 3, 250).astype(np.uint8)

    return recolour


def _looked_up(tile: np.ndarray, u: np.ndarray, v: np.ndarray, border: int) -> np.ndarray:
    """(N, 4) tile (T, T, 4) at pixels (N,), (N,); as rows of 1024, since OpenCV's maps have at most 32767 columns."""
    count = -(-len(u) // 1024) * 1024
    if border == cv2.BORDER_WRAP:
        u, v = u % tile.shape[1], v % tile.shape[0]  # OpenCV counts pixels in 16 bits
    x, y = (np.resize(np.clip(a - np.float32(0.5), -9999, 9999), count).reshape(-1, 1024) for a in (u, v))
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
