"""The measure of self-intersection itself."""

from __future__ import annotations

import numpy as np

from intersections import intersecting_faces
from solids import box, sphere


def test_a_sphere_does_not_cut_itself() -> None:
    assert not intersecting_faces(*sphere()).any()


def test_two_boxes_that_overlap_cut_each_other() -> None:
    """A corner of one lies in the other: three sides of each are cut."""
    one, other = box(), box(centre=(0.6, 0.55, 0.52))
    vertices, faces = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1] + 8])
    cut = intersecting_faces(vertices, faces)
    middle = vertices[faces].mean(1)
    assert cut[:12].sum() >= 3 and cut[12:].sum() >= 3
    assert not cut[:12][(middle[:12] < -0.45).any(1)].any()
    assert not intersecting_faces(vertices + np.repeat([[0.0, 0, 0], [2.0, 0, 0]], 8, axis=0), faces).any()
