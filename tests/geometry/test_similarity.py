"""Similarities that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.geometry.similarity import procrustes


def test_procrustes_finds_a_similarity_and_no_reflection() -> None:
    points = np.random.default_rng(0).normal(size=(12, 3))
    rotation = Rotation.random(random_state=3).as_matrix()
    scale, turn, shift = procrustes(points, 1.7 * points @ rotation.T + [1, 2, 3])
    assert scale == pytest.approx(1.7)
    np.testing.assert_allclose(turn, rotation, atol=1e-12)
    np.testing.assert_allclose(shift, [1, 2, 3], atol=1e-12)
    _, turn, _ = procrustes(points, points * [-1, 1, 1])
    assert np.linalg.det(turn) == pytest.approx(1)
