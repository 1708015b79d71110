"""Queries against brute force, exact solid angles and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.queries import MeshQueries, boxes_that_meet
from solids import box, sphere


def soup(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unconnected triangles of all sizes and directions."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (count, 1, 3)) + rng.uniform(0.02, 0.5, (count, 1, 1)) * rng.normal(size=(count, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def nearest_on_segment(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    share = np.clip(((point - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
    return a + share[:, None] * (b - a)


def distances(vertices: np.ndarray, faces: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(F,) distance of one point to each triangle: to its plane where the foot lies inside, else to the nearest edge."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    edges = np.min([np.linalg.norm(nearest_on_segment(p, q, point) - point, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    height = ((point - a) * normal).sum(1)
    foot = point - height[:, None] * normal
    inside = np.all([(np.cross(q - p, foot - p) * normal).sum(1) >= 0 for p, q in ((a, b), (b, c), (c, a))], axis=0)
    return np.where(inside, np.abs(height), edges)


def winding(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) sum of solid angles over 4 pi (van Oosterom & Strackee, 1983)."""
    a, b, c = (vertices[faces[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=2) for x in (a, b, c))
    above = np.einsum("nfi,nfi->nf", a, np.cross(b, c))
    below = la * lb * lc + np.einsum("nfi,nfi->nf", a, b) * lc + np.einsum("nfi,nfi->nf", b, c) * la + np.einsum("nfi,nfi->nf", c, a) * lb
    return np.arctan2(above, below).sum(1) / (2 * np.pi)


def test_nearest_points_against_brute_force() -> None:
    vertices, faces = soup(150, 0)
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (200, 3))
    found = MeshQueries(vertices, faces).nearest(points)
    every = np.array([distances(vertices, faces, p) for p in points])
    np.testing.assert_allclose(found.distance, every.min(1), atol=1e-6)
    np.testing.assert_allclose(every[np.arange(200), found.face], every.min(1), atol=1e-6)
    np.testing.assert_allclose(found.bary.sum(1), 1, atol=1e-12)
    assert (found.bary > -1e-6).all()
    np.testing.assert_allclose(found.point, np.einsum("nk,nkd->nd", found.bary, vertices[faces[found.face]]), atol=1e-12)


def test_nothing_within_the_limit() -> None:
    queries = MeshQueries(*box())
    found = queries.nearest(np.array([[0.7, 0.0, 0.0], [3.0, 0.0, 0.0]]), limit=1.0)
    np.testing.assert_allclose(found.distance, [0.2, np.inf], atol=1e-6)
    assert found.face[1] == -1
    assert found.face[0] >= 0


def test_inside_against_exact_solid_angles() -> None:
    """Also where a surface is open and where it covers a region twice."""
    vertices, faces = sphere(0.5, splits=3)
    two = np.concatenate([vertices, vertices * 0.8 + [0.3, 0.1, 0.0]])
    both = np.concatenate([faces, faces + len(vertices)])
    holed = both[vertices[faces].mean(1)[:, 1].repeat(2).reshape(2, -1, order="F").ravel() < 0.35]
    points = np.random.default_rng(2).uniform(-0.8, 0.9, (400, 3))
    for surface in (both, holed):
        exact = winding(two, surface, points)
        queries = MeshQueries(two, surface, winding=True)
        for threshold in (0.5, 1.5):
            clear = np.abs(exact - threshold) > 0.01
            assert clear.mean() > 0.95
            np.testing.assert_array_equal(queries.inside(points, threshold=threshold)[clear], exact[clear] > threshold)
    assert (winding(two, both, points) > 1.5).any()


def test_inside_close_to_a_wall() -> None:
    vertices, faces = sphere(0.9, splits=4)
    centre = vertices[faces].mean(1)
    out = centre / np.linalg.norm(centre, axis=1, keepdims=True)
    queries = MeshQueries(vertices, faces, winding=True)
    assert queries.inside(centre - 1e-6 * out).all()
    assert not queries.inside(centre + 1e-6 * out).any()


def test_signed_distance_of_a_box() -> None:
    points = np.random.default_rng(3).uniform(-1, 1, (2000, 3))
    q = np.abs(points) - np.array([0.3, 0.4, 0.5])
    exact = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    found = MeshQueries(*box((0.6, 0.8, 1.0)), winding=True).signed_distance(points)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_winding_numbers_must_be_prepared() -> None:
    with pytest.raises(ValueError, match="without winding"):
        MeshQueries(*box()).inside(np.zeros((1, 3)))


def test_rays_against_the_planes_of_a_box() -> None:
    rng = np.random.default_rng(4)
    origins, directions = rng.uniform(-3, 3, (3000, 3)), rng.normal(size=(3000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    queries = MeshQueries(*box((1.0, 2.0, 1.5)))
    half = np.array([0.5, 1.0, 0.75])
    crossing = np.sort([(-half - origins) / directions, (half - origins) / directions], axis=0)
    enter, leave = crossing[0].max(1), crossing[1].min(1)
    hits = (enter < leave) & (leave > 0)
    exact = np.where(hits, np.where(enter > 0, enter, leave), np.inf)
    face, distance = queries.first_hit(origins, directions)
    np.testing.assert_array_equal(face >= 0, hits)
    np.testing.assert_allclose(distance, exact, atol=1e-5)
    np.testing.assert_array_equal(queries.blocked(origins, directions), hits)
    assert 0.05 < hits.mean() < 0.6
    # The wall that was met lies where the ray says.
    met = origins[hits] + exact[hits, None] * directions[hits]
    assert np.abs(np.abs(met / half).max(1) - 1).max() < 1e-9
    vertices, faces = box((1.0, 2.0, 1.5))
    gap = [distances(vertices, faces[[f]], p)[0] for f, p in zip(face[hits], met, strict=True)]
    assert max(gap) < 1e-6


def test_rays_end_at_their_limit() -> None:
    queries = MeshQueries(*box())
    origins, directions = np.array([[2.0, 0.1, 0.2]] * 2), np.array([[-1.0, 0, 0], [-2.0, 0, 0]])
    np.testing.assert_array_equal(queries.blocked(origins, directions, limit=1.0), [False, True])
    np.testing.assert_allclose(queries.first_hit(origins, directions)[1], [1.5, 0.75], rtol=1e-6)  # lengths of the direction


def test_boxes_that_meet() -> None:
    rng = np.random.default_rng(5)
    low = rng.uniform(size=(600, 3))
    high = low + rng.uniform(0, 0.2, (600, 3))
    meet = np.triu((low[:, None] <= high).all(2) & (high[:, None] >= low).all(2), 1)
    pairs = boxes_that_meet(low, high)
    assert {tuple(p) for p in pairs.tolist()} == {tuple(p) for p in np.argwhere(meet).tolist()}
    assert len(pairs) == meet.sum()
    touching = boxes_that_meet(np.array([[0.0, 0, 0], [0.1, 0, 0]]), np.array([[0.1, 1, 1], [0.2, 1, 1]]))
    assert touching.tolist() == [[0, 1]]
    assert boxes_that_meet(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0, 2)


def test_no_points() -> None:
    queries = MeshQueries(*box(), winding=True)
    assert queries.nearest(np.zeros((0, 3))).face.shape == (0,)
    assert queries.inside(np.zeros((0, 3))).shape == (0,)
    assert queries.first_hit(np.zeros((0, 3)), np.zeros((0, 3)))[1].shape == (0,)
