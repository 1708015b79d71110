"""The second fit, of people whose body is known, to normals and depth rendered from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from carve.body.anny import AnnyBody
from carve.body.fitted.articulation import build_articulation
from carve.body.fitted.joint_angles import angles_of_pose, pose_of_angles
from carve.body.fitted.reduced import ReducedBody
from carve.body.fitted.surface_evidence import SurfaceEvidence, Weights
from carve.body.model import canonical_body, rest_pose
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import forward_kinematics
from carve.records import BodyFit, NormalMaps, StageError
from carve.stages.fit_body import Params, fit_body, refit_body
from carve.stages.predicting.own_depth import OwnDepth, with_own_depth
from synthetic import Truth, synthetic_person

Agreed = tuple[Truth, BodyFit, NormalMaps]

SOON = Params(start_steps=40, steps=40, refit_steps=60)
"""Enough for these people."""

LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")


def maps_of(truth: Truth) -> NormalMaps:
    """What a perfect network says of the clothed person."""
    camera, faces = truth.observation.camera, truth.body.faces
    raster = rasterise(truth.clothed, faces, camera)
    normals = raster.interpolate(vertex_normals(truth.clothed, faces), faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    distance = float(-truth.heads[0, 2])
    shown = raster.mask
    depth = np.where(shown, (distance - np.where(shown, raster.depth, 0)) * camera.focal / distance, 0) + 7.0 * shown
    spread = 2 * np.log(0.01 * camera.focal / distance)
    return NormalMaps(
        front=normals.astype(np.float16),
        back=(-normals).astype(np.float16),
        log_variance=np.where(shown, 2 * np.log(0.1), 0).astype(np.float16),
        mask=shown,
        log_variance_back=np.zeros(shown.shape, np.float16),
        coverage=shown.astype(np.float32),
        depth=depth.astype(np.float32),
        depth_log_variance=np.where(shown, spread, 0).astype(np.float32),
    )


def without_depth(truth: Truth) -> Truth:
    """The detector says that everything lies in one plane across the line of sight."""
    marks = truth.observation.landmarks
    flat = replace(marks, world=marks.world * [1, 1, 0])
    return replace(truth, observation=replace(truth.observation, landmarks=flat))


def joint_error(fit: BodyFit, truth: Truth) -> float:
    """Mean distance of neck, head and limbs, metres, the hips' middles laid on each other."""
    skeleton = fit.skeleton
    heads = forward_kinematics(fit.pose.rotations, skeleton.heads, skeleton.parents, fit.pose.root_position)[1]
    wanted = ["neck", "head", *(f"{side}{bone}" for side in ("left", "right") for bone in LIMBS)]
    index = [skeleton.names.index(skeleton.humanoid[name]) for name in wanted]
    hips = [index[wanted.index(f"{side}UpperLeg")] for side in ("left", "right")]
    apart = (heads - heads[hips].mean(0)) - (truth.heads - truth.heads[hips].mean(0))
    return float(np.linalg.norm(apart[index], axis=1).mean())


def test_angles_come_back_from_the_pose(anny_body: AnnyBody) -> None:
    """Where the first fit ended, the second begins."""
    rng = np.random.default_rng(0)
    shape = anny_body.prior.mean
    articulation = build_articulation(anny_body, rest_pose(anny_body, shape)[1].double().numpy())
    angles = articulation.mean + 0.4 * rng.normal(size=len(articulation.mean))
    root, position = matrix_from_rotvec(torch.from_numpy(rng.normal(size=3))).numpy(), rng.normal(size=3)
    canonical = canonical_body(anny_body, shape)
    found, turned = angles_of_pose(articulation, canonical, pose_of_angles(articulation, canonical, angles, root, position))
    np.testing.assert_allclose(found, angles, atol=1e-9)
    np.testing.assert_allclose(turned, root, atol=1e-12)


BENDS = {
    "an arm and a leg forward": {"leftUpperArm.2": -0.9, "leftLowerArm.0": 0.7, "rightUpperLeg.0": -0.6, "rightLowerLeg.0": 0.5},
    "leaning": {"spine.0": 0.2, "chest.0": 0.2, "rightUpperLeg.0": -0.2},
}


