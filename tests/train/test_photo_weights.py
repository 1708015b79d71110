"""Published weights: normalisations folded in, other files refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.networks.photo_features import STAGES, STEM, PhotoFeatures
from carve.records import CarveError
from carve.train import photo_weights
from carve.train.photo_weights import EPSILON, read_photo_weights


def published(generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights under the published names."""
    found: dict[str, Tensor] = {}

    def layer(kernel: str, norm: str, after: int, before: int, side: int) -> None:
        found[f"{kernel}.weight"] = torch.randn(after, before, side, side, generator=generator) / (before * side * side) ** 0.5
        for name in ("weight", "running_var"):
            found[f"{norm}.{name}"] = 0.5 + torch.rand(after, generator=generator)
        for name in ("bias", "running_mean"):
            found[f"{norm}.{name}"] = torch.randn(after, generator=generator)

    layer("_conv_stem", "_bn0", STEM, 3, 3)
    before, number = STEM, 0
    for count, kernel, _, expansion, width in STAGES:
        for _ in range(count):
            wide, name = before * expansion, f"_blocks.{number}"
            if expansion > 1:
                layer(f"{name}._expand_conv", f"{name}._bn0", wide, before, 1)
            layer(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, kernel)
            layer(f"{name}._project_conv", f"{name}._bn2", width, wide, 1)
            before, number = width, number + 1
    return found


def test_normalisations_are_folded_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = published(torch.Generator().manual_seed(0))
    torch.save(given, tmp_path / "w.pth")
    monkeypatch.setattr(photo_weights, "CHECKSUM", hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest())
    network = PhotoFeatures()
    network.load_state_dict(read_photo_weights(tmp_path / "w.pth"))
    x = torch.randn(1, 3, 32, 32)

    def reference(x: Tensor, kernel: str, norm: str, stride: int) -> Tensor:
        weight = given[f"{kernel}.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
        mean, variance, gain, bias = (given[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(y, mean, variance, gain, bias, eps=EPSILON)

    torch.testing.assert_close(network.stem(x), reference(x, "_conv_stem", "_bn0", 2))
    second = network.stages[1][0]  # type: ignore[index]
    assert isinstance(second, nn.Module)
    y = torch.randn(1, 16, 16, 16)
    wide = reference(y, "_blocks.1._expand_conv", "_blocks.1._bn0", 1).clamp(0, 6)
    wide = reference(wide, "_blocks.1._depthwise_conv", "_blocks.1._bn1", 2).clamp(0, 6)
    torch.testing.assert_close(second(y), reference(wide, "_blocks.1._project_conv", "_blocks.1._bn2", 1))


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="cannot be read"):
        read_photo_weights(tmp_path / "none.pth")
    (tmp_path / "other.pth").write_bytes(b"something else")
    with pytest.raises(CarveError, match="not the file"):
        read_photo_weights(tmp_path / "other.pth")
