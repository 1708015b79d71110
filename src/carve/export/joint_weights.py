"""Skinning weights that keep the volume of wrists and elbows.

Linear blending lets the skin between two bones shrink: turned by t, a vertex of shares c and 1 - c keeps 1 - 2 c (1 - c) (1 - cos t) of its
cross-section. The narrower the band in which both bones have a share, the less is lost. Notation: c the share of a joint's outer bones;
it becomes c^k / (c^k + (1 - c)^k), and within the inner and the outer bones the shares keep their proportions.
"""

from __future__ import annotations

import numpy as np

from carve.records import Skeleton

SHARPER = {"LowerArm": 1.9, "Hand": 3.2}
"""Joint -> k."""


def sharpened(bones: np.ndarray, weights: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(V, 4) weights with narrower bands at elbows and wrists, from weights (V, 4) of bones (V, 4) of `skeleton`."""
    result = weights.copy()
    index = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    for side in ("left", "right"):
        for joint, power in SHARPER.items():
            if f"{side}{joint}" not in index:
                continue
            outer = np.zeros(len(skeleton.names), bool)
            outer[index[f"{side}{joint}"]] = True
            for bone in range(index[f"{side}{joint}"] + 1, len(outer)):
                outer[bone] = outer[bone] or (skeleton.parents[bone] >= 0 and bool(outer[skeleton.parents[bone]]))
            beyond = outer[bones]
            c = (result * beyond).sum(1)
            mixed = (c > 1e-6) & (c < 1 - 1e-6)
            share = np.clip(c[mixed], 1e-6, 1 - 1e-6)
            wanted = share**power / (share**power + (1 - share) ** power)
            result[mixed] *= np.where(beyond[mixed], (wanted / share)[:, None], ((1 - wanted) / (1 - share))[:, None])
    return result
