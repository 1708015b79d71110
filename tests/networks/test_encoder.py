"""Maps of a person against what a camera sees, and the lookup against torch's own sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.networks.encoder import (
    BACK,
    BODY,
    BODY_BACK,
    BODY_FRONT,
    CHANNELS,
    COLOUR,
    FARTHEST,
    FRONT,
    MASK,
    NEAREST,
    OUTLINE,
    Encoder,
    PersonMaps,
    lookup,
    person_maps,
    receptive_field,
)
from solids import sphere

SIZE = 64


@pytest.fixture(scope="module")
def ball() -> tuple[PersonMaps, np.ndarray]:
    """A ball of 30 cm at 3 m in a mask that is larger, and its raster's mask."""
    vertices, faces = sphere(0.3)
    vertices = vertices + np.array([0.1, 0, -3])
    camera = Camera.centred(SIZE, SIZE, 200.0)
    raster = rasterise(vertices, faces, camera)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    mask = (np.hypot(columns - 38.67, rows - 32) < 26).astype(np.float32)
    normals = np.zeros((SIZE, SIZE, 3), np.float32)
    normals[mask > 0] = [0, 0, 1]
    colour = np.full((SIZE, SIZE, 3), 51, np.uint8)
    return person_maps(normals, -normals, mask, vertices, faces, camera, colour), raster.mask


def test_maps_show_the_body_and_the_clothes(ball: tuple[PersonMaps, np.ndarray]) -> None:
    maps, there = ball
    c = maps.channels
    assert c.shape == (CHANNELS, SIZE, SIZE)
    np.testing.assert_array_equal(c[BODY] > 0, there)
    assert maps.reference == pytest.approx(-3, abs=0.01)
    middle = (32, 38)
    assert c[NEAREST][middle] == pytest.approx(0.3, abs=0.01)
    assert c[FARTHEST][middle] == pytest.approx(-0.3, abs=0.01)
    np.testing.assert_allclose(c[BODY_FRONT, 32, 38], [0, 0, 1], atol=0.1)
    np.testing.assert_allclose(c[BODY_BACK, 32, 38], [0, 0, -1], atol=0.1)
    np.testing.assert_array_equal(c[FRONT, 32, 38], [0, 0, 1])
    np.testing.assert_array_equal(c[BACK, 32, 38], [0, 0, -1])
    np.testing.assert_allclose(c[COLOUR], 0.2, atol=1e-6)


def test_beside_the_body_both_depths_are_that_of_its_outline(ball: tuple[PersonMaps, np.ndarray]) -> None:
    maps, there = ball
    c = maps.channels
    np.testing.assert_array_equal(c[NEAREST][~there], c[FARTHEST][~there])
    assert np.abs(c[NEAREST][~there]).max() < 0.12  # a ball's outline lies at its middle


def test_the_outline_is_a_signed_distance(ball: tuple[PersonMaps, np.ndarray]) -> None:
    outline = ball[0].channels[OUTLINE]
    assert outline[32, 38] == 1
    assert outline[0, 0] == -1
    assert ((outline > 0) == (ball[0].channels[MASK] > 0.5)).all()
    row = outline[32, 6:20]
    np.testing.assert_allclose(np.diff(row)[np.abs(row[1:]) < 0.9], 10 / SIZE, atol=0.06)


def test_without_a_body_in_the_picture_the_maps_are_empty() -> None:
    vertices, faces = sphere(0.1)
    none = np.zeros((SIZE, SIZE, 3), np.float32)
    maps = person_maps(none, none, none[..., 0], vertices + np.array([5.0, 0, -3]), faces, Camera.centred(SIZE, SIZE, 200.0))
    assert not maps.channels[BODY_FRONT.start :].any()


def test_lookup_is_bilinear_and_differentiable() -> None:
    noise = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 8, 8, generator=noise, dtype=torch.float64, requires_grad=True)
    pixels = 20 * torch.rand(2, 50, 2, generator=noise, dtype=torch.float64) - 2
    found = lookup(maps, pixels, 16)
    grid = (pixels / 8 - 1)[:, :, None]
    expected = functional.grid_sample(maps, grid, padding_mode="border", align_corners=False)[..., 0].permute(0, 2, 1)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, generator=noise, dtype=torch.float64)
    (a,) = torch.autograd.grad((found * weights).sum(), maps)
    (b,) = torch.autograd.grad((expected * weights).sum(), maps)
    torch.testing.assert_close(a, b)


def test_features_have_half_the_resolution_and_answer_to_every_input() -> None:
    torch.manual_seed(0)
    encoder = Encoder(5, (8, 16, 16), 7)
    maps = torch.randn(2, 5, 32, 32, requires_grad=True)
    out = encoder(maps)
    assert out.shape == (2, 7, 16, 16)
    out.square().sum().backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum((0, 2, 3)) > 0).all()


@pytest.mark.parametrize(("widths", "blocks"), [((8, 8), 1), ((8, 16), 3), ((8, 16, 16), 2)])
def test_the_receptive_field_is_what_a_feature_changes_with(widths: tuple[int, ...], blocks: int) -> None:
    """Without the norms, whose mean and spread are those of the whole crop; with them a feature answers to every pixel."""
    torch.manual_seed(0)
    encoder = Encoder(2, widths, 3, blocks).double()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.3)
    side, whole = 176, torch.zeros(1, 2, 176, 176, dtype=torch.float64, requires_grad=True)

    def extent() -> tuple[int, int]:
        (slope,) = torch.autograd.grad(encoder(whole)[0, :, side // 4, side // 4].sum(), whole)
        rows, columns = np.nonzero(np.abs(slope[0].sum(0).numpy()) > 0)
        return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1

    assert min(extent()) > receptive_field(widths, blocks)
    for module in encoder.modules():
        if hasattr(module, "norm"):
            module.norm = nn.Identity()
    assert extent() == (receptive_field(widths, blocks),) * 2
