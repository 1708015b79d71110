"""What a network that learned to tell a thousand kinds of things sees in a photo: the first five stages of EfficientNet-Lite0 (Tan & Le,
"EfficientNet", ICML 2019; the Lite variant of 2020: ReLU6, no squeeze and excitation), each convolution with its normalisation folded in.

Its own classes never matter; its edges, fabrics, faces and limbs come from photographs, which synthetic people lack.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (2, 5, 1, 6, 112))
"""Blocks, side of the kernel, stride, expansion and channels of each stage."""
STEM = 32
TOLD = (0, 1, 2, 4)
"""The stages whose features are told: at 1/2, 1/4, 1/8 and 1/16 of the resolution."""
WIDTHS = tuple(STAGES[k][-1] for k in TOLD)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Inverted(nn.Module):
    """Widen, filter each channel alone, narrow (Sandler et al., "MobileNetV2", CVPR 2018); its input is added where it fits."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.widen = nn.Conv2d(before, wide, 1) if expansion > 1 else None
        self.filter = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide)
        self.narrow = nn.Conv2d(wide, after, 1)
        self.adds = before == after and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.widen is None else self.widen(x).clamp(0, 6)
        out: Tensor = self.narrow(self.filter(wide).clamp(0, 6))
        return x + out if self.adds else out


class PhotoFeatures(nn.Module):
    """See the module's head. Its weights stay as they are given: training others through it would cost more than the rest of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, stride=2, padding=1)
        stages, before = [], STEM
        for count, kernel, stride, expansion, width in STAGES:
            blocks = [Inverted(width if k else before, width, kernel, 1 if k else stride, expansion) for k in range(count)]
            stages.append(nn.Sequential(*blocks))
            before = width
        self.stages = nn.ModuleList(stages)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Photos (B, 3, S, S), sRGB 0..1, to (B, C, S/2, S/2) ... (B, C, S/16, S/16), C as in WIDTHS."""
        mean, deviation = (torch.tensor(v, device=image.device)[:, None, None] for v in (_MEAN, _DEVIATION))
        x = self.stem(((image - mean) / deviation).contiguous(memory_format=torch.channels_last)).clamp(0, 6)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return [found[k] for k in TOLD]
