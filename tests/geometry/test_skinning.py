"""Forward kinematics in closed form, skinning against its definition, and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import (
    blended_transforms,
    bone_transforms,
    forward_kinematics,
    local_rotations,
    skin,
    strongest_weights,
    unskin,
)

PARENTS = np.array([-1, 0, 1, 1, 3])


def random_pose(seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local rotations (5, 3, 3), bind heads (5, 3), root position (3,)."""
    rng = np.random.default_rng(seed)
    local = Rotation.from_rotvec(rng.normal(scale=spread, size=(5, 3))).as_matrix()
    return local, rng.normal(size=(5, 3)), rng.normal(size=3)


def random_weights(seed: int, vertices: int = 200, places: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Bones and weights (vertices, places)."""
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, places))
    return rng.integers(0, len(PARENTS), (vertices, places)), weights / weights.sum(1, keepdims=True)


def test_a_bent_chain_in_closed_form() -> None:
    """Two joints of a planar arm, each turned by a quarter."""
    heads = np.array([[0.0, 0, 0], [2, 0, 0], [3, 0, 0]])
    quarter = axis_rotation(2, np.pi / 2)
    rotations, positions = forward_kinematics(np.stack([quarter, quarter, np.eye(3)]), heads, np.array([-1, 0, 1]), np.array([10.0, 0, 0]))
    np.testing.assert_allclose(positions, [[10, 0, 0], [10, 2, 0], [9, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(rotations[2], axis_rotation(2, np.pi), atol=1e-12)


def test_kinematics_is_the_product_of_homogeneous_matrices() -> None:
    local, heads, root = random_pose(0)
    rotations, positions = forward_kinematics(local, heads, PARENTS, root)
    for bone in range(len(PARENTS)):
        total, at = np.eye(4), bone
        while at >= 0:
            offset = heads[at] - heads[PARENTS[at]] if PARENTS[at] >= 0 else root
            total = np.block([[local[at], offset[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]) @ total
            at = int(PARENTS[at])
        np.testing.assert_allclose(rotations[bone], total[:3, :3], atol=1e-12)
        np.testing.assert_allclose(positions[bone], total[:3, 3], atol=1e-12)


def test_local_rotations_undo_the_kinematics() -> None:
    local, heads, root = random_pose(1)
    rotations, _ = forward_kinematics(local, heads, PARENTS, root)
    np.testing.assert_allclose(local_rotations(rotations, PARENTS), local, atol=1e-12)


def test_bones_keep_their_lengths() -> None:
    local, heads, root = random_pose(2)
    _, positions = forward_kinematics(local, heads, PARENTS, root)
    np.testing.assert_array_equal(positions[0], root)
    length = lambda x: np.linalg.norm(x[1:] - x[PARENTS[1:]], axis=1)  # noqa: E731
    np.testing.assert_allclose(length(positions), length(heads))


def test_the_bind_pose_changes_nothing() -> None:
    _, heads, _ = random_pose(3)
    rotations, positions = forward_kinematics(np.tile(np.eye(3), (5, 1, 1)), heads, PARENTS, heads[0])
    points = np.random.default_rng(3).normal(size=(200, 3))
    np.testing.assert_allclose(skin(points, bone_transforms(rotations, positions, heads), *random_weights(3)), points, atol=1e-12)


def test_skinning_is_the_weighted_sum_of_what_the_bones_do() -> None:
    local, heads, root = random_pose(4)
    rotations, positions = forward_kinematics(local, heads, PARENTS, root)
    points, (bones, weights) = np.random.default_rng(4).normal(size=(200, 3)), random_weights(4)
    expected = np.zeros_like(points)
    for v in range(len(points)):
        for bone, weight in zip(bones[v], weights[v], strict=True):
            expected[v] += weight * (rotations[bone] @ (points[v] - heads[bone]) + positions[bone])
    np.testing.assert_allclose(skin(points, bone_transforms(rotations, positions, heads), bones, weights), expected, atol=1e-12)


def test_a_bone_carries_its_own_head() -> None:
    local, heads, root = random_pose(5)
    rotations, positions = forward_kinematics(local, heads, PARENTS, root)
    transforms = bone_transforms(rotations, positions, heads)
    np.testing.assert_allclose(skin(heads, transforms, np.arange(5)[:, None], np.ones((5, 1))), positions, atol=1e-12)


def test_moving_the_camera_moves_all_vertices_alike() -> None:
    local, heads, root = random_pose(6)
    turn = Rotation.from_rotvec([0.3, -0.8, 0.2]).as_matrix()
    points, (bones, weights) = np.random.default_rng(6).normal(size=(200, 3)), random_weights(6)

    def posed(local: np.ndarray, root: np.ndarray) -> np.ndarray:
        rotations, positions = forward_kinematics(local, heads, PARENTS, root)
        return skin(points, bone_transforms(rotations, positions, heads), bones, weights)

    moved = local.copy()
    moved[0] = turn @ local[0]
    np.testing.assert_allclose(posed(moved, turn @ root + [1, 2, 3]), posed(local, root) @ turn.T + [1, 2, 3], atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_skinning_and_back(seed: int) -> None:
    local, heads, root = random_pose(seed, spread=0.6)
    rotations, positions = forward_kinematics(local, heads, PARENTS, root)
    transforms = bone_transforms(rotations, positions, heads)
    points, (bones, weights) = np.random.default_rng(seed).normal(size=(200, 3)), random_weights(seed)
    np.testing.assert_allclose(unskin(skin(points, transforms, bones, weights), transforms, bones, weights), points, atol=1e-9)
    np.testing.assert_allclose(skin(unskin(points, transforms, bones, weights), transforms, bones, weights), points, atol=1e-9)


def test_blending_one_bone_is_that_bone() -> None:
    transforms = np.random.default_rng(7).normal(size=(5, 3, 4))
    bones = np.array([[3, 1], [0, 2]])
    np.testing.assert_array_equal(blended_transforms(transforms, bones, np.array([[1.0, 0], [0, 1]])), transforms[[3, 2]])


def test_the_strongest_weights_are_kept() -> None:
    rng = np.random.default_rng(8)
    dense = rng.random((300, 12)) ** 4
    dense /= dense.sum(1, keepdims=True)
    bones, weights, dropped = strongest_weights(dense)
    expected = np.sort(dense, axis=1)[:, ::-1][:, :4]
    np.testing.assert_allclose(np.take_along_axis(dense, bones, 1), expected)
    np.testing.assert_allclose(weights, expected / expected.sum(1, keepdims=True))
    np.testing.assert_allclose(dropped, 1 - expected.sum(1), atol=1e-12)
    assert (np.diff(weights, axis=1) <= 0).all()


def test_places_without_weight_name_bone_zero() -> None:
    dense = np.zeros((2, 6))
    dense[0, 5] = 1
    dense[1, [2, 4]] = 0.25, 0.75
    bones, weights, dropped = strongest_weights(dense)
    assert bones.tolist() == [[5, 0, 0, 0], [4, 2, 0, 0]]
    assert weights.tolist() == [[1, 0, 0, 0], [0.75, 0.25, 0, 0]]
    assert dropped.tolist() == [0, 0]
