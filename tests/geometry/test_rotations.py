"""Rotations: group axioms, round trips, derivatives, and SciPy as the second opinion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from carve.geometry.rotations import (
    axis_rotation,
    matrix_from_quaternion,
    matrix_from_rotvec,
    quaternion_from_matrix,
    rotation_between,
    rotvec_from_matrix,
    skew,
)

ANGLES = (0.0, 1e-12, 1e-8, 9e-5, 1.1e-4, 1e-3, 0.5, 3.0, np.pi - 1e-7, np.pi)
"""Around every place where a formula changes."""


def rotvecs(seed: int = 0) -> np.ndarray:
    """(len(ANGLES) * 20, 3) in all directions, also along the axes."""
    directions = np.random.default_rng(seed).normal(size=(14, 3))
    directions = np.concatenate([directions / np.linalg.norm(directions, axis=1, keepdims=True), np.eye(3), -np.eye(3)])
    return (np.array(ANGLES)[:, None, None] * directions).reshape(-1, 3)


def matrices(w: np.ndarray) -> np.ndarray:
    """(..., 3, 3) of rotation vectors (..., 3)."""
    return matrix_from_rotvec(torch.from_numpy(w)).numpy()


def test_skew_is_the_cross_product() -> None:
    a, b = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((skew(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


def test_matrices_are_those_of_scipy() -> None:
    np.testing.assert_allclose(matrices(rotvecs()), Rotation.from_rotvec(rotvecs()).as_matrix(), atol=1e-12)


def test_matrices_form_the_rotation_group() -> None:
    a, b = matrices(rotvecs(1)), matrices(rotvecs(2))
    np.testing.assert_allclose(a @ np.swapaxes(a, -1, -2), np.broadcast_to(np.eye(3), a.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(a), 1, atol=1e-12)
    np.testing.assert_allclose(matrices(-rotvecs(1)), np.swapaxes(a, -1, -2), atol=1e-15)  # inverse
    np.testing.assert_array_equal(matrices(np.zeros(3)), np.eye(3))  # identity
    product = matrices(rotvec_from_matrix(a @ b))  # closed
    np.testing.assert_allclose(product, a @ b, atol=1e-7)
    half = matrices(rotvecs(1) / 2)
    np.testing.assert_allclose(half @ half, a, atol=1e-12)


def test_the_axis_stays_where_it_is() -> None:
    w = rotvecs(3)
    np.testing.assert_allclose((matrices(w) @ w[..., None])[..., 0], w, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9, 5e-5, 9.9e-5, 1.01e-4, 1e-3, 1.0, 3.1])
def test_the_derivative_is_right_through_zero(size: float) -> None:
    w = size * torch.nn.functional.normalize(torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64), dim=1)
    assert torch.autograd.gradcheck(matrix_from_rotvec, (w.requires_grad_(),), eps=1e-7, atol=1e-6)


def test_single_precision_has_no_jump_near_zero() -> None:
    w = torch.logspace(-8, 0, 400)[:, None] * torch.tensor([[0.6, 0.0, -0.8]])
    w.requires_grad_()
    rotation = matrix_from_rotvec(w)
    np.testing.assert_allclose(rotation.detach().numpy(), Rotation.from_rotvec(w.detach().double().numpy()).as_matrix(), atol=3e-7)
    weights = torch.arange(9.0).reshape(3, 3)
    (slope,) = torch.autograd.grad((rotation * weights).sum(), w)
    precise = w.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad((matrix_from_rotvec(precise) * weights).sum(), precise)
    np.testing.assert_allclose(slope.numpy(), expected.numpy(), atol=5e-3)


def test_rotation_vectors_come_back() -> None:
    w = rotvecs(4)
    back = rotvec_from_matrix(matrices(w))
    short = np.linalg.norm(w, axis=1) < 3.1
    np.testing.assert_allclose(back[short], w[short], atol=1e-9)
    assert (np.linalg.norm(back, axis=1) <= np.pi + 1e-9).all()
    np.testing.assert_allclose(matrices(back), matrices(w), atol=1e-9)  # at half a turn either sign of the axis will do


def test_quaternions_are_those_of_scipy() -> None:
    rotation = Rotation.from_rotvec(rotvecs(5))
    q = quaternion_from_matrix(rotation.as_matrix())
    expected = rotation.as_quat()
    assert (q[..., 3] >= 0).all()
    np.testing.assert_allclose(np.abs((q * expected).sum(-1)), 1, atol=1e-12)
    np.testing.assert_allclose(matrix_from_quaternion(q), rotation.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(matrix_from_quaternion(-q), rotation.as_matrix(), atol=1e-12)  # a double cover


def test_shapes_are_kept() -> None:
    q = np.random.default_rng(0).normal(size=(2, 3, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    rotation = matrix_from_quaternion(q)
    assert rotation.shape == (2, 3, 3, 3)
    assert quaternion_from_matrix(rotation).shape == (2, 3, 4)
    assert rotvec_from_matrix(rotation).shape == (2, 3, 3)
    assert quaternion_from_matrix(np.eye(3)).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("axis", "before", "after"), [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_quarter_turn_about_each_axis_is_right_handed(axis: int, before: int, after: int) -> None:
    np.testing.assert_allclose(axis_rotation(axis, np.pi / 2) @ np.eye(3)[before], np.eye(3)[after], atol=1e-15)


def test_the_smallest_rotation_between_directions() -> None:
    rng = np.random.default_rng(6)
    for _ in range(30):
        a, b = rng.normal(size=(2, 3))
        rotation = rotation_between(a, b)
        np.testing.assert_allclose(rotation @ (a / np.linalg.norm(a)), b / np.linalg.norm(b), atol=1e-12)
        angle = np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
        assert np.linalg.norm(Rotation.from_matrix(rotation).as_rotvec()) == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("direction", [*np.eye(3), *-np.eye(3), np.array([1.0, 2.0, -3.0])])
def test_between_equal_and_opposite_directions(direction: np.ndarray) -> None:
    unit = direction / np.linalg.norm(direction)
    np.testing.assert_array_equal(rotation_between(direction, 2 * direction), np.eye(3))
    opposite = rotation_between(direction, -direction)
    np.testing.assert_allclose(opposite @ unit, -unit, atol=1e-12)
    assert np.linalg.det(opposite) == pytest.approx(1)
