"""More of a picture's texture: a swatch that repeats without a seam, quilted from blocks of the picture.

Source: Efros and Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001: blocks overlap, each next one is chosen
among those that fit best where they overlap, and cut along the path of least difference. Here the swatch closes on itself on all sides.

Notation: b side of a block, o overlap, n blocks a side: the swatch is n (b - o) pixels wide and high.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_TOLERANCE = 1.1
"""A block may fit this much worse than the best one: the same block everywhere would show."""
_ORDINARY = (0.05, 0.6)
"""Quantiles of the blocks' energy that are taken: what stands out, a logo, a button, is there once."""
_CHOICE = 12
"""Blocks there must be to choose from."""
_SIDES = (64, 48, 32, 24)
"""Of smaller blocks hair becomes a net."""


@dataclass(frozen=True)
class _Blocks:
    """Where blocks of a picture may be taken."""

    side: int
    allowed: np.ndarray
    """(H - b + 1, W - b + 1) bool: at this upper left corner."""


def quilted(picture: np.ndarray, usable: np.ndarray, size: int, seed: int = 0) -> np.ndarray | None:
    """A swatch of about `size` pixels a side, (S, S, C) float32, that continues itself; None where too little is usable.

    Args:
        picture: (H, W, C) float32.
        usable: (H, W) bool.
        size: wanted side, pixels.
        seed: of the choice among blocks that fit.
    """
    blocks = _blocks(picture, usable)
    if blocks is None:
        return None
    b, o = blocks.side, blocks.side // 4
    step = b - o
    count = max(round(size / step), 2)
    side = count * step
    swatch, filled = np.zeros((side, side, picture.shape[2]), np.float32), np.zeros((side, side), np.float32)
    rng = np.random.default_rng(seed)
    source = np.ascontiguousarray(np.where(usable[..., None], picture, 0), np.float32)
    for i in range(count):
        for j in range(count):
            # A block at the end reaches around to the beginning.
            at = np.ix_((i * step + np.arange(b)) % side, (j * step + np.arange(b)) % side)
            there, known = swatch[at], filled[at]
            top, left = _chosen(source, blocks, there, known, rng)
            block = source[top : top + b, left : left + b]
            swatch[at] = np.where(_cut(block, there, known, o)[..., None], block, there)
            filled[at] = 1
    return swatch


def _blocks(picture: np.ndarray, usable: np.ndarray) -> _Blocks | None:
    """The largest blocks of which there are enough, ordinary ones."""
    energy = (picture**2).mean(-1)
    for side in _SIDES:
        if min(usable.shape) < side:
            continue
        inner = np.s_[: usable.shape[0] - side + 1, : usable.shape[1] - side + 1]
        whole = _over_blocks(usable, side)[inner] > 1 - 0.5 / side**2
        if not whole.any():
            continue
        power = _over_blocks(energy, side)[inner]
        low, high = np.quantile(power[whole], _ORDINARY)
        allowed = whole & (power >= low) & (power <= high)
        # Blocks beside each other are nearly the same one.
        if cv2.dilate(allowed.astype(np.uint8), np.ones((side // 4, side // 4), np.uint8)).sum() >= _CHOICE * (side // 4) ** 2:
            return _Blocks(side, allowed)
    return None


def _over_blocks(values: np.ndarray, side: int) -> np.ndarray:
    """(H, W) mean of the values (H, W) over the block whose upper left corner is there."""
    found: np.ndarray = cv2.boxFilter(values.astype(np.float32), -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    return found


def _chosen(source: np.ndarray, blocks: _Blocks, there: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Upper left corner of a block that fits what is known (b, b) of what is there (b, b, C)."""
    if known.any():
        mask = np.repeat(known[..., None], source.shape[2], 2)
        error = cv2.matchTemplate(source, np.ascontiguousarray(there), cv2.TM_SQDIFF, mask=mask)
        error = np.where(blocks.allowed, np.maximum(error, 0), np.inf)
        fitting = np.argwhere(error <= _TOLERANCE * error.min() + 1e-3)
    else:
        fitting = np.argwhere(blocks.allowed)
    top, left = fitting[rng.integers(len(fitting))]
    return int(top), int(left)


def _cut(block: np.ndarray, there: np.ndarray, known: np.ndarray, overlap: int) -> np.ndarray:
    """(b, b) bool: where the new block is shown; along each side with something known it is cut where the two differ least."""
    difference = ((block - there) ** 2).sum(-1)
    shown = np.ones(known.shape, bool)
    for turns in range(4):
        turned = np.rot90(known, turns)
        if not turned[:, :overlap].all():
            continue
        path = _least_path(np.rot90(difference, turns)[:, :overlap])
        keep = np.ones(known.shape, bool)
        keep[:, :overlap] = np.arange(overlap) >= path[:, None]
        shown &= np.rot90(keep, -turns)
    return shown | (known == 0)


def _least_path(cost: np.ndarray) -> np.ndarray:
    """(h,) column of the cheapest way from top to bottom of (h, w), by steps to the three below."""
    total = cost.astype(np.float64).copy()
    width = cost.shape[1]
    for row in range(1, len(cost)):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    path = np.empty(len(cost), np.int64)
    path[-1] = int(total[-1].argmin())
    for row in range(len(cost) - 2, -1, -1):
        first = max(path[row + 1] - 1, 0)
        path[row] = first + int(total[row, first : min(path[row + 1] + 2, width)].argmin())
    return path
