"""The clothed surface of a person whose body and clothes are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from carve.body.anny import AnnyBody
from carve.body.model import REGIONS
from carve.geometry.mesh import components, is_watertight, signed_volume, unique_edges
from carve.geometry.raster import rasterise
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import BodyFit, CanonicalSurface, Observation, StageError
from carve.stages.canonical import Params, build_canonical
from synthetic import Truth, synthetic_person


def posed(surface: CanonicalSurface, body: BodyFit) -> np.ndarray:
    """(V, 3) the surface in the photo's pose."""
    skeleton, pose = surface.skeleton, body.pose
    rotations, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    return skin(surface.vertices, bone_transforms(rotations, heads, skeleton.heads), surface.bones, surface.weights)


def silhouette_iou(vertices: np.ndarray, faces: np.ndarray, observation: Observation) -> float:
    """Of a mesh in the camera frame against the mask."""
    drawn, mask = rasterise(vertices, faces, observation.camera).mask, observation.mask > 0.5
    return float((drawn & mask).sum() / (drawn | mask).sum())


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of both mean distances between two sets of points."""
    return float(cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean()) / 2


def test_the_surface_is_closed_and_wound_outward(canonical: CanonicalSurface) -> None:
    assert is_watertight(canonical.faces)
    assert signed_volume(canonical.vertices, canonical.faces) > 0.03
    assert len(np.unique(canonical.faces)) == len(canonical.vertices)


def test_the_surface_is_one_piece(canonical: CanonicalSurface) -> None:
    assert components(canonical.faces, len(canonical.vertices)).max() == 0


def test_no_edge_is_long(canonical: CanonicalSurface) -> None:
    edges = unique_edges(canonical.faces)
    length = np.linalg.norm(canonical.vertices[edges[:, 0]] - canonical.vertices[edges[:, 1]], axis=1)
    assert length.max() < 2 * Params().longest_edge
    assert np.quantile(length, 0.99) < 1.25 * Params().longest_edge


def test_weights_are_four_a_vertex_and_sum_to_one(clothed: Truth, canonical: CanonicalSurface) -> None:
    assert canonical.skeleton is clothed.body.skeleton
    assert canonical.bones.shape == canonical.weights.shape == (len(canonical.vertices), 4)
    np.testing.assert_allclose(canonical.weights.sum(1), 1, atol=1e-9)
    assert (canonical.weights >= 0).all()
    assert (np.diff(canonical.weights, axis=1) <= 0).all()
    assert ((canonical.bones >= 0) & (canonical.bones < len(canonical.skeleton.names))).all()
    assert 0 <= canonical.dropped_weight < 0.5
    assert 0 <= canonical.skinning_error < 0.002


def test_everything_is_finite_and_in_range(canonical: CanonicalSurface) -> None:
    for values in (canonical.vertices, canonical.weights, canonical.sigma):
        assert np.isfinite(values).all()
    assert canonical.region.dtype == np.uint8
    assert set(canonical.region.tolist()) == set(range(len(REGIONS)))
    assert ((canonical.sigma > 0.005) & (canonical.sigma < 0.1)).all()


def test_regions_are_those_of_the_body_beneath(clothed: Truth, canonical: CanonicalSurface) -> None:
    nearest = cKDTree(clothed.body.canonical).query(canonical.vertices)[1]
    assert (clothed.body.region[nearest] == canonical.region).mean() > 0.95


def test_the_silhouette_meets_the_mask(clothed: Truth, canonical: CanonicalSurface) -> None:
    bare = silhouette_iou(clothed.body.posed, clothed.body.faces, clothed.observation)
    assert bare < 0.85
    assert silhouette_iou(posed(canonical, clothed.body), canonical.faces, clothed.observation) > 0.965


def test_depth_follows_width(clothed: Truth, canonical: CanonicalSurface) -> None:
    """Only the outline is seen, but the clothes stand off all round."""
    bare, dressed = (signed_volume(v, clothed.body.faces) for v in (clothed.body.posed, clothed.clothed))
    found = signed_volume(posed(canonical, clothed.body), canonical.faces)
    assert abs(found - dressed) < 0.15 * (dressed - bare)
    assert chamfer(posed(canonical, clothed.body), clothed.clothed) < 0.9 * chamfer(clothed.body.posed, clothed.clothed)


def test_hands_and_face_keep_their_detail(clothed: Truth, canonical: CanonicalSurface) -> None:
    body, tree = clothed.body, cKDTree(canonical.vertices)
    hands = np.isin(body.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    assert np.quantile(tree.query(body.canonical[hands])[0], 0.9) < 0.006
    used = np.zeros(len(body.canonical), bool)
    used[body.faces] = True
    eyes = body.skeleton.heads[[body.skeleton.names.index(body.skeleton.humanoid[f"{side}Eye"]) for side in ("left", "right")]]
    face = used & (np.linalg.norm(body.canonical - eyes.mean(0), axis=1) < 0.11) & (body.canonical[:, 2] > eyes[:, 2].mean() + 0.01)
    assert face.sum() > 500
    assert np.median(tree.query(body.canonical[face])[0]) < 0.004


def test_a_naked_body_stays_itself(anny_body: AnnyBody) -> None:
    truth = synthetic_person(anny_body, turn=-0.2)
    surface = build_canonical(truth.observation, truth.body, Params(cloth_thickness=0.0))
    vertices = posed(surface, truth.body)
    assert silhouette_iou(vertices, surface.faces, truth.observation) > 0.965
    assert np.median(cKDTree(truth.body.posed).query(vertices)[0]) < 0.005
    assert signed_volume(vertices, surface.faces) == pytest.approx(signed_volume(truth.body.posed, truth.body.faces), rel=0.1)


def test_the_same_input_gives_the_same_surface(clothed: Truth, canonical: CanonicalSurface) -> None:
    again = build_canonical(clothed.observation, clothed.body, Params())
    np.testing.assert_array_equal(again.vertices, canonical.vertices)
    np.testing.assert_array_equal(again.faces, canonical.faces)
    np.testing.assert_array_equal(again.weights, canonical.weights)


def test_a_body_with_a_hole_is_refused(clothed: Truth) -> None:
    skin_faces = np.flatnonzero((clothed.body.region[clothed.body.faces] == REGIONS.index("torso")).all(1))
    torn = replace(clothed.body, faces=np.delete(clothed.body.faces, skin_faces[100], axis=0))
    with pytest.raises(StageError, match=r"^canonical: the surface is not a closed solid"):
        build_canonical(clothed.observation, torn, Params())
