"""Fit a small signed distance to a person in the photo's pose: its gradient becomes what the normal maps show, its zero level the surface.

The loss is that of `networks.posed_field.misfit`. A normal that a map shows cannot be reached at a place that must stay, so the places
move: every few steps each goes along its viewing ray (whose pixel, and so its normal, is the same) to the present zero level, and a little
back towards the coarse surface. Where no map shows a normal, the coarse surface's place and own normal count.

Notation: x_i places on the coarse surface, r_i unit viewing rays, s_i shifts; zero level along a ray by Newton's method,
    s <- s - f(x + s r) / (grad f . r).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from carve.geometry.mesh import face_normals, vertex_normals
from carve.networks.hyper import Describer, HyperNet
from carve.networks.posed_field import Balance, Frame, Shape, Told, Weights, misfit, random_weights, sphere_weights, with_gradient

Start = Literal["hypernetwork", "body", "sphere", "random"]
"""Where the weights begin: what the hypernetwork makes of this person, weights of a mean posed body, a ball, or random weights."""

SURFACE_SAMPLES = 8192
"""Points that the hypernetwork's description is made from."""


@dataclass(frozen=True)
class FitParams:
    """How a field is fitted."""

    steps: int = 300
    rate: float = 3e-3
    """Adam's."""
    on: int = 320
    """Points on the surface a step."""
    off: int = 256
    """Other points a step."""
    refresh: int = 50
    """Steps between two looks at where the zero level is and at the loss of held-out places."""
    give: float = 0.9
    """Share of the way to the zero level that a place goes; the rest holds it to the coarse surface."""
    farthest: float = 0.03
    """How far a place may move, metres."""
    unseen: float = 0.15
    """Trust in the coarse surface's own normals where no map shows one."""
    slack: float = 0.008
    """How far the distances of points beside the surface may be off, metres."""
    held: float = 0.1
    """Share of the places that the fit never sees."""
    average: float = 0.98
    """Decay of the moving average of the weights that is the result."""
    patience: int = 3
    """Looks in a row at a held-out loss above the first one's that end the fit."""
    balance: Balance = field(default_factory=Balance)


@dataclass(frozen=True)
class Evidence:
    """A coarse surface and what its vertices should look like, camera frame."""

    vertices: np.ndarray
    """(V, 3) metres."""
    faces: np.ndarray
    """(F, 3) wound outward."""
    normals: np.ndarray
    """(V, 3) unit normals that the maps show; anything where the trust is zero."""
    trust: np.ndarray
    """(V,) 0 to 1."""
    forward: np.ndarray
    """(3,) where the person looks."""


@dataclass
class Look:
    """The fit at one step."""

    step: int
    held_loss: float
    """Of the held-out places."""
    held_normal: float
    """Their mean |grad f - n|, weighted by trust."""


@dataclass
class Fitted:
    """A fitted field."""

    weights: list[Tensor]
    frame: Frame
    looks: list[Look]
    stopped: str | None
    """Why the result must not be used."""


