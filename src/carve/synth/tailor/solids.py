"""From a design to the field whose zero level is the garment, uncut."""

from __future__ import annotations

import cv2
import numpy as np

from carve.synth.tailor.design import Design
from carve.synth.tailor.field import FAR, BodyGrid, closed_part, smooth_minimum
from carve.synth.tailor.figure import SIDES, Figure, along_chain

_JOIN = 0.035
"""Metres within which sleeves and trunk are rounded into each other."""
_LIMB_CLOSING = 0.045
"""Metres: hollows of arms and legs are bridged within this."""


def hem_height(figure: Figure, hem: float) -> float:
    """Height of a hem: -1 at the waist, 0 at the hip joints, 1 at the ankles; linear between and beyond."""
    h = figure.heights
    return h["hip"] + (hem * (h["ankle"] - h["hip"]) if hem > 0 else -hem * (h["waist"] - h["hip"]))


def _ramp(x: np.ndarray, start: float, end: float) -> np.ndarray:
    return np.clip((x - start) / (end - start), 0.0, 1.0)


def garment_field(grid: BodyGrid, design: Design) -> np.ndarray:
    """(X, Y, Z) float32, negative inside the garment."""
    fields = []
    if design.upper or design.lower == "skirt" or design.lower == "legs":
        fields.append(_column(grid, design))
    if design.upper and not design.bare:
        fields.append(closed_part(grid, grid.part("neck"), 0.02) - _neck_ease(design, grid.figure.scale))
        if design.sleeve > 0.03 and not design.cape:
            fields += [_sleeve(grid, design, side) for side in SIDES]
    if design.lower == "legs":
        fields += [_leg(grid, design, side) for side in SIDES]
    if design.hooded:
        fields.append(closed_part(grid, grid.part("head"), 0.06) - 0.02 * grid.figure.scale)
    return np.asarray(smooth_minimum(fields, _JOIN * grid.figure.scale), np.float32)


def _neck_ease(design: Design, scale: float) -> float:
    return scale * float(np.clip(0.5 * design.ease, 0.006, 0.016))


def _column(grid: BodyGrid, design: Design) -> np.ndarray:
    """The trunk, and both legs in one as far down as the hem of what is no pair of trousers."""
    figure, scale = grid.figure, grid.figure.scale
    _, y, _ = grid.axes()
    mask = grid.part("trunk")
    low = hem_height(figure, design.hem)
    if design.lower != "legs":
        mask |= (grid.part("left_leg") | grid.part("right_leg")) & (y > min(low, figure.heights["hip"]) - 0.1 * scale)
        fill_slices(mask, int((figure.heights["crotch"] + 0.02 * scale - grid.origin[1]) / grid.cell))
    if design.cape:
        for side in SIDES:
            mask |= grid.part(f"{side}_arm") & (y > low + 0.05 * scale)
    if not design.upper:
        mask &= y < figure.heights["chest"]
    growth = scale * (design.ease + design.flare + design.pleat_depth)
    field = closed_part(grid, mask, design.closing * scale, growth + 0.06)
    waist, hip = figure.heights["waist"], figure.heights["hip"]
    ease = design.ease - design.waist * np.exp(-(((y - waist - 0.02) / (0.09 * scale)) ** 2))
    if design.lower == "legs" and design.upper is False:
        ease = np.minimum(ease, design.leg_ease)
    top = hem_height(figure, design.flare_from)
    down = _ramp(-y, -top, -min(low, top - 0.05))
    ease = ease + design.flare * down
    # Shoulders carry the cloth: it lies on them.
    ease = ease - (ease - 0.008) * _ramp(y, figure.heights["armpit"], figure.heights["neck"]) * 0.7
    field = field - scale * ease.astype(np.float32)
    if design.pleats:
        x, _, z = grid.axes()
        angle = np.arctan2(x, z - figure.heads["hips"][2])
        wave = np.abs(((angle * design.pleats / (2 * np.pi)) % 1.0) * 2 - 1) * 2 - 1
        ramp = _ramp(-y, -(hip + 0.10 * scale), -(hip - 0.1 * scale))
        field = field - (scale * design.pleat_depth * ramp * wave).astype(np.float32)
    return field


def fill_slices(mask: np.ndarray, below: int) -> None:
    """Fill each horizontal slice of a mask (X, Y, Z) up to number `below` to its convex hull, in place: a skirt spans the room between the
    legs."""
    for k in range(max(below, 0)):
        found = np.argwhere(mask[:, k]).astype(np.int32)
        if len(found) > 2:
            layer = mask[:, k].astype(np.uint8)
            cv2.fillConvexPoly(layer, cv2.convexHull(found[:, ::-1]), 1)
            mask[:, k] = layer > 0


def _sleeve(grid: BodyGrid, design: Design, side: str) -> np.ndarray:
    scale = grid.figure.scale
    field = closed_part(grid, grid.part(f"{side}_arm") | _cuff_hand(grid, design, side), _LIMB_CLOSING * scale)
    near = np.flatnonzero(field.ravel() < FAR * 0.9)
    points = grid.origin + grid.cell * np.column_stack(np.unravel_index(near, field.shape))
    along, _ = along_chain(points, grid.figure.arm(side))  # type: ignore[arg-type]
    ease = _tapered(along, max(design.sleeve, 0.1), design.sleeve_ease, design.cuff_ease, design.gathered / 0.5)
    out = field.ravel()
    out[near] -= (scale * ease).astype(np.float32)
    return out.reshape(field.shape)


def _cuff_hand(grid: BodyGrid, design: Design, side: str) -> np.ndarray:
    """The root of the hand, where a sleeve reaches the wrist."""
    mask = np.zeros(grid.label.shape, bool)
    if design.sleeve < 0.9:
        return mask
    hand = grid.part(f"{side}_hand")
    index = np.argwhere(hand)
    along, _ = along_chain(grid.origin + grid.cell * index, grid.figure.arm(side))  # type: ignore[arg-type]
    mask[tuple(index[along < 1.14].T)] = True
    return mask


def _tapered(along: np.ndarray, end: float, ease: float, last: float, band: float) -> np.ndarray:
    """Ease along a limb: linear from `ease` to `last`, or, with a gathered band, wide up to it and then `last`."""
    if band <= 0:
        return ease + (last - ease) * np.clip(along / end, 0, 1)
    return np.where(along < end, ease + (last - ease) * _ramp(along, end - 1.8 * band, end - band), last)


def _leg(grid: BodyGrid, design: Design, side: str) -> np.ndarray:
    figure, scale = grid.figure, grid.figure.scale
    x, y, _ = grid.axes()
    mask = grid.part(f"{side}_leg") & (y > figure.heights["ground"] + 0.03 * scale)
    if design.leg_hem > 0.03 or design.hem > 0.9:  # a trouser leg goes past the foot, not around it
        mask &= ~(grid.part(f"{side}_foot") & (y < figure.heights["ankle"] - 0.02 * scale))
    field = closed_part(grid, mask, _LIMB_CLOSING * scale)
    hip, low = figure.heights["crotch"], hem_height(figure, design.hem)
    down = (hip - y) / max(hip - low, 0.05)
    ease = _tapered(down, 1.0, design.leg_ease, design.leg_hem, design.gathered / 0.75)
    # The cloth of the two legs must not meet between the thighs: it keeps to its own side there.
    own = x if side == "left" else -x
    field = field - scale * np.broadcast_to(ease, field.shape).astype(np.float32)
    return np.maximum(field, (0.004 - own) * np.ones_like(field) - 0.002 - 10.0 * np.clip(y - hip, 0, None).astype(np.float32))
