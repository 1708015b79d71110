"""Distances against winding numbers and finite differences; weights that are the skin's on the skin and change smoothly around it."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.model import CanonicalBody, canonical_body
from carve.body.skin_field import OFF_SKIN, SkinField
from carve.geometry.mesh import components
from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import axis_rotation
from synthetic import Truth


@pytest.fixture(scope="module")
def body(anny_body: AnnyBody) -> CanonicalBody:
    return canonical_body(anny_body, anny_body.prior.mean)


@pytest.fixture(scope="module")
def field(anny_body: AnnyBody, body: CanonicalBody) -> SkinField:
    return SkinField(body.vertices, anny_body.faces, anny_body.bones, anny_body.weights, anny_body.region)


def around(body: CanonicalBody, count: int, sigma: float = 0.05) -> np.ndarray:
    """(N, 3) points near the skin."""
    rng = np.random.default_rng(0)
    return body.vertices[rng.integers(len(body.vertices), size=count)] + rng.normal(0, sigma, (count, 3))


def test_the_sign_is_that_of_the_winding_number(body: CanonicalBody, field: SkinField) -> None:
    points = around(body, 4000, 0.03)
    near = field.near(points)
    slow = MeshQueries(body.vertices, field.faces, winding=True).signed_distance(points)
    assert (near.distance < 0).any()
    np.testing.assert_allclose(np.abs(near.distance), np.abs(slow), atol=1e-6)
    wrong = np.sign(near.distance) != np.sign(slow)
    assert wrong.mean() < 1e-3  # where skin touches skin
    assert np.abs(slow[wrong]).max(initial=0) < 0.01


def test_eyeballs_do_not_count(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    label = components(anny_body.faces, len(body.vertices))
    assert len(field.faces) < len(anny_body.faces)
    assert len(np.unique(label[field.faces[:, 0]])) == 1


def test_the_gradient_is_that_of_the_distance(body: CanonicalBody, field: SkinField) -> None:
    points = around(body, 500)
    near = field.near(points)
    step = 1e-4
    difference = np.column_stack(
        [(field.near(points + step * axis).distance - field.near(points - step * axis).distance) / (2 * step) for axis in np.eye(3)]
    )
    away = np.abs(near.distance) > 0.002
    error = np.linalg.norm(difference - near.gradient, axis=1)[away]
    assert np.median(error) < 2e-3
    assert (error < 0.1).mean() > 0.97  # except between two limbs
    np.testing.assert_allclose(np.linalg.norm(near.gradient, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(near.normal, axis=1), 1, atol=1e-5)
    # Near the skin both point outward.
    close = np.abs(near.distance) < 0.02
    assert ((near.gradient * near.normal).sum(1)[close] > 0.5).mean() > 0.97


def test_on_the_skin_the_weights_and_regions_are_the_skins(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    used = np.unique(field.faces)[::29]
    points = body.vertices[used]
    near = field.near(points)
    weights = field.weights(points, near, len(anny_body.names))
    expected = np.zeros_like(weights)
    for k in range(anny_body.bones.shape[1]):
        np.add.at(expected, (np.arange(len(used)), anny_body.bones[used, k]), anny_body.weights[used, k])
    same = np.linalg.norm(points - np.einsum("nk,nkd->nd", near.bary, body.vertices[field.faces[near.face]]), axis=1) < 1e-6
    assert same.mean() > 0.99
    np.testing.assert_allclose(weights[same], expected[same], atol=2e-3)
    assert (near.region == anny_body.region[used]).mean() > 0.98


def test_maps_are_blended_with_the_weights(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    rng = np.random.default_rng(1)
    turns = np.stack([axis_rotation(1, angle) for angle in rng.normal(size=len(anny_body.names))])
    transforms = np.concatenate([turns, rng.normal(size=(len(turns), 3, 1))], 2)
    points = around(body, 700, 0.08)
    near = field.near(points)
    weights = field.weights(points, near, len(transforms))
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert weights.min() >= 0
    np.testing.assert_allclose(field.blend(points, near, transforms), np.einsum("nb,bij->nij", weights, transforms), atol=1e-5)


def test_points_that_were_carried_are_not_blended_again(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    transforms, others = np.random.default_rng(3).normal(size=(2, len(anny_body.names), 3, 4))
    points, rows = around(body, 300), np.array([7, 3, 250])
    near = field.near(points)
    carried = field.carried(points, near, transforms)
    assert field.blend(points, carried, transforms.copy()) is carried.carried[1]
    np.testing.assert_array_equal(field.blend(points[rows], carried.part(rows), transforms), field.blend(points, near, transforms)[rows])
    np.testing.assert_array_equal(field.blend(points, carried, others), field.blend(points, near, others))
    np.testing.assert_array_equal(near.part(rows).bary, near.bary[rows])


def test_between_the_legs_no_weight_jumps(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    """A skirt's cloth there belongs to both legs; the nearest vertex would tear it."""
    knees = [body.skeleton.heads[anny_body.names.index(anny_body.humanoid[f"{side}LowerLeg"])] for side in ("right", "left")]
    path = knees[0] + np.linspace(0.25, 0.75, 201)[:, None] * (knees[1] - knees[0])
    near = field.near(path)
    assert (near.distance[90:111] > OFF_SKIN).all()
    weights = field.weights(path, near, len(anny_body.names))
    jump = np.abs(np.diff(weights, axis=0)).sum(1)
    length = np.linalg.norm(path[1] - path[0])
    assert jump.max() < 40 * length  # per metre; one jump from leg to leg is 2 within a step
    left = weights[:, [i for i, name in enumerate(anny_body.names) if name.endswith(".L")]].sum(1)
    assert left[100] == pytest.approx(0.5, abs=0.05)
    assert left[0] < 0.05
    assert left[-1] > 0.95


def test_reshaped_is_the_field_of_the_other_vertices(anny_body: AnnyBody, body: CanonicalBody, field: SkinField) -> None:
    other = body.vertices * [1.05, 0.97, 1.1]
    fresh = SkinField(other, anny_body.faces, anny_body.bones, anny_body.weights, anny_body.region)
    moved = field.reshaped(other)
    points = around(body, 300)
    transforms = np.random.default_rng(0).normal(size=(len(anny_body.names), 3, 4))
    near, expected = moved.near(points), fresh.near(points)
    np.testing.assert_array_equal(near.distance, expected.distance)
    np.testing.assert_array_equal(moved.blend(points, near, transforms), fresh.blend(points, expected, transforms))
    assert not np.array_equal(field.near(points).distance, near.distance)


def test_of_takes_the_canonical_body(clothed: Truth) -> None:
    field = SkinField.of(clothed.body)
    centre = clothed.body.skeleton.heads[clothed.body.skeleton.names.index(clothed.body.skeleton.humanoid["chest"])]
    assert field.near(centre[None]).distance[0] < -0.03
