"""Train the detail network on patches of synthetic close-ups, with what the person network says of them.

The person network is asked about the close-up at the resolution at which it would see the whole person, with a body as fitted or none, and
its answer, enlarged, is what the patches are to correct. Its errors are those that the detail network will meet.

Notation: S side of a photograph, P of a patch, N patches a photograph; k the person network's pixels over the photograph's.
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

from carve.networks.detail import Architecture, DetailNet, DetailOutput
from carve.networks.normals import NormalsNet, load_normals_net
from carve.networks.precision import autocast
from carve.networks.weights import FOLDER, read_card
from carve.records import CarveError
from carve.synth.photo.augmentation import Field
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.store.shards import Split
from carve.train.joined import Joined
from carve.train.normals import normal_terms, relief_term
from carve.train.normals_figures import angles
from carve.train.running.card import card_of
from carve.train.running.checkpoint import Run
from carve.train.running.loop import Batch, Options, train
from carve.train.running.scaffold import evenly, settings_of
from carve.train.running.schedule import Schedule

FIELDS: tuple[Field, ...] = ("normal_front", "depth")
PERSON = 440.0
"""Height in pixels at which the person network sees a person."""
FOLDS = 6 / 480
"""The Gaussian that tells detail from form, as a share of a person's height."""
SIZE: Literal[512] = 512
"""S: side of the photographs, pixels."""


@dataclass(frozen=True)
class Params:
    """What the loss is made of, and of what."""

    patch: int = 128
    """P, pixels."""
    patches: int = 12
    """N."""
    no_body: float = 0.3
    """Share of the photographs whose coarse normals were found without a body."""
    whole: float = 0.3
    """Weight of the errors of the normals themselves: most of them no patch can tell."""
    detail: float = 1.0
    """Weight of the errors of what a Gaussian of `FOLDS` pixels leaves of the normals."""
    gradient: float = 1.0
    """Weight of the differences between neighbours' normals."""
    relief: float = 0.3
    """Weight of `carve.train.normals.relief_term`."""
    doubt: float = 0.1
    """Weight of the likelihood of the errors under the predicted scales."""


@dataclass(frozen=True)
class Patches:
    """Patches with their truth."""

    image: Tensor
    """(B N, 3, P, P) sRGB 0..1."""
    coarse: Tensor
    """(B N, 3, P, P) what the person network says, unit."""
    log_scale: Tensor
    """(B N, 1, P, P) of its doubt."""
    mask: Tensor
    """(B N, 1, P, P)"""
    truth: Tensor
    """(B N, 3, P, P) unit normals, zero where there are none."""
    weight: Tensor
    """(B N, 1, P, P) of a pixel in the loss."""


