"""Train the hypernetwork on synthetic people.

Amortised: the loss of the weights that it makes, as a fit would measure it (`posed_field.misfit`). With inner steps (first-order MAML,
Finn et al., ICML 2017): the loss that these weights have after a few steps of the fit's own optimiser, whose path counts as constant;
what is learned is then a start from which the fit gets ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from carve.networks.hyper import Architecture, HyperNet, load_hyper_net
from carve.networks.posed_field import Balance, Shape, Told, Weights, misfit, sphere_weights, with_gradient
from carve.synth.samples.posed_subjects import PosedSubjects, mean_body
from carve.train.running.card import card_of
from carve.train.running.checkpoint import Run
from carve.train.running.loop import Batch, Options, train
from carve.train.running.scaffold import check_people, check_steps, judged, settings_of
from carve.train.running.schedule import Schedule

EVALUATION_STEPS = 10


@dataclass(frozen=True)
class Params:
    """What the loss is made of, and what is drawn."""

    balance: Balance = field(default_factory=Balance)
    on: int = 128
    """Points on the surface a step of a fit."""
    off: int = 128
    """Other points a step."""
    inner: int = 0
    """Steps of a fit before the loss counts."""
    inner_rate: float = 3e-3
    """Their learning rate, that of the fit."""
    direct: float = 0.3
    """Weight of the loss before the inner steps."""
    body_steps: int = 1000
    """Of the fit to a mean posed body."""


def hyper_loss(network: HyperNet, batch: Batch, params: Params) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts."""
    weights = network(batch["seen"])
    parts = list(_portions(batch, params))
    first, found = misfit(weights, parts[0], params.balance)
    total, numbers = first.mean(), {name: float(value.detach().mean()) for name, value in found.items()}
    if params.inner:
        moved = adapted(weights, parts[:-1], params)
        after, found = misfit([w + (m - w).detach() for w, m in zip(weights, moved, strict=True)], parts[-1], params.balance)
        total = params.direct * total + after.mean()
        numbers |= {f"{name}_after": float(value.detach().mean()) for name, value in found.items()}
    return total, numbers


def adapted(weights: Weights, parts: list[Told], params: Params) -> list[Tensor]:
    """Each person's weights after one step of Adam for each of `parts`; without slopes."""
    moved = [w.detach().clone().requires_grad_() for w in weights]
    optimiser = torch.optim.Adam(moved, lr=params.inner_rate, betas=(0.9, 0.99))
    for told in parts:
        with torch.enable_grad():
            loss, _ = misfit(moved, told, params.balance)
            gradients = torch.autograd.grad(loss.sum(), moved)
        for w, gradient in zip(moved, gradients, strict=True):
            w.grad = gradient
        optimiser.step()
    return [w.detach() for w in moved]


def _portions(batch: Batch, params: Params) -> Iterator[Told]:
    """The batch's points, one portion a step and one for the loss."""
    names = ("on", "normal", "off", "distance")
    on, normal, off, distance = (batch[name].chunk(params.inner + 1, 1) for name in names)
    for k in range(params.inner + 1):
        yield Told(on[k], normal[k], torch.ones_like(on[k][..., 0]), off[k], distance[k])


@torch.no_grad()
def evaluate_hyper(network: nn.Module, loader: DataLoader[Batch], params: Params) -> dict[str, float]:
    """Figures of validation people before (`start_`) and after (`after_`) EVALUATION_STEPS steps of a fit.

    `loss`; `mm`: mean |f| on the true surface; `angle`: degrees between gradient and normal there.
    """
    assert isinstance(network, HyperNet)
    fit = replace(params, inner=EVALUATION_STEPS)
    values: dict[str, list[Tensor]] = {}
    for batch in loader:
        parts = list(_portions(batch, fit))
        weights = network(batch["seen"])
        for when, w in (("start", weights), ("after", adapted(weights, parts[:-1], fit))):
            loss, _ = misfit(w, parts[-1], params.balance)
            value, gradient = with_gradient(w, parts[-1].on)
            chord = (functional.normalize(gradient, dim=-1) - parts[-1].normal).norm(dim=-1)
            values.setdefault(f"{when}_loss", []).append(loss)
            values.setdefault(f"{when}_mm", []).append(1000 * (value.abs() * batch["unit"][:, None]).mean(1))
            values.setdefault(f"{when}_angle", []).append(torch.rad2deg(2 * torch.asin((chord / 2).clamp(max=1))).mean(1))
    return {name: float(torch.cat(found).mean()) for name, found in values.items()}


def fit_mean_body(people: PosedSubjects, shape: Shape, params: Params, seed: int) -> list[Tensor]:
    """Weights (1, out, in + 1) a layer whose zero level is a mean posed body."""
    samples = mean_body(people)
    weights = sphere_weights(shape, torch.Generator().manual_seed(seed))
    rng = torch.Generator().manual_seed(seed)
    on, off = (torch.randint(len(samples[k]), (params.body_steps, n), generator=rng) for k, n in (("on", params.on), ("off", params.off)))
    told = [
        Told(
            samples["on"][i][None], samples["normal"][i][None], torch.ones(1, len(i)), samples["off"][j][None], samples["distance"][j][None]
        )
        for i, j in zip(on, off, strict=True)
    ]
    return adapted(weights, told, params)


def train_hyper(
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
    **options: Unpack[Options],
) -> Run:
    """Train on the data set's train split; judge on `validation` people of the other split.

    `start` is a folder with weights and their card to begin with, in place of random ones and of `architecture`. `assets` are not looked
    at: nothing is photographed.

    Raises:
        CarveError: the data, `start` or a checkpoint in `folder` cannot be used, or there are not samples enough for a step.
    """
    begin = None if start is None else load_hyper_net(start)
    params, architecture = params or Params(), begin.architecture if begin is not None else architecture or Architecture()
    check_steps(schedule)
    portions = EVALUATION_STEPS + 1
    counts = (params.on * portions, params.off * portions)
    held = PosedSubjects(data, "val", architecture.places, counts, augmented=False, seed=1, verify=verify)
    check_people(data, held.shards.header)
    counts = (params.on * (params.inner + 1), params.off * (params.inner + 1))
    people = PosedSubjects(data, "train", architecture.places, counts, seed=schedule.seed, verify=verify)
    loader = judged(held, len(held), validation)
    settings = settings_of("hyper", params, architecture, held.shards.header, start)
    body = begin.mean_body if begin is not None else fit_mean_body(people, architecture.target, params, schedule.seed)

    def make() -> HyperNet:
        network = HyperNet(architecture)
        if begin is not None:
            network.load_state_dict(begin.state_dict())
        for kept, fitted in zip(network.mean_body, body, strict=True):
            kept.copy_(fitted)
        return network

    def loss(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        assert isinstance(network, HyperNet)
        return hyper_loss(network, batch, params)

    return train(
        make,
        lambda size: people,
        loss,
        schedule,
        folder,
        evaluate=lambda network: evaluate_hyper(network, loader, params),
        settings=settings,
        **options,
    )


def card(run: Run, data: Path, schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None) -> dict[str, Any]:
    """See `carve.train.running.card`."""
    return card_of("hyper", run, data, schedule, figures, commit, start)
