from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.skin_weights import stored_weights


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
