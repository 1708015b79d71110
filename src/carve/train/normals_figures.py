"""Figures of the person network on validation photographs.

Notation: B pictures of S pixels a side, L labels; seen (B, 1, S, S) which pixels are judged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from carve.networks.normals import NormalsOutput
from carve.networks.precision import autocast
from carve.records import LABELS
from carve.train.running.loop import Batch

KINDS = ("fitted", "none", "true")
"""The bodies that the network is asked with."""


@torch.no_grad()
def evaluate_normals(network: nn.Module, batches: DataLoader[Batch], device: str) -> dict[str, float]:
    """Mean angles in degrees over validation photographs, with bodies as fitted and without; ratios to the body's own; mask and depth.

    `front_ratio` and `back_ratio` compare with the fitted body over the pixels where it is. `certain` is the error of the tenth of the
    pixels that are most certain against that of the least certain tenth. With the body as fitted: `label_iou` of front and back, the mean
    over the labels that occur of intersection over union over all pixels, and `place_cm`, the places' mean error, where these are told.
    """
    found = _Figures()
    was = network.training
    network.eval()
    for raw in batches:
        batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in raw.items()}
        seen = batch["visible"] * (batch["normal_front"].square().sum(1, keepdim=True) > 0.25)
        for kind in KINDS:
            body = [_body(batch, kind, side) for side in ("front", "back")]
            with autocast(device):
                out: NormalsOutput = network(batch["image"], batch["rough_mask"], *body)
            found.normals(out, batch, kind, body, seen)
            if kind == "fitted":
                found.with_body(out, batch, seen)
            if kind == "none":
                found.depth(out, batch, seen)
    network.train(was)
    return found.result()


def _body(batch: Batch, kind: str, side: str) -> Tensor:
    """The body's normals that the network is told."""
    if kind == "true":
        true: Tensor = batch[f"body_normal_{side}"]
        return true
    fitted: Tensor = batch[f"fitted_normal_{side}"]
    return torch.zeros_like(fitted) if kind == "none" else fitted


class _Figures:
    """Sums over the pictures seen so far."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._ious: list[float] = []
        self._certain: list[float] = []
        self._overlap = {side: torch.zeros(3, len(LABELS), dtype=torch.float64) for side in ("front", "back")}

    def _add(self, name: str, value: Tensor, weight: Tensor) -> None:
        total = self._sums.setdefault(name, [0.0, 0.0])
        total[0] += float((value * weight).sum())
        total[1] += float(weight.sum())

    def normals(self, out: NormalsOutput, batch: Batch, kind: str, body: list[Tensor], seen: Tensor) -> None:
        """Angles of both sides, and those of the body itself where it is."""
        for side, found, naked in (("front", out.front, body[0]), ("back", out.back, body[1])):
            error = angles(found, batch[f"normal_{side}"])
            self._add(f"{side}_{kind}", error, seen)
            if kind != "none":
                naked = functional.interpolate(naked, batch["image"].shape[-2:], mode="bilinear", align_corners=False)
                both = seen * (naked.square().sum(1, keepdim=True) > 0.25)
                self._add(f"{side}_{kind}_there", error, both)
                self._add(f"{side}_{kind}_body", angles(functional.normalize(naked, dim=1), batch[f"normal_{side}"]), both)

    def with_body(self, out: NormalsOutput, batch: Batch, seen: Tensor) -> None:
        """Labels, places, certainty and mask."""
        for side, logits in (("front", out.label_front), ("back", out.label_back)):
            if logits is not None:
                self._overlap[side] += _overlap(logits, batch[f"label_{side}"], seen)
        if out.place is not None:
            self._add("place_cm", 100 * (out.place - batch["place"]).norm(dim=1, keepdim=True), seen)
        self._certain.append(_certainty(angles(out.front, batch["normal_front"])[seen > 0], out.log_scale_front[seen > 0]))
        for guess, truth in zip(out.mask_logit > 0, batch["visible"] > 0.5, strict=True):
            self._ious.append(float((guess & truth).sum() / (guess | truth).sum().clamp(min=1)))

    def depth(self, out: NormalsOutput, batch: Batch, seen: Tensor) -> None:
        """Depth up to each picture's best constant."""
        gap = out.depth - true_depth(batch)
        where = seen * (batch["depth"] > 0)
        gap = gap - (gap * where).sum((1, 2, 3), keepdim=True) / where.sum((1, 2, 3), keepdim=True).clamp(min=1)
        self._add("depth_error_percent", 100 * gap.abs(), where)

    def result(self) -> dict[str, float]:
        """The figures."""
        mean = {name: total / max(count, 1.0) for name, (total, count) in self._sums.items()}
        kept = ("front_fitted", "front_none", "back_fitted", "back_none", "depth_error_percent")
        result = {name: mean[name] for name in kept}
        for side in ("front", "back"):
            for kind in ("fitted", "true"):
                result[f"{side}_ratio_{kind}"] = mean[f"{side}_{kind}_there"] / mean[f"{side}_{kind}_body"]
        for side, (both, told, true) in self._overlap.items():
            if told.any():
                result[f"label_iou_{side}"] = float((both / (told + true - both).clamp(min=1))[true > 0].mean())
        if "place_cm" in mean:
            result["place_cm"] = mean["place_cm"]
        result["mask_iou"] = float(torch.tensor(self._ious).median())
        result["certain"] = sum(self._certain) / len(self._certain)
        return result


def true_depth(batch: Batch) -> Tensor:
    """(B, 1, S, S) towards the viewer, in sides of the crop at the person's distance, mean zero over the person."""
    depth, seen = batch["depth"], batch["mask"] * (batch["depth"] > 0)
    distance = (depth * seen).sum((1, 2, 3), keepdim=True) / seen.sum((1, 2, 3), keepdim=True).clamp(min=1)
    focal = batch["camera"][:, 0].reshape(-1, 1, 1, 1)
    return (distance - depth) * seen * focal / distance.clamp(min=0.1) / depth.shape[-1]


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
