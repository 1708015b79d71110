"""The shading network: what a new one answers, its shapes, what it does not look at."""

from pathlib import Path

import numpy as np
import pytest
import torch

from carve.geometry.pictures.colour import linear
from carve.networks.shading import DARKEST, Architecture, ShadingNet, load_shading_net, log_light
from carve.networks.weights import write_weights

SMALL = Architecture(widths=(8, 16, 16))


def stirred() -> ShadingNet:
    network = ShadingNet(SMALL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return network


def pictures(size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(3)
    normals = torch.nn.functional.normalize(torch.randn(2, 3, size, size, generator=noise), dim=1)
    return torch.rand(2, 3, size, size, generator=noise), normals, torch.rand(2, 1, size, size, generator=noise).round()


def test_a_new_network_says_that_there_is_no_shading() -> None:
    out = ShadingNet(SMALL)(*pictures())
    assert out.shape == (2, 3, 64, 64) and float(out.detach().abs().max()) == 0


def test_normals_outside_the_mask_are_not_looked_at() -> None:
    image, normals, mask = pictures()
    other = torch.where(mask > 0, normals, normals.roll(1, 0))
    network = stirred()
    assert torch.equal(network(image, normals, mask), network(image, other, mask))


def test_light_is_the_logarithm_of_linear_light() -> None:
    values = np.linspace(0, 1, 50)
    wanted = np.log(np.maximum(linear(values), DARKEST))
    assert log_light(torch.from_numpy(values)).numpy() == pytest.approx(wanted, abs=1e-6)


def test_weights_come_back(tmp_path: Path) -> None:
    network = stirred()
    write_weights(tmp_path, "shading", network, {"network": "shading", "architecture": SMALL.as_json()})
    again = load_shading_net(tmp_path)
    assert again.architecture == SMALL
    assert torch.allclose(again(*pictures()), network(*pictures()), atol=5e-3)


def test_what_ships_is_small() -> None:
    network = load_shading_net()
    assert sum(weight.numel() for weight in network.parameters()) < 700_000
