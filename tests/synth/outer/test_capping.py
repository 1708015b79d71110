"""Caps on tubes, boxes with lids off and folded strips, against closed forms and against all triangulations of small loops."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.mesh import boundary_edges, face_normals, is_watertight, signed_volume
from carve.synth.outer import capping
from solids import box, sphere


def tube(radii: tuple[float, float], height: float, sides: int, rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """An open cone or cylinder around y from y = 0 to `height`, wound outward; the seam's vertices are doubled as along a UV seam."""
    share, angle = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 2 * np.pi, sides + 1), indexing="ij")
    radius = radii[0] + share * (radii[1] - radii[0])
    points = np.stack([radius * np.sin(angle), share * height, radius * np.cos(angle)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rows), np.arange(sides), indexing="ij")
    a = (i * (sides + 1) + j).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + sides + 2], 1), np.stack([a, a + sides + 2, a + sides + 1], 1)])
    return points, faces


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2)


def test_a_tube_becomes_a_cylinder() -> None:
    vertices, faces = tube((0.3, 0.3), 0.8, 40)
    closed = capping.close_surface(vertices, capping.weld(vertices, faces))
    assert is_watertight(closed.faces)
    polygon = 0.5 * 40 * 0.3**2 * np.sin(2 * np.pi / 40)
    assert area(vertices, closed.faces[closed.cap]) == pytest.approx(2 * polygon)
    assert signed_volume(vertices, closed.faces) == pytest.approx(0.8 * polygon)
    assert closed.cap.sum() == 2 * 38


def test_a_loop_longer_than_the_limit_is_closed_too() -> None:
    sides = 2 * capping.LONGEST_LOOP + 31
    vertices, faces = tube((0.3, 0.3), 0.1, sides, rows=1)
    closed = capping.close_surface(vertices, capping.weld(vertices, faces))
    assert is_watertight(closed.faces)
    assert area(vertices, closed.faces[closed.cap]) == pytest.approx(sides * 0.3**2 * np.sin(2 * np.pi / sides))


def test_caps_are_the_least_of_all_triangulations() -> None:
    rng = np.random.default_rng(3)
    angle = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    for _ in range(5):
        points = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(9)]) + 0.4 * rng.normal(size=(9, 3))
        least_area = _every_least_area(points)
        cap = capping.cap_loop(points, np.arange(9))
        assert area(points, cap) == pytest.approx(least_area)
        # The cap's boundary runs against the loop, once.
        edges = {tuple(e) for e in boundary_edges(cap).tolist()}
        assert edges == {((i + 1) % 9, i) for i in range(9)}


def _every_least_area(points: np.ndarray) -> float:
    """The least area over all triangulations of a loop, by listing them."""

    def listed(loop: tuple[int, ...]) -> list[float]:
        if len(loop) < 3:
            return [0.0]
        first, last = loop[0], loop[-1]
        found = []
        for j in range(1, len(loop) - 1):
            own = float(np.linalg.norm(np.cross(points[loop[j]] - points[first], points[last] - points[first]))) / 2
            found += [own + x + y for x in listed(loop[: j + 1]) for y in listed(loop[j:])]
        return found

    return min(listed(tuple(range(len(points)))))


def test_an_open_front_is_spanned_straight_and_not_outward() -> None:
    """Three quarters of a tube, like an open coat: no more area than flat covers of the front and the ends, none of it in front of them."""
    vertices, faces = tube((0.2, 0.2), 0.9, 48, rows=12)
    coat = capping.weld(vertices, faces)
    centre = vertices[coat].mean(1)
    coat = coat[np.abs(np.arctan2(centre[:, 0], centre[:, 2])) > np.pi / 4]
    loops = capping.boundary_loops(coat)
    assert len(loops) == 1
    closed = capping.close_surface(vertices, coat)
    assert len(boundary_edges(closed.faces)) == 0
    segment = 0.5 * 0.2**2 * (36 * np.sin(2 * np.pi / 48) + 1)  # 36 of 48 slices and the triangle before the opening
    chord = 2 * 0.2 * np.sin(np.pi / 4)
    assert area(vertices, closed.faces[closed.cap]) <= chord * 0.9 + 2 * segment + 1e-9
    # It cuts the corners between front and ends, so it holds a little less than the flat covers.
    assert 0.9 < signed_volume(vertices, closed.faces) / (0.9 * segment) <= 1 + 1e-9
    assert vertices[closed.faces[closed.cap]].mean(1)[:, 2].max() < 0.2 * np.cos(np.pi / 4) + 1e-9


def test_welding_joins_seams_and_drops_what_is_double() -> None:
    vertices, faces = box()
    split = vertices[faces].reshape(-1, 3) + 1e-7 * np.random.default_rng(0).normal(size=(36, 3))
    apart = np.arange(36).reshape(-1, 3)
    once = capping.weld(split, apart)
    assert is_watertight(once)
    assert len(np.unique(once)) == 8
    twice = capping.weld(split, np.concatenate([apart, apart[:3][:, [1, 2, 0]]]))
    assert len(twice) == 12
    both_sides = capping.weld(split, np.concatenate([apart, apart[:2, ::-1]]))
    assert len(both_sides) == 10
    collapsed = capping.weld(split, np.concatenate([apart, [[0, 0, 1]]]))
    assert len(collapsed) == 12


def test_winding_alike_turns_the_minority() -> None:
    vertices, faces = sphere(splits=2)
    mixed = faces.copy()
    turned = np.random.default_rng(1).random(len(faces)) < 0.3
    mixed[turned] = mixed[turned][:, ::-1]
    again = capping.wind_alike(mixed)
    assert is_watertight(again)
    assert signed_volume(vertices, again) == pytest.approx(signed_volume(vertices, faces))


def test_loops_split_where_they_touch() -> None:
    """Two holes of a sphere that share one vertex are two loops, not a figure of eight."""
    vertices, faces = sphere(splits=3)
    vertex = int(np.argmax(vertices[:, 1]))
    ring = np.unique(faces[(faces == vertex).any(1)])
    fan = np.flatnonzero((faces == vertex).any(1))
    opposite = fan[[0, 3]]
    holed = np.delete(faces, opposite, axis=0)
    loops = capping.boundary_loops(holed)
    assert sorted(len(loop) for loop in loops) == [3, 3]
    assert all(vertex in loop for loop in loops)
    assert set(np.concatenate(loops)) <= set(ring.tolist())
    assert len(boundary_edges(capping.close_surface(vertices, holed).faces)) == 0


def test_any_chain_is_closed() -> None:
    """Random triangles on few vertices, non-manifold throughout: every edge of the result runs as often one way as the other."""
    rng = np.random.default_rng(5)
    vertices = rng.normal(size=(14, 3))
    faces = np.array([rng.choice(14, 3, replace=False) for _ in range(60)])
    closed = capping.close_surface(vertices, faces).faces
    net = np.zeros((14, 14), int)
    for face in closed.tolist():
        for k in range(3):
            net[face[k], face[(k + 1) % 3]] += 1
    assert (net == net.T).all()
