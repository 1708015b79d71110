"""Training of the shading network: the truth, the normals' errors, the loss, that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from carve.networks.shading import Architecture, ShadingNet, log_light
from carve.train.shading import Params, centred, evaluate_shading, shading_loss, truth, worsened

SIZE = 64


def ball(count: int = 2, seed: int = 0) -> dict[str, Any]:
    """Photographs of balls of two cloths, lit from somewhere, with their truth."""
    noise = torch.Generator().manual_seed(seed)
    at = torch.linspace(-1.1, 1.1, SIZE)
    y, x = torch.meshgrid(-at, at, indexing="ij")
    inside = (x**2 + y**2 < 0.9)[None, None].float().expand(count, 1, SIZE, SIZE)
    normals = torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()]).expand(count, 3, SIZE, SIZE) * inside
    cloths = torch.rand(count, 3, 2, 1, generator=noise) * 0.4 + 0.3
    albedo = cloths.repeat_interleave(SIZE // 2, 2).expand(count, 3, SIZE, SIZE) * inside
    light = functional.normalize(torch.randn(count, 3, generator=noise), dim=1)
    shade = (normals * light[:, :, None, None]).sum(1, keepdim=True).clamp(min=-0.5) * 0.6 - 0.3
    linear = ((albedo + 0.055) / 1.055) ** 2.4 * shade.exp()
    image = (1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055) * inside + 0.5 * (1 - inside)
    return {
        "image": image, "albedo_front": albedo, "normal_front": normals, "body_normal_front": normals, "mask": inside,
        "visible": inside, "weight": inside,
    }  # fmt: skip


def test_the_truth_is_photo_over_albedo_where_the_person_is_seen() -> None:
    batch = ball()
    batch["visible"] = batch["visible"].clone()
    batch["visible"][..., :20] = 0
    found, weight = truth(batch)
    assert float(weight[..., :20].max()) == 0 and float(weight.max()) == 1
    rebuilt = log_light(batch["albedo_front"]) + found
    assert torch.allclose((rebuilt - log_light(batch["image"])) * weight, torch.zeros(()), atol=1e-5)


def test_worsened_normals_are_unit_a_little_off_and_the_same_for_the_same_step() -> None:
    batch = ball(4)
    params = Params(missing=0.0)
    found = worsened(batch, params, torch.Generator().manual_seed(5))
    inside = batch["mask"][:, 0] > 0
    assert torch.allclose(found.norm(dim=1)[inside], torch.ones(()), atol=1e-4) and float(found.norm(dim=1)[~inside].max()) == 0
    off = torch.rad2deg(torch.arccos((found * batch["normal_front"]).sum(1)[inside].clamp(-1, 1)))
    assert 2 < float(off.mean()) < 20
    assert torch.equal(found, worsened(batch, params, torch.Generator().manual_seed(5)))
    assert float(worsened(batch, Params(missing=1.0), torch.Generator().manual_seed(5)).abs().max()) == 0


def test_a_constant_for_each_picture_costs_nothing() -> None:
    batch = ball()
    wanted, weight = truth(batch)
    shifted = wanted + torch.tensor([0.3, -0.2])[:, None, None, None]
    assert float(centred(shifted - wanted, weight).abs().max()) == pytest.approx(0, abs=1e-5)
    told = torch.nn.Module()
    told.forward = lambda *_: shifted  # type: ignore[method-assign]
    assert float(shading_loss(told, batch, 0, Params())[0]) == pytest.approx(0, abs=1e-5)
    assert evaluate_shading(told, [batch], "cpu", Params())["error"] == pytest.approx(0, abs=1e-4)  # type: ignore[arg-type]


def test_it_learns_to_take_light_out() -> None:
    torch.manual_seed(0)
    network = ShadingNet(Architecture(widths=(8, 16, 16)))
    held = [ball(8, seed=1000)]
    params = Params(missing=0.0)
    assert evaluate_shading(network, held, "cpu", params)["error"] == pytest.approx(1, abs=1e-3)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for step in range(60):
        loss, told = shading_loss(network, ball(4, seed=step), step, params)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(told) == {"plain", "edges"}
    assert evaluate_shading(network, held, "cpu", params)["error"] < 0.65  # type: ignore[arg-type]
