"""The landmarks that are stored with every view of a person."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from carve.body.anny import load_anny
from carve.networks.detectors.person import POSE_NAMES


@lru_cache(maxsize=1)
def landmark_names() -> tuple[str, ...]:
    """The 33 landmarks of BlazePose that the body model knows, then the heads of the humanoid bones as `bone:NAME`."""
    slim = load_anny()
    return tuple(n for n in POSE_NAMES if n in slim.keypoints) + tuple(f"bone:{vrm}" for vrm in sorted(slim.humanoid))


def landmarks(heads: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """(L, 3) in the frame of bone heads (B, 3) and vertices (V, 3) of a posed body."""
    slim, points = load_anny(), []
    for name in landmark_names():
        if name.startswith("bone:"):
            points.append(heads[slim.names.index(slim.humanoid[name[5:]])])
        else:
            keypoint = slim.keypoints[name]
            points.append(keypoint.weights @ posed[keypoint.vertices])
    return np.array(points)
