"""Rays that Embree traces, against the other tracer and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.queries import MeshQueries
from carve.records import CarveError
from carve.synth.views.occluders import Occluders, need_embree


def test_the_limit_counts_lengths_of_the_direction_and_both_sides_block() -> None:
    occluders = Occluders(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float), np.array([[0, 1, 2]]))
    origins = np.array([[0.2, 0.2, 1.0], [0.2, 0.2, 1.0], [0.2, 0.2, -1.0], [2.0, 2.0, 1.0]])
    directions = np.array([[0, 0, -1], [0, 0, 1], [0, 0, 2], [0, 0, -1]], float)
    np.testing.assert_array_equal(occluders.blocked(origins, directions, 0.9), [False, False, True, False])
    np.testing.assert_array_equal(occluders.blocked(origins, directions, 1.1), [True, False, True, False])
    assert occluders.blocked(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


def test_rays_through_triangles_anywhere_are_blocked_as_the_other_tracer_has_them() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-1, 1, (300, 3))
    faces = rng.permutation(300).reshape(-1, 3)
    origins, directions = rng.uniform(-1, 1, (5000, 3)), rng.normal(size=(5000, 3))
    ours, other = (kind(vertices, faces).blocked(origins, directions, 0.7) for kind in (Occluders, MeshQueries))
    assert 0.1 < ours.mean() < 0.9
    assert (ours != other).mean() < 1e-3


def test_without_embree_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.synth.views.occluders.find_spec", lambda name: None)
    with pytest.raises(CarveError, match=r"pip install 'carve\[synth\]'"):
        need_embree()
