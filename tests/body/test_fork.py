"""Weights at the fork of two legs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carve.body.fork import eased_at_fork
from carve.geometry.mesh import unique_edges
from carve.records import Skeleton
from solids import sphere

SKELETON = Skeleton(
    names=("hips", "left", "right"),
    parents=np.array([-1, 0, 0]),
    heads=np.array([[0.0, 1.0, 0], [0.1, 0.95, 0], [-0.1, 0.95, 0]]),
    humanoid={"hips": "hips", "leftUpperLeg": "left", "rightUpperLeg": "right"},
)
VERTICES, FACES = sphere(0.9, (0.0, 0.9, 0.0), splits=5)


def sharp() -> np.ndarray:
    """(V, 3): the left half follows the left leg, the right half the right one."""
    left = VERTICES[:, 0] > 0
    return np.stack([np.zeros(len(VERTICES)), left, ~left], 1).astype(float)


def steepest(weights: np.ndarray) -> float:
    """Largest change of weights along an edge near the fork, per metre."""
    edges = unique_edges(FACES)
    middle = VERTICES[edges].mean(1)
    near = np.linalg.norm((middle - [0, 0.86, 0])[:, :2], axis=1) < 0.05
    change = np.abs(weights[edges[:, 0]] - weights[edges[:, 1]]).sum(1)
    length = np.linalg.norm(VERTICES[edges[:, 0]] - VERTICES[edges[:, 1]], axis=1)
    return float((change / length)[near].max())


def test_the_change_from_leg_to_leg_becomes_wider() -> None:
    eased = eased_at_fork(sharp(), VERTICES, FACES, SKELETON)
    assert steepest(eased) < 0.7 * steepest(sharp())
    np.testing.assert_allclose(eased.sum(1), 1)
    assert eased.min() >= 0


def test_far_from_the_fork_nothing_changes_and_constants_stay() -> None:
    eased = eased_at_fork(sharp(), VERTICES, FACES, SKELETON)
    far = np.linalg.norm((VERTICES - [0, 0.86, 0])[:, :2], axis=1) > 0.14 * 1.8
    np.testing.assert_array_equal(eased[far], sharp()[far])
    same = np.tile([0.2, 0.5, 0.3], (len(VERTICES), 1))
    np.testing.assert_allclose(eased_at_fork(same, VERTICES, FACES, SKELETON), same, atol=1e-9)


def test_without_legs_weights_stay() -> None:
    weights = sharp()
    assert eased_at_fork(weights, VERTICES, FACES, replace(SKELETON, humanoid={"hips": "hips"})) is weights
