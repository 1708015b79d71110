"""The small network whose zero level is one person's surface in the photo's pose: a signed distance with its gradient.

The weights are plain tensors, so that a hypernetwork can make them and a fit can move them. The gradient is written out as a second pass
from the last layer to the first (adjoints): training it then needs one ordinary backward pass. Carrying three tangents forward beside the
value takes twice the multiplications.

Notation: B people, N points x in a person's own frame (`Frame`), where a unit is half the person's longest side; f the signed distance in
these units; h_l = W_l a_{l-1} + b_l, a_l = s(h_l), with tangents dh_l = W_l da_{l-1}, da_l = s'(h_l) dh_l; s(h) = softplus(beta h) / beta.
a_0 is x with its Fourier features sin(2^k pi x), cos(2^k pi x), k < octaves, times 2^(-k / 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BETA = 30.0
"""Sharpness of the softplus."""

Weights = Sequence[Tensor]
"""One tensor (B, out, in + 1) a layer; the last column is the bias."""


@dataclass(frozen=True)
class Shape:
    """Of the network."""

    octaves: int = 6
    hidden: int = 128
    layers: int = 4
    """With the last, which has one output."""

    @property
    def inputs(self) -> int:
        """Numbers that a point is described by."""
        return 3 + 6 * self.octaves

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """(out, in + 1) of each layer."""
        widths = [self.inputs, *[self.hidden] * (self.layers - 1), 1]
        return [(out, into + 1) for into, out in pairwise(widths)]

    @property
    def count(self) -> int:
        """How many weights."""
        return sum(a * b for a, b in self.layer_shapes)


@dataclass(frozen=True)
class Frame:
    """A person's own frame: the middle of their box is the origin, half its longest side the unit, and they look along +Z as far as a turn
    about the camera's vertical can make them."""

    centre: np.ndarray
    """(3,) metres, camera frame."""
    unit: float
    """Metres."""
    turn: np.ndarray
    """(3, 3) from the camera's axes to the frame's."""

    @staticmethod
    def around(vertices: np.ndarray, forward: np.ndarray) -> Frame:
        """Of a surface (V, 3) of somebody who looks along `forward` (3,), both in the camera frame or another with +Y up."""
        yaw = math.atan2(forward[0], forward[2])
        turn = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
        low, high = vertices.min(0), vertices.max(0)
        return Frame((low + high) / 2, float((high - low).max()) / 2, turn)

    def into(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) float32 points (N, 3), metres, in the frame."""
        return (((points - self.centre) / self.unit) @ self.turn.T).astype(np.float32)

    def turned(self, directions: np.ndarray) -> np.ndarray:
        """(N, 3) float32 directions or normals (N, 3) in the frame."""
        return (directions @ self.turn.T).astype(np.float32)

    def out_of(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres: the inverse of `into`."""
        return points.astype(np.float64) @ self.turn * self.unit + self.centre


def random_weights(shape: Shape, generator: torch.Generator) -> list[Tensor]:
    """One person's weights drawn as layers usually are: uniform within 1 / sqrt(in)."""
    return [(2 * torch.rand(1, out, into, generator=generator) - 1) / math.sqrt(into - 1) for out, into in shape.layer_shapes]


def sphere_weights(shape: Shape, generator: torch.Generator, radius: float = 0.5) -> list[Tensor]:
    """One person's weights whose function is about the distance to a ball (Atzmon & Lipman, "SAL", CVPR 2020, for positional features as
    Gropp et al., "Implicit geometric regularization", ICML 2020)."""
    weights = []
    for number, (out, into) in enumerate(shape.layer_shapes):
        layer = torch.randn(1, out, into, generator=generator) * math.sqrt(2 / out)
        if number == 0:
            layer[..., 3:] = 0
        if number == shape.layers - 1:
            layer = math.sqrt(math.pi / (into - 1)) + 1e-4 * torch.randn(1, out, into, generator=generator)
        layer[..., -1] = 0
        weights.append(layer)
    around = functional.normalize(torch.randn(1, 512, 3, generator=generator), dim=-1)
    weights[-1][..., -1] = -evaluate(weights, radius * around).mean()
    return weights


