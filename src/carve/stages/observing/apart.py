"""People apart: what of a picture is one person's and what a neighbour's.

Where the masks of two people overlap, a pixel is of whose limbs are nearer, measured in lengths of the trunk.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from carve.geometry.pictures.window import Window
from carve.networks.detectors.person import POSE_NAMES, Detection
from carve.networks.detectors.pose import PoseRun

_CHAINS = (("ear", "shoulder", "elbow", "wrist", "index"), ("shoulder", "hip", "knee", "ankle", "foot_index"))
LIMBS = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for chain in _CHAINS for a, b in pairwise(chain)),
    *((f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "hip", "ear")),
)
"""Pairs of landmarks that a line of the body runs between."""

DRAWN_SIZE = 256
"""Side of the image in which distances to limbs are measured, pixels."""

Read = tuple[Window, list[PoseRun]]
"""A window of the photo and what the pose network said in it of one person."""

CONTESTED = 0.3
"""Mask above which a pixel counts as claimed."""


def neighbours(person: Detection, others: list[Detection], most: int = 3) -> list[Detection]:
    """Those whose circle overlaps the person's, nearest first."""
    distance = [float(np.linalg.norm(other.centre - person.centre)) for other in others]
    near = [i for i in np.argsort(distance) if distance[i] < 0.8 * (others[i].radius + person.radius)]
    return [others[i] for i in near[:most]]


def without_heads(pixels: np.ndarray, person: Detection, others: list[Detection]) -> np.ndarray:
    """The photo with other people's heads painted over, so that a network does not jump to them; not where the person's own head is."""
    own = _grown(person.head, 0.25)
    apart = [np.maximum(np.round(other.head), 0).astype(int) for other in others if not _overlap(own, other.head)]
    if not apart:
        return pixels
    painted = pixels.copy()
    for left, top, right, bottom in apart:
        if bottom > top and right > left:
            painted[top:bottom, left:right] = pixels[top:bottom, left:right].mean((0, 1))
    return painted


def own_runs(window: Window, runs: list[PoseRun], person: Detection, others: list[Detection]) -> list[PoseRun]:
    """The runs that read this person: hips near the person's, nose nearer to the person's head than to any other."""
    hips = [POSE_NAMES.index("left_hip"), POSE_NAMES.index("right_hip")]
    heads = np.array([(p.head[:2] + p.head[2:]) / 2 for p in (person, *others)])

    def own(run: PoseRun) -> bool:
        points = window.to_photo(run.pixels)
        nearest = int(np.argmin(np.linalg.norm(heads - points[0], axis=1)))
        return nearest == 0 and bool(np.linalg.norm(points[hips].mean(0) - person.centre) < 0.5 * person.radius)

    return [run for run in runs if own(run)]


def own_half(pixels: np.ndarray, person: Detection, others: list[Detection]) -> np.ndarray:
    """The photo with all grey that lies nearer to the head and hips of a neighbour than to the person's."""
    height, width = pixels.shape[:2]
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5

    def distance(p: Detection) -> np.ndarray:
        head = (p.head[:2] + p.head[2:]) / 2
        along = np.clip(((at - head) @ (p.centre - head)) / max(float((p.centre - head) @ (p.centre - head)), 1e-6), 0, 2)
        gap: np.ndarray = np.linalg.norm(at - head - along[..., None] * (p.centre - head), axis=-1)
        return gap

    theirs = np.min([distance(other) for other in others], 0) < distance(person)
    return np.where(theirs[..., None], np.uint8(128), pixels)


def share_out(window: Window, claim: np.ndarray, person: Read, others: list[Read]) -> np.ndarray:
    """(S, S) bool: pixels of a window that are rather a neighbour's than those of the person whose soft mask there is `claim` (S, S)."""
    taken = np.zeros(claim.shape, bool)
    own = _distance_to_limbs(window, person)
    for other in others:
        if _same_body(person, other):
            continue  # the network jumped to the one beside: their reading tells nothing
        there, runs = other
        theirs = there.paste_into(np.mean([run.mask for run in runs], 0).astype(np.float32), window)
        both = (claim > CONTESTED) & (theirs > CONTESTED)
        taken |= both & (_distance_to_limbs(window, other) < own)
        taken |= (theirs > 0.5) & (claim < theirs) & ~both
    return taken


def _distance_to_limbs(window: Window, person: Read) -> np.ndarray:
    """(S, S) float32 distance of a window's pixels to the nearest line of a body, in lengths of its trunk."""
    there, runs = person
    points = np.median([there.to_photo(run.pixels) for run in runs], 0)
    seen = np.median([run.visibility for run in runs], 0)
    index = {name: i for i, name in enumerate(POSE_NAMES)}
    drawn = np.full((DRAWN_SIZE, DRAWN_SIZE), 255, np.uint8)
    scale = DRAWN_SIZE / window.side
    at = (points - [window.left, window.top]) * scale
    for a, b in LIMBS:
        if min(seen[index[a]], seen[index[b]]) > 0.3:
            start, end = (tuple(np.round(at[index[name]]).astype(int).tolist()) for name in (a, b))
            cv2.line(drawn, start, end, 0, 1)
    shoulders, hips = (points[[index[f"{side}_{joint}"] for side in ("left", "right")]].mean(0) for joint in ("shoulder", "hip"))
    trunk = np.linalg.norm(shoulders - hips)
    distance = cv2.distanceTransform(drawn, cv2.DIST_L2, 5) / max(float(trunk) * scale, 1.0)
    return cv2.resize(distance, (window.size, window.size), interpolation=cv2.INTER_LINEAR)


def _same_body(one: Read, other: Read) -> bool:
    """Whether two readings are of one person: most of the landmarks lie closer to each other than a tenth of the body's extent."""
    a, b = (np.median([window.to_photo(run.pixels) for run in runs], 0) for window, runs in (one, other))
    return bool(np.median(np.linalg.norm(a - b, axis=1)) < 0.1 * np.ptp(a, axis=0).max())


def _grown(box: np.ndarray, share: float) -> np.ndarray:
    size = box[2:] - box[:2]
    return np.concatenate([box[:2] - share * size, box[2:] + share * size])


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())
