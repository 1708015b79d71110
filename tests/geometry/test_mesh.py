"""Measures of meshes against closed forms on a sphere and a box."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry import mesh
from solids import box, sphere


def test_normals_and_areas_of_a_box() -> None:
    vertices, faces = box((2.0, 3.0, 4.0), centre=(1.0, -2.0, 0.5))
    normals = mesh.face_normals(vertices, faces)
    outward = ((vertices[faces].mean(1) - [1.0, -2.0, 0.5]) * normals).sum(1)
    assert (outward > 0).all()
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(2 * (6 + 8 + 12))
    np.testing.assert_allclose(normals.sum(0), 0, atol=1e-12)  # closed
    assert mesh.signed_volume(vertices, faces) == pytest.approx(24)
    assert mesh.signed_volume(vertices, faces[:, ::-1]) == pytest.approx(-24)


def test_a_sphere_is_a_sphere() -> None:
    vertices, faces = sphere(0.7, centre=(0.1, 0.2, 0.3), splits=4)
    assert mesh.signed_volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=5e-3)
    radial = (vertices - [0.1, 0.2, 0.3]) / 0.7
    np.testing.assert_allclose((mesh.vertex_normals(vertices, faces) * radial).sum(1), 1, atol=1e-4)
    assert len(vertices) == 10 * 4**4 + 2


def test_vertex_normals_turn_with_the_mesh() -> None:
    vertices, faces = sphere(splits=2)
    vertices = vertices * [1.0, 2.0, 0.5]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    np.testing.assert_allclose(mesh.vertex_normals(vertices @ turn.T, faces), mesh.vertex_normals(vertices, faces) @ turn.T, atol=1e-12)
    np.testing.assert_allclose(mesh.vertex_normals(7 * vertices, faces), mesh.vertex_normals(vertices, faces), atol=1e-12)


def test_edges_obey_euler() -> None:
    vertices, faces = sphere(splits=2)
    edges = mesh.unique_edges(faces)
    assert len(vertices) - len(edges) + len(faces) == 2
    assert (edges[:, 0] < edges[:, 1]).all()
    degree = np.asarray(mesh.adjacency(faces, len(vertices)).sum(1)).ravel()
    assert sorted(set(degree.tolist())) == [5, 6]
    assert (degree == 5).sum() == 12
    assert degree.sum() == 2 * len(edges)


def test_the_laplacian_is_the_mean_of_the_neighbours() -> None:
    vertices, faces = sphere(splits=1)
    values = np.random.default_rng(1).normal(size=(len(vertices) + 1, 2))
    laplacian = mesh.uniform_laplacian(faces, len(vertices) + 1)
    for vertex in range(len(vertices)):
        touching = np.unique(faces[(faces == vertex).any(1)])
        neighbours = touching[touching != vertex]
        np.testing.assert_allclose((laplacian @ values)[vertex], values[vertex] - values[neighbours].mean(0), atol=1e-12)
    assert not (laplacian @ values)[-1].any()  # a vertex that no face uses


def test_the_cotangent_laplacian_knows_linear_functions_and_areas() -> None:
    """On a flat patch without obtuse angles it kills linear functions inside; on a sphere x is an eigenfunction: S x = 2 / r^2 A x."""
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), -1).reshape(-1, 2)
    inner = ((grid > 0) & (grid < 8)).all(1)
    lattice = grid @ [[1.0, 0.0], [-0.5, 0.75**0.5]]
    flat = np.column_stack([lattice + inner[:, None] * rng.uniform(-0.1, 0.1, (81, 2)), np.zeros(81)])
    corner = np.array([9 * i + j for i in range(8) for j in range(8)])
    faces = np.concatenate([np.stack([corner, corner + 1, corner + 10], 1), np.stack([corner, corner + 10, corner + 9], 1)])
    stiffness, area = mesh.cotangent_laplacian(flat, faces)
    np.testing.assert_allclose((stiffness @ flat[:, :2])[inner], 0, atol=1e-9)
    assert area.sum() == pytest.approx(64 * 0.75**0.5)
    assert abs(stiffness - stiffness.T).max() < 1e-12
    vertices, faces = sphere(0.5, splits=4)
    stiffness, area = mesh.cotangent_laplacian(vertices, faces)
    assert area.sum() == pytest.approx(4 * np.pi * 0.25, rel=5e-3)
    for axis in range(3):
        x = vertices[:, axis]
        assert (x @ (stiffness @ x)) / (x @ (area * x)) == pytest.approx(2 / 0.25, rel=1e-2)


def noisy_sphere() -> tuple[np.ndarray, np.ndarray]:
    """A sphere of radius 1 with radial noise of 2 %."""
    vertices, faces = sphere(splits=4)
    return vertices * (1 + np.random.default_rng(3).normal(scale=0.02, size=(len(vertices), 1))), faces


def test_smoothing_takes_the_noise_and_leaves_the_volume() -> None:
    vertices, faces = noisy_sphere()
    smooth = mesh.smooth(vertices, faces, 20)
    assert np.linalg.norm(smooth, axis=1).std() < 0.4 * np.linalg.norm(vertices, axis=1).std()
    assert mesh.signed_volume(smooth, faces) == pytest.approx(mesh.signed_volume(vertices, faces), rel=0.01)
    np.testing.assert_array_equal(mesh.smooth(vertices, faces, 0), vertices)


def test_diffusion_shrinks_a_sphere_and_keeps_constants() -> None:
    vertices, faces = noisy_sphere()
    shrunk = mesh.diffuse(vertices, faces, 40)
    assert mesh.signed_volume(shrunk, faces) < 0.98 * mesh.signed_volume(vertices, faces)
    np.testing.assert_allclose(mesh.diffuse(np.full((len(vertices), 2), 3.5), faces, 10), 3.5)
    spread = mesh.diffuse(np.eye(len(vertices))[:, :1], faces, 5)
    assert (spread >= 0).all()  # a maximum principle
    assert spread.max() < 1


def two_pieces() -> tuple[np.ndarray, np.ndarray]:
    """A small sphere of many vertices and a large box of few."""
    ball, ball_faces = sphere(0.2, centre=(5.0, 0.0, 0.0), splits=2)
    cube, cube_faces = box((3.0, 3.0, 3.0))
    return np.concatenate([ball, cube, [[9.0, 9.0, 9.0]]]), np.concatenate([ball_faces, cube_faces + len(ball)])


def test_pieces_are_told_apart() -> None:
    vertices, faces = two_pieces()
    label = mesh.components(faces, len(vertices))
    assert len(np.unique(label)) == 3  # the last vertex is alone
    assert (label[:162] == label[0]).all() and (label[162:170] == label[162]).all()
    assert len({int(label[0]), int(label[162]), int(label[170])}) == 3


def test_the_largest_piece_is_the_one_of_largest_extent() -> None:
    vertices, faces = mesh.largest_component(*two_pieces())
    expected, _ = box((3.0, 3.0, 3.0))
    np.testing.assert_array_equal(vertices, expected)
    assert mesh.signed_volume(vertices, faces) == pytest.approx(27)


def test_unused_vertices_are_dropped() -> None:
    vertices, faces = two_pieces()
    kept, renumbered, old = mesh.compact(vertices, faces[:-1])
    np.testing.assert_array_equal(kept[renumbered], vertices[faces[:-1]])
    np.testing.assert_array_equal(vertices[old], kept)
    assert len(kept) == len(np.unique(faces[:-1]))


def test_holes_are_seen() -> None:
    _, faces = sphere(splits=2)
    assert mesh.is_watertight(faces)
    assert len(mesh.boundary_edges(faces)) == 0
    opened = np.delete(faces, 7, axis=0)
    assert not mesh.is_watertight(opened)
    rim = mesh.boundary_edges(opened)
    np.testing.assert_array_equal(np.sort(np.unique(rim)), np.sort(faces[7]))
    assert len(rim) == 3
    flipped = faces.copy()
    flipped[7] = flipped[7][::-1]
    assert not mesh.is_watertight(flipped)  # wound against its neighbours
    doubled = np.concatenate([faces, faces[:1]])
    assert not mesh.is_watertight(doubled)


def test_a_membrane_bridges_a_dent_and_leaves_the_rest() -> None:
    ball, faces = sphere(0.1, splits=4)
    dent = np.exp(-((ball - [0, 0, 0.1]) ** 2).sum(1) / (2 * 0.012**2))
    dented = ball * (1 - 0.15 * dent)[:, None]
    far, middle = dent < 0.01, dent > 0.8
    covered = mesh.membrane(dented, faces, np.ones(len(ball)), 0.012, 8)
    assert np.linalg.norm(covered[middle], axis=1).mean() > np.linalg.norm(dented[middle], axis=1).mean() + 0.003
    assert np.abs(np.linalg.norm(covered[far], axis=1) - 0.1).max() < 0.002
