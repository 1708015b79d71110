"""Refinement in the photo's pose: what moves, by how much, and that both poses stay one surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from carve.body.model import REGIONS
from carve.geometry.mesh import is_watertight, signed_volume, uniform_laplacian
from carve.geometry.raster import rasterise
from carve.geometry.relief.normal_maps import front_and_back
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.networks.hyper import load_hyper_net
from carve.records import CanonicalSurface, NormalMaps, Observation, PosedSurface, StageError
from carve.stages import refine as stage
from carve.stages.refine import Params, refine
from synthetic import Truth

OUTLINE = replace(Params(), detail=False, settle=False)
SAME_MESH = replace(Params(), align=False, fine=0.0, settle=False)
"""Detail alone, on the vertices that are there."""


def posed(surface: CanonicalSurface, truth: Truth) -> np.ndarray:
    """(V, 3) the surface in the photo's pose."""
    skeleton, pose = surface.skeleton, truth.body.pose
    rotations, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    return skin(surface.vertices, bone_transforms(rotations, heads, skeleton.heads), surface.bones, surface.weights)


def silhouette_iou(vertices: np.ndarray, faces: np.ndarray, observation: Observation) -> float:
    """Of a mesh in the camera frame against the mask."""
    drawn, mask = rasterise(vertices, faces, observation.camera).mask, observation.mask > 0.5
    return float((drawn & mask).sum() / (drawn | mask).sum())


@pytest.fixture(scope="module")
def outlined(clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps) -> PosedSurface:
    """Moved to the outline and no further."""
    return refine(clothed.observation, clothed.body, canonical, true_maps, OUTLINE)


def test_posing_the_avatar_gives_the_posed_surface(clothed: Truth, refined: PosedSurface) -> None:
    assert refined.pose is clothed.body.pose and refined.camera == clothed.body.camera
    np.testing.assert_allclose(posed(refined.canonical, clothed), refined.vertices, atol=1e-6)


def test_only_places_change(canonical: CanonicalSurface, refined: PosedSurface) -> None:
    for name in ("faces", "bones", "weights", "region", "sigma"):
        assert getattr(refined.canonical, name) is getattr(canonical, name)
    assert is_watertight(refined.canonical.faces)
    assert np.isfinite(refined.vertices).all() and np.isfinite(refined.canonical.vertices).all()
    assert signed_volume(refined.vertices, canonical.faces) > 0.9 * signed_volume(canonical.vertices, canonical.faces)


def test_the_silhouette_meets_the_mask_better_than_before(clothed: Truth, canonical: CanonicalSurface, refined: PosedSurface) -> None:
    before = silhouette_iou(posed(canonical, clothed), canonical.faces, clothed.observation)
    after = silhouette_iou(refined.vertices, canonical.faces, clothed.observation)
    assert after > 0.98
    assert after > before


def test_the_outline_moves_little_and_in_the_picture(clothed: Truth, canonical: CanonicalSurface, outlined: PosedSurface) -> None:
    moved = outlined.vertices - posed(canonical, clothed)
    np.testing.assert_allclose(moved[:, 2], 0, atol=1e-9)
    distance = np.linalg.norm(moved, axis=1)
    assert np.median(distance) < 0.006
    assert distance.max() < Params().reach
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    assert distance[hands].max() < 0.02


def test_a_mask_that_is_explained_moves_nothing(clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps) -> None:
    start = posed(canonical, clothed)
    own = rasterise(start, canonical.faces, clothed.observation.camera).mask
    still = refine(replace(clothed.observation, mask=own.astype(np.float32)), clothed.body, canonical, true_maps, OUTLINE)
    assert np.linalg.norm(still.vertices - start, axis=1).mean() < 0.002


def test_a_moved_mask_takes_the_surface_along(clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps) -> None:
    start = posed(canonical, clothed)
    own = rasterise(start, canonical.faces, clothed.observation.camera).mask
    shifted = np.roll(own, 4, axis=1).astype(np.float32)
    params = replace(OUTLINE, rounds=4, scale=0.3)
    moved = refine(replace(clothed.observation, mask=shifted), clothed.body, canonical, true_maps, params).vertices - start
    metre = clothed.observation.camera.focal / -start[:, 2].mean()
    trunk = canonical.region == REGIONS.index("torso")
    np.testing.assert_allclose(moved[trunk].mean(0), [4 / metre, 0, 0], atol=1.5 / metre)


def angle(vertices: np.ndarray, faces: np.ndarray, maps: NormalMaps, truth: Truth, side: int) -> float:
    """Mean angle, degrees, between the surface's normals and the maps', inside both, away from the outline."""
    own = front_and_back(vertices, faces, truth.body.camera)[side]
    wanted = (maps.front, maps.back)[side].astype(float)
    both = (own != 0).any(-1) & ndimage.binary_erosion(maps.mask, iterations=4)
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(own - wanted, axis=-1) / 2, 0, 1)))[both].mean())


def test_the_surface_takes_on_the_normals_of_front_and_back(
    clothed: Truth, canonical: CanonicalSurface, outlined: PosedSurface, true_maps: NormalMaps
) -> None:
    after = refine(clothed.observation, clothed.body, canonical, true_maps, replace(SAME_MESH, face_trust=1.0, back_trust=1.0))
    for side in (0, 1):
        first, second = (angle(s.vertices, canonical.faces, true_maps, clothed, side) for s in (outlined, after))
        assert second < 0.75 * first


def test_detail_moves_vertices_along_their_rays_and_not_the_hands(
    clothed: Truth, canonical: CanonicalSurface, refined: PosedSurface, outlined: PosedSurface
) -> None:
    before = outlined.vertices
    camera = clothed.body.camera
    np.testing.assert_allclose(camera.project(refined.vertices), camera.project(before), atol=1e-6)
    distance = np.linalg.norm(refined.vertices - before, axis=1)
    assert np.median(distance) > 0 and distance.max() <= Params().farthest
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    assert np.median(distance[hands]) < 0.0005


