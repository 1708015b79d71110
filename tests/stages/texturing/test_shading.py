"""A sphere under a known light, and a network that tells it: the shading goes, detail and exposure stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carve.geometry.pictures.colour import encoded, linear
from carve.networks.shading import ShadingNet
from carve.stages.texturing.light import LEAST_FACING, fit_light, harmonics
from carve.stages.texturing.shading import log_shading, unshaded

H, W, RADIUS = 420, 300, 140
V, U = np.mgrid[:H, :W] + 0.5
X, Y = (U - 170) / RADIUS, (190 - V) / RADIUS
INSIDE = X**2 + Y**2 < 0.8
NORMALS = np.where(INSIDE[..., None], np.stack([X, Y, np.sqrt(np.maximum(1 - X**2 - Y**2, 0))], -1), 0).astype(np.float32)
SLOPE = np.array([0.5, -0.3, 0.2])


class Told(ShadingNet):
    """Says that the logarithm of shading is linear in the normal, redder to the right."""

    def __init__(self, sideways: float = 0.0) -> None:
        super().__init__()
        self.sideways = sideways

    def forward(self, image: torch.Tensor, normals: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        bright = (normals * torch.tensor(SLOPE, dtype=torch.float32)[:, None, None]).sum(1, keepdim=True)
        wrong = self.sideways * torch.linspace(-1, 1, image.shape[-1])
        return torch.cat([bright, bright, 0.5 * bright], 1) + 0.7 + wrong


def photograph() -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) sRGB 0..255 under that light, and the albedo with its fine pattern in linear light."""
    rng = np.random.default_rng(0)
    albedo = np.array([0.3, 0.2, 0.15]) * np.exp(0.2 * rng.normal(size=(H, W, 1)))
    bright = (NORMALS @ SLOPE)[..., None] * np.array([1, 1, 0.5])
    light = np.where(INSIDE[..., None], albedo * np.exp(bright), 0.5)
    return (255 * encoded(np.clip(light, 0, 1))).astype(np.float32), albedo


def left(picture: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """(N, 3) log of what light is left within the sphere, less its median."""
    where = (X**2 + Y**2 < 0.7) & INSIDE
    light = np.log(np.maximum(linear(picture[where] / 255), 1e-4)) - np.log(albedo[where])
    return light - np.median(light, axis=0)


def test_light_goes_and_detail_and_exposure_stay() -> None:
    photo, albedo = photograph()
    found, light = unshaded(photo, NORMALS, INSIDE, Told(), mirror=False)
    assert light is not None
    before, after = (np.abs(left(picture, albedo)).mean() for picture in (photo, found))
    assert after < 0.15 * before
    assert np.median(found[INSIDE] / photo[INSIDE]) == pytest.approx(1, abs=0.05)
    away = X**2 + Y**2 > 1.3
    assert np.abs(found[away] - photo[away]).max() < 80  # bounded, however far it is
    direction = SLOPE / np.linalg.norm(SLOPE)
    assert light.direction @ direction > 0.9


def test_no_rim_of_background_is_mixed_in() -> None:
    photo, albedo = photograph()
    found, _ = unshaded(photo, NORMALS, INSIDE, Told(), mirror=False)
    rim = INSIDE & (X**2 + Y**2 > 0.72)
    light = np.log(np.maximum(linear(found[rim] / 255), 1e-4)) - np.log(albedo[rim])
    assert np.abs(light - np.median(light, axis=0)).mean() < 0.1


def test_the_mirrored_picture_is_asked_too() -> None:
    image, mask = np.zeros((64, 64, 3), np.float32), np.ones((64, 64), np.float32)
    normals = np.zeros((64, 64, 3), np.float32)
    normals[..., 1] = np.linspace(-0.9, 0.9, 64)
    once = log_shading(Told(0.3), image, normals, mask, mirror=False)
    both = log_shading(Told(0.3), image, normals, mask)
    wanted = (normals @ SLOPE) + 0.7
    assert np.abs(once[..., 0] - wanted).max() > 0.25
    np.testing.assert_allclose(both[..., 0], wanted, atol=1e-5)


def test_too_little_that_is_seen_tells_nothing() -> None:
    photo, _ = photograph()
    for few in (np.zeros_like(INSIDE), np.zeros_like(INSIDE)):
        found, light = unshaded(photo, NORMALS, few, Told())
        assert light is None and found is photo
        few[190:194, 170:174] = True
    found, light = unshaded(photo, NORMALS, few, Told())
    assert light is None and found is photo


def test_a_light_is_fitted_to_shading() -> None:
    beta = np.zeros((8, 3))
    beta[0], beta[4] = 0.3, -0.1
    core = INSIDE & (NORMALS[..., 2] > LEAST_FACING)
    light = fit_light(harmonics(NORMALS.astype(float)) @ beta, NORMALS, core)
    shading = light.shading(NORMALS[core].astype(float))
    wanted = harmonics(NORMALS[core].astype(float)) @ beta
    np.testing.assert_allclose(shading, wanted - np.median(wanted, axis=0), atol=0.05)


class Outlining(Told):
    """Says the same, and fine lines besides."""

    def forward(self, image: torch.Tensor, normals: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lines = 0.4 * torch.sign(torch.sin(torch.arange(image.shape[-1]) * np.pi / 2 + 0.1))
        return super().forward(image, normals, mask) + lines


def test_on_skin_only_the_smooth_part_of_the_light_goes() -> None:
    photo, _ = photograph()
    skin = INSIDE & (np.arange(H) < 190)[:, None]
    plain, _ = unshaded(photo, NORMALS, INSIDE, Told(), mirror=False)
    drawn, _ = unshaded(photo, NORMALS, INSIDE, Outlining(), mirror=False)
    found, _ = unshaded(photo, NORMALS, INSIDE, Outlining(), mirror=False, skin=skin)
    log = lambda picture: np.log(np.maximum(linear(picture / 255), 1e-4))  # noqa: E731
    inner = INSIDE & (np.arange(H) < 175)[:, None] & (X**2 + Y**2 < 0.6)
    assert np.abs(log(found) - log(plain))[inner].mean() < 0.25 * np.abs(log(drawn) - log(plain))[inner].mean()
    below = INSIDE & (np.arange(H) > 190)[:, None]
    assert (log(found) - log(drawn))[below].std(0).max() < 0.01  # as it was, but for the exposure