@pytest.fixture(scope="module")
def people(anny_body: AnnyBody) -> dict[str, tuple[Truth, BodyFit]]:
    """Bent towards the viewer, which the detector does not see; and the first fits to them."""
    found = {}
    for name, bend in BENDS.items():
        truth = without_depth(synthetic_person(anny_body, turn=0.2, bend=bend, cloth=0.01))
        found[name] = truth, fit_body(truth.observation, anny_body, SOON)
    return found


@pytest.mark.parametrize("name", BENDS)
def test_depth_that_the_landmarks_lack_is_found(anny_body: AnnyBody, people: dict[str, tuple[Truth, BodyFit]], name: str) -> None:
    bent, first = people[name]
    second = refit_body(bent.observation, first, maps_of(bent), anny_body, SOON)
    assert joint_error(first, bent) > 0.05
    assert joint_error(second, bent) < 0.5 * joint_error(first, bent)
    assert second.residuals["silhouette_iou"] > first.residuals["silhouette_iou"] - 0.01
    assert second.residuals["landmarks"] < 0.008


def test_a_depth_model_of_the_users_is_what_the_fit_goes_by(anny_body: AnnyBody, people: dict[str, tuple[Truth, BodyFit]]) -> None:
    """Of somebody who leans, which the network does not see: the model's depth has another unit. Normals are not asked."""
    truth, first = people["leaning"]
    params = replace(SOON, normals_weight=0.0)
    maps = maps_of(truth)
    flat = replace(maps, depth=np.zeros_like(maps.depth), depth_source="network")
    raster = rasterise(truth.clothed, truth.body.faces, truth.observation.camera)
    answer = 100 / np.where(raster.mask, raster.depth, 9) + 20
    own = OwnDepth(lambda crop, mask: crop[..., 0], "inverse", False, "mine.onnx")
    given = with_own_depth(flat, answer, first, own)
    fits = {name: refit_body(truth.observation, first, seen, anny_body, params) for name, seen in (("flat", flat), ("given", given))}
    assert (fits["flat"].depth_source, fits["given"].depth_source) == ("network", "model")
    assert joint_error(fits["given"], truth) < 0.6 * joint_error(first, truth)
    assert joint_error(fits["given"], truth) < 0.6 * joint_error(fits["flat"], truth)
    noted = refit_body(truth.observation, first, replace(flat, notes=("It is odd.",)), anny_body, replace(params, refit_steps=1))
    assert noted.notes == (*first.notes, "It is odd.")


@pytest.fixture(scope="module")
def agreed(anny_body: AnnyBody) -> Agreed:
    """A person, the second fit to them, and maps that this fit agrees with."""
    truth = synthetic_person(anny_body)
    settled = refit_body(truth.observation, fit_body(truth.observation, anny_body, SOON), maps_of(truth), anny_body, SOON)
    heads = forward_kinematics(settled.pose.rotations, settled.skeleton.heads, settled.skeleton.parents, settled.pose.root_position)[1]
    return truth, settled, maps_of(replace(truth, clothed=settled.posed, heads=heads))


def test_a_body_that_agrees_with_the_maps_stays(anny_body: AnnyBody, agreed: Agreed) -> None:
    truth, settled, maps = agreed
    again = refit_body(truth.observation, settled, maps, anny_body, SOON)
    moved = np.linalg.norm((again.posed - again.posed.mean(0)) - (settled.posed - settled.posed.mean(0)), axis=1)
    assert moved.mean() < 0.008  # 5 to 6 mm, by the number of threads
    assert np.median(np.linalg.norm(again.camera.project(again.posed) - again.camera.project(settled.posed), axis=1)) < 1.5
    assert again.notes == settled.notes


def test_a_given_height_stays(anny_body: AnnyBody, agreed: Agreed) -> None:
    """The picture does not tell the size, and the second fit does not change it."""
    truth, settled, maps = agreed
    params = Params(height=1.2, refit_steps=3)
    small = fit_body(truth.observation, anny_body, replace(params, start_steps=5, steps=5))
    again = refit_body(truth.observation, small, maps, anny_body, params)
    assert (again.height, again.height_source) == (1.2, "argument")
    assert np.ptp(again.canonical[:, 1]) == pytest.approx(np.ptp(small.canonical[:, 1]), rel=0.02)
    assert np.ptp(again.canonical[:, 1]) < 0.75 * np.ptp(settled.canonical[:, 1])


