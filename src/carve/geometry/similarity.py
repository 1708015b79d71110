"""The similarity that brings points onto others."""

from __future__ import annotations

import numpy as np


def procrustes(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and shift (3,) of the similarity that moves (N, 3) nearest to (N, 3), without reflection.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991, equations 40 to 42.
    """
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / max((a**2).sum(), 1e-20))
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)
