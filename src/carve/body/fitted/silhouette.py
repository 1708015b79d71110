"""What a person's mask says of a body: differentiable."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from carve.body.fitted.surface_evidence import robust
from carve.records import Observation


class Silhouette:
    """Two-sided distance between the projected skin and the mask's outline."""

    def __init__(self, observation: Observation, per_metre: float) -> None:
        mask = observation.mask > 0.5
        height, width = mask.shape
        # One pixel a centimetre is enough for a body.
        self.scale = min(1.0, 100 / per_metre)
        size = (max(int(width * self.scale), 8), max(int(height * self.scale), 8))
        small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        padded = np.pad(small, 1)
        outside = ndimage.distance_transform_edt(~padded)[1:-1, 1:-1] if small.any() else np.zeros(small.shape)
        self.metres = 1 / (per_metre * self.scale)
        self.to_small = torch.tensor([size[0] / width, size[1] / height], dtype=torch.float32)
        self.outside = torch.as_tensor(outside * self.metres, dtype=torch.float32)[None, None]
        self.size = size
        contours, _ = cv2.findContours(small.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        points = np.concatenate([c[:, 0] for c in contours if len(c) > 12] or [np.zeros((0, 2))]) + 0.5
        # The picture's border is not the person's outline.
        inner = (points > 2).all(1) & (points < np.array(size) - 2).all(1)
        points = points[inner]
        self.outline = torch.as_tensor(points[:: max(1, len(points) // 350)], dtype=torch.float32)

    def loss(self, pixels: Tensor, sigma: float = 0.02) -> Tensor:
        """Projected skin (M, 2), full-photo pixels: how far it leaves the mask, and how far the outline is from any of it."""
        small = pixels * self.to_small
        grid = small / torch.tensor(self.size) * 2 - 1
        away = torch.nn.functional.grid_sample(self.outside, grid[None, None], align_corners=False, padding_mode="border")[0, 0, 0]
        # What lies beyond the picture may be anywhere.
        shown = (grid.detach().abs() < 1).all(1)
        inside = (robust((away / sigma) ** 2) * shown).sum() / shown.sum().clamp(min=1) * 30
        if not len(self.outline):
            return inside
        nearest = torch.cdist(self.outline, small.clamp(-1e4, 1e4)).amin(1) * self.metres
        # Cloth and hair stand off the skin: the first centimetres cost little.
        cover = robust((nearest.clamp(min=0) / 0.04) ** 2).mean() * 30
        return inside + cover
