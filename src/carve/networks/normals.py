"""The person network: from a photo, a mask and a body's normal maps to the clothed person's normals, mask and relative depth, and, where
its weights have learned them, part labels of front and back and places on the undressed body.

A U-Net whose work is done at a quarter of the picture's resolution and below; one layer at half resolution keeps the edges, and the output
is shuffled up to full resolution (Shi et al., CVPR 2016). It returns the difference to the body's normals, so that a body that is right is
kept, and a third of what it learns from has no body, so that the photo wins over one that is wrong.

Labels and places are told at half resolution and stretched, but while the network is trained, which would take an eighth longer: they are
smooth or piecewise constant.

Notation: S side of the square crop, a multiple of 32; C channels; L labels (`carve.records.LABELS`). n unit normals of the camera frame,
b the scale of an angle's error: errors theta are taken for distributed as exp(-theta / b) over the two directions of a plane,
E[theta^2] = 6 b^2.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.networks.blocks import Block
from carve.networks.photo_features import WIDTHS as PHOTO_WIDTHS
from carve.networks.photo_features import PhotoFeatures
from carve.networks.weights import FOLDER, load_network

INPUTS = 11
"""Colour, mask, front and back normals of the body, whether there is a body."""
OUTPUTS = 11
"""Front and back differences, their log b, mask logit, depth, its log-scale."""
DEPTH_UNIT = 0.1
"""Depth that one unit of the network's output stands for, sides of the crop."""
VARIANCE_OF_SCALE = math.log(6.0)
"""log E[theta^2] = 2 log b + this."""
PLACE_CENTRE, PLACE_UNIT = (0.0, 0.9, 0.0), 0.5
"""The place (`carve.body.places`) that an output of zero stands for, and metres that one unit stands for."""


@dataclass(frozen=True)
class Architecture:
    """What the network's weights fit."""

    widths: tuple[int, int, int, int, int] = (32, 64, 96, 144, 192)
    """Channels at 1/2, 1/4, 1/8, 1/16, 1/32 of the resolution."""
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    """Residual blocks on the way down at 1/4 to 1/32."""
    heads: int = 6
    """Attention heads at 1/32."""
    context: int = 4
    """Transformer blocks at 1/32 after the first attention: how limbs lie is told by the whole person, and there it costs little."""
    decode: int = 1
    """Residual blocks on the way up at 1/16 to 1/4."""
    fine: int = 0
    """Residual blocks on the way up at 1/2, after the convolution there: the folds of cloth are told here."""
    labels: int = 0
    """L, or 0 for a network that tells no labels."""
    places: bool = False
    """Whether places on the undressed body are told."""
    photo: bool = False
    """Whether the photo's features by `carve.networks.photo_features` are added to its own at 1/2 to 1/16."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class NormalsOutput:
    """What the network says of B crops of S x S pixels."""

    front: Tensor
    """(B, 3, S, S) unit normals of the nearest surface, camera frame."""
    back: Tensor
    """(B, 3, S, S) unit normals of the farthest surface."""
    log_scale_front: Tensor
    """(B, 1, S, S) log b, radians."""
    log_scale_back: Tensor
    """(B, 1, S, S)"""
    mask_logit: Tensor
    """(B, 1, S, S)"""
    depth: Tensor
    """(B, 1, S, S) towards the viewer, up to a constant, in sides of the crop at the person's distance."""
    depth_log_scale: Tensor
    """(B, 1, S, S) log of the mean absolute error of `depth`, same unit."""
    label_front: Tensor | None = None
    """(B, L, S, S) logits of what the nearest surface is a part of; in training labels and places are (B, ..., S/2, S/2)."""
    label_back: Tensor | None = None
    """(B, L, S, S) of the farthest surface."""
    place: Tensor | None = None
    """(B, 3, S, S) metres, place of the undressed body below the nearest surface."""
    place_log_scale: Tensor | None = None
    """(B, 1, S, S) log b of the place's error, metres."""


