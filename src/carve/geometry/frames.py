"""Changes of frame: the only place in the project where an axis changes its sign.

Notation: `target_from_source` maps row vectors, ``x_target = x_source @ target_from_source.T``.

- image frame: u right, v down, the centre of the first pixel is (0.5, 0.5)
- camera frame: +X right, +Y up, looking along -Z (glTF)
- body frame: +Y up, facing +Z, metres
- Anny's frame: +Z up, facing -Y, metres
- vision frame: +X right, +Y down, +Z away from the camera (OpenCV; mediapipe's world landmarks use its axes)
"""

from __future__ import annotations

import numpy as np

body_from_anny = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(3, 3) rotation: Anny's +Z (up) becomes +Y and its -Y (forward) becomes +Z."""

camera_from_vision = np.diag([1.0, -1.0, -1.0])
"""(3, 3) rotation by 180 degrees about X: y down and z away become y up and z towards the viewer."""


def mirrored_x(points: np.ndarray) -> np.ndarray:
    """Reflect points (..., 3) at the body's sagittal plane x = 0; the left hand becomes the right."""
    return points * np.array([-1.0, 1.0, 1.0])


def normals_to_rgb(normals: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Encode unit normals (H, W, 3) of the camera frame as uint8 colours ``(n + 1) / 2``; black outside `mask` (H, W)."""
    encoded = np.round((np.clip(normals, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return np.where(mask[..., None], encoded, np.uint8(0))
