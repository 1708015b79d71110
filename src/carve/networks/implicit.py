"""The implicit model of the clothed person: a point of canonical space and what the photo shows there to a signed distance.

A point is carried into the photo by the blended skinning of the body, described by the features of its pixel, by the normal seen there (of
the front or the back, turned back into canonical space) and by where it lies on the body; a small MLP gives the difference to the body's
own signed distance (after CAR, arXiv 2304.03903, section 3.1). Settings of the same code reproduce the kinds of model that came before.

Notation: B people, N points. A, t the blended map of a point to the camera frame; x_p = A x + t; normals turn back with A^T, as those of
an affine map do. d the body's signed distance, n_b its normal; f the clothed person's signed distance, b the scale of its error, metres.
Gradients of f come from differences along the four corners of a tetrahedron, so that one backward pass goes through everything the value
depends on; A, t and the nearest body point are held while a point moves by millimetres, and d changes linearly.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.geometry.skinning import bone_transforms
from carve.networks.encoder import (
    BACK,
    BODY,
    BODY_BACK,
    BODY_FRONT,
    CHANNELS,
    COLOUR,
    FARTHEST,
    FRONT,
    MASK,
    NEAREST,
    OUTLINE,
    Encoder,
    crop_maps,
    lookup,
)
from carve.networks.fine_level import FineLevel
from carve.networks.surface_code import SurfaceCode
from carve.networks.weights import FOLDER, load_network
from carve.records import BodyFit, NormalMaps

UNIT = 0.1
"""Metres that one unit of the network's output stands for."""
SHARP = 0.01
"""Metres from the surface at which an occupancy's logit is 1."""
REGION_COUNT = 14
SURFACE_CODE = 32
"""Length of the code of the nearest point of the body."""
STEP = 0.004
"""Length of the steps that gradients are measured with, metres."""
_LIMBS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
JOINTS = ("hips", "chest", "neck", "head", *(f"left{bone}" for bone in _LIMBS), *(f"right{bone}" for bone in _LIMBS))
"""Humanoid bones whose heads a model with `joints` is given."""
_CHUNK = 1 << 15
_TETRAHEDRON = torch.tensor([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]]) / math.sqrt(3)


@dataclass(frozen=True)
class Architecture:
    """What the network's weights fit, and the choices of the paper's ablation."""

    representation: Literal["sdf", "occupancy"] = "sdf"
    geometry: Literal["none", "joints", "surface", "body_sdf", "canonical_normal", "all"] = "all"
    """What a point knows of the body. `surface`: a learned code of its nearest point (`surface_code.py`); `all`: its signed distance and
    what goes with it, and the canonical normal."""
    image: Literal["photo", "normals", "both"] = "normals"
    """What the encoder sees beside the mask and the body."""
    space: Literal["canonical", "posed"] = "canonical"
    """Where points live: posed points are given in the camera frame."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels of the encoder at 1/2, 1/4, ... of the maps' resolution."""
    features: int = 32
    """Of a pixel."""
    hidden: int = 160
    """Width of the MLP."""
    layers: int = 5
    octaves: int = 2
    """Of the position's Fourier features."""
    blocks: int = 2
    """Of the encoder at each resolution but the first."""
    levels: Literal[1, 2] = 1
    """With two, the encoder sees the maps at half their resolution, and a fine level the whole (`fine_level.py`)."""
    fine_features: int = 16
    """Of a pixel at the fine level."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @property
    def on_body(self) -> bool:
        """Whether the body's signed distance is known."""
        return self.geometry in ("body_sdf", "all")

    @property
    def sees_normal(self) -> bool:
        """Whether the canonical normal is known."""
        return self.geometry in ("canonical_normal", "all")

    @property
    def channels(self) -> list[int]:
        """The maps' channels that the encoder sees."""
        every = list(range(CHANNELS))
        seen = [MASK, OUTLINE]
        if self.image != "photo":
            seen += every[FRONT] + every[BACK]
        if self.image != "normals":
            seen += every[COLOUR]
        if self.on_body:
            seen += every[BODY_FRONT] + every[BODY_BACK] + [NEAREST, FARTHEST, BODY]
        return sorted(seen)


