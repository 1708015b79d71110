"""Spreading values over surfaces."""

import numpy as np
import pytest
from scipy import sparse

from carve.geometry.meshing.diffusion import spread, stiffness


@pytest.fixture
def tube() -> tuple[np.ndarray, np.ndarray]:
    """A tube of radius 0.2 and height 1 about the y axis."""
    n, m = 40, 60
    i, j = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    angle = 2 * np.pi * i.ravel() / n
    points = np.stack([0.2 * np.sin(angle), j.ravel() / (m - 1), 0.2 * np.cos(angle)], 1)
    i, j = i[:, :-1], j[:, :-1]
    a, b, c, d = (((i + di) % n * m + j + dj).ravel() for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def matrix(points: np.ndarray, faces: np.ndarray, across: float) -> sparse.csr_matrix:
    axes = np.tile([0.0, 1.0, 0.0], (len(faces), 1))
    return stiffness(points, faces, axes, across, np.ones(len(faces)))


def test_the_matrix_is_symmetric_and_does_not_change_constants(tube: tuple[np.ndarray, np.ndarray]) -> None:
    k = matrix(*tube, across=0.1)
    assert abs(k - k.T).max() < 1e-12
    assert np.abs(k @ np.ones(len(tube[0]))).max() < 1e-12


def test_its_energy_is_the_dirichlet_integral(tube: tuple[np.ndarray, np.ndarray]) -> None:
    points, faces = tube
    along, around = points[:, 1], points[:, 0]
    k = matrix(points, faces, across=0.1)
    area = 2 * np.pi * 0.2
    # |grad y| = 1 along the tube; x = r sin(angle) changes by cos(angle) around it, whose square averages to 1/2.
    assert along @ (k @ along) == pytest.approx(0.1 * area, rel=0.01)
    assert around @ (k @ around) == pytest.approx(1.1 * area / 2, rel=0.01)


def test_bands_close_around_the_back(tube: tuple[np.ndarray, np.ndarray]) -> None:
    points, faces = tube
    band = (points[:, 1] > 0.5).astype(float)[:, None] * 100
    front = points[:, 2] > 0
    found = spread(matrix(points, faces, across=0.005), np.where(front, 10.0, 1e-9), band)
    sure = np.abs(points[:, 1] - 0.5) > 0.1
    assert np.abs(found - band)[sure].max() < 10
    # Spreading equally in all directions would wash the border out.
    washed = spread(matrix(points, faces, across=1.0), np.where(front, 10.0, 1e-9), band)
    assert np.abs(found - band)[~front].mean() < 0.5 * np.abs(washed - band)[~front].mean()


def test_values_stay_within_the_range_of_the_given_ones() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3))
    faces = rng.permuted(np.tile(np.arange(300), (400, 1)), axis=1)[:, :3]
    k = matrix(points, faces, across=0.02)
    weight = np.where(rng.uniform(size=300) < 0.2, 5.0, 1e-6)
    found = spread(k, weight, rng.uniform(20, 80, (300, 3)))
    assert found.min() > 19.99 and found.max() < 80.01
