"""The detail network: corrects the person network's normals from the photo at its own resolution.

It sees some centimetres of cloth, skin or hair at a time, and is convolutional: trained on patches, asked about whole pictures. All its
convolutions run at half the patch's resolution and below; what is lost in shuffling two by two pixels into channels is nothing.

Notation: S side of a patch, a multiple of 8. n coarse unit normals, d the network's answer; the corrected ones are unit(n + d).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from carve.networks.blocks import UNet, silent_head
from carve.networks.weights import FOLDER, load_network

INPUTS = 9
"""Colour, logarithm of luminance, coarse normals, their log b, mask."""
DARKEST = 0.01
"""Of linear luminance: below it a photo's noise would be taken for form."""
OUTPUTS = 4
"""Difference of the normals, log b of what error is left."""


@dataclass(frozen=True)
class Architecture:
    """What the network's weights fit."""

    widths: tuple[int, int, int] = (32, 64, 96)
    """Channels at 1/2, 1/4, 1/8 of the resolution."""
    blocks: int = 1
    """Residual blocks a level on the way down, and on the way up."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class DetailOutput:
    """What the network says of B patches of S x S pixels."""

    normals: Tensor
    """(B, 3, S, S) unit normals of the nearest surface, camera frame."""
    log_scale: Tensor
    """(B, 1, S, S) log b, radians, as in `carve.networks.normals`."""


class DetailNet(UNet):
    """See the module's head."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        chosen = architecture or Architecture()
        super().__init__(INPUTS, chosen.widths, chosen.blocks)
        self.architecture = chosen
        self.head = silent_head(chosen.widths[0], 4 * OUTPUTS)

    def forward(self, image: Tensor, normals: Tensor, log_scale: Tensor, mask: Tensor) -> DetailOutput:
        """Patches to patches.

        Args:
            image: (B, 3, S, S) sRGB 0..1.
            normals: (B, 3, S, S) coarse unit normals, camera frame; anything outside the mask.
            log_scale: (B, 1, S, S) log b of theirs.
            mask: (B, 1, S, S) 1 where the person is.
        """
        inputs = torch.cat([4 * (image - 0.45), relative_light(image, mask), normals * mask, (log_scale + 1.5) * mask, 2 * mask - 1], 1)
        out = functional.pixel_shuffle(self.head(self.features(inputs)), 2).float()
        turned = normals.float() + out[:, :3]
        return DetailOutput(
            normals=turned * (turned.square().sum(1, keepdim=True) + 1e-8).rsqrt(),
            log_scale=(log_scale.float() + out[:, 3:4]).clamp(-5.5, -0.5),
        )


def relative_light(image: Tensor, mask: Tensor) -> Tensor:
    """(B, 1, S, S) log-luminance of patches less its mean over the person, zero outside: folds of black cloth and of white look alike in
    it, since light is multiplied with what it falls on."""
    red, green, blue = image.float().clamp(0, 1).pow(2.2).split(1, dim=1)
    light = (0.2126 * red + 0.7152 * green + 0.0722 * blue + DARKEST).log()
    mean = (light * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp(min=1)
    return (2 * (light - mean)).clamp(-4, 4) * mask


def load_detail_net(folder: Path = FOLDER) -> DetailNet:
    """The network with the weights that ship, or those of another folder, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    return load_network("detail", folder, Architecture, DetailNet)
