"""The body model laid into a person whose body is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from carve.body.anny import AnnyBody, load_anny
from carve.body.fitted.articulation import build_articulation
from carve.body.fitted.joint_angles import pose_of_angles
from carve.body.model import canonical_body
from carve.evaluate.cases import CASE_JOINTS, Case
from carve.evaluate.outer import outer_surface
from carve.evaluate.true_body import fit_true_body
from carve.geometry.camera import Camera
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import CarveError

CAMERA = Camera.centred(300, 400, 600.0)


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    """The free body without anatomy."""
    return load_anny(anatomy=False)


@pytest.fixture(scope="module")
def case(model: AnnyBody) -> Case:
    """A naked person of a known shape who turns away, an elbow and a knee bent."""
    prior = model.prior
    shape = prior.mean + 0.5 * prior.sigma * torch.randn(len(prior.mean), generator=torch.Generator().manual_seed(5))
    shape = torch.minimum(torch.maximum(shape, prior.low), prior.high)
    canonical = canonical_body(model, shape)
    skeleton = canonical.skeleton
    articulation = build_articulation(model, model.heads.double().numpy())
    angles = articulation.mean.copy()
    for name, turn in (("leftLowerArm.0", 0.9), ("rightLowerLeg.0", 0.8), ("rightUpperLeg.0", -0.5)):
        angles[articulation.names.index(name)] += turn
    pose = pose_of_angles(articulation, canonical, angles, axis_rotation(1, 0.7), np.array([0.1, 0.05, -3.0]))
    turned, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    vertices = skin(canonical.vertices, bone_transforms(turned, heads, skeleton.heads), model.bones, model.weights)
    outer = outer_surface(vertices, model.faces, 30_000, np.random.default_rng(0))
    joints = {bone: heads[skeleton.names.index(model.humanoid[bone])] for bone in CASE_JOINTS}
    mask = np.zeros((400, 300), bool)
    up, body = np.array([0.0, 1.0, 0.0]), (vertices, model.faces)
    return Case("someone", Path("photo.png"), mask, CAMERA.projection, outer.points, outer.normals, outer.spacing, None, joints, up, body)


def test_a_known_body_is_found(model: AnnyBody, case: Case) -> None:
    assert case.body is not None
    fit = fit_true_body(case, model)
    assert fit.camera == CAMERA
    assert fit.residuals["joints"] < 0.01
    distance = np.linalg.norm(fit.posed - case.body[0], axis=1)
    away = distance[np.isin(model.region, [0, 2, 3, 5, 6, 8, 9, 11, 12])]  # trunk, arms and legs; fingers are at ease
    assert np.median(away) < 0.01 and np.percentile(away, 90) < 0.025
    heads = forward_kinematics(fit.pose.rotations, fit.skeleton.heads, fit.skeleton.parents, fit.pose.root_position)[1]
    assert heads[fit.skeleton.names.index(model.humanoid["leftHand"])] == pytest.approx(case.joints["leftHand"], abs=0.02)


def test_under_clothes_the_body_stays_inside(model: AnnyBody, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.evaluate.true_body.STEPS", (60, 80))
    dressed = replace(case, body=None, points=case.points + 0.02 * case.normals)
    fit = fit_true_body(dressed, model)
    _, near = cKDTree(dressed.points).query(fit.posed)
    outside = ((fit.posed - dressed.points[near]) * dressed.normals[near]).sum(1)
    assert np.mean(outside > 0.005) < 0.1
    assert -0.03 < np.median(outside) < -0.003
    assert fit.residuals["joints"] < 0.02


def test_cases_that_do_not_know_are_refused(model: AnnyBody, case: Case) -> None:
    with pytest.raises(CarveError, match="someone has no true body"):
        fit_true_body(replace(case, joints={}), model)
    with pytest.raises(CarveError, match="no upright perspective camera"):
        fit_true_body(replace(case, projection=np.array([[9.0, 0, 0, 1], [0, -9, 0, 1], [0, 0, 0, 1]])), model)
