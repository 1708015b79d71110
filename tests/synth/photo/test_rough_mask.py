"""Masks as detectors give them: near the true one, soft, never empty, the same for equal generators."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from carve.synth.photo.rough_mask import rough_mask


def figure(size: int) -> np.ndarray:
    """(S, S) bool: head, trunk, arms and legs of somebody who fills most of the picture."""
    picture = np.zeros((size, size), np.uint8)
    at = lambda u, v: (round(u * size), round(v * size))  # noqa: E731
    cv2.ellipse(picture, at(0.5, 0.14), at(0.05, 0.07), 0, 0, 360, 1, -1)
    cv2.ellipse(picture, at(0.5, 0.37), at(0.1, 0.18), 0, 0, 360, 1, -1)
    for side in (-1, 1):
        cv2.line(picture, at(0.5 + 0.08 * side, 0.25), at(0.5 + 0.2 * side, 0.52), 1, round(0.045 * size))
        cv2.line(picture, at(0.5 + 0.05 * side, 0.5), at(0.5 + 0.09 * side, 0.92), 1, round(0.075 * size))
    return picture > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("size", [128, 256, 512])
def test_they_are_soft_and_near_the_truth(size: int) -> None:
    mask = figure(size)
    found = []
    for seed in range(80):
        rough = rough_mask(mask, np.random.default_rng(seed))
        assert rough.shape == (size, size)
        assert rough.dtype == np.float32
        assert rough.min() >= 0
        assert 0.99 <= rough.max() <= 1
        found.append(iou(rough > 0.5, mask))
    assert 0.92 < np.median(found) < 0.985
    assert np.mean(np.array(found) > 0.85) > 0.88
    assert min(found) > 0.6
    assert max(found) > 0.97


def test_equal_generators_give_equal_masks() -> None:
    mask = figure(128)
    first, again, other = (rough_mask(mask, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_outline_is_soft_and_the_middle_is_not() -> None:
    mask = figure(256)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    mean = np.mean([rough_mask(mask, np.random.default_rng(seed)) for seed in range(60)], axis=0)
    assert mean[distance > 12].mean() > 0.98
    assert mean[outside > 20].mean() < 0.01
    near = ((distance > 0) & (distance < 1.5)) | ((outside > 0) & (outside < 1.5))
    assert 0.3 < mean[near].mean() < 0.7


def test_pieces_are_lost_and_added() -> None:
    """Neither happens to most of the masks, both to some."""
    mask = figure(256)
    lost = added = 0
    kernel = np.ones((9, 9), np.uint8)
    for seed in range(60):
        rough = rough_mask(mask, np.random.default_rng(seed)) > 0.5
        lost += (mask & ~cv2.dilate(rough.astype(np.uint8), kernel).astype(bool)).any()
        added += (rough & ~cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)).any()
    assert 5 < lost < 50
    assert 3 < added < 45


def test_nobody_stays_nobody_and_a_picture_full_of_somebody_is_kept() -> None:
    for seed in range(10):
        assert not rough_mask(np.zeros((64, 64), bool), np.random.default_rng(seed)).any()
        assert (rough_mask(np.ones((64, 64), bool), np.random.default_rng(seed)) > 0.5).mean() > 0.9
