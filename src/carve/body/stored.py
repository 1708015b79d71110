"""What the body models are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from carve.body.model import Keypoint, ShapePrior


@dataclass(frozen=True)
class StoredBody:
    """What a `BodyModel` is made of; see there. A model of its own adds `coefficients`."""

    name: str
    licence: str
    shape_names: tuple[str, ...]
    prior: ShapePrior
    names: tuple[str, ...]
    parents: np.ndarray
    humanoid: dict[str, str]
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    region: np.ndarray
    keypoints: dict[str, Keypoint]
    template: Tensor
    heads: Tensor
    shapes: Tensor
    head_shapes: Tensor
