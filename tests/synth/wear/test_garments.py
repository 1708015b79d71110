"""Patterns: MakeHuman's formula, what refinement keeps, weights."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.mesh import face_normals, unique_edges
from carve.geometry.skinning import skin
from carve.synth.assets.files import Assets
from carve.synth.people.bodies import FullBody, ShapedBody, sample_traits, shape_body
from carve.synth.people.poses import sample_pose
from carve.synth.wear.garments import canonical_of, coarse_pattern, fit, kept_faces, refined_pattern, strongest_bones


def test_fit_is_makehumans_formula(full_body: FullBody, assets: Assets, woman: ShapedBody) -> None:
    asset = assets.garments["Coat"]
    mh = woman.rest * 10
    expected = np.zeros_like(asset.offsets)
    for v in range(0, len(expected), 97):
        scale = [abs(mh[asset.scale_vertices[a, 0], a] - mh[asset.scale_vertices[a, 1], a]) / asset.scale_denominators[a] for a in range(3)]
        place = sum(asset.ref_weights[v, k] * mh[asset.ref[v, k]] for k in range(3))
        expected[v] = (place + asset.offsets[v] * scale) / 10
    fitted = fit(coarse_pattern(full_body, asset), woman)
    if len(fitted) == len(expected):
        np.testing.assert_allclose(fitted[::97], expected[::97], atol=1e-12)
    else:
        pytest.fail("the coat has vertices that no face uses; choose another garment for this test")


def test_refinement_meets_its_length_and_stays_on_other_bodies(full_body: FullBody, assets: Assets, man: ShapedBody) -> None:
    pattern = refined_pattern(coarse_pattern(full_body, assets.garments["toigo_basic_tucked_t-shirt"]), man, 0.02)
    where = fit(pattern, man)
    edges = unique_edges(pattern.faces)
    # The filter after the last split may stretch an edge a little.
    assert np.linalg.norm(where[edges[:, 0]] - where[edges[:, 1]], axis=1).max() < 0.022
    np.testing.assert_allclose(np.asarray(pattern.joints.sum(1)).ravel(), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.asarray(pattern.binding.sum(1)).ravel(), 1.0, atol=1e-3)  # as in the file
    other = shape_body(full_body, sample_traits(full_body, np.random.default_rng(1)))
    # A refined pattern on another body is the refined fit, up to rounding: both are linear in the body but for the scale.
    coarse = fit(coarse_pattern(full_body, assets.garments["toigo_basic_tucked_t-shirt"]), other)
    low, high = coarse.min(0) - 0.02, coarse.max(0) + 0.02
    refined = fit(pattern, other)
    assert ((refined > low) & (refined < high)).all()


@pytest.mark.parametrize("name", ["Tightjeans", "F_Dress_01", "male_casualsuit02", "shoes02", "Skirt_Full_Long", "fedora"])
def test_garments_are_wound_outward(full_body: FullBody, assets: Assets, woman: ShapedBody, name: str) -> None:
    pattern = refined_pattern(coarse_pattern(full_body, assets.garments[name]), woman, 0.03)
    where = fit(pattern, woman)
    normal = face_normals(where, pattern.faces)
    middle = where[pattern.faces].mean(1)
    # Seen from the vertical axis through each piece's own side of the body, normals lead away.
    axis = np.column_stack([np.sign(middle[:, 0]) * np.abs(middle[:, 0]).mean(), middle[:, 1], np.full(len(middle), middle[:, 2].mean())])
    outward = np.einsum("fi,fi->f", normal, middle - axis)
    assert outward.sum() > 0


def test_stored_weights_are_the_strongest_and_sum_to_one(full_body: FullBody, assets: Assets) -> None:
    pattern = coarse_pattern(full_body, assets.garments["Coat"])
    bones, weights = strongest_bones(pattern)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-7)
    dense = pattern.joints.toarray()
    np.testing.assert_array_equal(bones[:, 0], np.where(dense.max(1) > 0, bones[:, 0], 0))
    assert (dense[np.arange(len(dense)), bones[:, 0]] >= dense.max(1) - 1e-9).all()


def test_a_garment_bound_to_the_skin_moves_with_it(full_body: FullBody, assets: Assets, woman: ShapedBody) -> None:
    """Cloth that hangs on skin vertices keeps its distance to them in the canonical pose and in any other."""
    pattern = coarse_pattern(full_body, assets.garments["Tightjeans"])
    rest = fit(pattern, woman)
    canonical = canonical_of(pattern, woman, rest)
    pose = sample_pose(full_body, woman, (), np.random.default_rng(0))
    bones, weights = strongest_bones(pattern)
    posed = skin(canonical, pose.transforms, bones, weights)
    index = {int(h): v for v, h in enumerate(full_body.base)}
    kept = [k for k, h in enumerate(pattern.asset.ref[:, 0]) if int(h) in index][: len(rest)]
    at = np.array([index[int(pattern.asset.ref[k, 0])] for k in kept])
    for cloth, skin_ in ((canonical, woman.canonical), (posed, pose.posed)):
        assert np.median(np.linalg.norm(cloth[kept] - skin_[at], axis=1)) < 0.03


def test_kept_faces_drop_the_rest(full_body: FullBody, assets: Assets, woman: ShapedBody) -> None:
    pattern = coarse_pattern(full_body, assets.garments["Tank_Top_01"])
    keep = np.zeros(len(pattern.faces), bool)
    keep[:40] = True
    piece = kept_faces(pattern, keep)
    assert len(piece.faces) == 40
    np.testing.assert_allclose(fit(piece, woman)[piece.faces], fit(pattern, woman)[pattern.faces[:40]], atol=1e-12)
