"""Refinement and clipping: lengths, areas, boundaries, linearity, no hanging vertices."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.mesh import boundary_edges, face_normals, is_watertight, signed_volume, unique_edges
from carve.geometry.meshing.refinement import clip, refine, refine_where, split_edges
from solids import box, sphere


def plate(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A flat unit square of 2 n^2 triangles."""
    grid = np.stack(np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1), indexing="ij"), -1).reshape(-1, 2)
    vertices = np.column_stack([grid, np.zeros(len(grid))])
    index = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    a, b, c, d = index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2)


def corners_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Corner values that are a linear function of place, so that they can be told afterwards."""
    return vertices[faces][..., :2] * 2.0 + 1.0


@pytest.mark.parametrize("seed", range(4))
def test_any_set_of_split_edges_keeps_surface_and_corners(seed: int) -> None:
    vertices, faces = sphere(splits=1)
    edges = unique_edges(faces)
    split = np.random.default_rng(seed).random(len(edges)) < 0.4
    mesh = split_edges(faces, corners_of(vertices, faces), len(vertices), split)
    moved = mesh.operator @ vertices
    assert is_watertight(mesh.faces)
    assert len(moved) == len(vertices) + split.sum()
    assert area(moved, mesh.faces) == pytest.approx(area(vertices, faces), rel=1e-12)
    assert signed_volume(moved, mesh.faces) == pytest.approx(signed_volume(vertices, faces), rel=1e-12)
    np.testing.assert_allclose(mesh.corners, corners_of(moved, mesh.faces), atol=1e-12)
    # Every piece lies within its source triangle: its normal is the same.
    unit = lambda n: n / np.linalg.norm(n, axis=1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(unit(face_normals(moved, mesh.faces)), unit(face_normals(vertices, faces))[mesh.source], atol=1e-9)


def test_no_edge_is_longer_than_asked() -> None:
    vertices, faces = box()
    mesh = refine(vertices, faces, corners_of(vertices, faces), 0.13, rounded=False)
    moved = mesh.operator @ vertices
    edges = unique_edges(mesh.faces)
    assert np.linalg.norm(moved[edges[:, 0]] - moved[edges[:, 1]], axis=1).max() <= 0.13
    assert is_watertight(mesh.faces)
    assert area(moved, mesh.faces) == pytest.approx(area(vertices, faces), rel=1e-12)


def test_rounding_brings_a_coarse_sphere_nearer_to_the_sphere() -> None:
    vertices, faces = sphere(splits=1)
    flat = refine(vertices, faces, corners_of(vertices, faces), 0.15, rounded=False)
    smooth = refine(vertices, faces, corners_of(vertices, faces), 0.15, rounded=True)
    spread = lambda mesh: float(np.linalg.norm(mesh.operator @ vertices, axis=1).std())  # noqa: E731
    assert spread(smooth) < 0.6 * spread(flat)


def test_rounding_keeps_the_rims_of_a_tube_in_their_planes() -> None:
    sheet, faces = plate(6)
    seam = np.arange(7)
    angle = 2 * np.pi * sheet[:, 0]
    tube = np.column_stack([np.cos(angle), sheet[:, 1], np.sin(angle)])
    index = np.arange(len(tube))
    index[6 * 7 + seam] = seam
    mesh = refine(tube, index[faces], corners_of(tube, faces), 0.2, rounded=True)
    moved = mesh.operator @ tube
    rim = np.unique(boundary_edges(mesh.faces))
    assert np.minimum(np.abs(moved[rim, 1]), np.abs(moved[rim, 1] - 1)).max() < 1e-12
    # A hexagon became rounder: the middles of its sides moved outward.
    assert np.linalg.norm(moved[rim][:, [0, 2]], axis=1).min() > np.cos(np.pi / 6) + 0.02


def test_operators_keep_constants() -> None:
    vertices, faces = sphere(splits=1)
    mesh = refine(vertices, faces, corners_of(vertices, faces), 0.2, rounded=True)
    np.testing.assert_allclose(np.asarray(mesh.operator.sum(1)).ravel(), 1.0, atol=1e-12)


def test_clip_cuts_along_the_line() -> None:
    vertices, faces = plate()
    field = 0.37 - vertices[:, 0]
    mesh = clip(faces, corners_of(vertices, faces), field)
    moved = mesh.operator @ vertices
    assert moved[:, 0].max() == pytest.approx(0.37)
    assert area(moved, mesh.faces) == pytest.approx(0.37)
    assert (face_normals(moved, mesh.faces)[:, 2] > 0).all()
    np.testing.assert_allclose(mesh.corners, corners_of(moved, mesh.faces), atol=1e-12)
    rim = moved[np.unique(boundary_edges(mesh.faces))]
    on_border = np.minimum(np.abs(rim[:, 0]), np.abs(rim[:, 0] - 0.37)) < 1e-9
    assert (on_border | (np.minimum(np.abs(rim[:, 1]), np.abs(rim[:, 1] - 1)) < 1e-9)).all()


def test_clip_of_a_sphere_leaves_one_open_cap() -> None:
    vertices, faces = sphere(splits=3)
    mesh = clip(faces, corners_of(vertices, faces), vertices[:, 1] - 0.2)
    moved = mesh.operator @ vertices
    assert moved[:, 1].min() == pytest.approx(0.2, abs=1e-9)
    assert area(moved, mesh.faces) == pytest.approx(2 * np.pi * 0.8, rel=0.02)


def test_clip_that_keeps_all_changes_nothing() -> None:
    vertices, faces = sphere(splits=1)
    mesh = clip(faces, corners_of(vertices, faces), np.ones(len(vertices)))
    np.testing.assert_array_equal(mesh.operator @ vertices, vertices)
    assert {tuple(f) for f in mesh.faces} == {tuple(f) for f in faces}


def test_only_marked_triangles_and_their_neighbours_are_split_and_new_vertices_bend_with_the_surface() -> None:
    vertices, faces = sphere(splits=2)
    fine, places = refine_where(vertices, faces, lambda points, edges: (points[edges][..., 2] > 0.3).all(1), levels=2)
    assert is_watertight(fine.faces)
    np.testing.assert_allclose(np.asarray(fine.operator.sum(1)).ravel(), 1, atol=1e-12)
    fresh = np.arange(len(places)) >= len(vertices)
    assert fresh.any() and places[fresh, 2].min() > 0
    np.testing.assert_array_equal(places[~fresh], vertices)
    flat = np.linalg.norm(fine.operator @ vertices, axis=1)[fresh]
    assert np.abs(np.linalg.norm(places, axis=1)[fresh] - 1).max() < 0.2 * np.abs(flat - 1).max()


def test_nothing_marked_changes_nothing() -> None:
    vertices, faces = sphere(splits=1)
    same, places = refine_where(vertices, faces, lambda _points, edges: np.zeros(len(edges), bool), levels=2)
    np.testing.assert_array_equal(same.faces, faces)
    np.testing.assert_array_equal(places, vertices)
