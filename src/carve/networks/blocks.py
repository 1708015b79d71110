"""Layers that our networks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the second convolution starting at zero: the identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(functional.silu(self.first(functional.silu(self.norm(x)))))
        return x + out


class UNet(nn.Module):
    """Maps to features at half their resolution: residual blocks on the way down and up, levels added where they meet again.

    What is lost in shuffling two by two pixels into channels is nothing.
    """

    def __init__(self, inputs: int, widths: Sequence[int], blocks: int) -> None:
        """`inputs` channels of the maps, `widths` at 1/2, 1/4, ... of the resolution, `blocks` a level each way."""
        super().__init__()
        self.stem = nn.Conv2d(4 * inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.encode = nn.ModuleList([nn.Sequential(*[Block(w) for _ in range(blocks)]) for w in widths])
        self.up = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairwise(widths)])
        self.decode = nn.ModuleList([nn.Sequential(*[Block(w) for _ in range(blocks)]) for w in widths[:-1]])

    def features(self, maps: Tensor) -> Tensor:
        """(B, widths[0], S / 2, S / 2) of maps (B, inputs, S, S); S a multiple of 2 to the number of levels."""
        y: Tensor = self.stem(functional.pixel_unshuffle(maps, 2).contiguous(memory_format=torch.channels_last))
        levels = []
        for number, encode in enumerate(self.encode):
            y = encode(y if number == 0 else self.down[number - 1](functional.silu(y)))
            levels.append(y)
        for up, decode, level in zip(list(self.up)[::-1], list(self.decode)[::-1], levels[-2::-1], strict=True):
            y = decode(functional.interpolate(up(y), scale_factor=2.0, mode="bilinear", align_corners=False) + level)
        return functional.silu(y)


def silent_head(width: int, outputs: int) -> nn.Conv2d:
    """A convolution to `outputs` channels that answers nothing at first."""
    head = nn.Conv2d(width, outputs, 3, padding=1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return head