@dataclass(frozen=True)
class Points:
    """Points and what the body says of them, tensors of B people with N points."""

    position: Tensor
    """(B, N, 3) metres."""
    transform: Tensor
    """(B, N, 3, 4) their frame to the camera frame."""
    distance: Tensor
    """(B, N) d."""
    gradient: Tensor
    """(B, N, 3) of d."""
    normal: Tensor
    """(B, N, 3) n_b."""
    region: Tensor
    """(B, N) int64 index into REGIONS."""

    def moved(self, offset: Tensor) -> Points:
        """The points moved by an offset (3,) of millimetres."""
        return Points(
            self.position + offset,
            self.transform,
            self.distance + (self.gradient * offset).sum(-1),
            self.gradient,
            self.normal,
            self.region,
        )

    def first(self, count: int) -> Points:
        """The first `count` points."""
        return Points(*(getattr(self, f.name)[:, :count] for f in fields(self)))

    @staticmethod
    def joined(parts: list[Points]) -> Points:
        """One after the other."""
        return Points(*(torch.cat([getattr(p, f.name) for p in parts], 1) for f in fields(Points)))


@dataclass(frozen=True)
class Seen:
    """B people as the network sees them."""

    features: Tensor
    """(B, C, S/2, S/2)"""
    maps: Tensor
    """(B, CHANNELS, S, S)"""
    camera: Tensor
    """(B, 3) focal length, cx, cy in pixels of the crop."""
    reference: Tensor
    """(B,) z_0, metres."""
    joints: Tensor
    """(B, J, 3) heads of JOINTS in the points' frame."""
    fine: Tensor | None = None
    """(B, C', S, S) features of the fine level, if there is one."""


