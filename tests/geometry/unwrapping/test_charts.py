"""Charts: what can be flattened without distortion is; every triangle gets exactly one place."""

import numpy as np

from carve.geometry.mesh import face_normals
from carve.geometry.unwrapping.charts import (
    absorb_small,
    connected,
    cut_and_flatten,
    face_neighbours,
    flatten,
    overlaid,
    signed_areas,
    stretch,
)


def grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (rows, columns) of the unit square and two triangles a cell, counter-clockwise."""
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.stack([x.ravel(), y.ravel()], 1), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def sphere(rows: int = 24, columns: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """A closed unit sphere, wound outward."""
    flat, faces = grid(rows, columns + 1)
    theta, phi = flat[:, 1] * np.pi, flat[:, 0] * 2 * np.pi
    points = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], 1).round(12)
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    faces = inverse.reshape(-1)[faces][:, ::-1]
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[solid]
    outward = np.einsum("fi,fi->f", face_normals(unique, faces), unique[faces].mean(1))
    return unique, faces if outward.sum() > 0 else faces[:, ::-1]


def lengths(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[faces] - points[np.roll(faces, 1, axis=1)], axis=-1)


def test_a_bent_sheet_is_flattened_without_distortion() -> None:
    flat, faces = grid(12, 20)
    angle = flat[:, 0] * 2.5
    bent = np.stack([np.cos(angle), flat[:, 1], np.sin(angle)], 1)
    uv = flatten(bent, faces)
    np.testing.assert_allclose(lengths(uv, faces), lengths(bent, faces), rtol=2e-3)
    assert stretch(bent, faces, uv) < 1.01


def test_flattening_is_conformal_and_keeps_the_area() -> None:
    points, faces = sphere()
    cap = faces[points[faces].mean(1)[:, 1] > 0.2]
    used, compacted = np.unique(cap, return_inverse=True)
    cap = compacted.reshape(-1, 3)
    uv = flatten(points[used], cap)
    true = np.linalg.norm(face_normals(points[used], cap), axis=1) / 2
    np.testing.assert_allclose(np.abs(signed_areas(uv, cap)).sum(), true.sum(), rtol=1e-6)
    assert (signed_areas(uv, cap) > 0).all()
    # A conformal map scales the three sides of a triangle alike.
    ratio = lengths(uv, cap) / lengths(points[used], cap)
    assert np.median(ratio.max(1) / ratio.min(1)) < 1.03


def test_a_folded_chart_has_infinite_stretch() -> None:
    flat, faces = grid(4, 4)
    points = np.column_stack([flat, np.zeros(len(flat))])
    assert stretch(points, faces, flat) < 1.01
    assert stretch(points, faces, np.abs(flat - [0.5, 0.0])) == float("inf")


def test_neighbours_and_connected_sets() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3], [4, 5, 6]])
    assert np.sort(face_neighbours(faces)).tolist() == [[0, 1]]
    assert len(set(connected(np.zeros(3, int), face_neighbours(faces)))) == 2
    assert len(set(connected(np.array([0, 1, 1]), face_neighbours(faces)))) == 3


def test_small_charts_join_their_largest_contact() -> None:
    _, faces = grid(8, 8)
    # The lower triangles of the cells come first, the upper ones after them; an upper one touches lower ones only.
    half = len(faces) // 2
    charts = np.repeat([0, 1], half)
    charts[half + 10] = 2
    joined = absorb_small(charts, face_neighbours(faces), smallest=5)
    assert joined.max() == 1
    assert joined[half + 10] == joined[0]


def test_a_sphere_is_cut_until_every_chart_is_flat_enough() -> None:
    points, faces = sphere()
    chart, flat = cut_and_flatten(points, faces, np.zeros(len(faces), int), stretch_limit=3.0, smallest=20)
    assert len(flat) > 1
    assert np.array_equal(np.bincount(chart), [len(f) for f in flat])
    for k, triangles in enumerate(flat):
        uv = triangles.reshape(-1, 2)
        apart = np.arange(len(uv)).reshape(-1, 3)
        if len(triangles) >= 40:
            assert stretch(points[faces[chart == k]].reshape(-1, 3), apart, uv) <= 3.0 + 1e-9
        assert (signed_areas(uv, apart) > 0).all()
        assert len(set(connected(np.zeros(len(triangles), int), face_neighbours(faces[chart == k])))) == 1


def test_a_chart_that_lies_over_itself_is_cut() -> None:
    """A ramp that winds one and a half times around: flat it covers a third of itself, and no triangle of it is folded."""
    flat, faces = grid(8, 120)
    angle, radius = 3 * np.pi * flat[:, 0], 0.5 + flat[:, 1]
    ramp = np.stack([radius * np.cos(angle), 0.02 * angle, radius * np.sin(angle)], 1)
    uv = flatten(ramp, faces)
    assert (signed_areas(uv, faces) > 0).all() or (signed_areas(uv, faces) < 0).all()
    assert abs(overlaid(uv, faces) - 1 / 3) < 0.05
    chart, pieces = cut_and_flatten(ramp, faces, np.zeros(len(faces), np.int64), 6.0, 10**6)
    assert 2 <= len(pieces) <= 4
    for k, piece in enumerate(pieces):
        assert len(piece) == (chart == k).sum()
        assert overlaid(piece.reshape(-1, 2), np.arange(3 * len(piece)).reshape(-1, 3)) < 1e-3


def test_neighbours_in_a_flat_chart_do_not_lie_over_each_other() -> None:
    flat, faces = grid(30, 40)
    turned = flat @ np.array([[0.8, -0.6], [0.6, 0.8]])
    assert overlaid(turned, faces) == 0
    assert overlaid(np.concatenate([turned, turned]), np.concatenate([faces, faces + len(turned)])) == 0.5


def test_layers_in_one_place_cannot_be_halved_and_are_left() -> None:
    """Every triangle has the same centre, so that no plane parts them."""
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 0]])
    faces = np.array([[0, 1, 2]] * 80)
    chart, pieces = cut_and_flatten(points, faces, np.zeros(80, np.int64), 6.0, 10)
    assert len(chart) == 80 and sum(len(piece) for piece in pieces) == 80
