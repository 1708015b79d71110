"""Cloth with something on it in one place: words, numbers, logos, photographs, bands of colour, dip-dye.

A print lies in planar coordinates (see `looks.appearance`): u = 0 is the centre of the front, u = BACK that of the back, v is metres
below the top edge. The canvas repeats after `metres`, a multiple of 2 BACK, so that front and back show different halves of it.
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from carve.synth.assets.files import Assets
from carve.synth.looks.fabrics import Cloth, dyed, matching_colours, weave
from carve.synth.looks.texture import LINEAR, decode, lab_from_linear, periodic_noise

BACK = 0.6
"""Planar u of the centre of the back, metres."""
CANVAS = 1024
"""Pixels along a side of a print's canvas."""

Print = Literal["words", "number", "logo", "photo", "blocks", "panel", "dip-dye", "chest band", "splash"]
_ODDS: dict[Print, float] = {
    "words": 3, "number": 1.5, "logo": 3.5, "photo": 2, "blocks": 1.5, "panel": 1, "dip-dye": 1, "chest band": 1.5, "splash": 0.7,
}  # fmt: skip
_WORDS = (
    "CITY", "1987", "OCEAN", "Paris", "TEAM", "hello", "RIVER", "Music", "RUN", "STATE", "No. 5", "sunday", "WILD", "Summer", "TOKYO",
    "ATHLETICS", "nord", "PEACE", "Club", "OUTDOOR", "Berlin", "SURF", "Roma", "DANCE", "radio", "COFFEE", "MARINE", "VOLUME", "west",
)  # fmt: skip
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)  # fmt: skip


def print_cloth(
    assets: Assets, fabrics: tuple[str, ...], kind: str, rng: np.random.Generator, name: Print | None = None
) -> tuple[Cloth, Print]:
    """Cloth of one colour with a print, for planar coordinates; drawn at random or a named one."""
    names: tuple[Print, ...] = get_args(Print)
    if name is None or (name == "photo" and not assets.backgrounds):
        odds = np.array([_ODDS[n] if n != "photo" or assets.backgrounds else 0.0 for n in names])
        name = names[rng.choice(len(names), p=odds / odds.sum())]
    detail, fabric = weave(assets, fabrics, rng, 128)
    # The weave repeats 8 times a canvas, coarse beside real threads: at this size they are hardly seen.
    detail = np.tile(1 + 0.4 * (detail - 1), (8, 8))
    colours = matching_colours(3, kind, rng)
    if abs(lab_from_linear(colours[1])[0] - lab_from_linear(colours[0])[0]) < 15:
        colours[1] = 0.75 if lab_from_linear(colours[0])[0] < 55 else 0.04
    metres = 2 * BACK * (2 if kind in ("dress", "coat", "suit") else 1)
    image = np.ascontiguousarray(dyed(detail, colours[0]))
    pictures: tuple[str, ...] = ()
    if name in ("blocks", "panel", "dip-dye", "chest band", "splash"):
        image = _areas(name, detail, colours, metres, rng)
    else:
        back = name == "number" or rng.random() < 0.3
        for centre in [(0.0, True), (BACK, back)]:
            if not centre[1] or (name == "number" and centre[0] == 0.0 and rng.random() < 0.4):
                continue
            stamp, used = _stamp(name, assets, colours, rng)
            pictures += used
            small = name == "logo" and rng.random() < 0.5
            width = rng.uniform(0.05, 0.10) if small else rng.uniform(0.16, 0.34)
            across = centre[0] + (rng.choice([-1, 1]) * rng.uniform(0.06, 0.1) if small else rng.normal(0, 0.01))
            down = rng.uniform(0.16, 0.24) if small or name == "number" else rng.uniform(0.14, 0.3)
            _place(image, stamp, across, down, width, metres, detail)
    return Cloth(image.astype(np.float32), metres, fabric, pictures), name


def _place(image: np.ndarray, stamp: np.ndarray, u: float, v: float, width: float, metres: float, detail: np.ndarray) -> None:
    """Lay a stamp (h, w, 4), linear colour and coverage, `width` metres wide with its top centre at (u, v), around the canvas's edge."""
    columns = max(4, round(width / metres * CANVAS))
    rows = max(4, round(columns * stamp.shape[0] / stamp.shape[1]))
    scaled = cv2.resize(stamp, (columns, rows), interpolation=cv2.INTER_AREA if columns < stamp.shape[1] else cv2.INTER_LINEAR)
    i = (round(v / metres * CANVAS) + np.arange(rows)) % CANVAS
    j = (round(u / metres * CANVAS - columns / 2) + np.arange(columns)) % CANVAS
    patch = np.ix_(i, j)
    cover = scaled[..., 3:]
    image[patch] = image[patch] * (1 - cover) + cover * scaled[..., :3] * (0.7 + 0.3 * detail[patch][..., None])