def coarse_scale(batch: Batch) -> float:
    """k of a batch: from the mean height that a person of 1.7 m has in its photographs; at most 1."""
    depth, seen = batch["depth"], batch["mask"] * (batch["depth"] > 0)
    distance = (depth * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp(min=1)
    height = float((1.7 * batch["camera"][:, 0] / distance.clamp(min=0.3)).mean())
    return min(1.0, PERSON / max(height, 1.0))


@torch.no_grad()
def coarse_maps(person: NormalsNet, batch: Batch, body: bool) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) normals and (B, 1, S, S) log b of the person network at its own resolution, enlarged."""
    size = batch["image"].shape[-1]
    small = max(32, 32 * round(size * coarse_scale(batch) / 32))
    image, mask = (functional.interpolate(batch[name], (small, small), mode="area") for name in ("image", "rough_mask"))
    bodies = [batch[f"fitted_normal_{side}"] * float(body) for side in ("front", "back")]
    with autocast(image.device):
        out = person(image, mask, *bodies)
    normals = functional.interpolate(out.front, (size, size), mode="bilinear", align_corners=False)
    scale = functional.interpolate(out.log_scale_front, (size, size), mode="bilinear", align_corners=False)
    return functional.normalize(normals, dim=1), scale


def cut_patches(person: NormalsNet, batch: Batch, params: Params, generator: torch.Generator) -> Patches:
    """N random patches of every photograph of a batch, around pixels that show the person."""
    coarse, scale = coarse_maps(person, batch, bool(torch.rand((), generator=generator) >= params.no_body))
    weight = batch["weight"] * batch["visible"] * (batch["normal_front"].square().sum(1, keepdim=True) > 0.25)
    maps = torch.cat([batch["image"], coarse, scale, batch["mask"], batch["normal_front"], weight], 1)
    side, half = params.patch, params.patch // 2
    found = []
    for one in maps:
        places = one[-1].nonzero()
        if len(places) == 0:
            places = torch.full((1, 2), one.shape[-1] // 2, device=one.device)
        chosen = places[torch.randint(len(places), (params.patches,), generator=generator).to(places.device)]
        for v, u in (chosen - half).clamp(0, one.shape[-1] - side).tolist():
            found.append(one[:, v : v + side, u : u + side])
    image, n, s, mask, truth, weight = torch.stack(found).split([3, 3, 1, 1, 3, 1], 1)
    return Patches(image, n, s, mask, truth, weight)


def ask(network: nn.Module, patches: Patches) -> DetailOutput:
    """The network's answer, in bf16 where that is fast."""
    with autocast(patches.image.device):
        out: DetailOutput = network(patches.image, patches.coarse, patches.log_scale, patches.mask)
    return out


