"""Where cameras stand: before the whole person, and close to a part of them.

Notation: R, t take the posed body frame to the camera frame, x_cam = R x + t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.rotations import axis_rotation

SIZE = 512
"""Pixels along a side of a view."""
TALL = (1024.0, 1600.0)
"""Height in pixels that a whole person would have in a close-up."""

Focus = Literal["head", "torso", "legs", "hands"]
"""What a close-up shows."""
FOCI: tuple[Focus, ...] = get_args(Focus)


@dataclass(frozen=True)
class Placement:
    """A camera before the person."""

    camera: Camera
    rotation: np.ndarray
    """(3, 3) R."""
    translation: np.ndarray
    """(3,) t, metres."""

    def see(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the posed body frame in the camera frame."""
        return points @ self.rotation.T + self.translation


def sample_placement(
    vertices: np.ndarray, yaw: float, rng: np.random.Generator, half: bool = False, focus: np.ndarray | None = None
) -> Placement:
    """A photographer's camera: focal length, distance, height and framing vary; the person fills most of a square picture.

    `yaw` turns the person about the vertical, radians. With `half` the picture ends somewhere between chest and knees; with `focus` (3,),
    body frame, it is a close-up around that point, in which the whole person would be TALL.
    """
    low, high = vertices.min(0), vertices.max(0)
    if half:
        low = low.copy()
        low[1] = low[1] + rng.uniform(0.3, 0.65) * (high[1] - low[1])
    centre = (low + high) / 2
    stature = high[1] - low[1]
    field = np.radians(rng.uniform(12, 30) if rng.random() < 0.35 else rng.uniform(28, 52))
    # Someone who sits is low, and may be as wide as they are high.
    distance = max(stature, float((high - low)[[0, 2]].max())) / (2 * np.tan(field / 2)) * 1.15 + 0.25
    eye = np.clip(rng.normal(1.25, 0.35), 0.25, 2.3) - low[1] * half
    pitch = float(np.arctan2(eye - centre[1], distance)) * float(rng.uniform(0.4, 1.05))
    roll = float(rng.normal(0, np.radians(1.6)))
    rotation = axis_rotation(2, roll) @ axis_rotation(0, pitch) @ axis_rotation(1, yaw)
    target = -rotation @ centre
    # Off the picture's middle: the person is where the crop is, not where the lens looks.
    off = distance * np.tan(np.radians(rng.normal(0, 5, 2)))
    translation = target + np.array([off[0], 0.4 * off[1], -distance])
    seen = vertices @ rotation.T + translation
    wide = Camera.centred(1, 1, 1.0)
    kept = vertices[:, 1] >= low[1]
    pixels = wide.project(seen[kept])
    first, last = pixels.min(0), pixels.max(0)
    if focus is None:
        side = (last - first).max() / rng.uniform(0.78, 0.94)
        middle = (first + last) / 2 + side * rng.uniform(-0.03, 0.03, 2)
    else:
        side = (last - first).max() * SIZE / rng.uniform(*TALL)
        middle = wide.project((rotation @ focus + translation)[None])[0] + side * rng.uniform(-0.15, 0.15, 2)
    corner = middle - side / 2
    return Placement(wide.cropped(corner[0], corner[1], SIZE, SIZE, SIZE / side), rotation, translation)
