"""Train the shading network on synthetic photographs, whose albedo is known.

The photographs' true shading is the logarithm of photo over albedo, in linear light. Normals that the person network gives are flatter than
the true ones and a little turned; so are those that the network learns from (`worsened`).

Notation: B photographs of S x S pixels; p the network's answer, t the true log-shading, m the mean of a channel over the person's pixels:
    loss = mean |e - m(e)| + g sum over strides of mean |difference of neighbours of e|,    e = p - t
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Subset

from carve.networks.precision import autocast
from carve.networks.shading import Architecture, ShadingNet, log_light
from carve.records import CarveError
from carve.synth.photo.augmentation import Field
from carve.synth.samples.dataset import SyntheticPhotos
from carve.train.joined import Joined
from carve.train.running.card import card_of
from carve.train.running.checkpoint import Run
from carve.train.running.loop import Batch, Options, train
from carve.train.running.scaffold import check_people, evenly, settings_of
from carve.train.running.schedule import Schedule

FIELDS: tuple[Field, ...] = ("normal_front", "body_normal_front", "albedo_front")
SIZE: Literal[256] = 256
"""S, pixels."""
WINDOWS = 0.45
"""Share of the views that show a part of the person, so that cloth is seen at every size."""


@dataclass(frozen=True)
class Params:
    """What the loss is made of, and of what."""

    edges: float = 0.5
    """g."""
    strides: tuple[int, ...] = (1, 4)
    """Pixels between neighbours."""
    relief: tuple[float, float] = (0.35, 1.1)
    """Gain of the normals' detail, drawn for each photograph."""
    body: float = 0.5
    """Most of the naked body's normals that is mixed in."""
    turn: float = 0.15
    """Spread of smooth errors, radians."""
    missing: float = 0.05
    """Share of photographs whose normals are not told at all."""


def truth(batch: Batch) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) log-shading and (B, 1, S, S) weight 0 or 1 of its pixels."""
    albedo = batch["albedo_front"]
    inside = (batch["weight"] > 0.9) & (batch["visible"] > 0.9) & (albedo.sum(1, keepdim=True) > 0)
    return log_light(batch["image"]) - log_light(albedo), inside.float()


def worsened(batch: Batch, params: Params, generator: torch.Generator) -> Tensor:
    """(B, 3, S, S) the true normals with the kind of errors that the person network's have."""
    true, mask = batch["normal_front"], batch["mask"]
    count, size = len(true), true.shape[-1]

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(true.device)

    low = _blurred(true * mask, 9) / _blurred(mask, 9).clamp(min=1e-3)
    gain = params.relief[0] + (params.relief[1] - params.relief[0]) * drawn(count, 1, 1, 1)
    body = batch["body_normal_front"]
    share = params.body * drawn(count, 1, 1, 1) * (body.square().sum(1, keepdim=True) > 0.25)
    noise = params.turn * torch.randn(count, 3, 8, 8, generator=generator).to(true.device)
    smooth = functional.interpolate(noise, (size, size), mode="bicubic", align_corners=False)
    found = functional.normalize((low + gain * (true - low)) * (1 - share) + body * share + smooth, dim=1)
    return found * mask * (drawn(count, 1, 1, 1) >= params.missing)


