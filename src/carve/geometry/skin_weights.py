"""Skinning weights as glTF stores them: at most four bones a vertex, single precision."""

from __future__ import annotations

import numpy as np


def stored_weights(bones: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bone indices and weights (V, K >= 1) to (V, 4) uint8 or uint16 and (V, 4) float32, strongest first.

    A bone occurs once a vertex, unused places name bone 0, and rows sum to one as nearly as float32 can.
    """
    bones, weights = np.asarray(bones, np.int64), np.clip(np.asarray(weights, float), 0.0, None)
    same = bones[:, :, None] == bones[:, None, :]
    repeated = (same & np.triu(np.ones(same.shape[1:], bool), k=1)).any(1)
    merged = np.where(repeated, 0.0, np.einsum("vkl,vl->vk", same, weights))
    order = np.argsort(-merged, axis=1, kind="stable")[:, :4]
    strongest = np.take_along_axis(merged, order, 1)
    stored = (strongest / strongest.sum(1, keepdims=True)).astype(np.float32)
    stored[:, 0] = 1.0 - stored[:, 1:].sum(1, dtype=np.float32)
    index = np.where(stored > 0, np.take_along_axis(bones, order, 1), 0)
    padding = ((0, 0), (0, 4 - stored.shape[1]))
    dtype = np.uint8 if index.max() < 256 else np.uint16
    return np.pad(index, padding).astype(dtype), np.pad(stored, padding)


def four_smoothly(weights: np.ndarray) -> np.ndarray:
    """Weights (V, K) with at most four bones a vertex that change as smoothly as the given ones: all are lowered by the fifth strongest.

    Cut off, the weakest bone's share jumps where another one takes its place.
    """
    if weights.shape[1] <= 4:
        return weights
    lowered = np.maximum(weights - np.partition(weights, -5, axis=1)[:, -5, None], 0)
    total = lowered.sum(1, keepdims=True)
    # Five that are equally strong would be lowered to nothing.
    return np.where(total > 1e-3, lowered / np.maximum(total, 1e-3), weights)