class FieldFit:
    """One person's points, from which fits may begin anew with other weights."""

    def __init__(self, evidence: Evidence, params: FitParams, seed: int = 0) -> None:
        """Draw the points; `seed` of all that is drawn here and in the fit."""
        self.evidence, self.params, self._seed = evidence, params, seed
        vertices, faces = evidence.vertices, evidence.faces
        self.frame = Frame.around(vertices, evidence.forward)
        rng = np.random.default_rng(seed)
        own = vertex_normals(vertices, faces)
        seen = evidence.trust > 0
        self._wanted = np.where(seen[:, None], evidence.normals, own)
        self._trust = np.where(seen, evidence.trust, params.unseen)
        self._places = vertices.copy()
        area = np.bincount(faces.ravel(), np.repeat(np.linalg.norm(face_normals(vertices, faces), axis=1), 3), minlength=len(vertices))
        held = rng.random(len(vertices)) < params.held
        self._pool = rng.choice(len(vertices), min(len(vertices), 20000), p=np.where(held, 0, area) / area[~held].sum())
        self._held = rng.choice(len(vertices), min(int(held.sum()), 1024), replace=False, p=np.where(held, area, 0) / area[held].sum())
        # Two points near the surface for each one of the box.
        near = rng.choice(len(vertices), 6144, p=area / area.sum())
        low, high = vertices.min(0) - 0.1, vertices.max(0) + 0.1
        off = np.concatenate([vertices[near] + own[near] * rng.normal(0, 0.03, (6144, 1)), rng.uniform(low, high, (3072, 3))])
        off = off[rng.permutation(len(off))]
        # It brings warp, which fits without a field do without.
        from carve.geometry.queries import MeshQueries

        distance = MeshQueries(vertices, faces, winding=True).signed_distance(off)
        self._off = torch.from_numpy(self.frame.into(off))
        self._distance = torch.from_numpy((distance / self.frame.unit).astype(np.float32))
        on = rng.choice(len(vertices), SURFACE_SAMPLES, p=area / area.sum())
        self._samples = vertices[on], own[on]

    def start(self, start: Start, network: HyperNet | None, shape: Shape | None = None) -> list[Tensor]:
        """The weights that a fit begins with; `network` is needed for `hypernetwork` and `body`."""
        generator = torch.Generator().manual_seed(self._seed)
        if start == "random":
            return random_weights(shape or Shape(), generator)
        if start == "sphere":
            return sphere_weights(shape or Shape(), generator)
        if network is None:
            raise ValueError(f"a fit that starts from {start} needs the network")
        if start == "body":
            return [layer.clone() for layer in network.mean_body]
        seen = Describer(*self._samples)(self.frame, network.architecture.places)
        with torch.no_grad():
            return network(torch.from_numpy(seen)[None])

    def held_out(self, surface: tuple[np.ndarray, np.ndarray] | None = None) -> Told:
        """Places that the fit never sees, where they are on the coarse surface, and points beside it.

        `surface`: vertices (V, 3) and their unit normals (V, 3), camera frame, in place of the coarse surface's and the maps'.
        """
        told = self._told(self._held, slice(len(self._off) - 1024, None))
        if surface is None:
            return told
        on, normal = (
            torch.from_numpy(a)[None] for a in (self.frame.into(surface[0][self._held]), self.frame.turned(surface[1][self._held]))
        )
        return replace(told, on=on, normal=normal, trust=torch.ones_like(told.trust))

    def run(self, start: Weights, watch: Callable[[int, list[Tensor]], bool] | None = None) -> Fitted:
        """Fit from given weights.

        Args:
            start: one person's.
            watch: called after each step with the number of steps done and the averaged weights; True ends the fit.
        """
        params = self.params
        self._places = self.evidence.vertices.copy()
        rng = np.random.default_rng((self._seed, 1))
        weights = [w.detach().clone().requires_grad_() for w in start]
        average = [w.detach().clone() for w in weights]
        optimiser = torch.optim.Adam(weights, lr=params.rate, betas=(0.9, 0.99))
        held = self.held_out()
        looks, bad = [_look(0, average, held, params)], 0
        for step in range(1, params.steps + 1):
            told = self._told(rng.choice(self._pool, params.on), torch.from_numpy(rng.integers(len(self._off) - 1024, size=params.off)))
            loss, _ = misfit(weights, told, params.balance)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            keep = min(params.average, step / (10 + step))
            for mean, now in zip(average, weights, strict=True):
                mean.lerp_(now.detach(), 1 - keep)
            if watch is not None and watch(step, average):
                break
            if step % params.refresh == 0 or step == params.steps:
                looks.append(_look(step, average, held, params))
                bad = bad + 1 if not looks[-1].held_loss < looks[0].held_loss else 0
                if bad >= params.patience or not np.isfinite(looks[-1].held_loss):
                    return Fitted(average, self.frame, looks, "its loss at held-out places grew")
                if step < params.steps:
                    self._move(average)
        return Fitted(average, self.frame, looks, self._worse(average))

    def gain(self, weights: Weights) -> tuple[float, float]:
        """Mean difference to the maps' normals at held-out places that maps show: the coarse surface's, and the zero level's."""
        places = self._held[self.evidence.trust[self._held] > 0]
        if not len(places):
            return 0.0, 0.0
        vertices, wanted, trust = self.evidence.vertices, self.evidence.normals[places], self.evidence.trust[places]
        rays = vertices[places] / np.linalg.norm(vertices[places], axis=1, keepdims=True)
        on = vertices[places] + zero_level(weights, self.frame, vertices[places], self.params.farthest)[:, None] * rays
        with torch.no_grad():
            gradient = with_gradient(weights, torch.from_numpy(self.frame.into(on))[None])[1][0].numpy()
        found = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-6)
        own = vertex_normals(vertices, self.evidence.faces)[places]
        before, after = (np.linalg.norm(n - w, axis=1) for n, w in ((own, wanted), (found, self.frame.turned(wanted))))
        return float((before * trust).sum() / trust.sum()), float((after * trust).sum() / trust.sum())

    def _worse(self, weights: Weights) -> str | None:
        """A reason if the coarse surface itself is nearer to the maps' normals at the held-out places."""
        before, after = self.gain(weights)
        return None if after <= before else "its normals at held-out places are no better than the coarse surface's"

    def _told(self, places: np.ndarray, off: slice | Tensor) -> Told:
        frame, params = self.frame, self.params
        on, normal = frame.into(self._places[places]), frame.turned(self._wanted[places])
        trust = torch.from_numpy(self._trust[places].astype(np.float32))
        slack = params.slack / frame.unit
        return Told(
            torch.from_numpy(on)[None], torch.from_numpy(normal)[None], trust[None], self._off[off][None], self._distance[off][None], slack
        )

    def _move(self, weights: Weights) -> None:
        """Put the places that maps show on the present zero level, and a little back."""
        used = np.unique(self._pool)
        used = used[self.evidence.trust[used] > 0]
        vertices = self.evidence.vertices[used]
        shift = zero_level(weights, self.frame, vertices, self.params.farthest)
        # A ray that finds no zero level within reach says that the field is not yet there, not that the surface is elsewhere.
        shift = np.where(np.abs(shift) < 0.99 * self.params.farthest, self.params.give * shift, 0)
        self._places[used] = vertices + shift[:, None] * vertices / np.linalg.norm(vertices, axis=1, keepdims=True)


