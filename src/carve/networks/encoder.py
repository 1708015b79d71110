"""What the implicit model sees of a person: the maps of a square crop, and the small U-Net that turns them into features of its pixels.

Notation: S side of the crop in pixels, a multiple of 16; B people, N points, C channels. Depths are metres along +Z of the camera frame
(towards the viewer) against a reference depth z_0, the mean of the body's vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.window import Window
from carve.geometry.raster import rasterise
from carve.networks.blocks import Block
from carve.records import BodyFit, CarveError, NormalMaps

SIZE = 256
"""S, the side of the crop, pixels."""
FILL = 0.86
"""Share of the crop that the person's longer side takes."""
FRONT, BACK = slice(0, 3), slice(3, 6)
"""Normals of the clothed person's nearest and farthest surface, camera frame, zero outside the mask."""
MASK, OUTLINE = 6, 7
"""Coverage 0..1; distance to the outline, a tenth of the crop's side as 1, positive inside, at most 1."""
BODY_FRONT, BODY_BACK = slice(8, 11), slice(11, 14)
"""Normals of the body's nearest and farthest surface, zero outside it."""
NEAREST, FARTHEST = 14, 15
"""Depths of the body's nearest and farthest surface; beside the body both are the mean of those at its nearest pixel."""
BODY = 16
"""1 where the body is."""
COLOUR = slice(17, 20)
"""sRGB 0..1, zero if there is no photo."""
CHANNELS = 20


@dataclass(frozen=True)
class PersonMaps:
    """The maps of one crop."""

    channels: np.ndarray
    """(CHANNELS, S, S) float32."""
    camera: Camera
    """Of the crop."""
    reference: float
    """z_0, metres."""


def person_maps(
    front: np.ndarray,
    back: np.ndarray,
    mask: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    camera: Camera,
    colour: np.ndarray | None = None,
) -> PersonMaps:
    """Put the maps of a crop together.

    Args:
        front: (S, S, 3) normals of the clothed person, camera frame, zero where there are none.
        back: (S, S, 3) of the farthest surface.
        mask: (S, S) coverage 0..1.
        vertices: (V, 3) the posed body, camera frame.
        faces: (F, 3) wound outward.
        camera: of the crop.
        colour: (S, S, 3) uint8.
    """
    reference = float(vertices[:, 2].mean())
    channels = np.zeros((CHANNELS, camera.height, camera.width), np.float32)
    channels[FRONT], channels[BACK] = front.transpose(2, 0, 1), back.transpose(2, 0, 1)
    channels[MASK] = mask
    channels[OUTLINE] = _signed_outline(mask)
    normals = vertex_normals(vertices, faces)
    for farthest, normal, depth in ((False, BODY_FRONT, NEAREST), (True, BODY_BACK, FARTHEST)):
        raster = rasterise(vertices, faces, camera, farthest)
        there = raster.mask
        corners = normals[faces[raster.face[there]]].astype(np.float32)
        channels[normal, there] = np.einsum("nk,nkc->cn", raster.bary[there], corners)
        channels[depth, there] = -raster.depth[there] - reference
        channels[BODY] = there
    _continue_depth(channels)
    if colour is not None:
        channels[COLOUR] = colour.transpose(2, 0, 1).astype(np.float32) / 255
    return PersonMaps(channels, camera, reference)


def crop_maps(body: BodyFit, normals: NormalMaps, mask: np.ndarray, pixels: np.ndarray) -> PersonMaps:
    """The maps of the crop around a person's mask (H, W) in the full photo. Raises CarveError if the mask is empty."""
    shown = mask > 0.5
    if not shown.any():
        raise CarveError("The person's mask is empty; give one with --mask.")
    window = Window.around(shown, FILL, SIZE)
    within = window.within(mask.shape[1], mask.shape[0])
    cut = window.cut(mask.astype(np.float32)) * within

    def unit(image: np.ndarray) -> np.ndarray:
        part = window.cut(image.astype(np.float32))
        length = np.linalg.norm(part, axis=-1, keepdims=True)
        return np.where((cut > 0.5)[..., None], part / np.maximum(length, 1e-6), 0)

    camera = body.camera.cropped(window.left, window.top, SIZE, SIZE, window.scale)
    return person_maps(unit(normals.front), unit(normals.back), cut, body.posed, body.faces, camera, window.cut(pixels))


