"""Read the pose: the pose networks on scaled, turned and mirrored copies of a person's crop, until one of them sees a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from carve.geometry.pictures.window import Window
from carve.networks.detectors.face import faces_in
from carve.networks.detectors.person import POSE_NAMES, Detection
from carve.networks.detectors.pose import PoseRun, run_pose_augmented
from carve.networks.detectors.pose_models import PoseModel, has_heavy
from carve.records import CarveError
from carve.stages.observing.apart import own_half, own_runs, without_heads

CLOSE = 0.6
"""Distance between two people's hips, in radii of the circle around a body, below which the networks are shown one side only."""

CLEARLY_TURNED = 0.15
"""Distance in the picture between the left and the right side of the trunk, in lengths of the trunk, from which on it is clear which way
round somebody is."""


def pose_models(wanted: Literal["auto", "full", "heavy", "both"]) -> tuple[PoseModel, ...]:
    """The pose networks that are asked."""
    if wanted == "auto":
        return ("full", "heavy") if has_heavy() else ("full",)
    return ("full", "heavy") if wanted == "both" else (wanted,)


def read_pose(
    pixels: np.ndarray,
    person: Detection,
    others: list[Detection],
    models: tuple[PoseModel, ...],
    margin: float,
    size: int,
    variants: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[Window, list[PoseRun]]:
    """The augmented runs on the person's crop.

    Other people's heads are painted over so that the network does not jump to them. Raises CarveError if no run finds a person there.

    Args:
        pixels: (H, W, 3) the photo.
        person: in its pixels.
        others: the other people of the photo.
        models: the networks that are asked.
        margin: half the side of the crop, in radii of the circle around the body.
        size: side of the images the networks are given, pixels.
        variants: scales and in-plane rotations, degrees, of the runs.
    """
    side = round(2 * margin * person.radius)
    corner = np.round(person.centre - side / 2)  # whole pixels: an unscaled crop must not be blurred by resampling
    window = Window(float(corner[0]), float(corner[1]), side, max(min(side, 1024), size))
    pixels = without_heads(pixels, person, others)
    close = [other for other in others if np.linalg.norm(other.centre - person.centre) < CLOSE * person.radius]
    if close:  # the network would read parts of both as one body
        pixels = own_half(pixels, person, close)
    crop = window.cut(pixels)
    local = replace(person, centre=(person.centre - corner) * window.scale, radius=person.radius * window.scale)
    # The usual variants; then others, wider, on the picture with its contrast evened out.
    for image, scales, degrees in (
        (crop, *variants),
        (_evened(crop), (0.6, 0.75, 1.0, 1.3), (-25.0, 0.0, 25.0)),
    ):
        runs = [r for r in run_pose_augmented(image, local, scales, degrees, size, models) if r.presence > 0.5]
        near = own_runs(window, runs, person, others)
        if near:
            return window, one_way_round(crop, near)
    raise CarveError("A person was detected but their pose could not be read: use a clearer photo or choose another with --person.")


def _evened(image: np.ndarray) -> np.ndarray:
    """The image (h, w, 3) with its contrast evened out from place to place."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(3.0, (4, 4)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def one_way_round(crop: np.ndarray, runs: list[PoseRun]) -> list[PoseRun]:
    """The runs that agree which way the person faces: a median over both ways round would be neither.

    Where there is a face, the person faces the camera; else the majority is right.
    """
    pairs = [[POSE_NAMES.index(f"{side}_{joint}") for joint in ("shoulder", "hip")] for side in ("left", "right")]
    length = np.array([np.linalg.norm(r.pixels[pairs[0][0]] - r.pixels[pairs[0][1]]) for r in runs])
    across = np.array([(r.pixels[pairs[0], 0] - r.pixels[pairs[1], 0]).mean() for r in runs]) / np.maximum(length, 1e-6)
    towards, away = across > CLEARLY_TURNED, across < -CLEARLY_TURNED
    if min(towards.sum(), away.sum()) < len(runs) / 8:
        wrong = away if towards.sum() > away.sum() else towards
    else:
        head = np.median([r.pixels[:11] for r in runs], 0)
        wrong = away if faces_in(head_window(head).cut(crop)) or towards.sum() > away.sum() else towards
    return [r for r, out in zip(runs, wrong, strict=True) if not out]


def head_window(head: np.ndarray) -> Window:
    """The window in which the face of a head with these landmarks (11, 2), pixels, is looked for."""
    middle = head.mean(0)
    side = 3.2 * max(np.ptp(head[:, 0]), np.ptp(head[:, 1]))
    return Window(middle[0] - side / 2, middle[1] - side / 2, side, 288)