class _Attention(nn.Module):
    """Self-attention over all places of the coarsest level, with a learned embedding of the place's row and column."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.query_key_value = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.place = nn.Conv2d(2, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        count, width, height, across = x.shape
        rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
        columns = torch.linspace(-1, 1, across, device=x.device, dtype=x.dtype)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
        places = self.query_key_value(self.norm(x) + self.place(grid)).flatten(2)
        q, k, v = (p.reshape(count, self.heads, width // self.heads, -1).transpose(2, 3) for p in places.chunk(3, 1))
        seen = functional.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(count, width, height, across)
        result: Tensor = x + self.out(seen)
        return result


class _Context(nn.Module):
    """Attention, then a network of each place alone; the identity at first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = _Attention(width, heads)
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, 3 * width, 1)
        self.second = nn.Conv2d(3 * width, width, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(x)
        out: Tensor = self.second(functional.silu(self.first(self.norm(y))))
        return y + out


def _unit(vectors: Tensor) -> Tensor:
    """(B, 3, ...) to unit length; faster on a CPU than torch's own over channels."""
    return vectors * (vectors.square().sum(1, keepdim=True) + 1e-8).rsqrt()


def _added(own: Tensor, told: list[Tensor], level: int) -> Tensor:
    """A level's features with what the photo tells there, if anything."""
    return own + told[level] if level < len(told) else own


class NormalsNet(nn.Module):
    """See the module's head."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        widths, blocks = self.architecture.widths, self.architecture.blocks
        self.stem = nn.Conv2d(INPUTS, widths[0], 3, stride=2, padding=1)
        self.photo = PhotoFeatures() if self.architecture.photo else None
        told = zip(PHOTO_WIDTHS, widths[:-1], strict=True) if self.architecture.photo else ()
        self.from_photo = nn.ModuleList([nn.Conv2d(a, b, 1, bias=False) for a, b in told])
        for projection in self.from_photo:
            nn.init.zeros_(projection.weight)  # type: ignore[arg-type]
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.encode = nn.ModuleList([nn.Sequential(*[Block(w) for _ in range(n)]) for w, n in zip(widths[1:], blocks, strict=True)])
        self.attention = _Attention(widths[-1], self.architecture.heads)
        self.context = nn.Sequential(*[_Context(widths[-1], self.architecture.heads) for _ in range(self.architecture.context)])
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in upward])
        self.skip = nn.ModuleList([nn.Conv2d(b, b, 1) for _, b in upward])
        self.decode = nn.ModuleList([Block(b) for _, b in upward[:-1]])
        more = self.architecture.decode - 1
        self.decode_more = nn.ModuleList([nn.Sequential(*[Block(b) for _ in range(more)]) for _, b in upward[:-1]])
        self.last = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        self.fine = nn.Sequential(*[Block(widths[0]) for _ in range(self.architecture.fine)])
        self.head = nn.Conv2d(widths[0], 4 * OUTPUTS, 3, padding=1)
        more = 2 * self.architecture.labels + 4 * self.architecture.places
        self.maps = nn.Conv2d(widths[0], more, 3, padding=1) if more else None
        for head in (self.head, self.maps):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, mask: Tensor, body_front: Tensor, body_back: Tensor) -> NormalsOutput:
        """Crops to maps.

        Args:
            image: (B, 3, S, S) sRGB 0..1.
            mask: (B, 1, S, S) the detector's, 0..1.
            body_front: (B, 3, S', S') normals of the body's nearest surface, camera frame, zero outside or where there is no body;
                stretched to S.
            body_back: (B, 3, S', S') of its farthest surface.
        """
        size = image.shape[-2:]
        front, back = (functional.interpolate(n, size, mode="bilinear", align_corners=False) for n in (body_front, body_back))
        has_body = (front.square().sum(1, keepdim=True) > 0.25).to(image.dtype)
        x = torch.cat([4 * (image - 0.45), 2 * mask - 1, front, back, has_body], 1).contiguous(memory_format=torch.channels_last)
        told = [] if self.photo is None else [project(f) for project, f in zip(self.from_photo, self.photo(image), strict=True)]
        levels = [_added(self.stem(x), told, 0)]
        for number, (down, encode) in enumerate(zip(self.down, self.encode, strict=True), 1):
            levels.append(encode(_added(down(functional.silu(levels[-1])), told, number)))
        y = self.context(self.attention(levels[-1]))
        decoders = zip([*self.decode, self.last], [*self.decode_more, self.fine], strict=True)
        for up, skip, (decode, more), level in zip(self.up, self.skip, decoders, levels[-2::-1], strict=True):
            y = more(decode(functional.interpolate(up(y), scale_factor=2.0, mode="bilinear", align_corners=False) + skip(level)))
        y = functional.silu(y)
        out = functional.pixel_shuffle(self.head(y), 2).float()
        toward = torch.tensor([0.0, 0.0, 0.5], device=out.device)[:, None, None]
        # Beside the body, and without one, the difference is counted from the viewing axis.
        front = front.float() + (1 - has_body.float()) * toward
        back = back.float() - (1 - has_body.float()) * toward
        return NormalsOutput(
            front=_unit(front + out[:, 0:3]),
            back=_unit(back + out[:, 3:6]),
            log_scale_front=out[:, 6:7].clamp(-4, 1) - 1.5,
            log_scale_back=out[:, 7:8].clamp(-4, 1) - 1.5,
            mask_logit=4 * out[:, 8:9] + 4 * (2 * mask.float() - 1),
            depth=DEPTH_UNIT * out[:, 9:10],
            depth_log_scale=out[:, 10:11].clamp(-4, 3) + math.log(0.02),
            **self._labels_and_places(y, size),
        )

    def _labels_and_places(self, y: Tensor, size: torch.Size) -> dict[str, Tensor]:
        """The maps of the second head, those that there are; `y` are the features at half resolution."""
        if self.maps is None:
            return {}
        out = self.maps(y).float()
        if not self.training:
            out = functional.interpolate(out, size, mode="bilinear", align_corners=False)
        count, found = self.architecture.labels, {}
        if count:
            found = {"label_front": 4 * out[:, :count], "label_back": 4 * out[:, count : 2 * count]}
        if self.architecture.places:
            centre = torch.tensor(PLACE_CENTRE, device=out.device)[:, None, None]
            found["place"] = centre + PLACE_UNIT * out[:, -4:-1]
            found["place_log_scale"] = out[:, -1:].clamp(-4, 3) + math.log(0.05)
        return found


def load_normals_net(folder: Path = FOLDER) -> NormalsNet:
    """The network with the weights that ship, or those of another folder, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    return load_network("normals", folder, Architecture, NormalsNet)
