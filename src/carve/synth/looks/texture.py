"""A surface's diffuse colour as a picture in texture space, its colour arithmetic and the decoding of the pictures it is made from.

Albedo is linear reflectance, 0..1, and stays within ALBEDO_RANGE in every channel: no cloth or skin is blacker or whiter. Files and
`Texture.image` hold it sRGB-encoded (IEC 61966-2-1). Arrays are RGB.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image

from carve.files.fence import OversizeError, fence
from carve.files.png import SIGNATURE, check_png
from carve.files.text import read_bytes
from carve.geometry.pictures.sampling import complete
from carve.synth.assets.files import Assets

ALBEDO_RANGE = (0.03, 0.85)
"""Bounds of the linear reflectance of cloth, leather, skin and hair (snow is 0.85, coal 0.04)."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of linear sRGB (ITU-R BT.709)."""
MAX_TEXELS = 1 << 28
"""Of a picture that a texture is made from."""
_STEPS = 4095
UNPAINTED = 4
"""Pictures with a black ground have at most this there, 8-bit."""

Coordinates = Literal["uv", "planar"]


@dataclass(frozen=True)
class Texture:
    """The look of one layer."""

    image: np.ndarray
    """(H, W, 3) uint8 sRGB albedo; repeats in both directions. Pixel (i, j) lies at ((j + 0.5) / W, (i + 0.5) / H)."""
    alpha: np.ndarray | None
    """(H', W') uint8 in the layer's OWN uv whatever `coordinates` says; the layer is cut out where it is below 128. None: nowhere."""
    scale: float | None
    """None: the image lies in the layer's own uv. Else metres of cloth a tile: look up at uv * uv_scale / scale, or planar / scale."""
    coordinates: Coordinates
    """`planar`: coordinates of `planar_uv` on the garment at rest; `scale` is then a number."""
    roughness: float
    """GGX roughness (alpha = roughness squared), 0..1."""
    specular: float
    """Reflectance at normal incidence, linear (0.04 for skin and leather, less for cloth)."""
    source: dict[str, Any]
    """What it was made of: `mode`, names of assets, colours; `credits`: "asset: author, licence" of every file used."""


