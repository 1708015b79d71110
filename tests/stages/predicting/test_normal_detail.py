"""Detail by tiles: no seams, nothing outside the person, small people left alone."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from carve.geometry.camera import Camera
from carve.networks.detail import DetailOutput
from carve.networks.normals import VARIANCE_OF_SCALE
from carve.records import Landmarks, NormalMaps, Observation, Photo
from carve.stages.predicting.normal_detail import with_detail

HEIGHT, WIDTH = 1100, 700


class Tilting(nn.Module):
    """Tilts all normals by what the picture's red says, and doubts half as much."""

    def forward(self, image: Tensor, normals: Tensor, log_scale: Tensor, mask: Tensor) -> DetailOutput:
        tilted = normals + torch.cat([image[:, :1], torch.zeros_like(image[:, :2])], 1)
        return DetailOutput(nn.functional.normalize(tilted, dim=1), log_scale - np.log(2))


def seen(height: int) -> tuple[Observation, NormalMaps]:
    """A flat person who faces the camera, in a photo whose red grows to the right."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20 : 20 + height, 200:500] = True
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 250, WIDTH).astype(np.uint8)
    none = Landmarks((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))
    camera = Camera.centred(WIDTH, HEIGHT, 1000.0)
    observation = Observation(Photo(pixels, None, None, "flat"), 0, (), mask.astype(np.float32), "file", none, camera, "default", 1.0, ())
    front = np.where(mask[..., None], np.array([0, 0, 1]), 0).astype(np.float16)
    variance = np.where(mask, 2 * -2.0 + VARIANCE_OF_SCALE, 0).astype(np.float16)
    return observation, NormalMaps(front, -front, variance, mask)


@pytest.mark.parametrize("height", [700, 1000])
def test_every_pixel_has_the_networks_answer_without_seams(height: int) -> None:
    observation, maps = seen(height)
    found = with_detail(observation, maps, Tilting())  # type: ignore[arg-type]
    assert found.detailed
    red = observation.photo.pixels[..., 0] / 255
    expected = np.arctan(red)
    angle = np.arctan2(found.front[..., 0].astype(float), found.front[..., 2].astype(float))
    inner = np.zeros_like(maps.mask)
    inner[24 : 16 + height, 204:496] = True
    assert np.abs(angle - expected)[inner].max() < 0.02
    assert np.allclose(found.log_variance[inner], -2 * (2 + np.log(2)) + VARIANCE_OF_SCALE, atol=0.02)
    assert (found.front[~maps.mask] == 0).all() and np.array_equal(found.back, maps.back)


def test_a_small_person_is_left_alone() -> None:
    observation, maps = seen(500)
    assert with_detail(observation, maps, Tilting()) is maps  # type: ignore[arg-type]