def _signed_outline(mask: np.ndarray) -> np.ndarray:
    """(S, S) distance to the outline of a mask (S, S); see OUTLINE."""
    inside = (mask > 0.5).astype(np.uint8)
    signed = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    # Distances are counted to pixels' centres; the outline lies between two of them.
    signed += np.where(inside > 0, np.float32(-0.5), np.float32(0.5))
    return np.clip(signed * (10 / len(mask)), -1, 1)


def _continue_depth(channels: np.ndarray) -> None:
    """Beside the body, write the mean depth of its nearest pixel into both depths."""
    there = channels[BODY] > 0
    if not there.any():
        return
    _, label = cv2.distanceTransformWithLabels((~there).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    middle = (channels[NEAREST] + channels[FARTHEST]) / 2
    of_label = np.zeros(label.max() + 1, np.float32)
    of_label[label[there]] = middle[there]
    for depth in (NEAREST, FARTHEST):
        channels[depth][~there] = of_label[label[~there]]


class Encoder(nn.Module):
    """A U-Net whose features have half the maps' resolution."""

    def __init__(self, inputs: int, widths: tuple[int, ...], features: int, blocks: int = 2) -> None:
        """`inputs` channels in, `features` out; `widths` channels at 1/2, 1/4, ... of the maps' resolution, `blocks` beyond the first."""
        super().__init__()
        self.stem = nn.Conv2d(inputs, widths[0], 3, stride=2, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.encode = nn.ModuleList([nn.Sequential(*(Block(w) for _ in range(blocks))) for w in widths[1:]])
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in upward])
        self.decode = nn.ModuleList([Block(b) for _, b in upward[:-1]])
        self.last = nn.Conv2d(widths[0], features, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, S, S) to features (B, features, S/2, S/2)."""
        levels = [self.stem(maps.contiguous(memory_format=torch.channels_last))]
        for down, encode in zip(self.down, self.encode, strict=True):
            levels.append(encode(down(functional.silu(levels[-1]))))
        y = levels[-1]
        for up, decode, level in zip(self.up, [*self.decode, nn.Identity()], levels[-2::-1], strict=True):
            y = decode(functional.interpolate(up(y), scale_factor=2.0, mode="bilinear", align_corners=False) + level)
        out: Tensor = self.last(functional.silu(y))
        return out


def receptive_field(widths: tuple[int, ...], blocks: int = 2) -> int:
    """Side of the square of the maps, pixels, that a feature of an `Encoder` sees through its convolutions.

    A convolution of three taps adds two steps of its level, a bilinear doubling one of the level it reads. The norms of the blocks see
    the mean and spread of the whole crop besides: of what lies farther away a feature knows no more than these.
    """
    field, step = 3, 2
    for _ in widths[1:]:
        field, step = field + 2 * step, 2 * step
        field += 4 * blocks * step
    for level in range(len(widths) - 1, 0, -1):
        field, step = field + step, step // 2
        field += 4 * step if level > 1 else 0
    return field + 2 * step


def lookup(maps: Tensor, pixels: Tensor, size: float) -> Tensor:
    """Bilinear samples (B, N, C) of maps (B, C, h, w) at pixels (B, N, 2) of a crop of side `size`, differentiable in the maps.

    Beyond the edge the nearest pixel counts.
    """
    count, channels, height, width = maps.shape
    table = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    x = (pixels[..., 0] * (width / size) - 0.5).clamp(0, width - 1)
    y = (pixels[..., 1] * (height / size) - 0.5).clamp(0, height - 1)
    left, top = x.detach().floor().clamp(max=width - 2), y.detach().floor().clamp(max=height - 2)
    a, b = x - left, y - top
    first = torch.arange(count, device=maps.device)[:, None] * (height * width)
    corner = first + top.long() * width + left.long()
    places = torch.stack([corner, corner + 1, corner + width, corner + width + 1], -1)
    weights = torch.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], -1)
    found = functional.embedding_bag(places.reshape(-1, 4), table, per_sample_weights=weights.to(table.dtype).reshape(-1, 4), mode="sum")
    return found.reshape(count, -1, channels)
