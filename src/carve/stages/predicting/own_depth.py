"""Depth of the user's own in place of our network's: brought to the unit, the sign and the place of the person.

The unit is taken from the first fitted body, not from what our network says: the body has the person's true size, and its trunk and
limbs are as thick as they are, whereas the network's own relief is flattened where it is in doubt. What the body errs in, how it leans
and how far before the trunk its limbs are, is left out of the comparison (`geometry.relief.depth_scale`). With a perfect model (the true
depth of 33 evaluation cases, its scale taken away) the unit was found within 23 % (rms) and the depth was 2.0 cm off on average, our
network's own 7.5 cm; a robust line through all pixels found .74 of the unit (median) with three times the scatter. The joints of the
second fit, of 21 people who move or wear wide clothes, then err by 73 mm; by 88 with that line, by 98 with the unit of our network's depth,
by 94 with our network's depth itself.

Notation: d what the model says, v it as something that is straight in y; Z the body's depth in metres along the viewing axis, Z_0 the
person's distance, f the focal length; k the unit, t a shift, both over the person's pixels.
    depth:            y = Z,    v = d            inverse, metric:    y = Z,    v = 1 / d
    inverse:          y = 1/Z,  v = d            metric, either:     k = 1
    t = median(y - k v),   depth = Z or 1/y of y = k v + t,   result = (Z_0 - depth) f / Z_0
Disparity with an unknown scale and shift is straight in one over depth; over a person that is, to first order, a line in depth whose
slope is -Z_0^2, so a model that means depth with its sign turned is served by `inverse` too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.geometry.relief.depth_scale import Relief, compare_relief
from carve.records import BodyFit, CarveError, NormalMaps

GRID = 100.0
"""Pixels per metre at which body and answer are compared."""
LEAST_CORRELATION = 0.25
"""Of the relief of body and answer. True depth and a first fit have .31 at the least over 33 people, of whom some stand on their hands
(median .76); the photo's brightness, as an answer that means nothing, has more in 3 of 100."""
FEWEST = 400
"""Pixels of the comparison below which nothing can be said."""
BEYOND = 1.0
"""How far before or behind the body anything of the person may be, metres."""
LEAST_SIGMA = 0.01
"""Metres: no answer is held to be better than this."""
WRONG_METRES = 3.0
"""By which factor depth in metres may be larger or smaller than the body's."""


