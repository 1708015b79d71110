"""Handles: counted, found at their narrowest place, and cut so that the surface stays closed, wound outward and where it was elsewhere."""

import numpy as np
import pytest
from skimage.measure import marching_cubes

from carve.geometry.mesh import components, is_watertight, signed_volume
from carve.geometry.meshing.handles import genus, without_handles
from intersections import intersecting_faces


def level(field: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """The zero level of a field that is negative inside, wound outward."""
    vertices, faces, _, _ = marching_cubes(-field, 0.0)
    vertices, faces = vertices.astype(float) * cell, faces.astype(np.int64)
    return vertices, faces if signed_volume(vertices, faces) > 0 else faces[:, ::-1]


def axes(size: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    line = np.linspace(-1, 1, size)
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    return x, y, z


def torus(x: np.ndarray, y: np.ndarray, z: np.ndarray, ring: float, tube: float) -> np.ndarray:
    """Around the z axis."""
    return np.asarray(np.hypot(np.hypot(x, y) - ring, z) - tube)


CELL = 2 / 63


def test_a_ball_has_no_handle_and_is_left_alone() -> None:
    vertices, faces = level(np.sqrt(sum(a * a for a in axes())) - 0.7, CELL)
    assert genus(faces) == 0
    same, triangles = without_handles(vertices, faces, 9.0)
    assert same is vertices
    assert triangles is faces


@pytest.mark.parametrize(("ring", "tube", "grows"), [(0.7, 0.12, False), (0.42, 0.34, True)])
def test_a_thin_ring_is_cut_and_a_narrow_hole_is_filled(ring: float, tube: float, grows: bool) -> None:
    vertices, faces = level(torus(*axes(), ring, tube), CELL)
    assert genus(faces) == 1
    points, triangles = without_handles(vertices, faces, 9.0)
    assert genus(triangles) == 0
    assert is_watertight(triangles)
    assert components(triangles, len(points)).max() == 0
    added = signed_volume(points, triangles) - signed_volume(vertices, faces)
    # The hole's membrane is thin, and rims are rounded: what tells is where the surface goes through the axis.
    assert abs(added) < 0.1 * signed_volume(vertices, faces)
    middle = np.hypot(points[:, 0] - 1, points[:, 1] - 1) < 0.5 * (ring - tube)
    assert middle.any() == grows
    assert not intersecting_faces(points, triangles).any()


def test_all_of_several_handles_go_and_the_rest_stays() -> None:
    x, y, z = axes(80)
    ball = np.sqrt((x + 0.3) ** 2 + y**2 + z**2) - 0.5
    handles = [np.hypot(np.hypot(x - 0.2, y - shift) - 0.2, z) - 0.05 for shift in (-0.3, 0.3)]
    vertices, faces = level(np.minimum(ball, np.minimum(*handles)), 2 / 79)
    assert genus(faces) == 2
    points, triangles = without_handles(vertices, faces, 1.0)
    assert genus(triangles) == 0
    assert is_watertight(triangles)
    far = vertices[:, 0] < 0.6
    assert np.array_equal(points[: len(vertices)][far], vertices[far])


def test_what_is_longer_than_asked_for_stays() -> None:
    vertices, faces = level(torus(*axes(), 0.6, 0.2), CELL)
    points, triangles = without_handles(vertices, faces, 0.5)
    assert points is vertices
    assert genus(triangles) == 1
