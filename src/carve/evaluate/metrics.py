"""The figures of the field, each as one function of arrays.

Notation: A the surface judged, B the true one; d(a, B) the distance of a point to a surface. Lengths come in metres and go out in
centimetres (joints: millimetres), angles go out in degrees. Pictures (H, W, 3) float 0..1, masks (H, W) bool.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from carve.geometry.similarity import procrustes

BOOTSTRAP_ROUNDS = 10_000
"""Draws of a bootstrap interval."""


def chamfer(to_truth: np.ndarray, from_truth: np.ndarray) -> dict[str, float]:
    """Figures of distances d(a, B) (N,) and d(b, A) (M,), metres.

    `p2s_cm`: mean d(a, B), the point-to-surface distance of PIFu (Saito et al., ICCV 2019); `completeness_cm`: mean d(b, A);
    `chamfer_cm`: the mean of both, as ICON and CAR count it; `fscore_Ncm`: harmonic mean of the shares below N cm (Tatarchenko et al.,
    CVPR 2019).
    """
    out = {
        "chamfer_cm": 50 * (to_truth.mean() + from_truth.mean()),
        "p2s_cm": 100 * to_truth.mean(),
        "completeness_cm": 100 * from_truth.mean(),
        "p2s_median_cm": 100 * np.median(to_truth),
        "p2s_p95_cm": 100 * np.percentile(to_truth, 95),
    }
    for centimetres in (1, 2):
        precision, recall = (float((d < centimetres / 100).mean()) for d in (to_truth, from_truth))
        out[f"fscore_{centimetres}cm"] = 2 * precision * recall / max(precision + recall, 1e-9)
    return {name: float(value) for name, value in out.items()}


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...,) degrees between unit vectors (..., 3)."""
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


def normal_errors(own: np.ndarray, own_mask: np.ndarray, truth: np.ndarray, truth_mask: np.ndarray) -> dict[str, float]:
    """Errors of a picture of normals (H, W, 3), zero outside its mask, against the true one.

    `icon`: four times the mean over all pixels of the squared distance of normals encoded as (n + 1) / 2, as ICON's evaluation code (Xiu
    et al., CVPR 2022) and ECON print it; `l2`: the mean distance in that code; `angle_deg`: the mean angle where both masks are.
    """
    difference = 0.5 * (own - truth)
    both = own_mask & truth_mask
    return {
        "icon": 4 * float((difference**2).sum(2).mean()),
        "l2": float(np.linalg.norm(difference, axis=2).mean()),
        "angle_deg": float(angles(own[both], truth[both]).mean()) if both.any() else float("nan"),
    }


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def joint_errors(own: np.ndarray, truth: np.ndarray, root: list[int]) -> dict[str, float]:
    """Errors of joints (J, 3) in millimetres: with the midpoints of the joints `root` laid on each other, and after the best similarity."""
    moved = own - own[root].mean(0) + truth[root].mean(0)
    scale, rotation, shift = procrustes(own, truth)
    best = scale * own @ rotation.T + shift
    return {
        "root_mm": 1000 * float(np.linalg.norm(moved - truth, axis=1).mean()),
        "procrustes_mm": 1000 * float(np.linalg.norm(best - truth, axis=1).mean()),
    }


def colour_errors(own: np.ndarray, own_mask: np.ndarray, truth: np.ndarray, truth_mask: np.ndarray) -> dict[str, float]:
    """`psnr_db` over the pixels of both masks, `psnr_gain_db` after the best gain of each channel, `ssim` over the masks' common box on
    grey, `sharpness`: energy of the gradients inside both masks after that gain, over the truth's.

    SSIM as Wang et al., "Image quality assessment", TIP 2004, by scikit-image with its uniform window of 7 pixels. NaN where hardly
    anything overlaps.
    """
    from skimage.metrics import structural_similarity

    both, either = own_mask & truth_mask, own_mask | truth_mask
    if both.sum() < 100:
        return dict.fromkeys(("psnr_db", "psnr_gain_db", "ssim", "sharpness"), float("nan"))
    x, y = own[both], truth[both]
    gain = (x * y).sum(0) / np.maximum((x * x).sum(0), 1e-6)
    rows, columns = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    a, b = (np.where(mask[..., None], picture, 0.5)[box] for picture, mask in ((own, own_mask), (truth, truth_mask)))
    ssim = structural_similarity(a, b, channel_axis=2, data_range=1.0)
    sharpness = _gradients(own * gain, both) / max(_gradients(truth, both), 1e-9)
    return {"psnr_db": psnr(x, y), "psnr_gain_db": psnr(x * gain, y), "ssim": float(ssim), "sharpness": sharpness}


def _gradients(picture: np.ndarray, mask: np.ndarray) -> float:
    """Sum of squared differences of neighbours that both lie in a mask."""
    total = 0.0
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        total += float(((picture[there] - picture[here])[mask[here] & mask[there]] ** 2).sum())
    return total


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of values in 0..1."""
    return float(-10 * np.log10(max(float(np.mean((a - b) ** 2)), 1e-10)))


def interval(values: ArrayLike, statistic: str = "median", seed: int = 0) -> tuple[float, float, float]:
    """Mean or median of the finite values and its 95 % percentile bootstrap interval (Efron 1979); NaN if there are none."""
    if statistic not in ("mean", "median"):
        raise ValueError(f"no statistic {statistic!r}")
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return float("nan"), float("nan"), float("nan")
    centre = np.mean if statistic == "mean" else np.median
    draws = np.random.default_rng(seed).integers(0, len(finite), (BOOTSTRAP_ROUNDS, len(finite)))
    low, high = np.percentile(centre(finite[draws], axis=1), [2.5, 97.5])
    return float(centre(finite)), float(low), float(high)
