"""Raised cloth on a flat sheet, where heights, areas and openings are known."""

from __future__ import annotations

import numpy as np

from carve.geometry.mesh import boundary_edges, face_normals, unique_edges
from carve.synth.tailor.relief import Relief, finer, flat, raised, scored, swollen


def sheet(count: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """A square of one metre in the plane z = 0, facing +z."""
    line = np.linspace(-0.5, 0.5, count)
    y, x = np.meshgrid(line, line, indexing="ij")
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count, corner + count + 1
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(count * count)]), np.concatenate(
        [np.column_stack([a, b, c]), np.column_stack([b, d, c])]
    )


def uses(faces: np.ndarray) -> np.ndarray:
    """How often each edge is used, and that its two triangles run against each other."""
    halves = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed, count = np.unique(halves, axis=0, return_counts=True)
    assert (count == 1).all()
    return np.unique(np.sort(directed, 1), axis=0, return_counts=True)[1]


def disc(mesh: Relief) -> np.ndarray:
    return 0.3 - np.hypot(mesh.rest[:, 0], mesh.rest[:, 1])


def test_a_raised_disc_has_its_height_its_wall_and_no_new_opening() -> None:
    vertices, faces = sheet()
    mesh = raised(flat(vertices, faces), disc(flat(vertices, faces)), 0.02)
    lifted = mesh.lifted(vertices, faces)
    assert set(np.round(lifted[:, 2], 12)) == {0.0, 0.02}
    assert uses(mesh.faces).max() == 2
    assert len(boundary_edges(mesh.faces)) == len(boundary_edges(faces))
    top = (lifted[mesh.faces][..., 2] == 0.02).all(1)
    normals = face_normals(lifted, mesh.faces)
    assert abs(np.linalg.norm(normals[top], axis=1).sum() / 2 - np.pi * 0.3**2) < 0.01
    assert (normals[top, 2] > 0).all()
    wall = (lifted[mesh.faces][..., 2].min(1) == 0) & (lifted[mesh.faces][..., 2].max(1) > 0)
    outward = lifted[mesh.faces[wall]].mean(1)
    assert ((normals[wall] * outward).sum(1) > 0).all()  # walls face away from the disc
    np.testing.assert_allclose(mesh.operator @ vertices, mesh.rest, atol=1e-12)
    np.testing.assert_allclose(np.asarray(mesh.operator.sum(1)).ravel(), 1)


def test_a_groove_finer_than_the_triangles_needs_its_line_scored() -> None:
    vertices, faces = sheet()
    plain = flat(vertices, faces)
    line = lambda mesh: mesh.rest[:, 0] - 0.37 * mesh.rest[:, 1] - 0.012  # noqa: E731
    assert np.ptp(raised(plain, 0.002 - np.abs(line(plain)), -0.001).rest[:, 1]) == 1  # nothing is asked of it
    cut = scored(plain, line(plain), np.ones(len(vertices), bool))
    assert len(unique_edges(cut.faces)) > len(unique_edges(faces))
    groove = raised(cut, 0.002 - np.abs(line(cut)), -0.001)
    assert uses(groove.faces).max() == 2
    low = groove.height < 0
    assert np.abs(line(groove)[low]).max() < 0.003
    assert np.ptp(groove.rest[low, 1]) > 0.99  # all along
    area = np.linalg.norm(face_normals(groove.rest, groove.faces), axis=1).sum() / 2
    assert abs(area - 1) < 1e-9


def test_swelling_adds_to_what_is_raised() -> None:
    vertices, faces = sheet(5)
    mesh = swollen(
        raised(flat(vertices, faces), vertices[:, 0], 0.1), np.full(len(raised(flat(vertices, faces), vertices[:, 0], 0.1).rest), 0.2)
    )
    assert set(np.round(mesh.height, 12)) <= {0.2, 0.3}


def test_a_finer_mesh_covers_the_same_and_is_fine_where_asked() -> None:
    vertices, faces = sheet(5)
    near = np.linalg.norm(vertices - vertices[12], axis=1) < 0.1
    mesh = finer(flat(vertices, faces), near, 0.07)
    assert uses(mesh.faces).max() == 2
    edges = unique_edges(mesh.faces)
    length = np.linalg.norm(mesh.rest[edges[:, 0]] - mesh.rest[edges[:, 1]], axis=1)
    at = (np.linalg.norm(mesh.rest[edges] - vertices[12], axis=2) < 1e-9).any(1)
    assert length[at].max() < 0.07
    assert length.max() > 0.2