@dataclass(frozen=True)
class OwnDepth:
    """A depth model that the user brings."""

    model: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Takes a square crop (S, S, 3) uint8 and coverage (S, S) 0..1; gives (S, S) float32 in its own unit."""
    meaning: Literal["depth", "inverse"]
    """Whether it grows away from the viewer or is one over that."""
    metric: bool
    """Whether it is metres, or one over metres."""
    name: str
    """What errors call it."""
    side: int = 512
    """S."""


def with_own_depth(maps: NormalMaps, answer: np.ndarray, first: BodyFit, own: OwnDepth) -> NormalMaps:
    """The maps with the model's depth, and its doubt, in place of the network's.

    `answer` (H, W) is what the model says, at the photo's pixels; `first` the fitted body. An answer that has nothing to do with the body
    leaves the maps as they are, with a note. The doubt is one figure: the robust spread of what remains between body and answer, but for a
    tilt, which is the body's own lean.

    Raises CarveError if the answer runs against the body or is not in metres: the conventions are wrong then.
    """
    values = answer.astype(np.float64)
    if own.metric and own.meaning == "inverse":
        values = 1 / np.maximum(values, 1e-3)
    distance = -float(first.pose.root_position[2])
    per_metre = first.camera.focal / distance
    reciprocal = own.meaning == "inverse" and not own.metric
    depth, shown, small, grid = _on_grid(maps.mask, values, first, min(1.0, GRID / per_metre))
    if shown.sum() < FEWEST:
        return _kept(maps, "shows too little of the body")
    target = 1 / np.where(shown, depth, distance) if reciprocal else depth
    # Both grow away from the viewer, or both towards the viewer: a right answer has a positive correlation.
    relief = compare_relief(target, small, shown, grid * per_metre)
    if relief.scale <= 0:
        return _kept(maps, "is flat, or flat but for a few steps")
    if relief.correlation < LEAST_CORRELATION:
        if relief.correlation <= -LEAST_CORRELATION:
            other = "inverse" if own.meaning == "depth" else "depth"
            raise CarveError(
                f"The depth that {own.name} gives runs against the person's body (correlation {relief.correlation:.2f}); "
                f"if near and far are exchanged, 'meaning' should be \"{other}\"."
            )
        return _kept(maps, f"does not go with the body (correlation {relief.correlation:.2f}, at least {LEAST_CORRELATION} is wanted)")
    scale = _unit(relief, own)
    shift = float(np.median((target - scale * small)[shown]))
    low, high = max(float(depth[shown].min()) - BEYOND, 0.1), float(depth[shown].max()) + BEYOND
    found, coarse = (_metres(scale * v + shift, reciprocal, low, high) for v in (values, small))
    sigma = _spread((depth - coarse)[shown], shown)
    height = np.where(maps.mask, (distance - found) * per_metre, 0)
    doubt = np.where(maps.mask, 2 * np.log(sigma * per_metre), 0)
    return replace(maps, depth=height.astype(np.float32), depth_log_variance=doubt.astype(np.float32), depth_source="model")


def _kept(maps: NormalMaps, why: str) -> NormalMaps:
    return replace(maps, notes=(*maps.notes, f"The answer of the depth model {why}; carve's own depth was used."))


def _unit(relief: Relief, own: OwnDepth) -> float:
    if not own.metric:
        return relief.scale
    if not 1 / WRONG_METRES < relief.scale < WRONG_METRES:
        raise CarveError(
            f"The depth that {own.name} gives is not in metres: the body's relief is {relief.scale:.3g} times as large; "
            "set 'metric' to false."
        )
    return 1.0


def _metres(y: np.ndarray, reciprocal: bool, low: float, high: float) -> np.ndarray:
    """Depth within what the person can have, metres, from y."""
    return 1 / np.clip(y, 1 / high, 1 / low) if reciprocal else np.clip(y, low, high)


def _on_grid(mask: np.ndarray, values: np.ndarray, first: BodyFit, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The body's depth, which pixels show body and answer, the answer there, and the grid's pixels per pixel of the photo.

    Answers far from most others (what leaks in from behind the person) count as none.
    """
    height, width = mask.shape
    size = max(round(width * scale), 8), max(round(height * scale), 8)
    low, high = np.percentile(values[mask], [10, 90]) if mask.any() else (0.0, 0.0)
    reach = 2 * (high - low)
    known = mask & (values >= low - reach) & (values <= high + reach)
    share = cv2.resize(known.astype(np.float64), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(np.where(known, values, 0.0), size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)
    camera = first.camera
    ratio = size[0] / width, size[1] / height
    raster = rasterise(first.posed, first.faces, Camera(*size, camera.focal * scale, camera.cx * ratio[0], camera.cy * ratio[1]))
    shown = cv2.erode((raster.mask & (share > 0.99)).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    return np.where(shown, raster.depth, 0).astype(np.float64), shown, np.where(shown, small, 0), scale


def _spread(residual: np.ndarray, shown: np.ndarray) -> float:
    """Robust standard deviation of (N,) metres at the pixels that are shown (H, W) about the plane through them."""
    row, column = np.nonzero(shown)
    plane = np.column_stack([np.ones(len(row)), row - row.mean(), column - column.mean()])
    weight = np.ones(len(row))
    for _ in range(6):  # least absolute deviations, by reweighting
        root = np.sqrt(weight)
        rest = residual - plane @ np.linalg.lstsq(plane * root[:, None], residual * root, rcond=None)[0]
        weight = 1 / np.maximum(np.abs(rest), 1e-3)
    return max(1.4826 * float(np.median(np.abs(rest))), LEAST_SIGMA)
