"""One garment, one label: where the photo shows no border, none of the labels' is one.

A network that is unsure what a garment is called names parts of it differently: trousers that are a dress down to the knees, a coat that
is a dress in its middle. Two kinds of cloth that touch are one garment if the photo changes across their border no more than it does
within them, and shows no line along it.

Notation: a, b two labels that touch; D the difference of the photo's mean colours (CIE Lab, lightness counting less) on both sides of a
border pixel, within REACH of it; D_0 the same across chance lines inside the two; E the strongest gradient beside a border pixel, E_0
inside them; medians over all borders of a and b:
    one garment, if D / D_0 * E / E_0 < ALIKE
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from carve.records import LABELS, Landmarks
from carve.stages.predicting.label_picture import LabelPicture, border, disc, means

_REACH = 6
"""Pixels of a `LabelPicture`."""
_ALIKE = 2.0
"""Of the product of both ratios."""
_NOISE, _FLAT = 1.0, 0.3
"""What is added to D_0 and E_0: a photo's noise."""
_DARK = 8.0
"""Lightness, of 60, below which cloths cannot be told from each other."""
_FEWEST = 12
"""Pixels of a border below which it says nothing."""
_AROUND = 70
"""Pixels from a border within which D_0 and E_0 are taken."""
_MAY_BE_ONE = "dress bottom, outer dress, top dress, top outer"
_PAIRS = tuple(tuple(LABELS.index(name) for name in pair.split()) for pair in _MAY_BE_ONE.split(", "))
"""What may be one garment. Jackets, shirts and trousers of one cloth are still two; so is a scarf, `other`, in the colours of the coat."""
_TOP, _BOTTOM, _DRESS = (LABELS.index(name) for name in ("top", "bottom", "dress"))
_WAIST = 0.35
"""Where a coverall is parted into top and bottom: share of the way from the hips to the shoulders."""
_CHEST, _COVERALL = 0.55, 0.04
"""What covers more than this share of itself above this share of that way covers the trunk."""
_GAP, _LEG = 3, 6
"""Pixels of background between trouser legs, and least width of a leg."""
_APART = 20
"""Rows in which legs must be apart for trousers."""


@dataclass(frozen=True)
class Trunk:
    """The line of the trunk in the picture."""

    hips: np.ndarray
    """(2,) pixels, middle of the hips."""
    shoulders: np.ndarray
    """(2,) pixels."""

    @staticmethod
    def of(landmarks: Landmarks) -> Trunk | None:
        """None where they do not say."""
        index = {name: i for i, name in enumerate(landmarks.names)}
        if any(f"{side}_{joint}" not in index for side in ("left", "right") for joint in ("hip", "shoulder")):
            return None
        middle = lambda joint: landmarks.pixels[[index[f"left_{joint}"], index[f"right_{joint}"]]].mean(0)  # noqa: E731
        return Trunk(middle("hip"), middle("shoulder"))

    def scaled(self, scale: float) -> Trunk:
        """The same in a picture of other size."""
        return Trunk(self.hips * scale, self.shoulders * scale)

    def share(self, shape: tuple[int, ...]) -> np.ndarray:
        """(h, w) 0 at the hips' height, 1 at the shoulders', of a picture of this shape."""
        along = self.shoulders - self.hips
        v, u = np.indices(shape[:2])
        found: np.ndarray = ((u - self.hips[0]) * along[0] + (v - self.hips[1]) * along[1]) / max(float(along @ along), 1.0)
        return found


