"""Cloth by the metre: colours that wardrobes have, weaves, dyed fabric tiles, denim, leather and knit.

Colours are linear RGB; tiles are square, repeat and are float32 (n, n, 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from carve.synth.assets.files import Assets
from carve.synth.looks.texture import (
    LINEAR,
    LUMINANCE,
    decode,
    enlarged,
    lab_from_linear,
    linear_from_lab,
    linear_from_srgb,
    periodic_noise,
)

TILE = 512
"""Pixels along a side of a drawn tile."""

_COLOURS: dict[str, tuple[tuple[int, int, int], float]] = {
    "black": ((30, 30, 32), 15),
    "charcoal": ((62, 64, 68), 7),
    "grey": ((128, 129, 132), 8),
    "light grey": ((188, 188, 188), 5),
    "white": ((236, 235, 232), 12),
    "cream": ((228, 218, 196), 4),
    "beige": ((200, 180, 150), 5),
    "khaki": ((160, 140, 104), 4),
    "brown": ((96, 68, 50), 5),
    "dark brown": ((62, 46, 38), 3),
    "olive": ((92, 92, 60), 4),
    "navy": ((34, 42, 70), 10),
    "denim": ((70, 92, 126), 7),
    "light blue": ((160, 186, 212), 4),
    "royal blue": ((40, 80, 170), 3),
    "red": ((176, 36, 42), 3),
    "burgundy": ((96, 30, 44), 3),
    "pink": ((222, 164, 172), 2.5),
    "dark green": ((40, 70, 54), 2.5),
    "green": ((70, 140, 84), 1.5),
    "mint": ((170, 208, 190), 1),
    "teal": ((36, 112, 118), 1.5),
    "mustard": ((196, 150, 50), 1.5),
    "yellow": ((228, 204, 80), 1),
    "orange": ((214, 110, 46), 1),
    "purple": ((92, 58, 116), 1.2),
    "lavender": ((178, 164, 206), 1),
}
"""sRGB and how often, in per cent or so, clothes have the colour."""
_FAVOURED: dict[str, dict[str, float]] = {
    "bottom": {"denim": 4, "navy": 2, "black": 1.6, "khaki": 2.5, "beige": 1.5, "pink": 0.3, "white": 0.5, "red": 0.3, "yellow": 0.2},
    "shoes": {"black": 3, "brown": 3, "dark brown": 3, "white": 1.5, "denim": 0.2, "light blue": 0.3, "pink": 0.5},
    "coat": {"black": 1.6, "navy": 1.5, "khaki": 2, "beige": 1.5, "olive": 1.5, "charcoal": 1.6, "yellow": 0.5},
    "hat": {"black": 1.5, "beige": 2, "brown": 1.5},
    "accessory": {"black": 4, "brown": 2},
}
"""Factors on those odds for some kinds of garment."""


def wardrobe_colour(kind: str, rng: np.random.Generator) -> np.ndarray:
    """(3,) linear colour that a garment of this kind may have."""
    odds = np.array([share * _FAVOURED.get(kind, {}).get(name, 1.0) for name, (_, share) in _COLOURS.items()])
    rgb = list(_COLOURS.values())[rng.choice(len(odds), p=odds / odds.sum())][0]
    lab = lab_from_linear(linear_from_srgb(np.array(rgb) / 255.0)) + rng.normal(0, 1, 3) * np.array([4.0, 3.0, 3.5])
    return np.asarray(linear_from_lab(lab))


def matching_colours(count: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) linear colours for one pattern: each differs visibly from the first, some share its hue."""
    first = wardrobe_colour(kind, rng)
    lab = lab_from_linear(first)
    colours = [first]
    while len(colours) < count:
        if rng.random() < 0.35:  # the same hue, lighter or darker
            lightness = lab[0] + rng.choice([-1, 1]) * rng.uniform(18, 45)
            other = np.asarray(linear_from_lab(np.array([np.clip(lightness, 22, 92), *(lab[1:] * rng.uniform(0.5, 1.3))])))
        else:
            other = wardrobe_colour("top", rng)
        if np.linalg.norm(lab_from_linear(other) - lab) > 14:
            colours.append(other)
    return np.array(colours)


@dataclass(frozen=True)
class Cloth:
    """A tile of cloth."""

    image: np.ndarray
    """(n, n, 3) float32 linear."""
    metres: float
    """Its side."""
    fabric: str | None
    """The pack's tile that its weave comes from."""
    pictures: tuple[str, ...] = ()
    """Names of the pack's backgrounds that are printed on it."""


def is_plain(tile: np.ndarray) -> bool:
    """Whether a fabric picture (n, n, 3) uint8 has one colour, up to its weave, so that it can be dyed."""
    small = cv2.resize(tile[..., :3], (16, 16), interpolation=cv2.INTER_AREA)
    lab = lab_from_linear(LINEAR[small]).reshape(-1, 3)
    return bool(np.linalg.norm(lab.std(0)) < 4.5)