def test_maps_that_are_empty_change_nothing(clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps) -> None:
    zero = np.zeros_like(true_maps.front)
    empty = replace(true_maps, front=zero, back=zero, mask=np.zeros_like(true_maps.mask))
    outlined, same = (refine(clothed.observation, clothed.body, canonical, empty, p) for p in (OUTLINE, SAME_MESH))
    np.testing.assert_allclose(same.vertices, outlined.vertices, atol=1e-9)


def test_finer_vertices_show_more_of_the_map_and_stay_one_surface(
    clothed: Truth, canonical: CanonicalSurface, refined: PosedSurface, true_maps: NormalMaps
) -> None:
    fine = refine(clothed.observation, clothed.body, canonical, true_maps, replace(Params(), fine_degrees=1.0, face_trust=1.0))
    assert len(fine.vertices) > 1.2 * len(refined.vertices)
    assert is_watertight(fine.canonical.faces)
    np.testing.assert_allclose(fine.canonical.weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(posed(fine.canonical, clothed), fine.vertices, atol=1e-6)
    before, after = (angle(s.vertices, s.canonical.faces, true_maps, clothed, 0) for s in (refined, fine))
    assert after < before
    assert silhouette_iou(fine.vertices, fine.canonical.faces, clothed.observation) > 0.98


FIELD = replace(SAME_MESH, method="field", steps=60, face_trust=1.0, back_trust=1.0)


def test_a_field_gives_the_surface_the_normals_of_front_and_back(
    clothed: Truth, canonical: CanonicalSurface, outlined: PosedSurface, true_maps: NormalMaps
) -> None:
    after = refine(clothed.observation, clothed.body, canonical, true_maps, FIELD, load_hyper_net())
    for side in (0, 1):
        first, second = (angle(s.vertices, canonical.faces, true_maps, clothed, side) for s in (outlined, after))
        assert second < 0.9 * first
    np.testing.assert_allclose(clothed.body.camera.project(after.vertices), clothed.body.camera.project(outlined.vertices), atol=1e-6)
    distance = np.linalg.norm(after.vertices - outlined.vertices, axis=1)
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    assert distance.max() <= FIELD.farthest + 1e-6 and np.median(distance[hands]) < 0.0005
    np.testing.assert_allclose(posed(after.canonical, clothed), after.vertices, atol=1e-6)


def test_a_field_without_the_network_that_it_starts_from_says_so(
    clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps
) -> None:
    with pytest.raises(StageError, match=r"refine\.start=sphere"):
        refine(clothed.observation, clothed.body, canonical, true_maps, FIELD)


def test_a_fit_that_is_given_up_leaves_the_coarse_surface_and_a_warning(
    clothed: Truth, canonical: CanonicalSurface, outlined: PosedSurface, true_maps: NormalMaps
) -> None:
    after = refine(clothed.observation, clothed.body, canonical, true_maps, replace(FIELD, start="random", steps=1))
    np.testing.assert_allclose(after.vertices, outlined.vertices, atol=1e-9)
    assert "coarse surface was kept" in after.notes[0] and not outlined.notes


def test_what_crumples_between_the_legs_is_smoothed_and_nothing_else(canonical: CanonicalSurface) -> None:
    hips = [
        canonical.skeleton.heads[canonical.skeleton.names.index(canonical.skeleton.humanoid[f"{s}UpperLeg"])] for s in ("left", "right")
    ]
    fork = np.mean(hips, 0) - [0, 0.05 * np.ptp(canonical.vertices[:, 1]), 0]
    away = np.linalg.norm((canonical.vertices - fork)[:, :2], axis=1) / np.ptp(canonical.vertices[:, 1])
    noise = np.random.default_rng(0).normal(0, 0.003, canonical.vertices.shape)
    settled = stage._settled(canonical.vertices + noise, canonical, cloth=False)
    far = away > 0.1
    np.testing.assert_array_equal(settled[far], (canonical.vertices + noise)[far])
    rough = [np.abs(uniform_laplacian(canonical.faces, len(v)) @ v)[away < 0.04].mean() for v in (canonical.vertices + noise, settled)]
    assert rough[1] < 0.2 * rough[0]


def test_cloth_that_follows_both_legs_is_smoothed_where_it_is_squeezed(canonical: CanonicalSurface) -> None:
    """The same shrinking, of cloth on both legs and of one leg's."""
    names, humanoid = canonical.skeleton.names, canonical.skeleton.humanoid
    legs = [names.index(humanoid[f"{side}UpperLeg"]) for side in ("left", "right")]
    count = len(canonical.vertices)
    both = replace(canonical, bones=np.tile(legs, (count, 1)), weights=np.full((count, 2), 0.5))
    one = replace(both, weights=np.tile([1.0, 0.0], (count, 1)))
    assert stage._squeezed(0.4 * canonical.vertices, both) == pytest.approx(1.0)
    assert stage._squeezed(0.9 * canonical.vertices, both) == pytest.approx(0.0)
    assert stage._squeezed(0.4 * canonical.vertices, one) == pytest.approx(0.0)
    noise = np.random.default_rng(0).normal(0, 0.001, canonical.vertices.shape)
    rough = {cloth: stage._settled(0.4 * canonical.vertices + noise, both, cloth) for cloth in (True, False)}
    laplacian = uniform_laplacian(canonical.faces, count)
    left, kept = (np.linalg.norm(laplacian @ rough[cloth], axis=1).mean() for cloth in (True, False))
    assert left < 0.2 * kept
