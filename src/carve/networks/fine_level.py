"""The fine level of a model of two, after PIFuHD (Saito et al., CVPR 2020, section 3.3).

Its encoder is shallow and keeps the maps' resolution; its MLP is told the pixel's features and, in place of the depth, what the coarse
level's MLP has made of the point. PIFuHD trains the coarse level first and by itself; here both learn at once from the fine one's loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.networks.blocks import Block


class FineLevel(nn.Module):
    """Maps at full resolution and a point's hidden vector to a better hidden vector."""

    def __init__(self, inputs: int, features: int, hidden: int) -> None:
        """`inputs` channels of the maps, `features` of a pixel, `hidden` the width of both MLPs."""
        super().__init__()
        self.stem = nn.Conv2d(inputs, features, 3, padding=1)
        self.block = Block(features)
        self.first = nn.Linear(features + hidden, hidden)
        self.second = nn.Linear(hidden, hidden)

    def encode(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, S, S) to features (B, features, S, S)."""
        out: Tensor = self.block(self.stem(maps.contiguous(memory_format=torch.channels_last)))
        return out

    def forward(self, features: Tensor, coarse: Tensor) -> Tensor:
        """A pixel's features (B, N, features) and the coarse level's hidden vectors (B, N, hidden) to hidden vectors (B, N, hidden)."""
        y = functional.silu(self.first(torch.cat([features, coarse], -1)))
        return functional.silu(self.second(y))
