"""What a point is told of the body's surface by a small network of its own, after ARCH++ (He et al., ICCV 2021, section 3.1).

ARCH++ runs a PointNet++ over points of the body's surface and looks its features up from the query. Here the nearest point of the surface
alone is encoded: where it lies, how it faces, to which part it belongs. What larger neighbourhoods of the surface look like is left out.

Notation: p = x - d grad d the nearest point of x, its place against the hips.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SurfaceCode(nn.Module):
    """Places (B, N, 3), unit normals (B, N, 3) and regions (B, N) of nearest points to codes (B, N, width)."""

    def __init__(self, regions: int, width: int) -> None:
        super().__init__()
        self.region = nn.Embedding(regions, 8)
        self.first = nn.Linear(3 + 3 + 8, 2 * width)
        self.second = nn.Linear(2 * width, width)

    def forward(self, place: Tensor, normal: Tensor, region: Tensor) -> Tensor:
        told = torch.cat([place, normal, self.region(region)], -1)
        out: Tensor = self.second(functional.silu(self.first(told)))
        return out