class ImplicitNet(nn.Module):
    """See the module's head."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = a = architecture or Architecture()
        self.encoder = Encoder(len(a.channels), a.widths, a.features, a.blocks)
        inputs = a.features + 3 + 6 * a.octaves + 2
        inputs += len(JOINTS) if a.geometry == "joints" else 0
        inputs += 3 if a.sees_normal else 0
        if a.on_body:
            self.region = nn.Embedding(REGION_COUNT, 8)
            inputs += 2 + 3 + 1 + 2 + 8
        if a.geometry == "surface":
            self.surface = SurfaceCode(REGION_COUNT, SURFACE_CODE)
            inputs += SURFACE_CODE
        self.first = nn.Linear(inputs, a.hidden)
        self.again = nn.Linear(inputs, a.hidden)
        self.inner = nn.ModuleList([nn.Linear(a.hidden, a.hidden) for _ in range(a.layers - 2)])
        if a.levels == 2:
            self.fine = FineLevel(len(a.channels), a.fine_features, a.hidden)
        self.last = nn.Linear(a.hidden, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, maps: Tensor, camera: Tensor, reference: Tensor, joints: Tensor) -> Seen:
        """Maps (B, CHANNELS, S, S), cameras (B, 3), reference depths (B,) and joints (B, J, 3) to what points are asked of."""
        seen = maps[:, self.architecture.channels]
        if self.architecture.levels == 1:
            return Seen(self.encoder(seen).float(), maps, camera, reference, joints)
        coarse = self.encoder(functional.avg_pool2d(seen, 2))
        return Seen(coarse.float(), maps, camera, reference, joints, self.fine.encode(seen).float())

    def query(self, seen: Seen, points: Points) -> tuple[Tensor, Tensor]:
        """(B, N) f, an occupancy's as a pseudo-distance of the same sign, and (B, N) log b."""
        pixels, depth = _projected(seen, points)
        x = self._describe(seen, points, pixels, depth)
        y = functional.silu(self.first(x))
        for k, layer in enumerate(self.inner):
            y = layer(y)
            # What the point is is told once more half way.
            y = functional.silu(y + self.again(x) if k == len(self.inner) // 2 else y)
        if seen.fine is not None:
            y = self.fine(lookup(seen.fine, pixels, seen.maps.shape[-1]), y)
        out = self.last(y)
        base = points.distance if self.architecture.on_body else 0.0
        return base + UNIT * out[..., 0], out[..., 1].clamp(-4, 3) + math.log(0.01)

    def with_gradient(self, seen: Seen, points: Points, others: Points | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """f (B, N), its gradient (B, N, 3) and log b (B, N) at some points, and f (B, M) and log b joined as (B, M, 2) at others.

        One pass of the MLP over all: each of the points counts four times.
        """
        corners = _TETRAHEDRON.to(points.position)
        parts = [points.moved(STEP * corner) for corner in corners] + ([] if others is None else [others])
        count = points.position.shape[1]
        value, log_scale = self.query(seen, Points.joined(parts))
        four = value[:, : 4 * count].reshape(len(value), 4, count)
        gradient = torch.einsum("bkn,kd->bnd", four, corners) * (3 / (4 * STEP))
        rest = None if others is None else torch.stack([value[:, 4 * count :], log_scale[:, 4 * count :]], -1)
        return four.mean(1), gradient, log_scale[:, : 4 * count].reshape(len(value), 4, count).mean(1), rest

    def _describe(self, seen: Seen, points: Points, pixels: Tensor, depth: Tensor) -> Tensor:
        """(B, N, inputs) what the MLP is told of each point, seen at `pixels` (B, N, 2) in `depth` (B, N)."""
        a = self.architecture
        size = seen.maps.shape[-1]
        linear = points.transform[..., :3]
        features = lookup(seen.features, pixels, size)
        with torch.no_grad():
            at = lookup(seen.maps, pixels, size)
        told = [features, self._place(points.position - seen.joints[:, :1]), depth[..., None] / 0.3, at[..., OUTLINE, None]]
        if a.geometry == "joints":
            gap = torch.cdist(points.position, seen.joints)
            told.append(torch.exp(-gap / 0.15))
        if a.geometry == "surface":
            nearest = points.position - points.distance[..., None] * points.gradient
            told.append(self.surface(nearest - seen.joints[:, :1], points.normal, points.region))
        facing = functional.normalize((linear @ points.normal[..., None])[..., 0], dim=-1)[..., 2]
        if a.sees_normal:
            middle = (at[..., NEAREST] + at[..., FARTHEST]) / 2
            thickness = (at[..., NEAREST] - at[..., FARTHEST]).clamp(min=0)
            in_front = torch.sigmoid(2 * facing + (depth - middle) / (0.25 * thickness + 0.02))[..., None]
            chosen = in_front * at[..., FRONT] + (1 - in_front) * at[..., BACK]
            back = (linear.transpose(-1, -2) @ chosen[..., None])[..., 0]
            told.append(back / (back.norm(dim=-1, keepdim=True) + 0.05))
        if a.on_body:
            d = points.distance
            told.append(torch.stack([torch.tanh(d / 0.03), torch.tanh(d / 0.15), facing], -1))
            told.append(points.normal)
            gaps = [torch.tanh((depth - at[..., k]) / 0.1) for k in (NEAREST, FARTHEST)]
            told.append(torch.stack(gaps, -1))
            told.append(self.region(points.region))
        return torch.cat(told, -1)

    def _place(self, position: Tensor) -> Tensor:
        """(B, N, 3 + 6 octaves) position with its Fourier features."""
        waves = [position]
        for octave in range(self.architecture.octaves):
            angle = position * (math.pi * 2**octave)
            waves += [torch.sin(angle), torch.cos(angle)]
        return torch.cat(waves, -1)


def _projected(seen: Seen, points: Points) -> tuple[Tensor, Tensor]:
    """Pixels (B, N, 2) of the crop at which points are seen, and their depths (B, N) against the reference, metres."""
    posed = (points.transform[..., :3] @ points.position[..., None])[..., 0] + points.transform[..., 3]
    factor = seen.camera[:, None, :1] / -posed[..., 2:].clamp(max=-0.1)
    pixels = posed[..., :2] * factor * posed.new_tensor([1.0, -1.0]) + seen.camera[:, None, 1:]
    return pixels, posed[..., 2] - seen.reference[:, None]


class BodyPoints(Protocol):
    """What a body says of N points; `carve.body.skin_field` says more."""

    @property
    def distance(self) -> np.ndarray: ...

    @property
    def gradient(self) -> np.ndarray: ...

    @property
    def normal(self) -> np.ndarray: ...

    @property
    def region(self) -> np.ndarray: ...


class BodyField(Protocol):
    """A body that can be asked about points; `carve.body.skin_field.SkinField` is one."""

    def near(self, points: np.ndarray) -> Any:
        """`BodyPoints` of points (N, 3)."""
        ...

    def blend(self, points: np.ndarray, near: Any, transforms: np.ndarray) -> np.ndarray:
        """(N, 3, 4) blended bone maps."""
        ...


def points_of(position: np.ndarray, near: BodyPoints, transforms: np.ndarray) -> Points:
    """The tensors of one person's points (N, 3) with their blended maps (N, 3, 4) to the camera frame."""

    def real(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32))[None]

    region = torch.from_numpy(near.region.astype(np.int64))[None]
    return Points(real(position), real(transforms), real(near.distance), real(near.gradient), real(near.normal), region)


class ClothedField:
    """The clothed signed distance around one fitted body, to be asked at canonical points."""

    def __init__(
        self, network: ImplicitNet, field: BodyField, body: BodyFit, normals: NormalMaps, mask: np.ndarray, pixels: np.ndarray
    ) -> None:
        """Encode what the photo shows.

        Args:
            network: of either space.
            field: of the body in the network's space; a network of posed space is asked about points of the camera frame.
            body: as fitted.
            normals: of the clothed person, full photo.
            mask: (H, W) coverage 0..1.
            pixels: (H, W, 3) uint8 the photo.

        Raises:
            CarveError: the mask is empty.
        """
        self._network, self._field = network, field
        skeleton = body.skeleton
        rotations, heads = body.pose.bones(skeleton)
        posed = network.architecture.space == "posed"
        self._transforms = np.tile(np.eye(3, 4), (len(heads), 1, 1)) if posed else bone_transforms(rotations, heads, skeleton.heads)
        maps = crop_maps(body, normals, mask, pixels)
        joints = (heads if posed else skeleton.heads)[
            [skeleton.names.index(skeleton.humanoid[name]) for name in JOINTS if name in skeleton.humanoid]
        ]
        joints = np.pad(joints, ((0, len(JOINTS) - len(joints)), (0, 0)))
        c = maps.camera
        with torch.inference_mode():
            self._seen = network(
                torch.from_numpy(maps.channels)[None],
                torch.tensor([[c.focal, c.cx, c.cy]]),
                torch.tensor([maps.reference]),
                torch.from_numpy(joints.astype(np.float32))[None],
            )

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) float32 signed distance of the clothed person at points (N, 3), metres, and (N,) float32 log of its expected error."""
        return self.evaluate(points, self._field.near(points))

    def evaluate(self, points: np.ndarray, near: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same where the field's `near` of the points is known already."""
        maps = self._field.blend(points, near, self._transforms)
        every = points_of(points, near, maps)
        distance, log_scale = np.empty(len(points), np.float32), np.empty(len(points), np.float32)
        with torch.inference_mode():
            for start in range(0, len(points), _CHUNK):
                part = slice(start, start + _CHUNK)
                chunk = Points(*(getattr(every, f.name)[:, part] for f in fields(Points)))
                f, b = self._network.query(self._seen, chunk)
                distance[part], log_scale[part] = f[0].numpy(), b[0].numpy()
        return distance, log_scale


def load_implicit_net(folder: Path = FOLDER) -> ImplicitNet:
    """The network with the weights that ship, or those of another folder, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    return load_network("implicit", folder, Architecture, ImplicitNet)