@pytest.mark.parametrize("what", ["empty", "elsewhere", "no numbers"])
def test_maps_that_tell_nothing_leave_the_first_fit(anny_body: AnnyBody, agreed: Agreed, what: str) -> None:
    truth, first, maps = agreed
    if what == "empty":
        maps = replace(maps, mask=np.zeros_like(maps.mask), coverage=None)
    elif what == "elsewhere":
        corner = np.zeros_like(maps.mask)
        corner[:40, :40] = True
        maps = replace(maps, mask=corner)
    else:
        maps = replace(maps, depth=np.full_like(maps.depth, np.nan))
    second = refit_body(truth.observation, first, maps, anny_body, SOON)
    np.testing.assert_array_equal(second.posed, first.posed)
    assert second.notes[:-1] == first.notes
    assert "too little of the body" in second.notes[-1]


def test_normals_alone_will_do(anny_body: AnnyBody, people: dict[str, tuple[Truth, BodyFit]]) -> None:
    """As from pictures that somebody made, which have no depth; and no doubt either."""
    truth, first = people["leaning"]
    maps = replace(maps_of(truth), depth=None, depth_log_variance=None, coverage=None, log_variance_back=None)
    assert joint_error(refit_body(truth.observation, first, maps, anny_body, SOON), truth) < 0.8 * joint_error(first, truth)


def test_landmarks_that_are_no_numbers_are_a_failure_of_this_stage(anny_body: AnnyBody, agreed: Agreed) -> None:
    truth, first, maps = agreed
    marks = truth.observation.landmarks
    broken = replace(truth.observation, landmarks=replace(marks, pixels=np.full_like(marks.pixels, np.nan)))
    with pytest.raises(StageError, match=r"^fit_body: .*not finite"):
        refit_body(broken, first, maps, anny_body, SOON)


@pytest.mark.parametrize("weights", [Weights(1.0, 0.0, 0.2, 0.02), Weights(0.0, 1.0, 0.2, 0.02)])
def test_gradients_against_finite_differences(anny_body: AnnyBody, weights: Weights) -> None:
    """Of every angle that the maps see, from a pose that is a little wrong."""
    truth = synthetic_person(anny_body)
    shape = anny_body.prior.mean
    rest, heads = (t.double().numpy() for t in rest_pose(anny_body, shape))
    articulation = build_articulation(anny_body, heads)
    sample = np.sort(np.random.default_rng(0).choice(len(rest), 1500, replace=False))
    body = ReducedBody(anny_body, articulation, {}, sample)
    camera = truth.observation.camera
    evidence = SurfaceEvidence(maps_of(truth), camera, camera.focal / -truth.heads[0, 2], body, rest, sample)
    # The weights are held fixed on purpose, so they must not change from pixel to pixel here; single precision would drown the differences.
    evidence.maps[:, 6] = 1
    for name in ("axes", "shares", "weights"):
        setattr(body, name, getattr(body, name).double())
    evidence.maps, evidence.normals, evidence.trust = evidence.maps.double(), evidence.normals.double(), evidence.trust.double()
    shaped = body.shaped(shape)
    shaped = replace(shaped, heads=shaped.heads.double(), moments=shaped.moments.double(), vertices=shaped.vertices.double())
    body.share = body.share.double()
    root = torch.from_numpy(truth.body.pose.rotations[:1])
    position, scale = torch.from_numpy(truth.heads[:1]), torch.ones(1, dtype=torch.float64)
    angles = torch.from_numpy(articulation.mean[None] + 0.03).requires_grad_()

    def loss(at: torch.Tensor) -> torch.Tensor:
        return evidence.loss(shaped, body.posed(shaped, at, root, position, scale), scale, weights)

    assert evidence.look(shaped, body.posed(shaped, angles.detach(), root, position, scale), scale)
    loss(angles).backward()
    analytic = angles.grad[0].numpy()
    step = 1e-5
    with torch.no_grad():
        numeric = np.array(
            [
                float(loss(angles + step * unit) - loss(angles - step * unit)) / (2 * step)
                for unit in torch.eye(angles.shape[1], dtype=torch.float64)
            ]
        )
    strong = np.abs(analytic) > 0.05 * np.abs(analytic).max()
    assert strong.sum() > 8
    np.testing.assert_allclose(analytic[strong], numeric[strong], rtol=0.05, atol=0.01 * np.abs(analytic).max())