def linear_from_srgb(values: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear, float32 (IEC 61966-2-1)."""
    v = np.asarray(values, np.float32)
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_from_linear(values: np.ndarray) -> np.ndarray:
    """Linear 0..1 to sRGB 0..1, float32."""
    v = np.clip(np.asarray(values, np.float32), 0.0, 1.0)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055).astype(np.float32)


LINEAR = linear_from_srgb(np.arange(256) / 255.0)
"""(256,) linear value of each 8-bit sRGB value."""
LOWEST = int(np.ceil(srgb_from_linear(np.array(ALBEDO_RANGE[0])) * 255))
HIGHEST = int(np.floor(srgb_from_linear(np.array(ALBEDO_RANGE[1])) * 255))
"""ALBEDO_RANGE as 8-bit sRGB, rounded inward."""
_ENCODE = np.clip(np.round(srgb_from_linear(np.arange(_STEPS + 1) / _STEPS) * 255), LOWEST, HIGHEST).astype(np.uint8)


def encode(linear: np.ndarray) -> np.ndarray:
    """Linear albedo of any shape to 8-bit sRGB, clipped to ALBEDO_RANGE."""
    index = np.clip(linear, 0.0, 1.0) * np.float32(_STEPS)
    return np.take(_ENCODE, index.astype(np.uint16))


def veiled(image: np.ndarray) -> np.ndarray:
    """An 8-bit sRGB picture squeezed into ALBEDO_RANGE as a veil of stray light would do it, so that darks keep their detail."""
    low, high = ALBEDO_RANGE
    table: np.ndarray = _ENCODE[np.round((low + (high - low) * LINEAR) * _STEPS).astype(np.int64)]
    return cv2.LUT(image, table)


def lab_from_linear(colour: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) to CIELAB (D65, CIE 15)."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = np.asarray(colour, np.float64) @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def linear_from_lab(lab: np.ndarray) -> np.ndarray:
    """CIELAB (..., 3) to linear sRGB within ALBEDO_RANGE, float64."""
    inverse = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    y = (np.asarray(lab, np.float64)[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    t = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return np.clip(t * np.array([0.9505, 1.0, 1.089]) @ inverse.T, *ALBEDO_RANGE)


def hex_of(colour: np.ndarray) -> str:
    """A linear colour (3,) as #rrggbb, for `Texture.source`."""
    return "#" + "".join(f"{int(c):02x}" for c in encode(np.asarray(colour, np.float32)))


@lru_cache(maxsize=96)
def decode(path: Path, size: int | None = None) -> np.ndarray:
    """(H, W, 3) or, with transparency, (H, W, 4) uint8 RGB(A) of an image file, read-only; `size`: resized to a square of that side.

    Raises:
        CarveError: the file is no readable picture.
    """
    with fence(f"The picture {path}", "put a .webp, .png or .jpg file in its place"):
        data = read_bytes(path)
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG", "JPEG")) as opened:
            if opened.width * opened.height > MAX_TEXELS:
                raise OversizeError(f"has over {MAX_TEXELS // 10**6} million pixels")
        if data.startswith(SIGNATURE):
            check_png(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError("it cannot be decoded")
    if image.dtype != np.uint8:
        image = (image / 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    else:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    if size is not None and image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC)
    image.setflags(write=False)
    return image


@lru_cache(maxsize=96)
def painted(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 a garment's picture whose unpainted, black ground is filled from what is painted around it, read-only.

    Charts are drawn up to their border only: cut or moved cloth looks beyond it, and so does cloth below a sewn-on pocket.

    Raises:
        CarveError: the file is no readable picture.
    """
    picture = decode(path)[..., :3]
    ground = (picture.max(-1) <= UNPAINTED).astype(np.uint8)
    if ground.mean() < 0.15:
        return picture
    weight = 1.0 - cv2.dilate(cv2.morphologyEx(ground, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.ones((7, 7), np.uint8))
    filled = complete(picture, weight.astype(np.float32))[0]
    result: np.ndarray = np.where(weight[..., None] > 0, picture, np.clip(np.round(filled), 0, 255).astype(np.uint8))
    result.setflags(write=False)
    return result


def credit(assets: Assets, path: Path) -> str:
    """ "asset: author, licence" of a file below the assets' root, from the last row of licences.csv that names it or a folder of it."""
    inside = path.relative_to(assets.root).as_posix() if path.is_relative_to(assets.root) else path.name
    for row in reversed(assets.licences):
        if fnmatchcase(inside, row.asset) or inside.startswith(row.asset + "/"):
            return f"{inside}: {row.author}, {row.licence}"
    return f"{inside}: not listed in licences.csv"


def periodic_noise(rng: np.random.Generator, size: int, cells: float) -> np.ndarray:
    """(size, size) float32 smooth noise that tiles, mean 0 and variance 1; about `cells` bumps along a side."""
    coarse = int(2 ** np.ceil(np.log2(max(4 * cells, 8))))
    coarse = min(coarse, size)
    sigma = coarse / (2.5 * cells)
    frequency = np.fft.rfftfreq(coarse)[None] ** 2 + np.fft.fftfreq(coarse)[:, None] ** 2
    spectrum = np.fft.rfft2(rng.standard_normal((coarse, coarse))) * np.exp(-2 * (np.pi * sigma) ** 2 * frequency)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (coarse, coarse)).astype(np.float32)
    noise /= noise.std() + 1e-12
    return enlarged(noise, size)


def enlarged(tile: np.ndarray, size: int) -> np.ndarray:
    """A tiling picture resized to `size` x `size` without a seam."""
    pad = 4
    factor = size / len(tile)
    if factor == 1:
        return tile
    wrapped = cv2.copyMakeBorder(tile, pad, pad, pad, pad, cv2.BORDER_WRAP)
    # The affine map keeps pixel centres in place: source = (target + 0.5) / factor - 0.5 + pad.
    shift = 0.5 / factor - 0.5 + pad
    matrix = np.array([[1 / factor, 0, shift], [0, 1 / factor, shift]])
    return cv2.warpAffine(wrapped, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