def detail_loss(network: nn.Module, batch: Batch, step: int, params: Params, person: NormalsNet) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch and its parts; which patches are cut follows from the step."""
    sigma = FOLDS * PERSON / coarse_scale(batch)
    patches = cut_patches(person, batch, params, torch.Generator().manual_seed(step))
    out = ask(network, patches)
    chord, doubt, edges = normal_terms(out.normals, out.log_scale, patches.truth, patches.weight)
    relief = relief_term(out.normals, patches.truth, patches.weight)
    gap = detail_of(out.normals, patches.weight, sigma) - detail_of(patches.truth, patches.weight, sigma)
    detail = (gap.square().sum(1, keepdim=True).add(1e-5).sqrt() * patches.weight).sum() / patches.weight.sum().clamp(min=1)
    total = params.whole * chord + params.detail * detail + params.gradient * edges + params.relief * relief + params.doubt * doubt
    parts = {"chord": chord, "detail": detail, "edges": edges, "relief": relief, "doubt": doubt}
    return total, {name: float(value.detach()) for name, value in parts.items()}


@torch.no_grad()
def evaluate_detail(network: nn.Module, batches: DataLoader[Batch], device: str, params: Params, person: NormalsNet) -> dict[str, float]:
    """Over patches of validation close-ups: mean angles in degrees before and after; of the detail, which is what a Gaussian of 6 pixels of
    a person 480 pixels tall leaves of the normals, the correlation of found and true and the ratio of their sizes."""
    sums: dict[str, list[Tensor]] = {}
    was = network.training
    network.eval()
    generator = torch.Generator().manual_seed(7)
    for raw in batches:
        batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in raw.items()}
        sigma = FOLDS * PERSON / coarse_scale(batch)
        patches = cut_patches(person, batch, params, generator)
        out, where = ask(network, patches), patches.weight > 0.5
        true = detail_of(patches.truth, patches.weight, sigma)
        for name, normals in (("before", patches.coarse), ("after", out.normals)):
            own = detail_of(normals, patches.weight, sigma)
            found = {
                "angle": angles(normals, patches.truth)[where],
                "both": (own * true).sum(1, keepdim=True)[where],
                "own": own.square().sum(1, keepdim=True)[where],
                "true": true.square().sum(1, keepdim=True)[where],
            }
            for key, value in found.items():
                sums.setdefault(f"{name}_{key}", []).append(value)
    network.train(was)
    mean = {key: float(torch.cat(values).mean()) for key, values in sums.items()}
    result = {}
    for name in ("before", "after"):
        result[f"angle_{name}"] = mean[f"{name}_angle"]
        result[f"correlation_{name}"] = mean[f"{name}_both"] / max((mean[f"{name}_own"] * mean[f"{name}_true"]) ** 0.5, 1e-9)
        result[f"relief_{name}"] = (mean[f"{name}_own"] / max(mean[f"{name}_true"], 1e-9)) ** 0.5
    return result


def detail_of(normals: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Normals (B, 3, P, P) less their weighted mean under a Gaussian of `sigma` pixels.

    A wide Gaussian is taken of means over squares, whose sides are a third of sigma at most: of single pixels it took half of a step.
    """
    square = next(side for side in (8, 4, 2, 1) if (side * 3 <= sigma and normals.shape[-1] % side == 0) or side == 1)
    maps = functional.avg_pool2d(torch.cat([normals * weight, weight], 1), square)
    reach = min(int(3 * sigma / square), maps.shape[-1] // 2 - 1)
    steps = torch.arange(-reach, reach + 1, device=normals.device, dtype=normals.dtype)
    kernel = torch.exp(-0.5 * (steps * square / sigma) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1, 1)
    batch, channels, *size = maps.shape
    maps = maps.reshape(batch * channels, 1, *size)
    for way in (kernel, kernel.transpose(2, 3)):
        maps = functional.conv2d(maps, way, padding=(way.shape[2] // 2, way.shape[3] // 2))
    maps = maps.reshape(batch, channels, *size)
    mean = maps[:, :3] / maps[:, 3:].clamp(min=1e-3)
    return normals - functional.interpolate(mean, normals.shape[2:], mode="bilinear", align_corners=False)


def train_detail(
    data: Sequence[Path],
    assets: Path,
    folder: Path,
    schedule: Schedule,
    *,
    params: Params | None = None,
    architecture: Architecture | None = None,
    person: Path = FOLDER,
    start: Path | None = None,
    validation: int = 32,
    verify: bool = True,
    **options: Unpack[Options],
) -> Run:
    """Train on the close-ups of the data sets' train splits; judge on `validation` close-ups of the other split.

    `person` is the folder of the person network whose answers are to be corrected. `start` is not taken: the network is small.

    Raises:
        CarveError: the data sets, the assets, the weights or a checkpoint in `folder` cannot be used.
    """
    if start is not None:
        raise CarveError("The detail network starts from random weights; leave --start out.")
    params, architecture = params or Params(), architecture or Architecture()
    device = options.get("device", "cpu")
    coarse = load_normals_net(person).to(device)

    def photos(folder: Path, split: Split, **options: Any) -> SyntheticPhotos:
        found = SyntheticPhotos(folder, split, assets, size=SIZE, framing="close", fields=FIELDS, observed=True, verify=verify, **options)
        if not len(found):
            raise CarveError(f"{folder} has no close-ups in its split {split}; make ten people or more with --close 2.")
        return found

    train_sets = [photos(one, "train", seed=schedule.seed) for one in data]
    held: ConcatDataset[Batch] = ConcatDataset([photos(one, "val", augmented=False, seed=1) for one in data])
    batches: DataLoader[Batch] = DataLoader(Subset(held, evenly(len(held), validation)), batch_size=1)
    headers = [one.shards.header for one in train_sets]
    settings = settings_of("detail", params, architecture, headers, None, person=read_card("normals", person)["sha256"])
    return train(
        lambda: DetailNet(architecture),
        lambda size: Joined(train_sets),
        lambda network, batch, step: detail_loss(network, batch, step, params, coarse),
        schedule,
        folder,
        evaluate=lambda network: evaluate_detail(network, batches, device, params, coarse),
        settings=settings,
        **options,
    )


def card(
    run: Run, data: Sequence[Path], schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None
) -> dict[str, Any]:
    """See `carve.train.running.card`."""
    return card_of("detail", run, data, schedule, figures, commit, start)
