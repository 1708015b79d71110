"""The shading network: what light and shadow do to a photographed person, told from the photo and the normals.

A small U-Net on a square picture of the person. Albedo times shading is the photo, in linear light; the network says the shading's
logarithm, smooth within a cell of two by two pixels, so what it takes out of a photo leaves the photo's sharpness.

Notation: S side of the picture, a multiple of 32.
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

INPUTS = 10
"""Colour, its logarithm in linear light, normals, mask."""
DARKEST = 0.003
"""Linear light below which a pixel tells nothing."""


@dataclass(frozen=True)
class Architecture:
    """What the network's weights fit."""

    widths: tuple[int, ...] = (24, 32, 48, 64, 96)
    """Channels at 1/2, 1/4, ... of the resolution."""
    blocks: int = 1
    """Residual blocks a level on the way down, and on the way up."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class ShadingNet(UNet):
    """See the module's head."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        chosen = architecture or Architecture()
        super().__init__(INPUTS, chosen.widths, chosen.blocks)
        self.architecture = chosen
        self.head = silent_head(chosen.widths[0], 3)

    def forward(self, image: Tensor, normals: Tensor, mask: Tensor) -> Tensor:
        """(B, 3, S, S) log-shading of the channels of linear light, up to a constant for each picture and channel.

        Args:
            image: (B, 3, S, S) sRGB 0..1.
            normals: (B, 3, S, S) unit normals of the nearest surface, camera frame; anything outside the mask.
            mask: (B, 1, S, S) 1 where the person is.
        """
        told = torch.cat([3 * (image - 0.45), 0.6 * (log_light(image) + 1.8), normals * mask, 2 * mask - 1], 1)
        brightness, *hue = self.head(self.features(told)).float().split(1, 1)
        # Light is rarely coloured: the hue is learned as small differences to the brightness of all.
        shading = torch.cat([brightness + 0.3 * hue[0], brightness - 0.15 * (hue[0] + hue[1]), brightness + 0.3 * hue[1]], 1)
        return functional.interpolate(shading, scale_factor=2.0, mode="bilinear", align_corners=False)


def log_light(image: Tensor) -> Tensor:
    """Natural logarithm of the linear light of sRGB 0..1, at least that of DARKEST."""
    light = torch.where(image <= 0.04045, image / 12.92, ((image.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    return light.clamp(min=DARKEST).log()


def load_shading_net(folder: Path = FOLDER) -> ShadingNet:
    """The network with the weights that ship, or those of another folder, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    return load_network("shading", folder, Architecture, ShadingNet)
