"""Train the person network on synthetic photographs.

Notation: n true and n' predicted unit normals, c = |n - n'| their chord, which is the angle between them for small angles; b the predicted
scale of the angle's error, see `carve.networks.normals`; e the error of a place, metres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Subset

from carve.networks.normals import VARIANCE_OF_SCALE, Architecture, NormalsNet, NormalsOutput, load_normals_net
from carve.networks.weights import read_card
from carve.records import LABELS, CarveError
from carve.synth.photo.augmentation import Field
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.store.shards import Split
from carve.train.card import card_of
from carve.train.joined import Joined
from carve.train.loop import Batch, Phase, Run, Schedule, train

FIELDS: tuple[Field, ...] = (
    "normal_front", "normal_back", "body_normal_front", "body_normal_back", "depth", "label_front", "label_back", "place",
)  # fmt: skip
ARCHITECTURE = Architecture(blocks=(3, 3, 3, 3), decode=2, fine=2, labels=len(LABELS), places=True)
"""What is trained if nothing else is asked for."""
RARE = 4.0
"""A rare label counts at most so many times as much as a common one."""


@dataclass(frozen=True)
class Params:
    """What the loss is made of."""

    no_body: float = 0.35
    """Share of the samples that are given no body."""
    true_body: float = 0.15
    """Share that is given the true one instead of one with fit errors."""
    gradient: float = 0.5
    """Weight of the differences between neighbours' normals, at distances of 1, 2, 4 and 8 pixels."""
    back: float = 0.5
    """Weight of the back against the front."""
    doubt: float = 0.1
    """Weight of the likelihood of the errors under the predicted scales."""
    mask: float = 0.3
    """Weight of the mask's cross-entropy."""
    depth: float = 0.4
    """Weight of the depth's likelihood."""
    label: float = 0.15
    """Weight of the labels' cross-entropy, front and back each."""
    place: float = 4.0
    """Weight of a place's error in metres."""
    place_doubt: float = 0.03
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
    with torch.autocast(device, torch.bfloat16):
        out: NormalsOutput = network(batch["image"], batch["rough_mask"], *bodies)
    seen = batch["weight"] * batch["visible"]
    front, front_doubt, front_edges = normal_terms(out.front, out.log_scale_front, batch["normal_front"], seen)
    back, back_doubt, back_edges = normal_terms(out.back, out.log_scale_back, batch["normal_back"], seen)
    mask = functional.binary_cross_entropy_with_logits(out.mask_logit, batch["visible"] * batch["weight"].clamp(min=0.0))
    depth = _depth_term(out, batch, seen)
    total = front + params.gradient * front_edges + params.back * (back + params.gradient * back_edges)
    total = total + params.doubt * (front_doubt + back_doubt) + params.mask * mask + params.depth * depth
    parts = {"front": front, "back": back, "edges": front_edges, "doubt": front_doubt, "mask": mask, "depth": depth}
    if out.label_front is not None and out.label_back is not None:
        labels = (_label_term(out.label_front, batch["label_front"], seen), _label_term(out.label_back, batch["label_back"], seen))
        total = total + params.label * (labels[0] + labels[1])
        parts |= {"label": labels[0], "label_back": labels[1]}
    if out.place is not None and out.place_log_scale is not None:
        error = (out.place - batch["place"]).square().sum(1, keepdim=True).add(1e-6).sqrt()
        parts["place"] = _mean(error, seen)
        doubt = _mean(error.detach() * (-out.place_log_scale).exp() + 3 * out.place_log_scale, seen)
        total = total + params.place * parts["place"] + params.place_doubt * doubt
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def normal_terms(predicted: Tensor, log_scale: Tensor, true: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean chord; the chords' likelihood, which teaches the scale alone; mean error of the differences between neighbours."""
    weight = weight * (true.square().sum(1, keepdim=True) > 0.25)
    error = predicted - true
    chord = (error.square().sum(1, keepdim=True) + 1e-6).sqrt()
    doubt = _mean(chord.detach() * (-log_scale).exp() + 2 * log_scale, weight)
    edges = predicted.new_zeros(())
    for distance in (1, 2, 4, 8):
        for axis in (2, 3):
            span = predicted.shape[axis] - distance
            change = (error.narrow(axis, distance, span) - error.narrow(axis, 0, span)).abs().sum(1, keepdim=True)
            both = weight.narrow(axis, distance, span) * weight.narrow(axis, 0, span)
            edges = edges + _mean(change, both) / 8
    return _mean(chord, weight), doubt, edges


def _label_term(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of labels (B, 1, S, S) under logits (B, L, S, S); a label counts by the root of how rare it is in the batch."""
    count = torch.zeros(logits.shape[1], device=logits.device).index_add_(0, label.flatten().long(), weight.flatten().float())
    rarity = (count.sum() / count.clamp(min=1)).sqrt()
    rarity = (rarity / rarity[count > 0].min()).clamp(max=RARE) if bool((count > 0).any()) else rarity
    entropy = functional.cross_entropy(logits, label[:, 0].long(), reduction="none")[:, None]
    return _mean(entropy, weight * rarity[label.long()])


def true_depth(batch: Batch) -> Tensor:
    """(B, 1, S, S) towards the viewer, in sides of the crop at the person's distance, mean zero over the person."""
    depth, seen = batch["depth"], batch["mask"] * (batch["depth"] > 0)
    distance = (depth * seen).sum((1, 2, 3), keepdim=True) / seen.sum((1, 2, 3), keepdim=True).clamp(min=1)
    focal = batch["camera"][:, 0].reshape(-1, 1, 1, 1)
    return (distance - depth) * seen * focal / distance.clamp(min=0.1) / depth.shape[-1]


def _depth_term(out: NormalsOutput, batch: Batch, weight: Tensor) -> Tensor:
    """Likelihood of the depth's error under exp(-|e| / b) / 2 b; each sample's constant is the best one for the mean."""
    error = out.depth - true_depth(batch)
    weight = weight * (batch["depth"] > 0)
    middle = (error * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
    gap = (error - middle).abs()
    # Scales learn from errors, errors from a fixed scale, so that doubt does not excuse them.
    likelihood = gap.detach() * (-out.depth_log_scale).exp() + out.depth_log_scale
    return _mean(20 * gap + 0.1 * likelihood, weight)


@torch.no_grad()
def evaluate_normals(network: nn.Module, batches: DataLoader[Batch], device: str) -> dict[str, float]:
    """Mean angles in degrees over validation photographs, with bodies as fitted and without; ratios to the body's own; mask and depth.

    `front_ratio` and `back_ratio` compare with the fitted body over the pixels where it is. `certain` is the error of the tenth of the
    pixels that are most certain against that of the least certain tenth. With the body as fitted: `label_iou` of front and back, the mean
    over the labels that occur of intersection over union over all pixels, and `place_cm`, the places' mean error, where these are told.
    """
    sums: dict[str, list[float]] = {}

    def add(name: str, value: Tensor, weight: Tensor) -> None:
        sums.setdefault(name, [0.0, 0.0])
        sums[name][0] += float((value * weight).sum())
        sums[name][1] += float(weight.sum())

    ious, certain = [], []
    overlap = {side: torch.zeros(3, len(LABELS), dtype=torch.float64) for side in ("front", "back")}
    was = network.training
    network.eval()
    for raw in batches:
        batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in raw.items()}
        seen = batch["visible"] * (batch["normal_front"].square().sum(1, keepdim=True) > 0.25)
        size = batch["image"].shape[-2:]
        for kind in ("fitted", "none", "true"):
            body = [
                torch.zeros_like(batch[f"fitted_normal_{side}"])
                if kind == "none"
                else batch[f"fitted_normal_{side}"] if kind == "fitted" else batch[f"body_normal_{side}"]
                for side in ("front", "back")
            ]  # fmt: skip
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                out: NormalsOutput = network(batch["image"], batch["rough_mask"], *body)
            for side, found, naked in (("front", out.front, body[0]), ("back", out.back, body[1])):
                error = angles(found, batch[f"normal_{side}"])
                add(f"{side}_{kind}", error, seen)
                if kind != "none":
                    naked = functional.interpolate(naked, size, mode="bilinear", align_corners=False)
                    both = seen * (naked.square().sum(1, keepdim=True) > 0.25)
                    add(f"{side}_{kind}_there", error, both)
                    add(f"{side}_{kind}_body", angles(functional.normalize(naked, dim=1), batch[f"normal_{side}"]), both)
            if kind == "fitted":
                for side, logits in (("front", out.label_front), ("back", out.label_back)):
                    if logits is not None:
                        overlap[side] += _overlap(logits, batch[f"label_{side}"], seen)
                if out.place is not None:
                    add("place_cm", 100 * (out.place - batch["place"]).norm(dim=1, keepdim=True), seen)
                certain.append(_certainty(angles(out.front, batch["normal_front"])[seen > 0], out.log_scale_front[seen > 0]))
                for guess, truth in zip(out.mask_logit > 0, batch["visible"] > 0.5, strict=True):
                    ious.append(float((guess & truth).sum() / (guess | truth).sum().clamp(min=1)))
            if kind == "none":
                gap = out.depth - true_depth(batch)
                where = seen * (batch["depth"] > 0)
                gap = gap - (gap * where).sum((1, 2, 3), keepdim=True) / where.sum((1, 2, 3), keepdim=True).clamp(min=1)
                add("depth_error_percent", 100 * gap.abs(), where)
    network.train(was)
    mean = {name: total / max(count, 1.0) for name, (total, count) in sums.items()}
    kept = ("front_fitted", "front_none", "back_fitted", "back_none", "depth_error_percent")
    result = {name: mean[name] for name in kept}
    for side in ("front", "back"):
        for kind in ("fitted", "true"):
            result[f"{side}_ratio_{kind}"] = mean[f"{side}_{kind}_there"] / mean[f"{side}_{kind}_body"]
    for side, (both, told, true) in overlap.items():
        if told.any():
            result[f"label_iou_{side}"] = float((both / (told + true - both).clamp(min=1))[true > 0].mean())
    if "place_cm" in mean:
        result["place_cm"] = mean["place_cm"]
    result["mask_iou"] = float(torch.tensor(ious).median())
    result["certain"] = sum(certain) / len(certain)
    return result


def _overlap(logits: Tensor, label: Tensor, where: Tensor) -> Tensor:
    """(3, L) pixels of each label: told and true, told, true."""
    told, true = 1 + logits[:, 1:].argmax(1)[where[:, 0] > 0], label[where > 0].long()
    count = lambda index: torch.bincount(index, minlength=logits.shape[1])  # noqa: E731
    return torch.stack([count(told[told == true]), count(told), count(true)]).double().cpu()


def angles(a: Tensor, b: Tensor) -> Tensor:
    """(B, 1, ...) degrees between unit vectors (B, 3, ...)."""
    return torch.rad2deg(2 * torch.asin(((a - b).square().sum(1, keepdim=True).sqrt() / 2).clamp(max=1)))


def _certainty(errors: Tensor, log_scale: Tensor) -> float:
    order = errors[log_scale.argsort()]
    tenth = max(1, len(order) // 10)
    return float(order[:tenth].mean() / order[-tenth:].mean().clamp(min=1e-6))


def train_normals(
    data: Sequence[Path],
    assets: Path,
    folder: Path,
    schedule: Schedule,
    *,
    params: Params | None = None,
    architecture: Architecture | None = None,
    start: Path | None = None,
    share: float = 1.0,
    validation: int = 64,
    evaluate_every: int = 1000,
    device: str = "cpu",
    workers: int = 1,
    stop_after: float | None = None,
    verify: bool = True,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> Run:
    """Train on the data sets' train splits, or on the first `share` of each one's people; judge on `validation` pairs of the other split.

    `start` is a folder with weights and their card to begin with, in place of random ones; blocks that `architecture` has and the weights
    lack begin as the identity, labels and places knowing nothing. The widths are the weights' own.

    Raises:
        CarveError: the data set, the assets or a checkpoint in `folder` cannot be used, or there are not samples enough for a step.
    """
    params, architecture = params or Params(), architecture or ARCHITECTURE
    begin = None if start is None else load_normals_net(start)
    if begin is not None:
        architecture = _grown(begin.architecture, architecture)
    if not schedule.steps:
        raise CarveError("There are fewer samples than a step needs; give more --samples or a smaller --batch.")

    def photos(folder: Path, split: Split, **options: Any) -> SyntheticPhotos:
        found = SyntheticPhotos(folder, split, assets, fields=FIELDS, observed=True, verify=verify, **options)
        if not found.shards.header["splits"].get(split, {}).get("people"):
            raise CarveError(f"{folder} has nobody in its split {split}; make ten people or more, every tenth is for validation.")
        return found

    def source(size: int) -> Joined:
        return Joined([photos(folder, "train", size=size, seed=schedule.seed) for folder in data], share)

    held = [photos(folder, "val", size=schedule.phases[-1].size, augmented=False, seed=1) for folder in data]
    joined: ConcatDataset[Batch] = ConcatDataset(held)
    chosen = torch.linspace(0, len(joined) - 1, min(validation, len(joined))).round().int().tolist()
    batches: DataLoader[Batch] = DataLoader(Subset(joined, chosen), batch_size=4)
    settings = {
        "params": asdict(params),
        "architecture": architecture.as_json(),
        "data": [one.shards.header["fingerprint"] for one in held],
        "people": [one.shards.header["people"] for one in held],
        "share": share,
        "start": None if start is None else read_card("normals", start)["sha256"],
    }

    def make() -> NormalsNet:
        network = NormalsNet(architecture)
        if begin is not None:
            network.load_state_dict(network.state_dict() | begin.state_dict())
        return network

    return train(
        make,
        source,
        lambda network, batch, step: normals_loss(network, batch, step, params),
        schedule,
        folder,
        evaluate=lambda network: evaluate_normals(network, batches, device),
        evaluate_every=evaluate_every,
        settings=settings,
        device=device,
        workers=workers,
        stop_after=stop_after,
        report=report,
    )


def _grown(own: Architecture, wanted: Architecture) -> Architecture:
    """The architecture of weights with the blocks and heads of another that they lack."""
    return replace(
        own,
        blocks=tuple(map(max, own.blocks, wanted.blocks)),  # type: ignore[arg-type]
        **{name: max(getattr(own, name), getattr(wanted, name)) for name in ("context", "decode", "fine", "labels", "places")},
    )


def card(
    run: Run, data: Sequence[Path], schedule: Schedule, figures: Mapping[str, float], commit: str, start: Path | None = None
) -> dict[str, Any]:
    """See `carve.train.card`."""
    return card_of("normals", run, data, schedule, figures, commit, start, variance=f"log_variance = 2 log_scale + {VARIANCE_OF_SCALE:.4f}")


def phases(samples: int, finish: float, batch: int, small: int = 256, large: int = 512) -> tuple[Phase, ...]:
    """So many samples: the last `finish` of them at `large` pixels with half the batch, the others at `small`."""
    last = round(samples * finish)
    found = (Phase(small, (samples - last) // batch, batch), Phase(large, last // max(1, batch // 2), max(1, batch // 2)))
    return tuple(phase for phase in found if phase.steps > 0)
