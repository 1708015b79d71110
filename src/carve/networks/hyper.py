"""A hypernetwork: reads a person's coarse surface and returns weights of the network of `posed_field` for a fit to begin with.

The surface is described by where it lies as seen from fixed places (basis point sets, Prokudin et al., "Efficient learning on point
clouds with basis point sets", ICCV 2019): unlike in a pooled set of points, each number always means the same place, and a small
perceptron can read it. CAR's (arXiv 2304.03903, section 3.2) pools points of the naked body and decodes every weight of every layer, with
177 million weights of its own; here a code of the person changes shared weights.

Notation: K places q_k in the person's frame, the surface's nearest point p_k and normal n_k there; z the code; layer l has
    W_l = W_l^0 (1 + g_l(z)) + U_l(z) V_l(z) / sqrt(R)
with shared W_l^0, gains g_l of its rows and R columns of U_l. Gains and U_l begin as zero: training begins with the shared weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from carve.networks.posed_field import Frame, Shape, sphere_weights
from carve.networks.weights import FOLDER, load_network

BOX = np.array([0.8, 1.0, 0.45])
"""Half the sides of the box that the places lie in."""


@dataclass(frozen=True)
class Architecture:
    """What the weights fit."""

    places: int = 512
    """K."""
    hidden: int = 256
    code: int = 192
    """Numbers of z."""
    rank: int = 6
    """R."""
    target: Shape = field(default_factory=Shape)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class HyperNet(nn.Module):
    """See the module's head."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = a = architecture or Architecture()
        self.encoder = nn.Sequential(
            nn.Linear(6 * a.places, a.hidden),
            nn.SiLU(),
            nn.LayerNorm(a.hidden),
            nn.Linear(a.hidden, a.hidden),
            nn.SiLU(),
            nn.LayerNorm(a.hidden),
            nn.Linear(a.hidden, a.code),
        )
        self.base = nn.ParameterList([layer[0] for layer in sphere_weights(a.target, torch.default_generator)])
        self.gain = nn.ModuleList([nn.Linear(a.code, out) for out, _ in a.target.layer_shapes])
        self.left = nn.ModuleList([nn.Linear(a.code, out * a.rank) for out, _ in a.target.layer_shapes])
        self.right = nn.ModuleList([nn.Linear(a.code, into * a.rank) for _, into in a.target.layer_shapes])
        for head in (*self.gain, *self.left):
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        for number, (out, into) in enumerate(a.target.layer_shapes):
            self.register_buffer(f"body_{number}", torch.zeros(out, into))

    @property
    def mean_body(self) -> list[Tensor]:
        """Weights of a mean posed body, one tensor (1, out, in + 1) a layer: a start that knows nothing of the person."""
        return [getattr(self, f"body_{number}")[None] for number in range(self.architecture.target.layers)]

    def forward(self, seen: Tensor) -> list[Tensor]:
        """Descriptions (B, K, 6) to each layer's weights (B, out, in + 1)."""
        a = self.architecture
        scaled = torch.cat([4 * seen[..., :3], seen[..., 3:]], -1)
        z = functional.silu(self.encoder(scaled.flatten(1)))
        weights = []
        for base, gain, left, right, (out, into) in zip(self.base, self.gain, self.left, self.right, a.target.layer_shapes, strict=True):
            change = left(z).view(-1, out, a.rank) @ right(z).view(-1, a.rank, into)
            weights.append(base * (1 + gain(z)[..., None]) + change / math.sqrt(a.rank))
        return weights


@cache
def places(count: int) -> np.ndarray:
    """(K, 3) q_k, the same for everybody."""
    return np.random.default_rng(0).uniform(-BOX, BOX, (count, 3))


class Describer:
    """A surface, given by points with normals, that can be described in several frames."""

    def __init__(self, points: np.ndarray, normals: np.ndarray, neighbours: int = 8) -> None:
        """Points (N, 3) metres and unit normals (N, 3), about evenly over the surface; a place sees means of `neighbours` of them."""
        self._points, self._normals, self._tree = points.astype(np.float32), normals.astype(np.float32), cKDTree(points)
        self._around = (
            self._tree.query(points, neighbours)[1].reshape(len(points), -1).astype(np.uint16 if len(points) < 65536 else np.int64)
        )

    def __call__(self, frame: Frame, count: int, neighbours: int | None = None) -> np.ndarray:
        """(K, 6) float32: q_k to p_k and n_k, in the frame, each the mean of the `neighbours` (or all of the given) points around p_k."""
        at = places(count)
        nearest = self._tree.query(frame.out_of(at))[1]
        around = self._around[nearest, :neighbours]
        beside, looks = self._points[around], self._normals[around]
        # A thin part's other side is near, too: its normals look the other way.
        weight = np.maximum(np.einsum("knd,kd->kn", looks, self._normals[nearest]), 0) + 1e-6
        weight /= weight.sum(1, keepdims=True)
        point, normal = np.einsum("kn,knd->kd", weight, beside), np.einsum("kn,knd->kd", weight, looks)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        return np.concatenate([frame.into(point) - at.astype(np.float32), frame.turned(normal)], 1).astype(np.float32)


def load_hyper_net(folder: Path = FOLDER) -> HyperNet:
    """The network with the weights that ship, or those of another folder, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    return load_network("hyper", folder, Architecture, HyperNet)
