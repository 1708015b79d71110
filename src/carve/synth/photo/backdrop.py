"""What is behind and before a photographed person: background, contact shadow, occluder. Linear RGB; white is 1 in a developed picture."""

from __future__ import annotations

import cv2
import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled
from carve.synth.photo.augmentation import Motion, Truth
from carve.synth.photo.lighting import Lighting, seen
from carve.synth.photo.repainting import cloth_colour
from carve.synth.photo.scenery import Scenery
from carve.synth.photo.transfer import to_linear


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
    crop = cv2.LUT(cv2.warpAffine(picture, inverse, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT), to_linear())
    crop *= np.float32(2 ** rng.normal(0, 0.45))
    if sigma / coarse > 0.6:
        crop = cv2.GaussianBlur(crop, (0, 0), sigma / coarse)
    return np.asarray(crop if coarse == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR))


def _studio_wall(size: int, rng: np.random.Generator) -> np.ndarray:
    """A plain colour, lighter in one spot and darker towards an edge."""
    colour = to_linear()[cloth_colour(rng).astype(int)] if rng.random() < 0.4 else np.full(3, rng.choice([0.03, 0.15, 0.3, 0.6, 0.85]))
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
    a, b = (to_linear()[cloth_colour(rng).astype(int)] for _ in range(2))
    return np.asarray(share[..., None] * a + (1 - share[..., None]) * b, np.float32)


def contact_shadow(behind: np.ndarray, coverage: np.ndarray, rng: np.random.Generator) -> None:
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


@compiled(nogil=True, fastmath=True)
def compose(front: np.ndarray, behind: np.ndarray, gain: np.ndarray, out: np.ndarray) -> None:
    """``out = gain front + (1 - alpha) behind``; front (S, S, 4) is premultiplied."""
    g0, g1, g2 = np.float32(gain[0]), np.float32(gain[1]), np.float32(gain[2])
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            through = np.float32(1.0) - front[i, j, 3]
            out[i, j, 0] = front[i, j, 0] * g0 + through * behind[i, j, 0]
            out[i, j, 1] = front[i, j, 1] * g1 + through * behind[i, j, 1]
            out[i, j, 2] = front[i, j, 2] * g2 + through * behind[i, j, 2]


def occlude(picture: np.ndarray, scenery: Scenery, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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
        front = cv2.LUT(cv2.resize(background, (size, size)), to_linear())
    picture += soft[..., None] * (front - picture)
    return np.asarray(soft)
