"""Where a figure of known shape stands, from where a camera sees its points.

Notation: the camera's, and o_i points of the figure about its own origin, t the origin, (u_i, v_i) where the camera sees o_i + t. With
a = u - cx and b = cy - v, both of

    f (o_x + t_x) + a (o_z + t_z) = 0,      f (o_y + t_y) + b (o_z + t_z) = 0

are linear in t; what remains is in pixels times depth, and depth varies little over a person.
"""

from __future__ import annotations

import numpy as np

from carve.geometry.camera import Camera


def stand(offsets: np.ndarray, pixels: np.ndarray, weight: np.ndarray, camera: Camera) -> np.ndarray:
    """(3,) the place t, camera frame, at which a figure's points are seen nearest to given pixels, by least squares.

    Args:
        offsets: (N, 3) the points about the figure's origin, axes of the camera frame, metres; at least two that differ.
        pixels: (N, 2) where they are seen.
        weight: (N,) trust in each.
        camera: that sees them.
    """
    slope = (pixels - [camera.cx, camera.cy]) * [1.0, -1.0]
    rows = np.zeros((len(offsets), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = camera.focal
    rows[:, :, 2] = slope
    known = -(camera.focal * offsets[:, :2] + slope * offsets[:, 2:])
    root = np.sqrt(weight)[:, None]
    found, *_ = np.linalg.lstsq((rows * root[..., None]).reshape(-1, 3), (known * root).ravel(), rcond=None)
    return found
