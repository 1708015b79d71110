"""Training of the detail network: patches and their truth, the loss, what the figures say, runs that go on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from carve.networks.detail import Architecture, DetailNet, DetailOutput
from carve.networks.normals import Architecture as PersonArchitecture
from carve.networks.normals import NormalsNet
from carve.train.detail import Params, Patches, coarse_maps, coarse_scale, cut_patches, detail_of
from carve.train.normals_figures import angles

TINY = PersonArchitecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2, context=1)


def batch(size: int = 256, count: int = 2) -> dict[str, Any]:
    """Photographs of noise; the person fills the middle, two metres away, 1100 pixels tall as a whole."""
    noise = torch.Generator().manual_seed(0)
    mask = torch.zeros(count, 1, size, size)
    mask[..., 20:-20, 20:-20] = 1
    normals = functional.normalize(torch.randn(count, 3, size, size, generator=noise), dim=1) * mask
    half = torch.zeros(count, 3, size // 2, size // 2)
    return {
        "image": torch.rand(count, 3, size, size, generator=noise), "rough_mask": mask, "mask": mask, "visible": mask, "weight": mask,
        "normal_front": normals, "fitted_normal_front": half, "fitted_normal_back": half, "depth": 2 * mask,
        "camera": torch.tensor([[1100 * 2 / 1.7, size / 2, size / 2, size, size]]).repeat(count, 1),
    }  # fmt: skip


def test_the_person_network_sees_a_close_up_as_small_as_the_whole_person() -> None:
    assert coarse_scale(batch()) == pytest.approx(0.4, rel=1e-5)
    far = batch()
    far["camera"][:, 0] /= 4
    assert coarse_scale(far) == 1.0
    normals, scale = coarse_maps(NormalsNet(TINY).eval(), batch(), body=False)
    assert normals.shape == (2, 3, 256, 256) and scale.shape == (2, 1, 256, 256)
    assert torch.allclose(normals.norm(dim=1), torch.ones(2, 256, 256), atol=1e-4)


def test_patches_hold_the_same_pixels_of_all_maps_and_show_the_person() -> None:
    given = batch()
    given["image"][:, :1] = given["normal_front"][:, :1]
    patches = cut_patches(NormalsNet(TINY).eval(), given, Params(patch=64, patches=5), torch.Generator().manual_seed(1))
    assert patches.image.shape == (10, 3, 64, 64)
    assert torch.equal(patches.image[:, :1], patches.truth[:, :1])
    assert torch.equal(patches.weight > 0, patches.truth.norm(dim=1, keepdim=True) > 0.25)
    assert (patches.weight.sum((1, 2, 3)) > 0).all()
    again = cut_patches(NormalsNet(TINY).eval(), given, Params(patch=64, patches=5), torch.Generator().manual_seed(1))
    assert torch.equal(again.truth, patches.truth)


def test_detail_is_what_a_gaussian_leaves() -> None:
    size = 64
    u = torch.arange(size, dtype=torch.float64)
    weight = torch.ones(1, 1, size, size, dtype=torch.float64)
    for period, left in ((8.0, 1.0), (400.0, 0.0)):
        wave = torch.sin(2 * np.pi * u / period).expand(1, 3, size, size)
        inner = detail_of(wave, weight, 5.0)[..., 16:-16, 16:-16]
        flat = 1 - np.exp(-2 * (np.pi * 5.0 / period) ** 2)
        assert torch.allclose(inner, flat * wave[..., 16:-16, 16:-16], atol=0.05)
        assert float(inner.abs().max()) == pytest.approx(left, abs=0.1)


def test_a_network_learns_what_the_picture_shows(tmp_path: Path) -> None:
    """Red is the tilt: after a few steps the corrected normals are nearer to the truth than the coarse ones."""
    from carve.train.normals import normal_terms

    torch.manual_seed(0)
    network = DetailNet(Architecture(widths=(8, 8, 8)))
    red = torch.rand(8, 1, 32, 32)
    coarse = torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(8, 3, 32, 32)
    truth = functional.normalize(coarse + torch.cat([red - 0.5, torch.zeros(8, 2, 32, 32)], 1), dim=1)
    one = torch.ones(8, 1, 32, 32)
    patches = Patches(red.expand(8, 3, 32, 32), coarse, -2 * one, one, truth, one)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(60):
        out: DetailOutput = network(patches.image, patches.coarse, patches.log_scale, patches.mask)
        chord, doubt, edges = normal_terms(out.normals, out.log_scale, patches.truth, patches.weight)
        optimiser.zero_grad()
        (chord + edges + 0.1 * doubt).backward()
        optimiser.step()
    assert float(angles(out.normals, truth).mean()) < 0.6 * float(angles(coarse, truth).mean())
