"""Whose pose a back photo gives, and where the surface comes to lie in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.back_photo import registration
from carve.back_photo.registration import Params, back_report, in_pose_of, register_back
from carve.body.anny import AnnyBody
from carve.geometry.relief.normal_maps import front_and_back
from carve.geometry.rotations import axis_rotation
from carve.records import CanonicalSurface, CarveError, NormalMaps, Pose, PosedSurface
from carve.settings import Settings
from carve.stages.refine import Params as RefineParams
from people import capsule_avatar
from synthetic import Truth, synthetic_person


def test_the_persons_own_body_takes_the_pose_and_stands_where_it_is_seen() -> None:
    body = capsule_avatar().body
    skeleton = replace(body.skeleton, heads=1.25 * body.skeleton.heads)
    turned = body.pose.rotations.copy()
    turned[0] = axis_rotation(1, np.pi - 0.3) @ turned[0]
    other = replace(body, skeleton=skeleton, pose=Pose(turned, np.array([0.1, 0.2, -4.0])))
    own = in_pose_of(other, body)
    assert own.camera is other.camera and own.expression is None
    np.testing.assert_array_equal(own.pose.rotations, turned)
    # A quarter larger and a quarter farther away is the same picture.
    np.testing.assert_allclose(own.pose.root_position, other.pose.root_position / 1.25, atol=1e-9)
    here, there = (fit.camera.project(fit.pose.bones(fit.skeleton)[1]) for fit in (own, other))
    np.testing.assert_allclose(here, there, atol=1e-6)


@pytest.fixture(scope="module")
def from_behind(anny_body: AnnyBody) -> Truth:
    return synthetic_person(anny_body, turn=np.pi + 0.2, cloth=0.03, bend={"leftLowerArm.0": 0.3, "rightLowerArm.0": 0.6})


@pytest.fixture
def settled(from_behind: Truth, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Settings of a quick registration; the fit finds the back photo's body, the network its normals."""
    front, back = front_and_back(from_behind.clothed, from_behind.body.faces, from_behind.body.camera)
    shown = (front != 0).any(-1)
    maps = NormalMaps(front.astype(np.float16), back.astype(np.float16), np.full(shown.shape, -4, np.float16), shown)
    for name, found in (
        ("fit_body", from_behind.body),
        ("predict_evidence", maps),
        ("refit_body", from_behind.body),
        ("predict_normals", maps),
    ):
        monkeypatch.setattr(registration, name, lambda *inputs, found=found: found)
    settings = Settings()
    return Params(
        settings.fit_body, settings.normals, RefineParams(rounds=2, resolution=400, detail=False, fine=0.0, edges=0.0, settle=False)
    )


def test_the_surface_meets_the_back_photo_vertex_by_vertex(
    clothed: Truth, canonical: CanonicalSurface, from_behind: Truth, settled: Params, anny_body: AnnyBody
) -> None:
    front = PosedSurface(canonical, clothed.body.pose, clothed.body.camera, canonical.vertices)
    view = register_back(from_behind.observation, clothed.body, front, anny_body, None, settled)  # type: ignore[arg-type]
    assert view.vertices.shape == canonical.vertices.shape
    assert view.overlap > 0.96 and view.notes == () and view.labels is None
    # What is before the camera now was behind the person: the back of the head.
    head = canonical.vertices[:, 1] > canonical.vertices[:, 1].max() - 0.15
    depth, forward = view.vertices[head, 2], canonical.vertices[head, 2]
    assert np.corrcoef(depth, forward)[0, 1] < -0.8


def test_an_outline_that_is_not_met_is_told(
    clothed: Truth, canonical: CanonicalSurface, from_behind: Truth, settled: Params, anny_body: AnnyBody
) -> None:
    front = PosedSurface(canonical, clothed.body.pose, clothed.body.camera, canonical.vertices)
    aside = replace(from_behind.observation, mask=np.roll(from_behind.observation.mask, 90, axis=1))
    view = register_back(aside, clothed.body, front, anny_body, None, settled)  # type: ignore[arg-type]
    assert view.overlap < 0.85
    assert len(view.notes) == 1 and view.notes[0].startswith("The back photo was left out")
    report = back_report(view, capsule_avatar().textured)
    assert report["used"] is False and report["share_of_texels"] == 0


def test_a_given_body_of_other_bones_is_refused(
    clothed: Truth, canonical: CanonicalSurface, from_behind: Truth, settled: Params, anny_body: AnnyBody
) -> None:
    front = PosedSurface(canonical, clothed.body.pose, clothed.body.camera, canonical.vertices)
    with pytest.raises(CarveError, match="leave out the given body or the back photo"):
        register_back(from_behind.observation, capsule_avatar().body, front, anny_body, None, settled)  # type: ignore[arg-type]
