"""How one picture of normals has to be moved to lie on another: dense displacement by Lucas and Kanade's method over all three channels.

Notation: A the picture to be moved, B the one that it should lie on, u(x) the displacement in pixels with A(x) = B(x + u); g_c the gradient
of channel c, d = B(x + u) - A(x), G a Gaussian window, w a robust weight. Each step solves, at every pixel, from coarse blur to fine
(Lucas & Kanade 1981, weights after Black & Anandan 1996):
    (G * sum_c w g_c g_c^T + e I) du = -G * sum_c w g_c d_c
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_WINDOW = 2.0
"""Width of G in widths of the blur."""
_DAMPING = 0.01
"""e at a blur of one pixel: where little is to be seen little moves."""
_ROBUST = 0.6
"""Difference of normals at which a pixel's weight has fallen to a half."""
_STEPS = 3
_BOLDEST = 3.0
"""Longest single step, pixels."""
_TELLING = 2e-3
"""Trace of the structure tensor at which a displacement is believed half."""


@dataclass(frozen=True)
class Flow:
    """A displacement of every pixel."""

    displacement: np.ndarray
    """(H, W, 2) float32 pixels, u right and v down."""
    certainty: np.ndarray
    """(H, W) float32 0 (nothing to see there) to 1."""


def normal_flow(moving: np.ndarray, fixed: np.ndarray, blurs: tuple[float, ...], farthest: float) -> Flow:
    """The displacement that takes the normals `moving` (H, W, 3) onto `fixed` (H, W, 3), both zero outside.

    Args:
        moving: A.
        fixed: B.
        blurs: standard deviations of the blur, pixels, coarse to fine.
        farthest: the longest displacement along each axis, pixels.
    """
    inside, there = (np.linalg.norm(image, axis=-1) > 0.5 for image in (moving, fixed))
    rows, columns = np.mgrid[: inside.shape[0], : inside.shape[1]].astype(np.float32)
    flow = np.zeros((*inside.shape, 2), np.float32)
    trace = np.zeros(inside.shape, np.float32)
    for blur in blurs:
        a, b = _blurred(moving, inside, blur), _blurred(fixed, there, blur)
        ax, ay = _gradient(a)
        for _ in range(_STEPS):
            at = columns + flow[..., 0], rows + flow[..., 1]
            warped = cv2.remap(b, *at, cv2.INTER_LINEAR)
            difference = warped - a
            weight = inside * (cv2.remap(there.astype(np.float32), *at, cv2.INTER_LINEAR) > 0.5)
            weight = weight / (1 + (difference**2).sum(-1) / _ROBUST**2)
            bx, by = _gradient(warped)
            gx, gy = (ax + bx) / 2, (ay + by) / 2
            xx, xy, yy, dx, dy = (
                cv2.GaussianBlur(((p * q).sum(-1) * weight).astype(np.float32), (0, 0), _WINDOW * blur)
                for p, q in ((gx, gx), (gx, gy), (gy, gy), (gx, difference), (gy, difference))
            )
            trace = xx + yy
            xx, yy = xx + _DAMPING / blur, yy + _DAMPING / blur
            step = np.stack([yy * dx - xy * dy, xx * dy - xy * dx], -1) / (xx * yy - xy * xy)[..., None]
            flow = flow - np.clip(step, -_BOLDEST, _BOLDEST)
            flow = np.clip(cv2.GaussianBlur(flow.astype(np.float32), (0, 0), blur), -farthest, farthest).astype(np.float32)
    return Flow(flow, trace / (trace + _TELLING))


def _blurred(image: np.ndarray, inside: np.ndarray, blur: float) -> np.ndarray:
    """(H, W, C) Gaussian mean of what lies inside."""
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), blur) + 1e-3
    return cv2.GaussianBlur((image * inside[..., None]).astype(np.float32), (0, 0), blur) / weight[..., None]


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives (H, W, C) to the right and down, per pixel."""
    return cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3) / 8, cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3) / 8