def weave(assets: Assets, fabrics: tuple[str, ...], rng: np.random.Generator, size: int) -> tuple[np.ndarray, str | None]:
    """(size, size) float32 factors with mean 1 that a cloth's threads put on its colour, and the fabric they were taken from."""
    plain = [n for n in fabrics if is_plain(decode(assets.fabrics[n].path))]
    if not plain or rng.random() < 0.15:  # threads drawn: a fine grid, irregular along each
        lines = rng.standard_normal(size).astype(np.float32)
        across = rng.standard_normal(size).astype(np.float32)
        detail = 1 + np.float32(rng.uniform(0.02, 0.07)) * (lines[:, None] + across[None])
        return np.clip(detail, 0.5, 1.5), None
    name = plain[rng.integers(len(plain))]
    shade = LINEAR[decode(assets.fabrics[name].path)[..., :3]] @ LUMINANCE
    low = cv2.GaussianBlur(np.tile(shade, (3, 3)), (0, 0), len(shade) / 5)[len(shade) : 2 * len(shade), len(shade) : 2 * len(shade)]
    detail = (shade / low) ** np.float32(rng.uniform(0.5, 1.0))  # uneven light would show as the tile's repeat
    detail = enlarged(np.clip(detail / detail.mean(), 0.3, 2.2).astype(np.float32), size)
    return detail, name


def fabric_cloth(assets: Assets, name: str, rng: np.random.Generator) -> Cloth:
    """A fabric of the pack in its own colours; those with a pattern at the scale of shirts and kilts."""
    tile = decode(assets.fabrics[name].path)[..., :3]
    metres = np.exp(rng.uniform(*np.log([0.04, 0.12] if is_plain(tile) else [0.05, 0.28])))
    return Cloth(np.clip(LINEAR[tile], 0.03, 0.85), float(metres), name)


def plain_cloth(assets: Assets, fabrics: tuple[str, ...], colour: np.ndarray, rng: np.random.Generator) -> Cloth:
    """Cloth of one colour (3,) linear with a weave."""
    detail, name = weave(assets, fabrics, rng, 256)
    return Cloth(dyed(detail, colour), float(np.exp(rng.uniform(*np.log([0.03, 0.12])))), name)


def dyed(detail: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(h, w) factors times a colour, linear float32 (h, w, 3)."""
    return detail[..., None] * np.asarray(colour, np.float32)


def denim_cloth(assets: Assets, fabrics: tuple[str, ...], rng: np.random.Generator) -> Cloth:
    """Twill of blue (or black or grey) warp over pale weft, faded in patches."""
    lightness, blue = rng.uniform(18, 58), rng.uniform(8, 24) * (rng.random() > 0.15)
    base = linear_from_lab(np.array([lightness, -0.02 * blue, -blue]))
    y, x = np.mgrid[:TILE, :TILE]
    twill = np.sin(2 * np.pi * (x + y) * 64 / TILE) * 0.10
    slub = rng.standard_normal(TILE).astype(np.float32)[None] * 0.06 + 0.10 * periodic_noise(rng, TILE, 40)
    fade = periodic_noise(rng, TILE, 3) * rng.uniform(0.02, 0.15)
    return Cloth(dyed(np.clip(1 + twill + slub + fade, 0.4, 1.9).astype(np.float32), base), float(rng.uniform(0.25, 0.5)), None)


def leather_cloth(rng: np.random.Generator) -> Cloth:
    """Grained leather, mostly black and brown."""
    colour = wardrobe_colour("shoes", rng)
    ridges = np.abs(periodic_noise(rng, TILE, 60))
    detail = 1 - 0.35 * np.exp(-(ridges**2) / 0.02) + 0.06 * periodic_noise(rng, TILE, 4)
    return Cloth(dyed(detail.astype(np.float32), colour), float(rng.uniform(0.06, 0.14)), None)


def knit_cloth(colour: np.ndarray, rng: np.random.Generator) -> Cloth:
    """Stocking stitch, at times with cables: columns of V-shaped loops."""
    columns = int(rng.choice([24, 32, 48]))
    y, x = np.mgrid[:TILE, :TILE] / TILE
    column = np.abs((x * columns) % 1 - 0.5) * 2
    loop = np.abs((y * columns + column * 0.7) % 1 - 0.5) * 2
    detail = 0.72 + 0.38 * loop * (0.5 + 0.5 * (1 - column**4)) - 0.18 * (column > 0.9)
    if rng.random() < 0.35:
        cables = int(rng.choice([2, 3, 4]))
        phase = x * cables + 0.12 * np.sin(2 * np.pi * y * 6)
        detail = detail * (0.85 + 0.3 * np.cos(2 * np.pi * phase) ** 4)
    detail = (detail / detail.mean() * (1 + 0.03 * rng.standard_normal((TILE, TILE)))).astype(np.float32)
    return Cloth(dyed(np.clip(detail, 0.3, 1.8), colour), columns * float(rng.uniform(0.0035, 0.008)), None)
