"""Train the person network on synthetic photographs.

Notation: n true and n' predicted unit normals, c = |n - n'| their chord, which is the angle between them for small angles; b the predicted
scale of the angle's error, see `carve.networks.normals`; e the error of a place, metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import ConcatDataset

from carve.networks.normals import VARIANCE_OF_SCALE, Architecture, NormalsNet, NormalsOutput, load_normals_net
from carve.networks.precision import autocast
from carve.records import LABELS
from carve.synth.photo.augmentation import WINDOWS, Field
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.store.shard_reader import Framing
from carve.synth.store.shards import Split
from carve.train.joined import Joined
from carve.train.normals_figures import evaluate_normals, true_depth
from carve.train.photo_weights import LICENCE, read_photo_weights
from carve.train.running.card import card_of
from carve.train.running.checkpoint import Run
from carve.train.running.loop import Batch, Options, train
from carve.train.running.scaffold import check_people, check_steps, judged, settings_of
from carve.train.running.schedule import Phase, Schedule

FIELDS: tuple[Field, ...] = (
    "normal_front", "normal_back", "body_normal_front", "body_normal_back", "depth", "label_front", "label_back", "place",
)  # fmt: skip
ARCHITECTURE = Architecture(blocks=(3, 3, 3, 3), decode=2, fine=2, labels=len(LABELS), places=True)
"""What is trained if nothing else is asked for."""
WINDOW = 16
"""Side of the windows of `relief_term`, pixels."""
PARTS = 0.55
"""Share of the views of whole people that are shown in part before the last phase."""
RARE = 4.0
"""A rare label counts at most so many times as much as a common one."""


@dataclass(frozen=True)
class Params:
    """What the loss is made of."""

    no_body: float = 0.35
    """Share of the samples that are given no body."""
    true_body: float = 0.15
    """Share that is given the true one instead of one with fit errors."""
    gradient: float = 1.0
    """Weight of the differences between neighbours' normals, at distances of 1, 2, 4 and 8 pixels."""
    relief: float = 0.5
    """Weight of `relief_term`."""
    back: float = 0.5
    """Weight of the back against the front."""
    doubt: float = 0.1
    """Weight of the likelihood of the errors under the predicted scales."""
    mask: float = 0.3
    """Weight of the mask's cross-entropy."""
    depth: float = 0.4
    """Weight of the depth's likelihood."""
    label: float = 0.2
    """Weight of the labels' cross-entropy, front and back each."""
    place: float = 1.0
    """Weight of a place's error in metres."""
    place_doubt: float = 0.01
    """Weight of the likelihood of the places' errors under the predicted scales."""


