"""What a camera makes of a linear picture: exposure, blur, vignette, noise, tone curve, sharpening, JPEG."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from carve.geometry.compiled import compiled
from carve.synth.photo.lighting import LUMINANCE
from carve.synth.photo.transfer import srgb

_BRIGHTEST = 8.0
"""Linear value at the end of the tone curve's table."""
_STEPS = 4096
_GRAIN_SIDE = 1024


def exposure(white: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3,) factors an automatic camera puts on radiance: a white card in the mean light `white` (3,) becomes about 0.7, nearly neutral."""
    luminance = max(float(white @ LUMINANCE), 1e-9)
    neutral = np.clip(white / luminance, 0.3, 3.0) ** -rng.uniform(0.6, 1.0)
    neutral *= np.exp(rng.normal(0, 0.03, 3))
    return np.asarray(0.7 * 2 ** rng.normal(0, 0.33) / luminance * neutral / (neutral * white / luminance @ LUMINANCE))


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
    y += rng.uniform(0.05, 0.7) * (y * y * (3 - 2 * y) - y)
    lift = max(rng.uniform(-0.03, 0.035), 0.0)
    return (255 * (lift + (1 - lift) * y)).astype(np.float32)


@compiled(nogil=True, fastmath=True)
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
