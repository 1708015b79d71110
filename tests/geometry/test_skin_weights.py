from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.skin_weights import four_smoothly, stored_weights


def dense(bones: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """(V, count) weights per bone."""
    total = np.zeros((len(bones), count))
    for column in range(bones.shape[1]):
        np.add.at(total, (np.arange(len(bones)), bones[:, column].astype(int)), weights[:, column])
    return total


@pytest.mark.parametrize("places", [1, 2, 4, 9])
def test_the_strongest_four_are_kept_in_proportion(places: int) -> None:
    rng = np.random.default_rng(places)
    bones = rng.integers(0, 7, (300, places))
    weights = rng.random((300, places)) ** 3 + 1e-6
    weights /= weights.sum(1, keepdims=True)
    joints, values = stored_weights(bones, weights)
    before, after = dense(bones, weights, 7), dense(joints, values, 7)
    strongest = np.argsort(-before, axis=1)[:, :4]
    expected = np.zeros_like(before)
    np.put_along_axis(expected, strongest, np.take_along_axis(before, strongest, 1), 1)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(after, expected, atol=2e-7)
    assert joints.shape == values.shape == (300, 4)
    assert values.dtype == np.float32


def test_rows_sum_to_one_and_name_each_bone_once() -> None:
    rng = np.random.default_rng(0)
    joints, values = stored_weights(rng.integers(0, 5, (500, 8)), rng.random((500, 8)))
    assert np.abs(values.astype(float).sum(1) - 1).max() < 2e-7
    for row, weight in zip(joints, values, strict=True):
        used = row[weight > 0]
        assert len(set(used.tolist())) == len(used)
        assert (row[weight == 0] == 0).all()
    assert (np.diff(values, axis=1) <= 1e-6).all()


def test_bytes_hold_few_bones_and_shorts_hold_many() -> None:
    weights = np.ones((1, 1))
    assert stored_weights(np.array([[255]]), weights)[0].dtype == np.uint8
    assert stored_weights(np.array([[256]]), weights)[0].dtype == np.uint16


def test_four_of_many_bones_change_as_smoothly_as_all_of_them() -> None:
    random = np.random.default_rng(3)
    weights = random.dirichlet(np.ones(8), 200)
    four = four_smoothly(weights)
    np.testing.assert_allclose(four.sum(1), 1)
    assert ((four > 0).sum(1) <= 4).all()
    order = np.argsort(-weights, axis=1)
    # The fourth and the fifth change places: by how little they differ, by so little the result does.
    for step in (1e-3, 1e-5):
        before = np.array([0.4, 0.25, 0.15, 0.1 + step, 0.1 - step, 0.0])
        after = before[[0, 1, 2, 4, 3, 5]]
        assert np.abs(four_smoothly(before[None]) - four_smoothly(after[None])).max() < 10 * step
    assert (np.take_along_axis(four, order, 1)[:, :3] > 0).all()


def test_up_to_four_bones_stay_as_they_are() -> None:
    weights = np.array([[0.5, 0.3, 0.2, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25, 0.0, 0.0]])
    np.testing.assert_array_equal(four_smoothly(weights), weights)
    assert four_smoothly(np.full((1, 6), 1 / 6)).sum() == pytest.approx(1)