def _blurred(maps: Tensor, side: int) -> Tensor:
    """Box means over `side` pixels, twice."""
    for _ in range(2):
        maps = functional.avg_pool2d(maps, side, 1, side // 2, count_include_pad=False)
    return maps


def centred(error: Tensor, weight: Tensor) -> Tensor:
    """Errors (B, 3, S, S) less their mean over each picture's weight (B, 1, S, S)."""
    mean = (error * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1)
    return (error - mean) * weight


def ask(network: nn.Module, image: Tensor, normals: Tensor, mask: Tensor) -> Tensor:
    """The network's answer, in bf16 where that is fast."""
    with autocast(image.device):
        out: Tensor = network(image, normals, mask)
    return out


def shading_loss(network: nn.Module, batch: Batch, step: int, params: Params) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts; the normals' errors follow from the step."""
    wanted, weight = truth(batch)
    normals = worsened(batch, params, torch.Generator().manual_seed(step))
    error = ask(network, batch["image"], normals, batch["mask"]) - wanted
    total = weight.sum().clamp(min=1)
    plain = centred(error, weight).abs().sum() / (3 * total)
    edges = error.new_zeros(())
    for stride in params.strides:
        for axis in (2, 3):
            size = error.shape[axis] - stride
            both = weight.narrow(axis, 0, size) * weight.narrow(axis, stride, size)
            change = (error.narrow(axis, 0, size) - error.narrow(axis, stride, size)).abs() * both
            edges = edges + change.sum() / (3 * total)
    return plain + params.edges * edges, {"plain": float(plain.detach()), "edges": float(edges.detach())}


@torch.no_grad()
def evaluate_shading(network: nn.Module, batches: DataLoader[Batch], device: str, params: Params) -> dict[str, float]:
    """Over validation photographs: `error`, mean |log albedo - log truth| less its median over that of the photo, the median; and its
    ninth decile."""
    was = network.training
    network.eval()
    found = []
    for number, raw in enumerate(batches):
        batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in raw.items()}
        normals = worsened(batch, params, torch.Generator().manual_seed(number))
        wanted, weight = truth(batch)
        answer = ask(network, batch["image"], normals, batch["mask"])
        for k, where in enumerate(weight[:, 0] > 0.5):
            if int(where.sum()) < 500:
                continue
            true, own = wanted[k][:, where], answer[k][:, where]
            before, after = ((e - e.median(1, keepdim=True).values).abs().mean() for e in (true, true - own))
            found.append(float(after / before.clamp(min=1e-6)))
    network.train(was)
    table = torch.tensor(found)
    return {"error": float(table.median()), "ninth_decile": float(table.quantile(0.9))}


def train_shading(
    data: Sequence[Path],
    assets: Path,
    folder: Path,
    schedule: Schedule,
    *,
    params: Params | None = None,
    architecture: Architecture | None = None,
    start: Path | None = None,
    validation: int = 64,
    verify: bool = True,
    **options: Unpack[Options],
) -> Run:
    """Train on the data sets' train splits; judge on `validation` photographs of the other split.

    `start` is not taken: the network is small.

    Raises:
        CarveError: the data sets, the assets or a checkpoint in `folder` cannot be used.
    """
    if start is not None:
        raise CarveError("The shading network starts from random weights; leave --start out.")
    params, architecture = params or Params(), architecture or Architecture()
    device = options.get("device", "cpu")
    whole = [
        SyntheticPhotos(one, "train", assets, size=SIZE, fields=FIELDS, windows=WINDOWS, seed=schedule.seed, verify=verify) for one in data
    ]
    for one, photos in zip(data, whole, strict=True):
        check_people(one, photos.shards.header)
    held: ConcatDataset[Batch] = ConcatDataset(
        [SyntheticPhotos(one, "val", assets, size=SIZE, fields=FIELDS, augmented=False, windows=0.0, seed=1, verify=verify) for one in data]
    )
    batches: DataLoader[Batch] = DataLoader(Subset(held, evenly(len(held), validation)), batch_size=8)
    settings = settings_of("shading", params, architecture, [one.shards.header for one in whole], None)
    return train(
        lambda: ShadingNet(architecture),
        lambda size: Joined(whole),
        lambda network, batch, step: shading_loss(network, batch, step, params),
        schedule,
        folder,
        evaluate=lambda network: evaluate_shading(network, batches, device, params),
        settings=settings,
        **options,
    )


def card(
    run: Run, data: Sequence[Path], schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None
) -> dict[str, Any]:
    """See `carve.train.running.card`."""
    return card_of("shading", run, data, schedule, figures, commit, start)
