"""What is copied from a picture of one region."""

from __future__ import annotations

import cv2
import numpy as np

from carve.stages.texturing.layers import Layer

RNG = np.random.default_rng(0)
LIMITS = (8.0, 1.0)


def layer(mean: np.ndarray, noise: float) -> Layer:
    """A cloth of one colour with grain."""
    picture = (mean + RNG.normal(0, noise, (128, 128, 1))).astype(np.float32)
    square = np.einsum("hwc,hwc->hw", picture, picture) / 3
    blurred = cv2.resize(np.dstack([picture, square]), (8, 8), interpolation=cv2.INTER_AREA)
    return Layer(np.zeros(2), np.dstack([picture, np.ones((128, 128), np.float32)]), blurred)


def test_detail_is_the_pictures_about_its_own_tone() -> None:
    """A shade on the picture is not copied, its grain is."""
    cloth, pixels = np.array([120.0, 90, 70]), RNG.uniform(20, 108, (400, 2)).round() + 0.5
    wanted = np.tile([*cloth, 4.0], (400, 1))
    for shade in (0.0, -5.0):
        found = layer(cloth + shade, 4.0)
        copied = found.detail(pixels, wanted, LIMITS)
        own = found.sharp[pixels[:, 1].astype(int), pixels[:, 0].astype(int), :3] - (cloth + shade)
        assert copied[:, 3].mean() > 0.9
        assert np.corrcoef(copied[:, 0], own[:, 0])[0, 1] > 0.98
        assert abs(copied[:, :3].mean()) < 1


def test_another_cloth_whose_threads_match_is_not_copied() -> None:
    """Of a scarf as rich in contrast some pixels have just the coat's tone."""
    coat, pixels = np.array([190.0, 140, 140]), RNG.uniform(20, 108, (400, 2)).round() + 0.5
    scarf = layer(coat - 60, 60.0)
    copied = scarf.detail(pixels, np.tile([*coat, 4.0], (400, 1)), LIMITS)
    near = np.abs(scarf.sharp[pixels[:, 1].astype(int), pixels[:, 0].astype(int), :3] - coat).max(1) < 12
    assert near.sum() > 10
    assert np.abs(copied[:, :3]).max() < 1 and copied[:, 3].max() < 0.05
