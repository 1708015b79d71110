"""Patterned cloth: stripes, checks, dots, flowers, camouflage and others, drawn at the sizes that they have on clothes.

A pattern fills a square tile of TILE pixels that repeats; its side in metres gives stripes, checks and dots the widths of real ones.
Colours are linear RGB, tiles float32 (TILE, TILE, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import cv2
import numpy as np

from carve.synth.looks.fabrics import TILE, Cloth, matching_colours
from carve.synth.looks.texture import ALBEDO_RANGE, linear_from_lab, linear_from_srgb, periodic_noise

Pattern = Literal[
    "stripes", "breton", "pinstripes", "diagonal", "gingham", "windowpane", "tartan", "houndstooth", "herringbone", "dots", "confetti",
    "floral", "camouflage", "leopard", "paisley", "marble", "zigzag", "argyle",
]  # fmt: skip


def bands(period: int, widths: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(period, 3) float32: bands with these shares of the period in these colours (n, 3)."""
    edges = np.round(np.concatenate([[0], np.cumsum(widths / widths.sum())]) * period).astype(int)
    line = np.empty((period, 3), np.float32)
    for k in range(len(widths)):
        line[edges[k] : edges[k + 1]] = colours[k % len(colours)]
    return line


def striped(line: np.ndarray, repeats: int, across: int = 0) -> np.ndarray:
    """(TILE, TILE, 3): a colour line (n, 3) repeated `repeats` times down the tile, and drifting by `across` periods sideways."""
    i, j = np.mgrid[:TILE, :TILE]
    phase = ((i + 0.5) * repeats + (j + 0.5) * across) / TILE % 1.0
    image: np.ndarray = line[(phase * len(line)).astype(np.int32) % len(line)]
    return image


def stripe_cloth(period: float, widths: np.ndarray, colours: np.ndarray, repeats: int = 8, vertical: bool = False) -> Cloth:
    """Level or upright stripes with a period in metres; `widths` (n,) shares of it, `colours` (n, 3) linear."""
    image = striped(bands(TILE, widths, colours), repeats)
    return Cloth(np.ascontiguousarray(image.transpose(1, 0, 2)) if vertical else image, period * repeats, None)


def _scattered(rng: np.random.Generator, count: int, gap: float) -> np.ndarray:
    """(n, 2) points in 0..1 on a torus, no two nearer than `gap`; n <= count."""
    points: list[np.ndarray] = []
    for candidate in rng.random((count * 6, 2)):
        if len(points) == count:
            break
        if points:
            away = np.abs(np.array(points) - candidate)
            if np.hypot(*np.minimum(away, 1 - away).T).min() < gap:
                continue
        points.append(candidate)
    return np.array(points)


def _stamp(mask: np.ndarray, draw: Callable[[np.ndarray, float, float], None], x: float, y: float, reach: float) -> None:
    """Draw at (x, y) pixels on a tile, and again beyond the edges that it touches."""
    n = len(mask)
    for dx in (-n, 0, n):
        for dy in (-n, 0, n):
            if -reach < x + dx < n + reach and -reach < y + dy < n + reach:
                draw(mask, x + dx, y + dy)


def _ellipse(mask: np.ndarray, x: float, y: float, a: float, b: float, degrees: float, value: int) -> None:
    cv2.ellipse(
        mask, (round(x * 16), round(y * 16)), (max(round(a * 16), 8), max(round(b * 16), 8)), degrees, 0, 360, value, -1, cv2.LINE_8, 4
    )


