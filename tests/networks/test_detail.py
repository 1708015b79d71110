"""The detail network: what a new one answers, its shapes, that it looks no farther than it should."""

import pytest
import torch
from torch.nn import functional

from carve.networks.detail import Architecture, DetailNet, load_detail_net, relative_light
from carve.networks.weights import write_weights

SMALL = Architecture(widths=(8, 16, 16))


def patches(count: int = 2, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(3)
    normals = functional.normalize(torch.randn(count, 3, size, size, generator=noise), dim=1)
    image, mask = torch.rand(count, 3, size, size, generator=noise), torch.rand(count, 1, size, size, generator=noise).round()
    return image, normals, -2 * torch.ones(count, 1, size, size), mask


def test_a_new_network_leaves_the_normals_as_they_are() -> None:
    given = patches()
    out = DetailNet(SMALL)(*given)
    assert torch.allclose(out.normals, given[1], atol=1e-5)
    assert torch.allclose(out.log_scale, given[2])


def test_normals_are_unit_and_what_lies_outside_the_mask_is_not_looked_at() -> None:
    network = DetailNet(SMALL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    image, normals, scale, mask = patches()
    out = network(image, normals, scale, mask)
    assert out.normals.shape == normals.shape and out.log_scale.shape == scale.shape
    assert torch.allclose(out.normals.norm(dim=1), torch.ones(2, 64, 64), atol=1e-4)
    other = torch.where(mask > 0, normals, normals.roll(1, 0))
    assert torch.equal(network(image, other, scale, mask).log_scale, out.log_scale)


def test_folds_of_black_cloth_and_of_white_are_alike() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 8:] = 1
    shade = 1 + 0.5 * torch.sin(torch.arange(64) / 4).expand(1, 3, 64, 64)
    told = [relative_light((albedo * shade).pow(1 / 2.2), mask) for albedo in (0.6, 0.3)]
    assert torch.allclose(*told, atol=0.05)
    assert told[0].std() > 0.5
    assert not told[0][mask == 0].any()
    assert abs(float(told[0].sum() / mask.sum())) < 1e-5


def test_weights_come_back(tmp_path: pytest.TempPathFactory) -> None:
    network = DetailNet(SMALL)
    write_weights(tmp_path, "detail", network, {"network": "detail", "architecture": SMALL.as_json()})  # type: ignore[arg-type]
    again = load_detail_net(tmp_path)  # type: ignore[arg-type]
    assert again.architecture == SMALL
    given = patches(1, 32)
    assert torch.allclose(again(*given).normals, network(*given).normals, atol=2e-3)
