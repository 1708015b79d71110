"""Train the implicit model of the clothed person on synthetic people.

Notation: f the predicted and d the true signed distance, b the predicted scale of the error, metres; n the true normal of the clothed
surface.
    20 |f|                  on the surface
    |grad f - n|            on the surface
    0.2 (|grad f| - 1)^2    on and near the surface
    20 |f - d|              off the surface; beyond 10 cm f need only be as far
    0.1 (|error| / b + log b), which moves b alone
The first three are CAR's (arXiv 2304.03903, section 3.1); the fourth takes the place of its exp(-10 |f|), since our distances are true. An
occupancy learns cross-entropy off the surface instead of all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from carve.networks.implicit import SHARP, Architecture, ImplicitNet, Points, Seen, load_implicit_net
from carve.networks.precision import autocast
from carve.networks.weights import identity
from carve.synth.samples.surface_points import Mixture, SurfacePoints
from carve.train.running.card import card_of
from carve.train.running.checkpoint import Run
from carve.train.running.loop import Batch, Drawable, Options, train
from carve.train.running.scaffold import check_people, check_steps, judged, settings_of
from carve.train.running.schedule import Schedule

REACH = 0.1
"""Distances beyond this need not be right, metres."""
TRACKS: dict[Literal["true", "fitted"], Mixture] = {"true": Mixture(1.0, 0.0), "fitted": Mixture(0.0, 1.0)}
"""What is judged: with true bodies and normals, and with bodies as fitted and predicted normals."""


@dataclass(frozen=True)
class Params:
    """What the loss is made of, and what is drawn."""

    surface: float = 20.0
    """Weight of |f| on the surface, per metre."""
    normal: float = 1.0
    """Weight of the gradient's difference to the normal."""
    eikonal: float = 0.2
    distance: float = 20.0
    """Weight of |f - d| off the surface, per metre."""
    doubt: float = 0.1
    """Weight of the errors' likelihood under the predicted scales."""
    on: int = 512
    """Points on the surface a sample."""
    off: int = 1152
    """Other points a sample."""
    eikonal_off: int = 128
    """Of these, how many have their gradient measured."""
    true_body: float = 0.15
    """Share of samples with the true body."""
    predicted: float = 0.5
    """Share of samples with predicted normals."""