def _painted(mask: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(n, n) indices to colours, edges softened."""
    image: np.ndarray = colours.astype(np.float32)[mask]
    padded = cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_WRAP)
    return cv2.GaussianBlur(padded, (3, 3), 0)[2:-2, 2:-2]


def _checks(name: Pattern, colours: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Gingham, windowpane, tartan, argyle: warp and weft of the same sequence."""
    if name == "gingham":
        line, repeats, period = bands(64, np.ones(2), colours), 8, np.exp(rng.uniform(*np.log([0.006, 0.05])))
    elif name == "windowpane":
        thin = rng.uniform(0.03, 0.1)
        line, repeats, period = bands(128, np.array([1 - thin, thin]), colours), 4, np.exp(rng.uniform(*np.log([0.02, 0.09])))
    else:
        half = rng.uniform(0.05, 1, rng.integers(4, 8)) ** 2
        order = rng.integers(0, len(colours), len(half))
        sett = np.concatenate([half, half[::-1]])
        line, repeats, period = bands(TILE, sett, colours[np.concatenate([order, order[::-1]])]), 1, rng.uniform(0.05, 0.22)
    warp = np.tile(cv2.resize(line[None], (TILE // repeats, 1), interpolation=cv2.INTER_NEAREST)[0], (repeats, 1))
    twill = np.add.outer(np.arange(TILE), np.arange(TILE)) // 2 % 2 == 0
    # Where both threads show, every other twill line is the warp's; fine twill blends to the mean.
    mix = np.where(twill, 0.65, 0.35)[..., None].astype(np.float32)
    return mix * warp[None] + (1 - mix) * warp[:, None], float(period * repeats)


def _geometric(name: Pattern, colours: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    i, j = np.mgrid[:TILE, :TILE]
    if name == "houndstooth":
        rows = ("11110001", "11110010", "11110100", "11111000", "00010000", "00100000", "01000000", "10000000")
        tooth = np.array([[int(c) for c in row] for row in rows])
        cells = int(rng.choice([4, 8]))
        mask, metres = np.kron(np.tile(tooth, (cells, cells)), np.ones((TILE // 8 // cells,) * 2, int)), cells * rng.uniform(0.012, 0.05)
    elif name == "herringbone":
        fold = np.abs(j % 128 - 64)
        mask, metres = ((i + fold) // 16 % 2), rng.uniform(0.06, 0.16)
    elif name == "zigzag":
        fold = np.abs(j % 128 - 64)
        mask, metres = ((i + fold) // 64 % 2), rng.uniform(0.12, 0.4)
        if len(colours) > 2:
            mask = (i + fold) // 64 % 4 % len(colours)
    else:
        diamond = (np.abs(j % 256 - 128) * 1.0 + np.abs(i % 512 - 256) * 0.5) < 128
        line = np.abs((j % 256 - 128) * 2 - (i % 512 - 256)) < 7
        line |= np.abs((j % 256 - 128) * 2 + (i % 512 - 256)) < 7
        mask, metres = np.where(line, 2 % len(colours), diamond.astype(int)), rng.uniform(0.1, 0.22)
    return _painted(mask, colours), float(metres)


def _spotted(name: Pattern, colours: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Dots, confetti and flowers, scattered or in rows."""
    mask = np.zeros((TILE, TILE), np.uint8)
    last = len(colours) - 1
    if name == "dots":
        rows = int(rng.choice([4, 6, 8]))
        radius, metres = TILE / rows * rng.uniform(0.12, 0.32), rows * np.exp(rng.uniform(*np.log([0.008, 0.06])))
        points = np.array([((c + 0.5 * (r % 2)) / rows, r / rows) for r in range(rows) for c in range(rows)])
    else:
        count = int(rng.integers(20, 60)) if name == "confetti" else int(rng.integers(8, 30))
        points, metres = _scattered(rng, count, 0.7 / np.sqrt(count)), rng.uniform(0.1, 0.35)
        radius = TILE * rng.uniform(0.12, 0.26) / np.sqrt(count) * (1 if name == "confetti" else 1.5)

    def blossom(m: np.ndarray, x: float, y: float, turn: float, size: float, colour: int) -> None:
        for leaf in range(2):
            a = turn + 70 + 150 * leaf
            _ellipse(m, x + 1.3 * size * np.cos(np.radians(a)), y + 1.3 * size * np.sin(np.radians(a)), size * 0.7, size * 0.25, a, last)
        petals = 5 + int(turn) % 2
        for k in range(petals):
            a = turn + 360 * k / petals
            _ellipse(
                m, x + 0.55 * size * np.cos(np.radians(a)), y + 0.55 * size * np.sin(np.radians(a)), size * 0.5, size * 0.32, a, colour
            )
        _ellipse(m, x, y, size * 0.25, size * 0.25, 0, 1 + colour % last)

    for x, y in points * TILE:
        size = radius * (1 if name == "dots" else rng.uniform(0.5, 1.2))
        turn, colour = float(rng.uniform(0, 360)), int(rng.integers(1, last + 1))
        if name == "floral":
            _stamp(mask, partial(blossom, turn=turn, size=size, colour=colour), x, y, 2.2 * size)
        else:
            flat = 1.0 if name == "dots" else float(rng.uniform(0.3, 1))
            _stamp(mask, partial(_ellipse, a=size, b=size * flat, degrees=turn, value=colour), x, y, 1.2 * size)
    return _painted(mask, colours), float(metres)


def _organic(name: Pattern, colours: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Camouflage, leopard, paisley, marble: level sets of noise."""
    if name == "camouflage":
        mask = np.zeros((TILE, TILE), np.uint8)
        for k in range(1, len(colours)):
            noise = periodic_noise(rng, TILE, rng.uniform(3, 6)) + 0.35 * periodic_noise(rng, TILE, 14)
            mask[noise > rng.uniform(0.1, 0.9)] = k
        return _painted(mask, colours), float(rng.uniform(0.25, 0.8))
    if name == "leopard":
        mask = np.zeros((TILE, TILE), np.uint8)
        for x, y in _scattered(rng, 90, 0.088) * TILE:
            a, b, turn = rng.uniform(15, 25), rng.uniform(11, 18), float(rng.uniform(0, 360))
            _stamp(mask, partial(_ellipse, a=a, b=b, degrees=turn, value=1), x, y, 30)
            _stamp(mask, partial(_ellipse, a=0.55 * a, b=0.55 * b, degrees=turn, value=2), x, y, 30)
        mask[(mask == 1) & (periodic_noise(rng, TILE, 22) > 0.75)] = 0  # rosettes are broken rings
        ramp = linear_from_srgb(np.array([[205, 165, 110], [42, 30, 24], [160, 108, 60]]) / 255.0) * np.exp(rng.normal(0, 0.15))
        ramp = np.clip(ramp, *ALBEDO_RANGE)
        return _painted(mask, ramp if rng.random() < 0.7 else colours[:3]), float(rng.uniform(0.15, 0.4))
    field = periodic_noise(rng, TILE, 5) + 0.4 * periodic_noise(rng, TILE, 12)
    if name == "paisley":
        mask = (np.floor(field * rng.uniform(2.5, 5)).astype(int) % len(colours)).astype(np.uint8)
        return _painted(mask, colours), float(rng.uniform(0.12, 0.4))
    weight = (0.5 + 0.5 * np.sin(field * rng.uniform(1.5, 4)))[..., None].astype(np.float32)
    return weight * colours[0].astype(np.float32) + (1 - weight) * colours[1].astype(np.float32), float(rng.uniform(0.3, 0.9))


_COUNTS: dict[Pattern, int] = {
    "tartan": 4,
    "floral": 4,
    "confetti": 4,
    "camouflage": 4,
    "leopard": 3,
    "paisley": 3,
    "argyle": 3,
    "zigzag": 3,
}
_ODDS: dict[Pattern, float] = {
    "stripes": 5,
    "breton": 3,
    "pinstripes": 3,
    "gingham": 2,
    "tartan": 4,
    "dots": 2.5,
    "floral": 3.5,
    "camouflage": 1.5,
    "marble": 0.5,
    "paisley": 0.6,
    "zigzag": 0.6,
}


def pattern_cloth(kind: str, rng: np.random.Generator, name: Pattern | None = None) -> tuple[Cloth, Pattern]:
    """A patterned cloth for a kind of garment, drawn at random or of a named pattern."""
    names: tuple[Pattern, ...] = get_args(Pattern)
    if name is None:
        odds = np.array([_ODDS.get(n, 1.0) for n in names])
        name = names[rng.choice(len(names), p=odds / odds.sum())]
    colours = matching_colours(_COUNTS.get(name, 2), kind, rng)
    if name == "camouflage" and rng.random() < 0.75:
        ramp = (
            np.array([[46, 8, 20], [28, -2, 12], [62, 4, 24], [20, 2, 4]], float)
            + rng.normal(0, 3, (4, 3))
            + np.array([rng.normal(0, 6), 0, 0])
        )
        colours = linear_from_lab(ramp)
    if name == "breton":
        share = rng.uniform(0.25, 0.5)
        return stripe_cloth(float(rng.uniform(0.015, 0.045)), np.array([1 - share, share]), colours), name
    if name == "pinstripes":
        share = rng.uniform(0.05, 0.15)
        return stripe_cloth(float(rng.uniform(0.008, 0.03)), np.array([1 - share, share]), colours, vertical=True), name
    if name == "stripes":
        widths = rng.uniform(0.15, 1, rng.integers(2, 6))
        colours = np.concatenate([colours, matching_colours(3, kind, rng)[1:]]) if rng.random() < 0.4 else colours
        period = float(np.exp(rng.uniform(*np.log([0.01, 0.12]))))
        return stripe_cloth(period, widths, colours, int(rng.choice([2, 4])), bool(rng.random() < 0.35)), name
    if name == "diagonal":
        line = bands(TILE, rng.uniform(0.3, 1, 2), colours)
        return Cloth(striped(line, 4, int(rng.choice([-4, -2, 2, 4]))), float(rng.uniform(0.06, 0.3)), None), name
    if name in ("gingham", "windowpane", "tartan"):
        image, metres = _checks(name, colours, rng)
    elif name in ("dots", "confetti", "floral"):
        image, metres = _spotted(name, colours, rng)
    elif name in ("camouflage", "leopard", "paisley", "marble"):
        image, metres = _organic(name, colours, rng)
    else:
        image, metres = _geometric(name, colours, rng)
    return Cloth(image.astype(np.float32), metres, None), name
