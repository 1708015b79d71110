"""Outer surfaces and distances of solids that are known."""

from __future__ import annotations

import numpy as np
import pytest

from carve.evaluate.outer import Disks, outer_surface, sample_triangles, viewers
from solids import box, sphere


def test_viewers_are_unit_and_no_lower_than_asked() -> None:
    directions = viewers()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert directions[:, 1].min() > np.sin(np.radians(-35))


def test_samples_of_a_box_are_spread_by_area(rng: np.random.Generator) -> None:
    vertices, faces = box((1.0, 2.0, 3.0))
    points, face = sample_triangles(vertices, faces, 20_000, rng)
    a, b, c = (vertices[faces[face, k]] for k in range(3))
    off = np.abs(((points - a) * np.cross(b - a, c - a)).sum(1))
    assert off.max() < 1e-9
    on_top = np.isclose(points[:, 2], vertices[:, 2].max())
    assert on_top.mean() == pytest.approx(2 / 22, abs=0.001)


def test_what_lies_inside_a_solid_is_not_seen(rng: np.random.Generator) -> None:
    outer, inner = sphere(1.0), sphere(0.5)
    vertices = np.concatenate([outer[0], inner[0]])
    faces = np.concatenate([outer[1], inner[1] + len(outer[0])])
    found = outer_surface(vertices, faces, 4000, rng)
    assert np.linalg.norm(found.points, axis=1).min() > 0.9
    assert found.inward_share == 0
    assert found.seen_share == pytest.approx(0.8, abs=0.05)
    assert (found.normals * found.points).sum(1).min() > 0.9
    inward = outer_surface(outer[0], outer[1][:, ::-1], 2000, rng)
    assert inward.inward_share == 1
    assert (inward.normals * inward.points).sum(1).min() > 0.9


def test_distances_between_spheres_are_the_difference_of_radii(rng: np.random.Generator) -> None:
    small, large = (outer_surface(*sphere(radius, splits=4), 20_000, rng) for radius in (1.0, 1.1))
    to, _ = Disks(large.points, large.normals, large.spacing).distance(small.points)
    back, _ = Disks(small.points, small.normals, small.spacing).distance(large.points)
    assert to.mean() == pytest.approx(0.1, abs=0.002)
    assert back.mean() == pytest.approx(0.1, abs=0.002)


def test_a_surface_lies_on_itself_whatever_its_density(rng: np.random.Generator) -> None:
    vertices, faces = sphere(1.0, splits=4)
    dense, thin = (outer_surface(vertices, faces, count, rng) for count in (30_000, 3000))
    distance, _ = Disks(thin.points, thin.normals, thin.spacing).distance(dense.points)
    assert distance.mean() < 0.001
    assert thin.spacing == pytest.approx(np.sqrt(10) * dense.spacing, rel=0.05)
