"""Rotations in torch and quaternions in NumPy.

Notation: w (..., 3) rotation vector in radians; R (..., 3, 3) matrix acting on columns; q = [x, y, z, w] unit quaternion, glTF's order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def skew(w: Tensor) -> Tensor:
    """(..., 3) to the matrix (..., 3, 3) with ``skew(w) @ x == cross(w, x)``."""
    zero = torch.zeros_like(w[..., 0])
    x, y, z = w.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*w.shape[:-1], 3, 3)


def matrix_from_rotvec(w: Tensor) -> Tensor:
    """Rodrigues' formula, smooth through zero: (..., 3) to (..., 3, 3)."""
    square = (w * w).sum(-1)
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    a = torch.where(small, 1 - square / 6, angle.sin() / angle)[..., None, None]
    b = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / angle**2)[..., None, None]
    k = skew(w)
    return torch.eye(3, dtype=w.dtype, device=w.device) + a * k + b * (k @ k)


def rotvec_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """(..., 3, 3) to rotation vectors (..., 3) with angles in [0, pi]."""
    q = quaternion_from_matrix(rotation)
    q = np.where(q[..., 3:] < 0, -q, q)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., 3:])
    return q[..., :3] * np.where(sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-12))


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """(..., 3, 3) to unit quaternions [x, y, z, w] with w >= 0 (Shepperd's method, the largest divisor is taken)."""
    m = np.asarray(rotation, float)
    d = np.einsum("...ii->...i", m)
    trace = d.sum(-1)
    squares = np.concatenate([1 + 2 * d - trace[..., None], 1 + trace[..., None]], axis=-1)
    best = squares.argmax(-1)
    x, y, z = m[..., 2, 1], m[..., 0, 2], m[..., 1, 0]
    a, b, c = m[..., 1, 2], m[..., 2, 0], m[..., 0, 1]
    rows = np.stack(
        [
            np.stack([squares[..., 0], z + c, b + y, x - a], -1),
            np.stack([z + c, squares[..., 1], x + a, y - b], -1),
            np.stack([b + y, x + a, squares[..., 2], z - c], -1),
            np.stack([x - a, y - b, z - c, squares[..., 3]], -1),
        ],
        axis=-2,
    )
    q = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., 3:] < 0, -q, q)


def matrix_from_quaternion(q: np.ndarray) -> np.ndarray:
    """Unit quaternions [x, y, z, w] (..., 4) to (..., 3, 3)."""
    x, y, z, w = np.moveaxis(np.asarray(q, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(r, -1) for r in rows], -2)


def axis_rotation(axis: int, radians: float) -> np.ndarray:
    """(3, 3) right-handed rotation about a coordinate axis (0 = x, 1 = y, 2 = z)."""
    w = np.zeros(3)
    w[axis] = radians
    return matrix_from_rotvec(torch.from_numpy(w)).numpy()


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that turns direction `a` (3,) into direction `b` (3,)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), float(a @ b)
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        other = np.eye(3)[np.abs(a).argmin()]
        axis = np.cross(a, other)
        sine = np.linalg.norm(axis)
    return matrix_from_rotvec(torch.from_numpy(axis / sine * np.arctan2(np.linalg.norm(np.cross(a, b)), cosine))).numpy()