def zero_level(weights: Weights, frame: Frame, vertices: np.ndarray, farthest: float, rounds: int = 4) -> np.ndarray:
    """(V,) shifts along the viewing rays, metres, from vertices (V, 3), camera frame, to the field's zero level.

    At most `farthest`, and less where a ray only grazes the surface.
    """
    rays = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    ray = torch.from_numpy(frame.turned(rays))
    start = torch.from_numpy(frame.into(vertices))
    limit = farthest / frame.unit
    shift = torch.zeros(len(vertices))
    grazing = torch.ones(len(vertices))
    with torch.no_grad():
        for number in range(rounds):
            for part in torch.arange(len(vertices)).split(1 << 14):
                value, gradient = with_gradient(weights, (start[part] + shift[part, None] * ray[part])[None])
                slope = (gradient[0] * ray[part]).sum(-1)
                away = torch.where(slope < 0, slope.clamp(max=-0.2), slope.clamp(min=0.2))
                shift[part] = (shift[part] - value[0] / away).clamp(-limit, limit)
                if number == 0:
                    grazing[part] = ((slope.abs() / gradient[0].norm(dim=-1).clamp(min=1e-3) - 0.1) / 0.3).clamp(0, 1)
    return (shift * grazing).double().numpy() * frame.unit


@torch.no_grad()
def _look(step: int, weights: Weights, held: Told, params: FitParams) -> Look:
    loss, parts = misfit(weights, held, params.balance)
    return Look(step, float(loss[0]), float(parts["normal"][0]))
