"""How far each limb points towards the viewer, as the detector sees it.

Notation: a limb goes from landmark a to landmark b; its slope is s = (z_b - z_a) / |x_b - x_a|, the sine of its angle to the picture.

The detector's skeleton has other proportions than the person, and its errors add up from the hips to the feet and hands; how a limb by
itself points it tells far better than how deep its end lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from carve.body.surface_evidence import robust

LIMBS = {("shoulder", "elbow"): 0.25, ("elbow", "wrist"): 0.25, ("hip", "knee"): 0.18, ("knee", "ankle"): 0.1}
"""Ends of the limbs -> expected error of the detector's slope."""


@dataclass(frozen=True)
class LimbSlopes:
    """What the detector says of S limbs."""

    start: Tensor
    """(S,) index of landmark a."""
    end: Tensor
    """(S,) index of landmark b."""
    slope: Tensor
    """(S,) s."""
    sigma: Tensor
    """(S,)."""
    weight: Tensor
    """(S,) 0..1, confidence."""

    def loss(self, points: Tensor, tilt: Tensor) -> Tensor:
        """(N,) of landmarks (N, L, 3), when the detector's depth is wrong by `tilt` (N,) times the height."""
        limb = points[:, self.end] - points[:, self.start]
        length = limb.norm(dim=-1)
        expected = self.slope + tilt[:, None] * limb[..., 1] / length
        return (self.weight * robust((limb[..., 2] / length - expected) ** 2 / self.sigma**2)).sum(1)


def limb_slopes(
    names: tuple[str, ...], world: np.ndarray, depth: np.ndarray, depth_spread: np.ndarray, confidence: np.ndarray, scale: float
) -> LimbSlopes:
    """Slopes of the limbs whose ends have a depth.

    Args:
        names: L landmarks.
        world: (L, 3) the detector's points.
        depth: (L,) their depth along the camera's axis, NaN where there is none.
        depth_spread: (L,) its standard deviation between runs.
        confidence: (L,) 0..1.
        scale: factor on the expected errors.
    """
    index = {name: i for i, name in enumerate(names)}
    rows = []
    for (first, last), sigma in LIMBS.items():
        for side in ("left", "right"):
            a, b = index.get(f"{side}_{first}", -1), index.get(f"{side}_{last}", -1)
            if min(a, b) < 0 or not np.isfinite([depth[a], depth[b]]).all():
                continue
            length = float(np.linalg.norm(world[b] - world[a]))
            spread = np.hypot(depth_spread[a], depth_spread[b]) / length
            rows.append(
                (a, b, np.clip((depth[b] - depth[a]) / length, -1, 1), scale * np.hypot(sigma, spread), confidence[a] * confidence[b])
            )
    table = np.array(rows, np.float32).reshape(-1, 5)
    start, end = (torch.as_tensor(table[:, k].astype(np.int64)) for k in (0, 1))
    slope, sigma_, weight = (torch.as_tensor(table[:, k]) for k in (2, 3, 4))
    return LimbSlopes(start, end, slope, sigma_, weight)
