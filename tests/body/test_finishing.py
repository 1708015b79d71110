"""From meshes to canonical surfaces: solids, eyeballs, four bones a vertex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.finishing import (
    bone_gaps,
    bone_maps,
    canonical_surface,
    face_vertices,
    finer_surface,
    merged_weights,
    skin_faces,
    solid,
    solid_mesh,
    with_eyeballs,
)
from carve.geometry.mesh import components, is_watertight, signed_volume
from carve.geometry.meshing.refinement import refine
from carve.geometry.skinning import skin
from carve.records import CanonicalSurface, Skeleton, StageError
from solids import box, sphere
from synthetic import Truth

SKELETON = Skeleton(
    names=("hips", "thigh.L", "thigh_twist.L", "shin.L", "thigh.R", "thigh_twist.R", "shin.R"),
    parents=np.array([-1, 0, 1, 2, 0, 4, 5]),
    heads=np.zeros((7, 3)),
    humanoid={"hips": "hips", "leftUpperLeg": "thigh.L", "leftLowerLeg": "shin.L", "rightUpperLeg": "thigh.R", "rightLowerLeg": "shin.R"},
)


def test_bone_maps_pose_the_body(clothed: Truth) -> None:
    body = clothed.body
    np.testing.assert_allclose(skin(body.canonical, bone_maps(body), body.bones, body.weights), body.posed, atol=1e-9)


def test_the_skin_is_the_largest_piece_and_closed(clothed: Truth) -> None:
    faces = skin_faces(clothed.body)
    assert is_watertight(faces)
    assert 0.9 < len(faces) / len(clothed.body.faces) < 1
    label = components(faces, len(clothed.body.canonical))
    assert len(np.unique(label[faces])) == 1


def test_the_face_lies_before_the_head(clothed: Truth) -> None:
    face = clothed.body.canonical[face_vertices(clothed.body)]
    head = clothed.body.canonical[clothed.body.region == 1]
    assert len(face) > 500
    assert face[:, 2].mean() > head[:, 2].mean() + 0.01
    assert abs(face[:, 0].mean()) < 0.01


def test_a_solid_keeps_its_mesh_and_an_open_one_is_refused() -> None:
    vertices, faces = solid_mesh(solid(*sphere(0.3)))
    assert signed_volume(vertices, faces) == pytest.approx(signed_volume(*sphere(0.3)), rel=1e-6)
    with pytest.raises(StageError, match="not a closed solid"):
        solid(box()[0], box()[1][1:])


def test_eyeballs_fill_their_sockets(clothed: Truth) -> None:
    body = clothed.body
    bare = solid(body.canonical, skin_faces(body))
    joined = with_eyeballs(bare, body)
    assert bare.volume() < joined.volume() < bare.volume() + 4e-5
    blind = replace(body, skeleton=replace(body.skeleton, humanoid={k: v for k, v in body.skeleton.humanoid.items() if "Eye" not in k}))
    assert with_eyeballs(bare, blind).volume() == bare.volume()


def test_gaps_count_joints_and_shun_other_limbs() -> None:
    gaps = bone_gaps(SKELETON)
    np.testing.assert_array_equal(gaps, gaps.T)
    np.testing.assert_array_equal(np.diag(gaps), 0)
    assert gaps[1, 2] == 1  # twist of the same thigh
    assert gaps[2, 3] == 1 + 8  # the knee
    assert gaps[2, 5] == 4 + 8


def test_merging_keeps_what_hangs_on_few_bones() -> None:
    dense = np.array([[0.4, 0.3, 0.2, 0.1, 0, 0, 0], [1.0, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(merged_weights(dense, bone_gaps(SKELETON)), dense)


def test_merging_leaves_each_leg_its_share() -> None:
    dense = np.array([[0.1, 0.15, 0.16, 0.14, 0.15, 0.16, 0.14]])
    merged = merged_weights(dense, bone_gaps(SKELETON))
    assert ((merged > 0).sum(1) <= 4).all()
    np.testing.assert_allclose(merged.sum(1), 1)
    left, right = merged[0, 1:4].sum(), merged[0, 4:].sum()
    assert abs(left - 0.45) < 0.11 and abs(right - 0.45) < 0.11


def test_merging_bends_less_than_cutting_off(clothed: Truth) -> None:
    """Weights spread over many bones, as of loose cloth: the merged ones pose the points nearer to where all would."""
    body = clothed.body
    maps, count = bone_maps(body), len(body.skeleton.names)
    points = body.canonical[::20]
    near = np.linalg.norm(points[:, None] - body.skeleton.heads, axis=2)
    dense = np.exp(-((near / 0.15) ** 2)) + 1e-9
    dense = np.where(dense < 1e-3 * dense.max(1, keepdims=True), 0, dense)
    dense /= dense.sum(1, keepdims=True)
    every = np.tile(np.arange(count), (len(points), 1))
    exact = skin(points, maps, every, dense)
    merged = skin(points, maps, every, merged_weights(dense, bone_gaps(body.skeleton)))
    strongest = np.where(dense >= np.sort(dense, axis=1)[:, -4:-3], dense, 0)
    cut = skin(points, maps, every, strongest / strongest.sum(1, keepdims=True))
    assert np.linalg.norm(merged - exact, axis=1).mean() < 0.9 * np.linalg.norm(cut - exact, axis=1).mean()


def test_a_finished_surface_has_four_bones_and_says_what_that_costs(clothed: Truth) -> None:
    body, count = clothed.body, len(clothed.body.skeleton.names)
    vertices, faces = sphere(0.2, tuple(body.skeleton.heads[0]))
    dense = np.zeros((len(vertices), count))
    dense[:, :6] = np.random.default_rng(0).dirichlet(np.ones(6), len(vertices))
    made = canonical_surface(body, vertices, faces, dense, np.zeros(len(vertices), np.uint8), np.full(len(vertices), 0.01))
    assert made.bones.shape == made.weights.shape == (len(vertices), 4)
    np.testing.assert_allclose(made.weights.sum(1), 1)
    assert (np.diff(made.weights, axis=1) <= 0).all()
    exact = skin(vertices, bone_maps(body), np.tile(np.arange(count), (len(vertices), 1)), dense)
    four = skin(vertices, bone_maps(body), made.bones, made.weights)
    assert made.skinning_error == pytest.approx(np.linalg.norm(exact - four, axis=1).mean(), rel=1e-6)
    assert 0 < made.dropped_weight < 0.5
    with pytest.raises(StageError, match="not watertight"):
        canonical_surface(body, vertices, faces[:, ::-1], dense, made.region, made.sigma)


def test_a_finer_surface_is_the_same_surface(canonical: CanonicalSurface) -> None:
    finer = refine(canonical.vertices, canonical.faces, np.zeros((len(canonical.faces), 3, 0)), 0.015, rounded=False)
    made = finer_surface(canonical, finer.operator, finer.faces)
    count = len(canonical.vertices)
    assert len(made.vertices) > count
    np.testing.assert_allclose(made.vertices[:count], canonical.vertices)
    np.testing.assert_allclose(made.weights.sum(1), 1)
    dense = np.zeros((2, count, len(canonical.skeleton.names)))
    for k, surface in enumerate((canonical, made)):
        for slot in range(4):
            np.add.at(dense[k], (np.arange(count), surface.bones[:count, slot]), surface.weights[:count, slot])
    np.testing.assert_allclose(dense[1], dense[0], atol=1e-9)
    # A new vertex's part is that of whoever has the largest share in it, the first of equal ones.
    largest = np.asarray(abs(finer.operator).argmax(axis=1)).ravel()
    np.testing.assert_array_equal(made.region, canonical.region[largest])
    assert (made.region[:count] == canonical.region).all() and (made.sigma > 0).all()
    assert signed_volume(made.vertices, made.faces) == pytest.approx(signed_volume(canonical.vertices, canonical.faces))


def test_bones_that_move_alike_give_to_each_other_before_an_arm_gives_to_the_collarbone() -> None:
    """The front of a shoulder, in small steps: what is left to the arm grows as steadily as what it had."""
    skeleton = Skeleton(
        names=("hips", "chest", "upperChest", "collar", "shoulder", "arm", "neck"),
        parents=np.array([-1, 0, 1, 2, 3, 4, 2]),
        heads=np.zeros((7, 3)),
        humanoid={name: name for name in ("hips", "chest", "upperChest", "neck")} | {"leftShoulder": "collar", "leftUpperArm": "arm"},
    )
    index = {name: k for k, name in enumerate(skeleton.names)}
    arm = np.linspace(0.12, 0.3, 37)
    dense = np.zeros((len(arm), len(skeleton.names)))
    for name, share in (("chest", 0.2), ("upperChest", 0.2), ("collar", 0.22), ("shoulder", 0.2), ("neck", 0.18)):
        dense[:, index[name]] = share * (1 - arm)
    dense[:, index["arm"]] = arm
    merged = merged_weights(dense, bone_gaps(skeleton))
    np.testing.assert_allclose(merged.sum(1), 1)
    assert (merged > 0).sum(1).max() == 4
    np.testing.assert_allclose(merged[:, index["arm"]], arm)


def test_many_weak_bones_go_to_the_nearest_strong_ones() -> None:
    count = 30
    parents = np.arange(-1, count - 1)
    skeleton = Skeleton(tuple(f"b{k}" for k in range(count)), parents, np.zeros((count, 3)), {})
    dense = np.full((3, count), 0.01)
    dense[:, ::8] = (1 - 0.01 * (count - 4)) / 4
    merged = merged_weights(dense / dense.sum(1, keepdims=True), bone_gaps(skeleton))
    np.testing.assert_allclose(merged.sum(1), 1)
    assert ((merged > 0).sum(1) <= 4).all() and (merged[:, ::8] > 0).all()
