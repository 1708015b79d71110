"""Bodies with fit errors: none is the true body; each error on its own turns limbs about its own axis, and by as much as it says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from carve.body.plain import plain_shapes
from carve.geometry.mesh import face_normals, vertex_normals
from carve.geometry.rotations import axis_rotation, rotvec_from_matrix
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.samples.fitted_body import ARRAYS, LIMBS, FitErrors, FittedBodies
from synth.known_people import KnownPerson, known_person

EXACT = FitErrors(tilt=0.0, turn=0.0, twist=0.0, shift=0.0, girth=0.0)
MEAN_SQUARE = np.sqrt(1.6**2 / 3)
"""Root of the mean square of the factor that each person's errors have."""


@dataclass(frozen=True)
class Limb:
    """One of LIMBS."""

    along: np.ndarray
    """(3,) unit vector from its start to its end, camera frame."""
    own: np.ndarray
    """Vertices that no other limb moves."""


@pytest.fixture(scope="module")
def known(full_body: FullBody, woman: ShapedBody) -> KnownPerson:
    return known_person(full_body, woman, 1, views=1)


@pytest.fixture(scope="module")
def limbs(full_body: FullBody, known: KnownPerson) -> dict[str, Limb]:
    index = {bone: full_body.names.index(name) for bone, name in full_body.humanoid.items()}
    starts = {index[bone]: bone for bone in LIMBS}
    of: list[str] = []
    for bone, parent in enumerate(full_body.parents):
        of.append(starts.get(bone, of[parent] if parent >= 0 else ""))
    heads = known.placements[0].see(known.arrays["heads_posed"])
    bones, weights = full_body.bones[full_body.base], full_body.weights[full_body.base]
    found = {}
    for bone, end in LIMBS.items():
        along = heads[index[end]] - heads[index[bone]]
        mine = (weights * (np.array(of)[bones] == bone)).sum(1)
        found[bone] = Limb(along / np.linalg.norm(along), np.flatnonzero(mine > 1 - 1e-9))
    return found


def drawn(body: FullBody, known: KnownPerson, seed: int, errors: FitErrors) -> np.ndarray:
    placement = known.placements[0]
    return FittedBodies(body, errors).draw(known.arrays, placement.rotation, placement.translation, np.random.default_rng(seed))


def rotation_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(3, 3) the rigid motion's of points (N, 3) that moved rigidly (Kabsch)."""
    a, b = before - before.mean(0), after - after.mean(0)
    u, _, v = np.linalg.svd(b.T @ a)
    rotation: np.ndarray = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    np.testing.assert_allclose(a @ rotation.T, b, atol=1e-6)
    return rotation