def normals_loss(network: nn.Module, batch: Batch, step: int, params: Params) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts; drawing which samples get which body uses torch's generator."""
    draw = torch.rand(len(batch["image"]), 1, 1, 1).to(batch["image"].device)
    half = batch["fitted_normal_front"].shape[-2:]
    bodies = []
    for side in ("front", "back"):
        true = functional.interpolate(batch[f"body_normal_{side}"], half, mode="area")
        body = torch.where(draw < params.no_body + params.true_body, true, batch[f"fitted_normal_{side}"])
        bodies.append(torch.where(draw < params.no_body, torch.zeros_like(body), body))
    device = batch["image"].device.type
    with autocast(device):
        out: NormalsOutput = network(batch["image"], batch["rough_mask"], *bodies)
    seen = batch["weight"] * batch["visible"]
    front, front_doubt, front_edges = normal_terms(out.front, out.log_scale_front, batch["normal_front"], seen)
    back, back_doubt, back_edges = normal_terms(out.back, out.log_scale_back, batch["normal_back"], seen)
    mask = functional.binary_cross_entropy_with_logits(out.mask_logit, batch["visible"] * batch["weight"].clamp(min=0.0))
    depth = _depth_term(out, batch, seen)
    relief = {side: relief_term(getattr(out, side), batch[f"normal_{side}"], seen) for side in ("front", "back")}
    total = front + params.gradient * front_edges + params.relief * relief["front"]
    total = total + params.back * (back + params.gradient * back_edges + params.relief * relief["back"])
    total = total + params.doubt * (front_doubt + back_doubt) + params.mask * mask + params.depth * depth
    parts = {
        "front": front,
        "back": back,
        "edges": front_edges,
        "relief": relief["front"],
        "doubt": front_doubt,
        "mask": mask,
        "depth": depth,
    }
    if out.label_front is not None and out.label_back is not None:
        told = {"front": out.label_front, "back": out.label_back}
        labels = [_label_term(logits, *_as_told(logits, batch[f"label_{side}"], seen)) for side, logits in told.items()]
        total = total + params.label * (labels[0] + labels[1])
        parts |= {"label": labels[0], "label_back": labels[1]}
    if out.place is not None and out.place_log_scale is not None:
        place, weight = _as_told(out.place, batch["place"], seen)
        error = (out.place - place).square().sum(1, keepdim=True).add(1e-6).sqrt()
        parts["place"] = _mean(error, weight)
        doubt = _mean(error.detach() * (-out.place_log_scale).exp() + 3 * out.place_log_scale, weight)
        total = total + params.place * parts["place"] + params.place_doubt * doubt
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _as_told(told: Tensor, true: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Truth (B, C, S, S) and weight at the pixels of what is told of them, which may be every second one."""
    step = true.shape[-1] // told.shape[-1]
    return true[..., ::step, ::step], weight[..., ::step, ::step]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def normal_terms(predicted: Tensor, log_scale: Tensor, true: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean chord; the chords' likelihood, which teaches the scale alone; mean error of the differences between neighbours."""
    weight = weight * (true.square().sum(1, keepdim=True) > 0.25)
    error = predicted - true
    chord = (error.square().sum(1, keepdim=True) + 1e-6).sqrt()
    doubt = _mean(chord.detach() * (-log_scale).exp() + 2 * log_scale, weight)
    edges = predicted.new_zeros(())
    distances = [d for d in (1, 2, 4, 8) if d < min(predicted.shape[2:])]
    for distance in distances:
        for axis in (2, 3):
            span = predicted.shape[axis] - distance
            change = (error.narrow(axis, distance, span) - error.narrow(axis, 0, span)).abs().sum(1, keepdim=True)
            both = weight.narrow(axis, distance, span) * weight.narrow(axis, 0, span)
            edges = edges + _mean(change, both) / (2 * len(distances))
    return _mean(chord, weight), doubt, edges


def relief_term(predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Mean difference of how much the normals (B, 3, S, S) change between neighbours, per window of WINDOW pixels.

    Errors of single normals are least where doubtful folds are ironed out; this counts how deep the folds are and not where they lie.
    """
    weight = weight * (true.square().sum(1, keepdim=True) > 0.25)
    total = predicted.new_zeros(())
    for distance in (1, 2, 4):
        for axis in (2, 3):
            span = predicted.shape[axis] - distance
            change = [
                (n.narrow(axis, distance, span) - n.narrow(axis, 0, span)).square().sum(1, keepdim=True).add(1e-5).sqrt()
                for n in (predicted, true)
            ]
            both = weight.narrow(axis, distance, span) * weight.narrow(axis, 0, span)
            window = min(WINDOW, *both.shape[2:])
            share = functional.avg_pool2d(both, window)
            gap = functional.avg_pool2d(both * (change[0] - change[1]), window)
            total = total + gap.abs().sum() / share.sum().clamp(min=1e-3) / 6
    return total


def _label_term(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of labels (B, 1, S, S) under logits (B, L, S, S); a label counts by the root of how rare it is in the batch."""
    count = torch.zeros(logits.shape[1], device=logits.device).index_add_(0, label.flatten().long(), weight.flatten().float())
    rarity = (count.sum() / count.clamp(min=1)).sqrt()
    rarity = (rarity / rarity[count > 0].min()).clamp(max=RARE) if bool((count > 0).any()) else rarity
    entropy = functional.cross_entropy(logits, label[:, 0].long(), reduction="none")[:, None]
    return _mean(entropy, weight * rarity[label.long()])


def _depth_term(out: NormalsOutput, batch: Batch, weight: Tensor) -> Tensor:
    """Likelihood of the depth's error under exp(-|e| / b) / 2 b; each sample's constant is the best one for the mean."""
    error = out.depth - true_depth(batch)
    weight = weight * (batch["depth"] > 0)
    middle = (error * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
    gap = (error - middle).abs()
    # Scales learn from errors, errors from a fixed scale, so that doubt does not excuse them.
    likelihood = gap.detach() * (-out.depth_log_scale).exp() + out.depth_log_scale
    return _mean(20 * gap + 0.1 * likelihood, weight)


def train_normals(
    data: Sequence[Path],
    assets: Path,
    folder: Path,
    schedule: Schedule,
    *,
    params: Params | None = None,
    architecture: Architecture | None = None,
    start: Path | None = None,
    photo_weights: Path | None = None,
    share: float = 1.0,
    validation: int = 64,
    verify: bool = True,
    **options: Unpack[Options],
) -> Run:
    """Train on the data sets' train splits, or on the first `share` of each one's people; judge on `validation` pairs of the other split.

    `start` is a folder with weights and their card to begin with, in place of random ones; blocks that `architecture` has and the weights
    lack begin as the identity, labels and places knowing nothing. The widths are the weights' own. `photo_weights` is the published file
    that `carve.train.photo_weights` reads: the network is told the photo's features by it, unless those of `start` tell them already.

    Raises:
        CarveError: the data set, the assets or a checkpoint in `folder` cannot be used, or there are not samples enough for a step.
    """
    params = params or Params()
    architecture, weights = _beginning(architecture or ARCHITECTURE, start, photo_weights)
    check_steps(schedule)

    def photos(folder: Path, split: Split, **options: Any) -> SyntheticPhotos:
        found = SyntheticPhotos(folder, split, assets, fields=FIELDS, observed=True, verify=verify, **options)
        check_people(folder, found.shards.header)
        return found

    def source(size: int) -> Joined:
        # A part of a person on few pixels shows folds at the scale that the whole person has on many.
        last = size == schedule.phases[-1].size
        framing: Framing = "whole" if last else "all"
        windows = WINDOWS if last else PARTS
        return Joined([photos(one, "train", size=size, framing=framing, windows=windows, seed=schedule.seed) for one in data], share)

    held = [photos(folder, "val", size=schedule.phases[-1].size, augmented=False, seed=1) for folder in data]
    joined: ConcatDataset[Batch] = ConcatDataset(held)
    batches = judged(joined, len(joined), validation)
    settings = settings_of("normals", params, architecture, [one.shards.header for one in held], start, share=share)

    def make() -> NormalsNet:
        network = NormalsNet(architecture)
        network.load_state_dict(network.state_dict() | weights)
        return network

    return train(
        make,
        source,
        lambda network, batch, step: normals_loss(network, batch, step, params),
        schedule,
        folder,
        evaluate=lambda network: evaluate_normals(network, batches, options.get("device", "cpu")),
        settings=settings,
        **options,
    )


def _beginning(wanted: Architecture, start: Path | None, photo_weights: Path | None) -> tuple[Architecture, dict[str, Tensor]]:
    """The architecture of a training and the weights that it begins with: those of the folder `start`, beside them the photo's features."""
    weights = {} if photo_weights is None else {f"photo.{name}": value for name, value in read_photo_weights(photo_weights).items()}
    architecture = replace(wanted, photo=wanted.photo or bool(weights))
    if start is None:
        return architecture, weights
    begin = load_normals_net(start)
    return _grown(begin.architecture, architecture), weights | begin.state_dict()


def _grown(own: Architecture, wanted: Architecture) -> Architecture:
    """The architecture of weights with the blocks and heads of another that they lack."""
    return replace(
        own,
        blocks=tuple(map(max, own.blocks, wanted.blocks)),  # type: ignore[arg-type]
        **{name: max(getattr(own, name), getattr(wanted, name)) for name in ("context", "decode", "fine", "labels", "places", "photo")},
    )


def card(
    run: Run, data: Sequence[Path], schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None
) -> dict[str, Any]:
    """See `carve.train.running.card`; the photo's features add their licence."""
    told = f"log_variance = 2 log_scale + {VARIANCE_OF_SCALE:.4f}"
    note = card_of("normals", run, data, schedule, figures, commit, start, variance=told)
    if note["architecture"]["photo"]:
        note["licences"] = [*note["licences"], LICENCE]
    return note


def phases(samples: int, finish: float, batch: int, small: int = 256, large: int = 512) -> tuple[Phase, ...]:
    """So many samples: the last `finish` of them at `large` pixels with half the batch, the others at `small`."""
    last = round(samples * finish)
    found = (Phase(small, (samples - last) // batch, batch), Phase(large, last // max(1, batch // 2), max(1, batch // 2)))
    return tuple(phase for phase in found if phase.steps > 0)