def _stamp(name: Print, assets: Assets, colours: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[str, ...]]:
    """(h, w, 4) float32: a print on its own, and the backgrounds in it."""
    if name == "photo":
        key = list(assets.backgrounds)[rng.integers(len(assets.backgrounds))]
        picture = decode(assets.backgrounds[key])[..., :3]
        h, w = picture.shape[:2]
        side = int(min(h, w) * rng.uniform(0.3, 0.9))
        i, j = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
        crop = LINEAR[picture[i : i + side, j : j + int(side * rng.uniform(0.6, 1))]]
        if rng.random() < 0.3:  # one ink
            crop = crop.mean(-1, keepdims=True) * 2 * colours[1]
        cover = np.ones(crop.shape[:2], np.float32)
        if rng.random() < 0.3:
            cover[:] = 0
            cv2.ellipse(
                cover, (cover.shape[1] // 2, cover.shape[0] // 2), (cover.shape[1] // 2 - 1, cover.shape[0] // 2 - 1), 0, 0, 360, 1.0, -1
            )
        return np.dstack([np.clip(crop, 0.03, 0.85), cover]).astype(np.float32), (key,)
    if name == "number":
        cover = _text(str(rng.integers(1, 100)), rng, thick=True)
    elif name == "words":
        lines = [_text(str(rng.choice(_WORDS)), rng) for _ in range(rng.integers(1, 4))]
        width = max(line.shape[1] for line in lines)
        cover = np.vstack([cv2.resize(a, (width, max(8, round(a.shape[0] * width / a.shape[1])))) for a in lines])
    else:
        cover = _logo(rng)
    if name != "number" and rng.random() < 0.25:
        cover = _turned(cover, float(rng.uniform(-25, 25)))
    ink = np.broadcast_to(colours[1].astype(np.float32), (*cover.shape, 3)).copy()
    if rng.random() < 0.3:
        ink[: int(len(ink) * rng.uniform(0.3, 0.7))] = colours[2]
    return np.dstack([ink, cover]), ()


def _text(text: str, rng: np.random.Generator, thick: bool = False) -> np.ndarray:
    """(h, w) float32 coverage of a line of text."""
    font, size = int(_FONTS[rng.integers(len(_FONTS))]), 4.0
    weight = int(rng.integers(10, 22)) if thick else int(rng.integers(4, 14))
    if font == cv2.FONT_HERSHEY_PLAIN:
        size = 8.0
    (width, height), base = cv2.getTextSize(text, font, size, weight)
    canvas = np.zeros((height + base + 2 * weight, width + 2 * weight), np.uint8)
    cv2.putText(canvas, text, (weight, height + weight // 2), font, size, 255, weight, cv2.LINE_AA)
    tight = canvas[canvas.max(1) > 0][:, canvas.max(0) > 0]
    cover: np.ndarray = cv2.copyMakeBorder(tight, 12, 12, 12, 12, cv2.BORDER_CONSTANT, value=0).astype(np.float32) / 255
    if thick:
        cover = cv2.resize(cover, (cover.shape[1], int(cover.shape[0] * rng.uniform(1.1, 1.6))))
    return cover


def _logo(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) float32 coverage of a simple emblem: nested shapes that add and cut."""
    canvas = np.zeros((256, 256), np.uint8)
    radius, value = 120.0, 255
    for _ in range(rng.integers(1, 5)):
        corners = int(rng.choice([3, 4, 5, 6, 8, 40]))
        angle = rng.choice([0.0, np.pi / corners]) - np.pi / 2 + 2 * np.pi * np.arange(2 * corners) / (2 * corners)
        spike = rng.choice([1.0, np.cos(np.pi / corners), 0.45]) if corners < 40 else 1.0
        reach = radius * np.where(np.arange(2 * corners) % 2 == 0, 1.0, spike)
        stretch = np.array([1.0, rng.choice([1.0, 1.0, 0.6])])
        points = 128 + np.stack([np.cos(angle), np.sin(angle)], -1) * reach[:, None] * stretch
        cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
        radius *= rng.uniform(0.55, 0.88)
        value = 255 - value
    return canvas.astype(np.float32) / 255


def _turned(cover: np.ndarray, degrees: float) -> np.ndarray:
    """Coverage turned about its centre, on a larger canvas."""
    h, w = cover.shape
    side = int(np.hypot(h, w)) + 2
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    matrix[:, 2] += [(side - w) / 2, (side - h) / 2]
    return cv2.warpAffine(cover, matrix, (side, side))


def _areas(name: Print, detail: np.ndarray, colours: np.ndarray, metres: float, rng: np.random.Generator) -> np.ndarray:
    """(CANVAS, CANVAS, 3): large areas of two or three colours."""
    v = ((np.arange(CANVAS) + 0.5) / CANVAS * metres)[:, None]
    u = ((np.arange(CANVAS) + 0.5) / CANVAS * metres)[None]
    length = metres * 0.55
    if name == "dip-dye":
        edge, soft = rng.uniform(0.3, 0.9) * length, rng.uniform(0.02, 0.35) * length
        weight = np.clip((v - edge) / soft + 0.5, 0, 1) * np.ones_like(u)
    elif name == "splash":
        weight = np.clip((periodic_noise(rng, CANVAS, rng.uniform(3, 7)) - rng.uniform(0.2, 1.0)) * rng.uniform(2, 10), 0, 1)
    elif name == "panel":  # the middle of the front and of the back
        half = rng.uniform(0.05, 0.14)
        weight = ((np.abs((u + BACK / 2) % BACK - BACK / 2) < half) * np.ones_like(v)).astype(float)
    elif name == "chest band":
        start, height = rng.uniform(0.18, 0.3), rng.uniform(0.04, 0.14)
        weight = ((v > start) & (v < start + height)) * np.ones_like(u)
        line = (np.abs(v - start) < 0.008) | (np.abs(v - start - height) < 0.008)
        return (
            dyed(detail, colours[0]) * (1 - weight[..., None])
            + detail[..., None] * np.where(line[..., None], colours[2], colours[1]) * weight[..., None]
        )
    else:
        edges = np.sort(rng.uniform(0.12, 0.95, 2)) * length
        level = (v > edges[0]).astype(int) + (v > edges[1])
        return detail[..., None] * colours[np.broadcast_to(level, detail.shape)]
    w = weight[..., None]
    image: np.ndarray = detail[..., None] * ((1 - w) * colours[0] + w * colours[1])
    return image
