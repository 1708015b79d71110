"""The figures against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.evaluate.metrics import angles, chamfer, colour_errors, interval, joint_errors, normal_errors, overlap, psnr


def test_chamfer_is_the_mean_of_both_directions_and_scores_count_what_is_near() -> None:
    figures = chamfer(np.array([0.005, 0.015]), np.array([0.03, 0.0, 0.0]))
    assert figures["p2s_cm"] == pytest.approx(1.0)
    assert figures["completeness_cm"] == pytest.approx(1.0)
    assert figures["chamfer_cm"] == pytest.approx(1.0)
    assert figures["fscore_1cm"] == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert figures["fscore_2cm"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))


def test_angles_of_known_turns() -> None:
    z = np.array([0.0, 0.0, 1.0])
    for degrees in (0, 1, 30, 90, 179, 180):
        turned = Rotation.from_euler("x", degrees, degrees=True).apply(z)
        assert angles(z, turned) == pytest.approx(degrees, abs=1e-5)


def test_normal_errors_of_a_constant_tilt() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:7, 3:9] = True
    tilt = math.radians(20)
    truth = np.where(mask[..., None], [0.0, 0.0, 1.0], 0.0)
    own = np.where(mask[..., None], [math.sin(tilt), 0.0, math.cos(tilt)], 0.0)
    figures = normal_errors(own, mask, truth, mask)
    chord = 2 * math.sin(tilt / 2)
    assert figures["angle_deg"] == pytest.approx(20)
    assert figures["icon"] == pytest.approx(4 * 0.3 * (chord / 2) ** 2)
    assert figures["l2"] == pytest.approx(0.3 * chord / 2)
    assert math.isnan(normal_errors(own, mask, truth, ~mask)["angle_deg"])


def test_overlap_of_masks() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert overlap(a, b) == 0
    a[:2], b[1:3] = True, True
    assert overlap(a, b) == pytest.approx(1 / 3)
    assert overlap(a, a) == 1


def test_joint_errors_see_a_turn_before_procrustes_and_not_after(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(14, 3))
    turned = Rotation.from_euler("y", 12, degrees=True).apply(truth) + np.array([0.3, 0, -2])
    figures = joint_errors(turned, truth, [2, 5])
    moved = turned - turned[[2, 5]].mean(0) + truth[[2, 5]].mean(0)
    assert figures["root_mm"] == pytest.approx(1000 * np.linalg.norm(moved - truth, axis=1).mean())
    assert figures["root_mm"] > 50
    assert figures["procrustes_mm"] == pytest.approx(0, abs=1e-6)


def test_psnr_of_a_known_error_and_what_a_gain_takes_away(rng: np.random.Generator) -> None:
    assert psnr(np.full(9, 0.5), np.full(9, 0.6)) == pytest.approx(20)
    truth = rng.uniform(0.1, 0.9, (40, 40, 3))
    mask = np.ones((40, 40), bool)
    figures = colour_errors(truth * [0.9, 0.8, 0.7], mask, truth, mask)
    assert figures["psnr_gain_db"] > 60 > figures["psnr_db"]
    assert colour_errors(truth, mask, truth, mask)["ssim"] == pytest.approx(1)
    assert math.isnan(colour_errors(truth, mask, truth, ~mask)["psnr_db"])


def test_half_the_contrast_is_a_quarter_of_the_sharpness_and_edges_of_the_mask_are_none(rng: np.random.Generator) -> None:
    detail = rng.normal(0, 0.1, (60, 60, 3))
    detail -= detail.mean((0, 1))
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    truth, own = (np.where(mask[..., None], 0.5 + part, 0.0) for part in (detail, detail / 2))
    assert colour_errors(own, mask, truth, mask)["sharpness"] == pytest.approx(0.25, rel=0.1)
    assert colour_errors(0.7 * truth, mask, truth, mask)["sharpness"] == pytest.approx(1, rel=1e-3)
    flat = np.where(mask[..., None], np.full(3, 0.5), 0.0)
    assert colour_errors(flat, mask, truth, mask)["sharpness"] == pytest.approx(0, abs=1e-6)


def test_intervals_hold_the_statistic_and_shrink_with_more_cases(rng: np.random.Generator) -> None:
    few, many = rng.normal(5, 1, 10), rng.normal(5, 1, 1000)
    for values in (few, many):
        for statistic, of in (("mean", np.mean), ("median", np.median)):
            value, low, high = interval(values, statistic)
            assert value == pytest.approx(of(values))
            assert low <= value <= high
    wide, narrow = (np.subtract(*interval(v, "mean")[:0:-1]) for v in (few, many))
    assert narrow < wide / 4
    assert narrow == pytest.approx(2 * 1.96 / math.sqrt(1000), rel=0.15)
    assert interval([1.0, float("nan")])[0] == 1
    assert all(math.isnan(v) for v in interval([]))
    with pytest.raises(ValueError, match="statistic"):
        interval([1.0], "mode")
