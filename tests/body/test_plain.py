"""Anny without anatomy: what is gone, what stays, and that it holds for children too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carve.body.anny import AnnyBody
from carve.body.model import REGIONS, rest_pose
from carve.body.plain import GAP, plain_body, plain_shapes
from carve.body.zones import FEET
from carve.geometry.mesh import components, signed_volume, vertex_normals
from carve.geometry.queries import MeshQueries


@pytest.fixture(scope="module")
def plain(anny_body: AnnyBody) -> AnnyBody:
    return plain_body(anny_body)


def shaped(body: AnnyBody, **phenotypes: float) -> np.ndarray:
    """(V, 3) rest vertices."""
    shape = body.prior.mean.clone()
    for name, value in phenotypes.items():
        shape[body.shape_names.index(name)] = value
    return rest_pose(body, shape)[0].double().numpy()


ADULT_AND_CHILD = pytest.mark.parametrize("phenotypes", [{"gender": 0.0}, {"gender": 1.0, "weight": 0.8}, {"age": 0.35, "height": 0.3}])


@ADULT_AND_CHILD
def test_only_trunk_hips_and_feet_change(anny_body: AnnyBody, plain: AnnyBody, phenotypes: dict[str, float]) -> None:
    before, after = (shaped(body, **phenotypes) for body in (anny_body, plain))
    moved = np.linalg.norm(after - before, axis=1)
    changing = np.isin(anny_body.region, [REGIONS.index(n) for n in ("torso", "left_upper_leg", "right_upper_leg")] + list(FEET))
    assert moved[~changing].max() < 0.003
    assert 0.005 < moved.max() < 0.08
    label = components(anny_body.faces, len(before))
    skin = anny_body.faces[label[anny_body.faces[:, 0]] == np.bincount(label).argmax()]
    assert signed_volume(after, skin) == pytest.approx(signed_volume(before, skin), rel=0.02)


@ADULT_AND_CHILD
def test_toes_are_closed(anny_body: AnnyBody, plain: AnnyBody, phenotypes: dict[str, float]) -> None:
    def facing(body: AnnyBody) -> int:
        """Vertices of the feet whose normal meets the feet again within GAP: the sides of toes."""
        vertices = shaped(body, **phenotypes)
        normals = vertex_normals(vertices, body.faces)
        foot = np.isin(body.region, FEET)
        hit, _ = MeshQueries(vertices, body.faces).first_hit(vertices[foot] + 1e-3 * normals[foot], normals[foot], GAP)
        return int((hit >= 0).sum())

    assert facing(plain) < 0.7 * facing(anny_body)


def test_the_middle_of_the_seat_is_no_longer_behind_both_sides(anny_body: AnnyBody, plain: AnnyBody) -> None:
    """Depth of the cleft: how much farther back the skin beside the middle reaches, at the height where that is most."""
    depth = []
    for body in (anny_body, plain):
        place = shaped(body, gender=1.0) - body.heads[body.names.index("root")].double().numpy()
        back = (place[:, 2] < 0) & (np.abs(place[:, 1]) < 0.05)
        middle, beside = back & (np.abs(place[:, 0]) < 0.008), back & (np.abs(np.abs(place[:, 0]) - 0.06) < 0.02)
        depth.append(place[middle, 2].max() - place[beside, 2].min())
    assert depth[1] < 0.6 * depth[0]


def test_faces_keep_their_shapes(anny_body: AnnyBody, plain: AnnyBody) -> None:
    assert torch.equal(plain.face_shapes, anny_body.face_shapes)
    assert plain.faces is anny_body.faces and torch.equal(plain.heads, anny_body.heads)


def test_a_matrix_of_another_mesh_is_refused(anny_body: AnnyBody) -> None:
    with pytest.raises(ValueError, match=f"made for {len(anny_body.template)} vertices, the body has 7"):
        plain_shapes(torch.zeros(7, 3), 7)


def test_the_matrix_serves_a_person_as_it_serves_the_model(anny_body: AnnyBody, plain: AnnyBody) -> None:
    rng = torch.Generator().manual_seed(1)
    code = 0.3 * torch.randn(len(anny_body.shapes), generator=rng)
    person = anny_body.template + torch.einsum("s,svc->vc", code, anny_body.shapes)
    expected = plain.template + torch.einsum("s,svc->vc", code, plain.shapes)
    assert torch.allclose(plain_shapes(person, len(person)), expected, atol=1e-5)
