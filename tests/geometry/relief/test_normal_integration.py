"""Detail from normals: against a dense solution, and on bumps whose height is known."""

from __future__ import annotations

import numpy as np

from carve.geometry.mesh import cotangent_laplacian, unique_edges
from carve.geometry.relief.normal_integration import Wanted, integrate_normals


def sheet(count: int, side: float = 0.6, depth: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A square of count x count vertices across the viewing axis, wound towards the camera."""
    x, y = np.meshgrid(np.linspace(-side / 2, side / 2, count), np.linspace(-side / 2, side / 2, count))
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = (index[i : count - 1 + i, j : count - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, -depth)], 1), faces


def bumps(vertices: np.ndarray, length: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights (V,) towards the camera of waves along x, and the normals (V, 3) of the wavy sheet."""
    k = 2 * np.pi / length
    slope = height * k * np.cos(k * vertices[:, 0])
    normals = np.stack([-slope, np.zeros_like(slope), np.ones_like(slope)], 1)
    return height * np.sin(k * vertices[:, 0]), normals / np.linalg.norm(normals, axis=1, keepdims=True)


def toward(vertices: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(V,) movement along the viewing axis towards the camera."""
    return (shift[:, None] * vertices / np.linalg.norm(vertices, axis=1, keepdims=True))[:, 2]


def test_short_waves_are_taken_from_the_normals() -> None:
    vertices, faces = sheet(121)
    height, normals = bumps(vertices, 0.06, 0.004)
    shift = integrate_normals(vertices, faces, Wanted(normals, np.ones(len(vertices))), np.ones(len(vertices)), 0.4, 0.002)
    inner = (np.abs(vertices[:, :2]) < 0.24).all(1)
    found = toward(vertices, shift)
    assert np.corrcoef(found[inner], height[inner])[0, 1] > 0.99
    np.testing.assert_allclose(found[inner], height[inner], atol=0.0006)


def test_long_waves_stay_the_surfaces_own() -> None:
    vertices, faces = sheet(41)
    _, normals = bumps(vertices, 2.4, 0.05)
    shift = integrate_normals(vertices, faces, Wanted(normals, np.ones(len(vertices))), np.ones(len(vertices)), 0.1, 0.002)
    inner = (np.abs(vertices[:, :2]) < 0.2).all(1)
    assert np.abs(toward(vertices, shift)[inner]).max() < 0.001


def test_without_trust_nothing_moves() -> None:
    vertices, faces = sheet(11)
    _, normals = bumps(vertices, 0.1, 0.01)
    shift = integrate_normals(vertices, faces, Wanted(normals, np.zeros(len(vertices))), np.ones(len(vertices)), 0.4, 0.002)
    np.testing.assert_allclose(shift, 0, atol=1e-12)


def test_what_is_held_stays() -> None:
    vertices, faces = sheet(41)
    _, normals = bumps(vertices, 0.06, 0.004)
    left = vertices[:, 0] < -0.1
    free = integrate_normals(vertices, faces, Wanted(normals, np.ones(len(vertices))), np.ones(len(vertices)), 0.4, 0.002)
    held = integrate_normals(vertices, faces, Wanted(normals, np.ones(len(vertices))), np.where(left, 1e4, 1.0), 0.4, 0.002)
    assert np.abs(held[left]).max() < 0.05 * np.abs(free[left]).max()
    right = vertices[:, 0] > 0.0
    np.testing.assert_allclose(held[right], free[right], atol=5e-4)


def test_it_is_the_least_squares_solution() -> None:
    rng = np.random.default_rng(0)
    vertices, faces = sheet(7)
    vertices = vertices + rng.normal(0, 0.01, vertices.shape)
    normals = rng.normal(0, 0.3, vertices.shape) + np.array([0.0, 0.0, 1.0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    trust, hold, reach, smoothness = rng.uniform(0.1, 1, len(vertices)), rng.uniform(1, 3, len(vertices)), 0.3, 0.01
    shift = integrate_normals(vertices, faces, Wanted(normals, trust), hold, reach, smoothness, rounds=1)
    stiffness, area = cotangent_laplacian(vertices, faces)
    rays = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    rows, wanted = [], []
    for i, j in unique_edges(faces):
        normal = normals[i] + normals[j]
        normal /= np.linalg.norm(normal)
        weight = np.sqrt(-stiffness[i, j] * min(trust[i], trust[j]))
        row = np.zeros(len(vertices))
        row[i], row[j] = weight * normal @ rays[i], -weight * normal @ rays[j]
        rows.append(row)
        wanted.append(-weight * normal @ (vertices[i] - vertices[j]))
    rows += list(np.diag(2 * np.pi / reach * np.sqrt(area * hold)))
    rows += list(smoothness * stiffness.toarray() / np.sqrt(area)[:, None])
    wanted += [0.0] * (2 * len(vertices))
    np.testing.assert_allclose(shift, np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0], atol=1e-9)


def test_conjugate_gradients_find_what_the_factorisation_finds() -> None:
    vertices, faces = sheet(41)
    _, normals = bumps(vertices, 0.05, 0.002)
    wanted, hold = Wanted(normals, np.ones(len(vertices))), np.ones(len(vertices))
    exact, found = (integrate_normals(vertices, faces, wanted, hold, 0.1, 0.001, rounds=1, direct=direct) for direct in (True, False))
    assert np.abs(exact).max() > 5e-4
    np.testing.assert_allclose(found, exact, atol=0.01 * np.abs(exact).max())
