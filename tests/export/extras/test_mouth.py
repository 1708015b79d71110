"""The mouth's inside: closed parts behind the lips, of which the lower ones go with the jaw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.head.face_points import face_points
from carve.body.head.face_surface import concealed
from carve.export.asset import Exported
from carve.export.extras.face import with_face
from carve.export.extras.mouth import CORNERS, LIPS, WIDTH, cavity, dark_cavity, with_mouth
from carve.export.outputs import reduced
from carve.export.records import Asset
from carve.geometry.mesh import boundary_edges, components, signed_volume
from carve.geometry.queries import MeshQueries
from carve.geometry.unwrapping.atlas import Atlas, texels
from carve.records import Avatar
from optional import needs


@pytest.fixture(scope="module")
def speaking(naked: Avatar, with_shapes: Asset) -> Asset:
    return with_mouth(with_shapes, naked)


@pytest.fixture(scope="module")
def pieces(speaking: Asset, with_shapes: Asset) -> list[np.ndarray]:
    """Vertices of the upper teeth, the lower teeth and the tongue."""
    label = components(speaking.faces, len(speaking.vertices))
    return [np.flatnonzero(label == k) for k in np.unique(label[len(with_shapes.vertices) :])]


def moved(asset: Asset, name: str) -> np.ndarray:
    """(V, 3) the vertices with one face shape on."""
    shape = next(shape for shape in asset.shapes if shape.name == name)
    vertices = asset.vertices.copy()
    vertices[shape.vertices] += shape.offsets
    return vertices


def test_three_closed_parts_join_the_skin_which_stays(speaking: Asset, with_shapes: Asset, pieces: list[np.ndarray]) -> None:
    count = len(with_shapes.vertices)
    np.testing.assert_array_equal(speaking.vertices[:count], with_shapes.vertices)
    np.testing.assert_array_equal(speaking.faces[: len(with_shapes.faces)], with_shapes.faces)
    np.testing.assert_array_equal(speaking.corner[speaking.split_faces], speaking.faces)
    assert len(pieces) == 3 and sum(map(len, pieces)) == len(speaking.vertices) - count
    for own in pieces:
        faces = speaking.faces[np.isin(speaking.faces, own).all(1)]
        assert len(boundary_edges(faces)) == 0 and signed_volume(speaking.vertices, faces) > 0
    assert (speaking.bones[count:, 0] == speaking.skeleton.index("head")).all()


def test_closed_lips_hide_the_teeth_and_an_open_mouth_shows_them(speaking: Asset, with_shapes: Asset, pieces: list[np.ndarray]) -> None:
    def visible(vertices: np.ndarray, own: np.ndarray) -> float:
        rows = own[speaking.normals[own, 2] > 0.3]
        ahead = np.tile([0.0, 0.0, 1.0], (len(rows), 1))
        return 1 - float(MeshQueries(vertices, speaking.faces).blocked(vertices[rows] + 1e-4 * ahead, ahead, 0.2).mean())

    upper, lower, tongue = pieces
    for own in pieces:
        assert visible(speaking.vertices, own) < 0.05  # the lips leave a slit
    wide = moved(speaking, "jawOpen")
    assert visible(wide, lower) > 0.1 and visible(wide, tongue) > 0.1
    assert upper.min() >= len(with_shapes.vertices)


def test_lower_teeth_go_rigidly_with_the_jaw(speaking: Asset, pieces: list[np.ndarray]) -> None:
    upper, lower, _ = pieces
    wide = moved(speaking, "jawOpen")
    np.testing.assert_array_equal(wide[upper], speaking.vertices[upper])
    assert (wide[lower, 1] - speaking.vertices[lower, 1]).mean() < -0.01
    sides = [np.linalg.norm(points[lower[1:]] - points[lower[:-1]], axis=1) for points in (speaking.vertices, wide)]
    np.testing.assert_allclose(sides[0], sides[1], atol=1e-6)


def test_the_cavity_is_dark_and_the_face_keeps_its_colours(naked: Avatar, with_shapes: Asset, speaking: Asset) -> None:
    changed = (speaking.albedo != with_shapes.albedo).any(-1)
    assert 0 < changed.mean() < 0.05
    smaller = replace(with_shapes, shapes=())
    assert with_mouth(smaller, naked) is smaller


def test_texels_that_lips_show_too_keep_their_colours(naked: Avatar, with_shapes: Asset) -> None:
    """A flat chart in which the inside of the mouth lies over the face."""
    surface = naked.surface.canonical
    shift = with_shapes.skeleton.heads[with_shapes.skeleton.index("head")] - surface.skeleton.heads[surface.skeleton.names.index("head")]
    points = face_points().on(naked.body.canonical) + shift
    origin, scale = points[list(LIPS)].mean(0), float(np.linalg.norm(points[CORNERS[1]] - points[CORNERS[0]]) / WIDTH)
    inside, _ = cavity(with_shapes, origin, scale)
    within = inside[with_shapes.corner] > 0
    assert within.any() and not within.all()
    uv = with_shapes.uv.copy()
    uv[within] = uv[~within][: within.sum()]
    folded = replace(with_shapes, uv=uv)
    found = dark_cavity(folded, origin, scale)
    outer = folded.split_faces[(inside[folded.corner[folded.split_faces]] <= 0.05).all(1)]
    shown = texels(Atlas(folded.corner, outer, uv, np.zeros(len(outer), np.int64)), found.shape[0]).index
    np.testing.assert_array_equal(found.reshape(-1, 3)[shown], folded.albedo.reshape(-1, 3)[shown])


def test_nobody_before_the_face_sees_the_cavity_and_crumpled_lips_are_none(naked: Avatar, with_shapes: Asset) -> None:
    queries = MeshQueries(with_shapes.vertices, with_shapes.faces)
    head = with_shapes.skeleton.heads[with_shapes.skeleton.index("head")]
    nose = with_shapes.vertices[:, 2] > np.quantile(with_shapes.vertices[with_shapes.vertices[:, 1] > head[1], 2], 0.98)
    before = with_shapes.vertices[nose & (with_shapes.vertices[:, 1] > head[1])] + 2e-4 * np.array([0.0, 0.0, 1.0])
    assert not concealed(before, queries).any()
    assert concealed(head[None] + np.array([[0.0, 0.03, 0.02]]), queries).all()


def test_fewer_triangles_keep_the_teeth_and_their_shading(speaking: Asset, pieces: list[np.ndarray]) -> None:
    needs("meshoptimizer")
    textured = replace(speaking, albedo=np.repeat(np.repeat(speaking.albedo, 4, axis=0), 4, axis=1))
    coarse = reduced(textured, 6000)
    assert coarse.inner is not None and coarse.normal_map is not None
    assert coarse.inner.sum() > 0.15 * sum(map(len, pieces))
    uv = coarse.uv[coarse.inner[coarse.corner]] * coarse.normal_map.shape[0]
    own = coarse.normal_map[uv[:, 1].astype(int), uv[:, 0].astype(int)]
    np.testing.assert_allclose(own, np.tile([128, 128, 255], (len(own), 1)), atol=1)


def test_another_body_model_has_no_mouth(naked: Avatar, exported: Exported) -> None:
    other = replace(naked, body=replace(naked.body, model="smpl"))
    assert with_mouth(with_face(exported.asset, other), other) is exported.asset