def implicit_loss(network: ImplicitNet, batch: Batch, params: Params) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts."""
    seen, points, on = _ask(network, batch)
    target = batch["target"]
    if network.architecture.representation == "occupancy":
        value, log_scale = network.query(seen, points)
        off = value[:, on:]
        occupied = functional.binary_cross_entropy_with_logits(-off / SHARP, (target[:, on:] < 0).to(off.dtype))
        doubt = _likelihood(_beyond(off, target[:, on:]), log_scale[:, on:])
        return occupied + params.doubt * doubt, {"occupied": float(occupied.detach()), "doubt": float(doubt.detach())}
    both = on + params.eikonal_off
    value, gradient, log_scale, others = network.with_gradient(seen, points.first(both), _after(points, both))
    assert others is not None
    off_value, off_scale = torch.cat([value[:, on:], others[..., 0]], 1), torch.cat([log_scale[:, on:], others[..., 1]], 1)
    error = _beyond(off_value, target[:, on:])
    surface, distance = value[:, :on].abs().mean(), error.mean()
    # The root's corner is rounded: where the gradient is the normal already, it has no slope.
    normal = ((gradient[:, :on] - batch["surface_normal"]).square().sum(-1) + 1e-6).sqrt().mean()
    eikonal = (gradient.norm(dim=-1) - 1).square().mean()
    doubt = _likelihood(torch.cat([value[:, :on].abs(), error], 1), torch.cat([log_scale[:, :on], off_scale], 1))
    total = params.surface * surface + params.normal * normal + params.eikonal * eikonal
    total = total + params.distance * distance + params.doubt * doubt
    parts = {"surface_mm": 1000 * surface, "normal": normal, "eikonal": eikonal, "distance_mm": 1000 * distance, "doubt": doubt}
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _ask(network: ImplicitNet, batch: Batch) -> tuple[Seen, Points, int]:
    """The maps encoded, in half precision where the device is fast at it, the points, and how many of them are on the surface."""
    with autocast(batch["maps"].device):
        seen = network(batch["maps"], batch["camera"], batch["reference"], batch["joints"])
    return seen, Points(*(batch[f.name] for f in fields(Points))), batch["surface_normal"].shape[1]


def _after(points: Points, count: int) -> Points:
    """All but the first `count` points."""
    return Points(*(getattr(points, f.name)[:, count:] for f in fields(Points)))


def _beyond(value: Tensor, target: Tensor) -> Tensor:
    """|f - d|, but nothing where both lie beyond REACH on the same side."""
    aim = target.clamp(-REACH, REACH)
    error = value - aim
    error = torch.where(target > REACH, error.clamp(max=0), error)
    return torch.where(target < -REACH, error.clamp(min=0), error).abs()


def _likelihood(error: Tensor, log_scale: Tensor) -> Tensor:
    """Mean of -log of exp(-|e| / b) / 2 b up to a constant, with a slope in b alone."""
    return (error.detach() * (-log_scale).exp() + log_scale).mean()


@torch.no_grad()
def evaluate_implicit(network: nn.Module, batches: Mapping[Literal["true", "fitted"], DataLoader[Batch]], device: str) -> dict[str, float]:
    """Figures of validation people for each of TRACKS; `ratio` and `body_iou` compare with the naked body.

    `mm`: mean |f| on the true surface, its `ratio` to the naked body's |d|; `iou`: of the stored points inside; `angle`: degrees between
    gradient and normal on the surface; `certain`: the error of the tenth of the surface that is most certain over that of the least.
    """
    assert isinstance(network, ImplicitNet)
    result: dict[str, float] = {}
    was = network.training
    network.eval()
    for track, loader in batches.items():
        values: dict[str, list[Tensor]] = {}
        for raw in loader:
            batch = {k: v.to(device) for k, v in raw.items()}
            seen, points, on = _ask(network, batch)
            value, gradient, log_scale, others = network.with_gradient(seen, points.first(on), _after(points, on))
            assert others is not None
            inside, body = batch["target"][:, on:] < 0, points.distance[:, on:] < 0
            guess = others[..., 0] < 0
            unit = functional.normalize(gradient, dim=-1)
            angle = torch.rad2deg(2 * torch.asin(((unit - batch["surface_normal"]).norm(dim=-1) / 2).clamp(max=1)))
            for name, found in {
                "error": value.abs(),
                "body": points.distance[:, :on].abs(),
                "scale": log_scale,
                "angle": angle,
                "both": (guess & inside).float(),
                "either": (guess | inside).float(),
                "body_both": (body & inside).float(),
                "body_either": (body | inside).float(),
            }.items():
                values.setdefault(name, []).append(found.flatten().cpu())
        all_of = {name: torch.cat(parts) for name, parts in values.items()}
        order = all_of["error"][all_of["scale"].argsort()]
        tenth = max(1, len(order) // 10)
        result |= {
            f"{track}_mm": 1000 * float(all_of["error"].mean()),
            f"{track}_ratio": float(all_of["error"].mean() / all_of["body"].mean().clamp(min=1e-9)),
            f"{track}_iou": float(all_of["both"].sum() / all_of["either"].sum().clamp(min=1)),
            f"{track}_body_iou": float(all_of["body_both"].sum() / all_of["body_either"].sum().clamp(min=1)),
            f"{track}_angle": float(all_of["angle"].mean()),
            f"{track}_certain": float(order[:tenth].mean() / order[-tenth:].mean().clamp(min=1e-9)),
        }
    network.train(was)
    return result


def train_implicit(
    data: Path,
    assets: Path,
    folder: Path,
    schedule: Schedule,
    *,
    params: Params | None = None,
    architecture: Architecture | None = None,
    start: Path | None = None,
    validation: int = 48,
    verify: bool = True,
    source: Callable[[SurfacePoints], Drawable] = lambda points: points,
    **options: Unpack[Options],
) -> Run:
    """Train on the data set's train split; judge on `validation` pairs of the other split.

    `start` is a folder with weights and their card to begin with, in place of random ones and of `architecture`. `source` may put samples
    of its own in place of those that are drawn.

    Raises:
        CarveError: the data, the assets, `start` or a checkpoint in `folder` cannot be used, or there are not samples enough for a step.
    """
    begin = None if start is None else load_implicit_net(start)
    params, architecture = params or Params(), begin.architecture if begin is not None else architecture or Architecture()
    check_steps(schedule)
    counts = (params.on, params.off)
    mixture = Mixture(params.true_body, params.predicted)
    held = {
        track: SurfacePoints(data, "val", assets, architecture, mixture=drawn, counts=counts, augmented=False, seed=1, verify=verify)
        for track, drawn in TRACKS.items()
    }
    shards = held["true"].shards
    check_people(data, shards.header)
    settings = settings_of("implicit", params, architecture, shards.header, start, normals=identity("normals"))
    batches = {track: judged(part, len(shards), validation) for track, part in held.items()}

    def make() -> ImplicitNet:
        network = ImplicitNet(architecture)
        if begin is not None:
            network.load_state_dict(begin.state_dict())
        return network

    def loss(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        assert isinstance(network, ImplicitNet)
        return implicit_loss(network, batch, params)

    return train(
        make,
        lambda size: source(
            SurfacePoints(data, "train", assets, architecture, mixture=mixture, counts=counts, seed=schedule.seed, verify=verify)
        ),
        loss,
        schedule,
        folder,
        evaluate=lambda network: evaluate_implicit(network, batches, options.get("device", "cpu")),
        settings=settings,
        **options,
    )


def card(run: Run, data: Path, schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None) -> dict[str, Any]:
    """See `carve.train.running.card`."""
    return card_of("implicit", run, data, schedule, figures, commit, start, normals=identity("normals"))