def one_label_each(picture: np.ndarray, front: np.ndarray, back: np.ndarray, landmarks: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Labels of front and back (H, W) uint8 with one label for each garment.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        front: (H, W) uint8 index into LABELS, 0 outside the person.
        back: the same of the farthest surface; it follows the front pixel by pixel.
        landmarks: of the person.
    """
    small = LabelPicture.of(picture, front)
    if small is None:
        return front, back
    trunk = Trunk.of(landmarks)
    moved = None if trunk is None else Trunk(trunk.hips - small.corner, trunk.shoulders - small.corner).scaled(small.scale)
    return small.renamed(_renamed(small.labels, small.colours, moved), front, back)


def _renamed(labels: np.ndarray, colours: np.ndarray, trunk: Trunk | None) -> np.ndarray:
    """Labels (h, w) with what is one garment named as one."""
    found = labels
    if trunk is not None:
        count, pieces = cv2.connectedComponents((labels == _DRESS).astype(np.uint8), connectivity=8)
        for piece in range(1, count):
            found = _with_legs(found, pieces == piece, trunk)
    for a, b in _PAIRS:
        both = np.isin(found, (a, b))
        if not (found == a).any() or not (found == b).any() or not alike(found, colours, a, b):
            continue
        # Only pieces that touch are one garment.
        touching = _touching(found, a, b)
        area_a, area_b = (int((both & (found == k)).sum()) for k in (a, b))
        found = np.where(touching, b if area_b >= area_a else a, found).astype(labels.dtype)
        if (a, b) == (_DRESS, _BOTTOM) and trunk is not None:
            found = _with_legs(found, touching, trunk)
    return found


def alike(labels: np.ndarray, colours: np.ndarray, a: int, b: int) -> bool:
    """Whether the photo shows no border where two labels of (h, w) touch; `colours` (h, w, 3) Lab, lightness times 0.6."""
    line, around = border(labels, a, b), disc(_REACH)
    mean, counts = zip(*(means(colours, labels == k, around) for k in (a, b)), strict=True)
    told = line & (counts[0] > 0.2 * around.sum()) & (counts[1] > 0.2 * around.sum())
    if told.sum() < _FEWEST:
        return False
    if max(float(np.median(side[told][:, 0])) for side in mean) < _DARK:
        return False
    across = np.linalg.norm(mean[0] - mean[1], axis=-1)[told]
    slope = np.sqrt(sum((cv2.Sobel(colours, cv2.CV_32F, *way, ksize=3) / 8) ** 2 for way in ((1, 0), (0, 1))).sum(-1))
    strongest = cv2.dilate(slope, np.ones((5, 5), np.uint8))
    away = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    usual, plain = [], []
    for k in (a, b):
        inner = cv2.distanceTransform((labels == k).astype(np.uint8), cv2.DIST_L2, 5)
        inside = (inner > _REACH) & (away < _AROUND) & (away > 2 * _REACH)
        usual += [np.linalg.norm(first - second, axis=-1)[inside] for first, second in _halves(colours, around)]
        plain.append(strongest[inside])
    if not sum(len(part) for part in plain):
        return False
    differs = float(np.median(across)) / (float(np.median(np.concatenate(usual))) + _NOISE)
    shows = float(np.median(strongest[line])) / (float(np.median(np.concatenate(plain))) + _FLAT)
    return differs * shows < _ALIKE


def _halves(colours: np.ndarray, around: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean colours (h, w, 3) of both halves of a disc, which is cut upright and level."""
    middle, pairs = len(around) // 2, []
    for turn in (0, 1):
        half = np.ascontiguousarray(np.rot90(around * (np.arange(len(around)) < middle)[:, None], turn))
        other = np.ascontiguousarray(half[::-1, ::-1])
        pairs.append((cv2.filter2D(colours, -1, half / half.sum()), cv2.filter2D(colours, -1, other / other.sum())))
    return pairs


def _touching(labels: np.ndarray, a: int, b: int) -> np.ndarray:
    """(h, w) bool: pieces of two labels that hold pixels of both."""
    _, piece = cv2.connectedComponents(np.isin(labels, (a, b)).astype(np.uint8), connectivity=8)
    both = np.intersect1d(piece[labels == a], piece[labels == b])
    return np.isin(piece, both[both > 0])


def _with_legs(labels: np.ndarray, garment: np.ndarray, trunk: Trunk) -> np.ndarray:
    """Labels (h, w) in which a garment (h, w) that goes down in two legs is trousers; if it covers the trunk too, top and bottom."""
    share = trunk.share(labels.shape)
    if not _apart(garment & (share < 0), labels == 0):
        return labels
    covers = (garment & (share > _CHEST)).sum() >= _COVERALL * garment.sum()
    wanted = np.where(share > _WAIST, _TOP, _BOTTOM) if covers else _BOTTOM
    return np.where(garment, wanted, labels).astype(labels.dtype)


def _apart(cloth: np.ndarray, background: np.ndarray) -> bool:
    """Whether cloth (h, w) goes down in two legs with background between them, for some rows."""
    rows = 0
    for row, behind in zip(cloth, background, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        starts, ends = edges[::2], edges[1::2]
        wide = ends - starts >= _LEG
        starts, ends = starts[wide], ends[wide]
        rows += any(behind[end:start].sum() >= _GAP for end, start in zip(ends[:-1], starts[1:], strict=True))
    return rows >= _APART