@dataclass(frozen=True)
class Told:
    """What is known of B people's surfaces, in their frames."""

    on: Tensor
    """(B, N, 3) points on the surface."""
    normal: Tensor
    """(B, N, 3) its unit normals there."""
    trust: Tensor
    """(B, N) in the normals, 0 to 1."""
    off: Tensor
    """(B, M, 3) points beside it."""
    distance: Tensor
    """(B, M) signed distances of these."""
    slack: float = 0.0
    """How wrong the distances may be."""


@dataclass(frozen=True)
class Balance:
    """Weights of the parts of the loss."""

    surface: float = 5.0
    """Of |f| on the surface."""
    normal: float = 1.0
    """Of |grad f - n| on the surface."""
    eikonal: float = 0.2
    """Of (|grad f| - 1)^2."""
    off: float = 20.0
    """Of |f - d| off the surface."""
    reach: float = 0.15
    """Distances beyond this need not be right."""


def misfit(weights: Weights, told: Told, balance: Balance) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss (B,) of each person's weights and its parts, each (B,); terms as CAR's (arXiv 2304.03903), but for the true distance."""
    value, gradient = with_gradient(weights, told.on)
    aim = told.distance.clamp(-balance.reach, balance.reach)
    error = evaluate(weights, told.off) - aim
    error = torch.where(aim >= balance.reach, error.clamp(max=0), torch.where(aim <= -balance.reach, error.clamp(min=0), error)).abs()
    # The root's corner is rounded: where the gradient is the normal already, it has no slope.
    turned = ((gradient - told.normal).square().sum(-1) + 1e-6).sqrt()
    parts = {
        "surface": value.abs().mean(1),
        "normal": (turned * told.trust).sum(1) / told.trust.sum(1).clamp(min=1e-6),
        "eikonal": (gradient.norm(dim=-1) - 1).square().mean(1),
        "off": (error - told.slack).clamp(min=0).mean(1),
    }
    total = balance.surface * parts["surface"] + balance.normal * parts["normal"]
    return total + balance.eikonal * parts["eikonal"] + balance.off * parts["off"], parts


def evaluate(weights: Weights, points: Tensor) -> Tensor:
    """(B, N) f at points (B, N, 3)."""
    y, _ = _encoded(_octaves(weights), points)
    for number, layer in enumerate(weights):
        y = torch.baddbmm(layer[:, None, :, -1], y, layer[..., :-1].mT)
        if number < len(weights) - 1:
            y = functional.softplus(y, BETA)
    return y[..., 0]


def with_gradient(weights: Weights, points: Tensor) -> tuple[Tensor, Tensor]:
    """f (B, N) and its gradient (B, N, 3) at points (B, N, 3), both with their slopes in the weights."""
    y, slopes = _encoded(_octaves(weights), points)
    rates = []
    for layer in weights[:-1]:
        h = torch.baddbmm(layer[:, None, :, -1], y, layer[..., :-1].mT)
        y = functional.softplus(h, BETA)
        rates.append(torch.sigmoid(BETA * h))
    value = torch.baddbmm(weights[-1][:, None, :, -1], y, weights[-1][..., :-1].mT)[..., 0]
    back = weights[-1][..., :-1]
    for layer, rate in zip(reversed(weights[:-1]), reversed(rates), strict=True):
        back = torch.bmm(back * rate, layer[..., :-1])
    return value, (back.unflatten(-1, (-1, 3)) * slopes).sum(-2)


def _octaves(weights: Weights) -> int:
    return (weights[0].shape[-1] - 4) // 6


def _frequencies(octaves: int, like: Tensor) -> Tensor:
    return math.pi * 2.0 ** torch.arange(octaves, device=like.device, dtype=like.dtype)


def _scales(octaves: int, like: Tensor) -> Tensor:
    return 2.0 ** (-0.5 * torch.arange(octaves, device=like.device, dtype=like.dtype))


def _encoded(octaves: int, points: Tensor) -> tuple[Tensor, Tensor]:
    """(B, N, inputs) the features of points (B, N, 3), and (B, N, inputs / 3, 3) the derivative of each in its own coordinate."""
    frequency, scale = _frequencies(octaves, points)[:, None], _scales(octaves, points)[:, None]
    angle = points[..., None, :] * frequency
    sine, cosine = torch.sin(angle) * scale, torch.cos(angle) * scale
    told = torch.cat([points[..., None, :], sine, cosine], -2)
    slopes = torch.cat([torch.ones_like(points)[..., None, :], cosine * frequency, -sine * frequency], -2)
    return told.flatten(-2), slopes