def limb_turns(body: FullBody, known: KnownPerson, limbs: dict[str, Limb], errors: FitErrors, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) rotation vectors of the limbs' errors over some draws, and (N, 3) the limbs' directions."""
    true = known.scenes[0].body
    turns, along = [], []
    for seed in range(count):
        fitted = drawn(body, known, seed, errors)
        for limb in limbs.values():
            if len(limb.own) >= 20:
                turns.append(rotvec_from_matrix(rotation_between(true[limb.own], fitted[limb.own])))
                along.append(limb.along)
    return np.array(turns), np.array(along)


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def test_without_errors_it_is_the_true_body(full_body: FullBody, known: KnownPerson) -> None:
    assert set(ARRAYS) == set(known.arrays)
    for seed in range(3):
        np.testing.assert_allclose(drawn(full_body, known, seed, EXACT), known.scenes[0].body, atol=1e-6)


def test_equal_generators_give_equal_bodies(full_body: FullBody, known: KnownPerson) -> None:
    first, again, other = (drawn(full_body, known, seed, FitErrors()) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.005


def test_every_limb_has_a_direction_and_most_have_skin_of_their_own(limbs: dict[str, Limb]) -> None:
    """Which the tests below measure."""
    for name, limb in limbs.items():
        assert np.linalg.norm(limb.along) == pytest.approx(1), name
    measured = {name for name, limb in limbs.items() if len(limb.own) >= 20}
    assert measured >= {f"{side}{bone}" for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg", "Foot")}


def test_tilt_turns_limbs_out_of_the_picture_only(full_body: FullBody, known: KnownPerson, limbs: dict[str, Limb]) -> None:
    turns, along = limb_turns(full_body, known, limbs, replace(EXACT, tilt=np.radians(11)), 40)
    assert np.abs(turns[:, 2]).max() < 1e-5
    assert np.abs((turns * along).sum(1)).max() < 1e-5
    assert root_mean_square(np.linalg.norm(turns, axis=1)) == pytest.approx(MEAN_SQUARE * np.radians(11), rel=0.15)
    assert np.abs(turns.mean(0)).max() < np.radians(2)


def test_turn_turns_limbs_in_the_picture_only(full_body: FullBody, known: KnownPerson, limbs: dict[str, Limb]) -> None:
    errors = replace(EXACT, turn=np.radians(2.5))
    turns, _ = limb_turns(full_body, known, limbs, errors, 40)
    assert np.abs(turns[:, :2]).max() < 1e-5
    assert root_mean_square(turns[:, 2]) == pytest.approx(MEAN_SQUARE * np.radians(2.5), rel=0.15)
    np.testing.assert_allclose(drawn(full_body, known, 0, errors)[:, 2], known.scenes[0].body[:, 2], atol=1e-6)


def test_twist_turns_limbs_about_themselves(full_body: FullBody, known: KnownPerson, limbs: dict[str, Limb]) -> None:
    turns, along = limb_turns(full_body, known, limbs, replace(EXACT, twist=np.radians(10)), 40)
    assert np.abs(np.cross(turns, along)).max() < 1e-5
    assert root_mean_square(np.linalg.norm(turns, axis=1)) == pytest.approx(MEAN_SQUARE * np.radians(10), rel=0.15)


def test_shift_moves_the_whole_body_in_the_picture(full_body: FullBody, known: KnownPerson) -> None:
    found = []
    for seed in range(40):
        moved = drawn(full_body, known, seed, replace(EXACT, shift=0.008)) - known.scenes[0].body
        assert np.ptp(moved, axis=0).max() < 1e-6
        found.append(moved.mean(0))
    assert np.abs(np.array(found)[:, 2]).max() < 1e-6
    assert root_mean_square(np.array(found)[:, :2]) == pytest.approx(MEAN_SQUARE * 0.008, rel=0.25)


def test_the_picture_keeps_its_place_and_depth_does_not(full_body: FullBody, known: KnownPerson) -> None:
    """Of all errors together: limbs move in depth more than in the picture, the body as a whole in neither."""
    true, camera = known.scenes[0].body, known.scenes[0].camera
    moved = np.array([drawn(full_body, known, seed, FitErrors()) - true for seed in range(20)])
    assert root_mean_square(moved[..., 2]) > 1.5 * root_mean_square(moved[..., :2])
    assert np.abs(moved.mean((0, 1))).max() < 0.01
    shift = np.array([np.linalg.norm((camera.project(true + m) - camera.project(true)).mean(0)) for m in moved])
    tall = np.ptp(camera.project(true)[:, 1])
    assert np.median(shift) < 0.015 * tall
    assert shift.max() < 0.05 * tall


def test_girth_goes_along_the_skin_smoothly_and_never_through_it(full_body: FullBody, woman: ShapedBody) -> None:
    """On the canonical body itself, which no bone moves."""
    still = {
        "body_canonical": woman.canonical,
        "transforms": np.tile(np.eye(3, 4), (len(woman.heads), 1, 1)),
        "heads_canonical": woman.heads,
        "heads_posed": woman.heads,
    }
    fitted = FittedBodies(full_body, replace(EXACT, girth=0.008))
    normals = vertex_normals(woman.canonical, full_body.faces)
    before = face_normals(woman.canonical, full_body.faces)
    edges = full_body.faces[:, :2]
    length = np.linalg.norm(woman.canonical[edges[:, 0]] - woman.canonical[edges[:, 1]], axis=1)
    spread = []
    for seed in range(12):
        moved = fitted.draw(still, np.eye(3), np.zeros(3), np.random.default_rng(seed)) - woman.canonical
        amount = (moved * normals).sum(1)
        np.testing.assert_allclose(moved, amount[:, None] * normals, atol=1e-9)
        assert -0.003 - 1e-9 < amount.min() <= amount.max() < 0.03 + 1e-9
        assert np.abs(amount[edges[:, 0]] - amount[edges[:, 1]]).max() < 0.002 + length.max()
        # Between lips and toes little triangles turn over.
        after = face_normals(woman.canonical + moved, full_body.faces)
        area = np.linalg.norm(after, axis=1)
        assert area[(before * after).sum(1) < 0].sum() < 0.03 * area.sum()
        spread.append(amount)
    assert np.ptp(np.mean(spread, axis=1)) > 0.004
    assert max(np.ptp(amount) for amount in spread) > 0.008


def test_it_depends_on_the_camera_s_view_alone(full_body: FullBody, known: KnownPerson) -> None:
    """The same person and camera, the body frame turned: the same fitted body in the camera frame."""
    placement, turn = known.placements[0], axis_rotation(1, 0.7)
    arrays = known.arrays | {
        "transforms": turn @ known.arrays["transforms"],
        "heads_posed": known.arrays["heads_posed"] @ turn.T,
    }
    bodies = FittedBodies(full_body)
    found = bodies.draw(arrays, placement.rotation @ turn.T, placement.translation, np.random.default_rng(2))
    np.testing.assert_allclose(found, drawn(full_body, known, 2, FitErrors()), atol=1e-9)
    assert bodies.faces is full_body.faces


def test_bodies_without_anatomy_differ_where_the_plain_body_does(full_body: FullBody, known: KnownPerson) -> None:
    placement = known.placements[0]
    found = [
        FittedBodies(full_body, EXACT, anatomy).draw(known.arrays, placement.rotation, placement.translation, np.random.default_rng(0))
        for anatomy in (True, False)
    ]
    moved = np.linalg.norm(found[0] - found[1], axis=1)
    stored = torch.from_numpy(known.arrays["body_canonical"].astype(float))
    expected = (plain_shapes(stored, len(stored)) - stored).norm(dim=1).numpy()
    assert np.allclose(moved, expected, atol=2e-3 + 0.2 * expected.max()) and 0.02 < moved.max() < 0.1
    assert (moved[expected == 0] < 1e-6).all()
