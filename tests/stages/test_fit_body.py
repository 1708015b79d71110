"""Fits to people whose body is known: exact landmarks and the rendered mask of a posed body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from carve.body.anny import AnnyBody
from carve.body.model import LEG_SPREAD
from carve.body.smpl import load_smpl
from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.networks.detectors.person import MIRRORED, POSE_NAMES
from carve.records import BodyFit, CarveError, Landmarks, Observation, StageError
from carve.stages.fit_body import Params, fit_body
from smpl_files import arrays_of, written
from synthetic import Truth, synthetic_person

QUICK = Params(start_steps=15, steps=15)
"""Far from the best fit, but soon."""
SOON = Params(start_steps=40, steps=50)
"""Near it."""

POSES = {
    "at ease": {"turn": 0.35, "pitch": 0.08},
    "turned away": {"turn": -0.7, "pitch": 0.0},
    "arms out": {"turn": 0.1, "pitch": 0.15, "bend": {"leftUpperArm.0": 0.9, "rightUpperArm.0": -0.6, "rightLowerArm.0": 0.8}},
}


@pytest.fixture(scope="module", params=list(POSES))
def truth(anny_body: AnnyBody, request: pytest.FixtureRequest) -> Truth:
    return synthetic_person(anny_body, **POSES[request.param])


@pytest.fixture(scope="module")
def fit(anny_body: AnnyBody, truth: Truth) -> BodyFit:
    """With the right height."""
    return fit_body(truth.observation, anny_body, Params(height=truth.height))


@pytest.fixture(scope="module")
def easy(anny_body: AnnyBody) -> Truth:
    """The first of the poses."""
    return synthetic_person(anny_body)


@pytest.fixture(scope="module")
def quick(anny_body: AnnyBody, easy: Truth) -> BodyFit:
    """A quick fit to them."""
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    return fit_body(easy.observation, anny_body, QUICK)


def posed_heads(fit: BodyFit) -> np.ndarray:
    """(B, 3) bone heads in the camera frame."""
    skeleton = fit.skeleton
    return forward_kinematics(fit.pose.rotations, skeleton.heads, skeleton.parents, fit.pose.root_position)[1]


def limbs(body: AnnyBody) -> list[int]:
    """Humanoid bones without fingers and toes."""
    small = ("Thumb", "Index", "Middle", "Ring", "Little", "Toes")
    return [body.names.index(bone) for vrm, bone in body.humanoid.items() if not any(part in vrm for part in small)]


def marks_of(body: AnnyBody, vertices: np.ndarray) -> np.ndarray:
    """(N, 3) the body's own keypoints but the fingers', which bend by landmarks of their own."""
    return np.array([point.weights @ vertices[point.vertices] for name, point in body.keypoints.items() if "_hand_" not in name])


def silhouette_iou(fit: BodyFit, observation: Observation) -> float:
    drawn, mask = rasterise(fit.posed, fit.faces, fit.camera).mask, observation.mask > 0.5
    return float((drawn & mask).sum() / (drawn | mask).sum())


def test_landmarks_are_met(anny_body: AnnyBody, truth: Truth, fit: BodyFit) -> None:
    camera, tall = truth.observation.camera, np.ptp(np.nonzero(truth.observation.mask)[0])
    error = (
        np.linalg.norm(camera.project(marks_of(anny_body, fit.posed)) - camera.project(marks_of(anny_body, truth.vertices)), axis=1) / tall
    )
    assert error.mean() < 0.005
    assert error.max() < 0.015
    assert fit.residuals["landmarks"] < 0.005


def test_the_silhouette_is_met(truth: Truth, fit: BodyFit) -> None:
    assert silhouette_iou(fit, truth.observation) > 0.93
    assert fit.residuals["silhouette_iou"] == pytest.approx(silhouette_iou(fit, truth.observation))


def test_the_body_stands_as_it_does_in_space(anny_body: AnnyBody, truth: Truth, fit: BodyFit) -> None:
    heads = posed_heads(fit)
    error = np.linalg.norm((heads - heads[0]) - (truth.heads - truth.heads[0]), axis=1)[limbs(anny_body)]
    assert error.mean() < 0.045
    assert error.max() < 0.14
    assert np.linalg.norm(heads[0] - truth.heads[0]) < 0.15
    assert np.degrees(np.arccos(fit.up @ truth.up)) < 6
    assert np.linalg.norm(fit.up) == pytest.approx(1)


def test_the_record_is_consistent(anny_body: AnnyBody, truth: Truth, fit: BodyFit) -> None:
    skeleton = fit.skeleton
    rotations, heads = forward_kinematics(fit.pose.rotations, skeleton.heads, skeleton.parents, fit.pose.root_position)
    np.testing.assert_allclose(
        skin(fit.canonical, bone_transforms(rotations, heads, skeleton.heads), fit.bones, fit.weights), fit.posed, atol=1e-9
    )
    np.testing.assert_allclose(
        fit.pose.rotations @ np.swapaxes(fit.pose.rotations, 1, 2), np.tile(np.eye(3), (len(heads), 1, 1)), atol=1e-6
    )
    assert fit.camera == truth.observation.camera
    assert fit.height == truth.height and fit.height_source == "argument"
    assert set(fit.shape) == set(anny_body.shape_names)
    low, high = anny_body.prior.low, anny_body.prior.high
    values = torch.tensor([fit.shape[name] for name in anny_body.shape_names])
    assert ((values >= low - 1e-6) & (values <= high + 1e-6)).all()
    assert (fit.joint_confidence == 1).all()
    assert (fit.posed[:, 2] < 0).all()


def test_the_canonical_pose_is_canonical(fit: BodyFit) -> None:
    at = {vrm: fit.skeleton.heads[fit.skeleton.names.index(bone)] for vrm, bone in fit.skeleton.humanoid.items()}
    assert fit.canonical[:, 1].min() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(at["hips"][[0, 2]], 0, atol=1e-9)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower, hand = (at[f"{side}{bone}"] for bone in ("UpperArm", "LowerArm", "Hand"))
        np.testing.assert_allclose([(lower - upper)[1:], (hand - lower)[1:]], 0, atol=1e-6)
        assert sign * upper[0] < sign * lower[0] < sign * hand[0]
        leg = at[f"{side}Foot"] - at[f"{side}UpperLeg"]
        assert np.arctan2(sign * leg[0], -leg[1]) == pytest.approx(LEG_SPREAD, abs=1e-6)


def test_a_given_height_scales_about_the_camera(anny_body: AnnyBody, easy: Truth, quick: BodyFit) -> None:
    """What the picture shows does not tell the size, so nothing in the picture may change."""
    free = quick
    small, tall = (fit_body(easy.observation, anny_body, replace(QUICK, height=height)) for height in (1.2, 1.8))
    assert free.height_source == "prior"
    for fit, height in ((small, 1.2), (tall, 1.8)):
        scale = height / free.height
        assert (fit.height, fit.height_source) == (height, "argument")
        for now, before in (
            (fit.posed, free.posed),
            (fit.canonical, free.canonical),
            (fit.skeleton.heads, free.skeleton.heads),
            (fit.pose.root_position, free.pose.root_position),
        ):
            np.testing.assert_allclose(now, scale * before, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fit.pose.rotations, free.pose.rotations, atol=1e-9)
        np.testing.assert_allclose(fit.camera.project(fit.posed), free.camera.project(free.posed), atol=1e-4)
        assert fit.residuals == free.residuals


def test_the_prior_knows_how_tall_people_are(easy: Truth, quick: BodyFit) -> None:
    assert quick.height == pytest.approx(easy.height, rel=0.08)


def test_the_same_input_gives_the_same_body(anny_body: AnnyBody, easy: Truth, quick: BodyFit) -> None:
    """However global generators stand."""
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(2)
    second = fit_body(easy.observation, anny_body, QUICK)
    for name in ("posed", "canonical", "joint_confidence", "up"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(second, name))
    np.testing.assert_array_equal(quick.pose.rotations, second.pose.rotations)
    assert quick.shape == second.shape and quick.residuals == second.residuals


def mirrored(observation: Observation) -> Observation:
    """The same person in a mirror."""
    marks, width = observation.landmarks, observation.camera.width
    return replace(
        observation,
        mask=np.ascontiguousarray(observation.mask[:, ::-1]),
        landmarks=replace(
            marks,
            pixels=(np.array([width, 0]) + marks.pixels * [-1, 1])[MIRRORED],
            world=(marks.world * [-1, 1, 1])[MIRRORED],
            confidence=marks.confidence[MIRRORED],
        ),
    )


def test_a_mirrored_person_gets_a_mirrored_body(anny_body: AnnyBody, easy: Truth) -> None:
    params = replace(SOON, height=easy.height)
    here, there = (posed_heads(fit_body(o, anny_body, params)) for o in (easy.observation, mirrored(easy.observation)))
    names = anny_body.names
    partner = [names.index(n[:-1] + {"L": "R", "R": "L"}[n[-1]] if n.endswith((".L", ".R")) else n) for n in names]
    assert np.linalg.norm(there[partner] * [-1, 1, 1] - here, axis=1)[limbs(anny_body)].mean() < 0.02


def test_a_person_elsewhere_in_the_picture_is_the_same_person(anny_body: AnnyBody, easy: Truth) -> None:
    """A larger picture around the same camera, whose principal point stays over the person, changes nothing."""
    o = easy.observation
    moved = replace(
        o,
        mask=np.pad(o.mask, ((30, 10), (100, 20))),
        camera=Camera(o.camera.width + 120, o.camera.height + 40, o.camera.focal, o.camera.cx + 100, o.camera.cy + 30),
        landmarks=replace(o.landmarks, pixels=o.landmarks.pixels + np.array([100, 30])),
    )
    first, second = (posed_heads(fit_body(seen, anny_body, replace(QUICK, start_steps=40))) for seen in (o, moved))
    assert np.linalg.norm(first - second, axis=1).mean() < 0.02
    np.testing.assert_allclose(
        o.camera.project(first) + np.array([100, 30]), moved.camera.project(second), atol=0.02 * np.ptp(o.landmarks.pixels[:, 1])
    )


def test_what_is_not_seen_is_plausible_and_said_to_be_a_guess(anny_body: AnnyBody, easy: Truth) -> None:
    """A picture that ends above the knees."""
    o = easy.observation
    v = o.landmarks.pixels[:, 1]
    knees = v[[POSE_NAMES.index("left_knee"), POSE_NAMES.index("right_knee")]].min()
    cut = int(knees) - 30
    below = v > cut
    rng = np.random.default_rng(0)
    marks = replace(
        o.landmarks,
        pixels=np.where(below[:, None], o.landmarks.pixels + rng.normal(scale=40, size=o.landmarks.pixels.shape), o.landmarks.pixels),
        confidence=np.where(below, 0.0, 1.0),
    )
    camera = replace(o.camera, height=cut)
    seen = replace(o, mask=o.mask[:cut], camera=camera, landmarks=marks)
    fit = fit_body(seen, anny_body, replace(SOON, height=easy.height))
    heads = posed_heads(fit)
    index = {vrm: anny_body.names.index(bone) for vrm, bone in anny_body.humanoid.items()}
    for side in ("left", "right"):
        assert fit.joint_confidence[index[f"{side}Foot"]] == fit.joint_confidence[index[f"{side}LowerLeg"]] == 0
        assert fit.joint_confidence[index[f"{side}UpperArm"]] == 1
        thigh, knee, foot = (heads[index[f"{side}{bone}"]] for bone in ("UpperLeg", "LowerLeg", "Foot"))
        for upper, lower in ((thigh, knee), (knee, foot)):
            assert (upper - lower) @ fit.up > 0.8 * np.linalg.norm(upper - lower)
        leg = thigh - foot
        assert abs(np.degrees(np.arctan2(leg[2], leg[1])) - np.degrees(np.arctan2(fit.up[2], fit.up[1]))) < 3  # it does not lean away
    error = np.linalg.norm((heads - heads[0]) - (easy.heads - easy.heads[0]), axis=1)
    upper_body = [index[f"{side}{bone}"] for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "Hand")]
    assert error[upper_body].mean() < 0.06


def test_fingers_follow_their_landmarks_or_hang_at_ease(anny_body: AnnyBody, easy: Truth, quick: BodyFit) -> None:
    """A fist in landmarks of the left hand, nothing of the right one."""
    at = {vrm: anny_body.names.index(bone) for vrm, bone in anny_body.humanoid.items()}
    fist = np.zeros((21, 3))
    for number, across in enumerate((0.03, 0.01, -0.01, -0.03)):
        fist[5 + 4 * number : 9 + 4 * number] = [[0.09, across, 0], [0.1, across, 0.04], [0.07, across, 0.05], [0.06, across, 0.03]]
    fist[1:5] = [[0.02, 0.03, 0.01], [0.05, 0.04, 0.02], [0.07, 0.03, 0.04], [0.08, 0.01, 0.05]]
    marks = easy.observation.landmarks
    wrist = marks.names.index("left_wrist")
    world = marks.world[wrist] + fist @ np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]])
    more = Landmarks(
        (*marks.names, *(f"left_hand_{k}" for k in range(21))),
        np.concatenate([marks.pixels, easy.observation.camera.project(world + easy.heads[at["leftHand"]] - marks.world[wrist])]),
        np.concatenate([marks.confidence, np.ones(21)]),
        np.concatenate([marks.world, world]),
        np.concatenate([marks.spread, np.full((21, 3), 0.01)]),
    )
    fit = fit_body(replace(easy.observation, landmarks=more), anny_body, QUICK)

    def bend(fit: BodyFit, side: str) -> float:
        """Degrees that the middle finger turns against the hand, over all joints."""
        turn = np.eye(3)
        for joint in ("Proximal", "Intermediate", "Distal"):
            turn = turn @ fit.pose.rotations[at[f"{side}Middle{joint}"]]
        return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))

    assert bend(fit, "left") > 100 > 60 > bend(fit, "right") > 5
    assert bend(quick, "left") == pytest.approx(bend(quick, "right"), abs=0.1)


def test_a_focal_length_that_does_not_suit_the_person_is_noticed(anny_body: AnnyBody, easy: Truth) -> None:
    o = easy.observation
    params = replace(QUICK, start_steps=40)
    wrong = replace(o, camera=replace(o.camera, focal=0.4 * o.camera.focal))
    noticed = fit_body(replace(wrong, focal_source="exif"), anny_body, params)
    assert noticed.camera.focal == pytest.approx(0.8 * o.camera.focal)
    assert len(noticed.notes) == 1 and "--focal decides" in noticed.notes[0]
    assert silhouette_iou(noticed, o) > 0.85
    for source in ("argument", "default"):
        asked = fit_body(replace(wrong, focal_source=source), anny_body, Params(start_steps=3, steps=3))
        assert asked.camera == wrong.camera and asked.notes == ()
    right = fit_body(replace(o, focal_source="exif"), anny_body, params)
    assert right.camera == o.camera and right.notes == ()


def test_landmarks_that_are_not_in_the_file_are_done_without(anny_body: AnnyBody, easy: Truth) -> None:
    """As after somebody deleted them from landmarks.json."""
    kept = np.array([name not in ("left_heel", "right_ear", "left_index", "right_elbow") for name in POSE_NAMES])
    marks = easy.observation.landmarks
    fewer = Landmarks(
        tuple(n for n, k in zip(marks.names, kept, strict=True) if k),
        *(getattr(marks, f)[kept] for f in ("pixels", "confidence", "world", "spread")),
    )
    fit = fit_body(replace(easy.observation, landmarks=fewer), anny_body, replace(SOON, height=easy.height))
    tall = np.ptp(np.nonzero(easy.observation.mask)[0])
    camera = easy.observation.camera
    error = (
        np.linalg.norm(camera.project(marks_of(anny_body, fit.posed)) - camera.project(marks_of(anny_body, easy.vertices)), axis=1) / tall
    )
    assert error.mean() < 0.01
    assert fit.joint_confidence[anny_body.names.index(anny_body.humanoid["rightLowerArm"])] == 0


@pytest.mark.parametrize("height", [0.0, -1.7, 0.3, 17.5, 175.0])
def test_an_impossible_height_is_refused(anny_body: AnnyBody, easy: Truth, height: float) -> None:
    with pytest.raises(CarveError, match=r"standing height of .* m is outside"):
        fit_body(easy.observation, anny_body, Params(height=height))


@pytest.mark.parametrize("broken", [slice(None), slice(11, 12)])
def test_landmarks_that_are_no_numbers_are_a_failure_of_this_stage(anny_body: AnnyBody, easy: Truth, broken: slice) -> None:
    pixels = easy.observation.landmarks.pixels.copy()
    pixels[broken] = np.nan
    with pytest.raises(StageError, match=r"^fit_body: .*not finite"):
        fit_body(replace(easy.observation, landmarks=replace(easy.observation.landmarks, pixels=pixels)), anny_body, QUICK)


@pytest.mark.parametrize("missing", [slice(None), slice(5, 20)])
def test_landmarks_without_depth_are_fitted_in_the_picture(anny_body: AnnyBody, easy: Truth, missing: slice) -> None:
    """As from a file that somebody wrote by hand: only pixels are known."""
    world = easy.observation.landmarks.world.copy()
    world[missing] = np.nan
    seen = replace(easy.observation, landmarks=replace(easy.observation.landmarks, world=world))
    fit, camera = fit_body(seen, anny_body, replace(QUICK, start_steps=40)), easy.observation.camera
    error = np.linalg.norm(camera.project(marks_of(anny_body, fit.posed)) - camera.project(marks_of(anny_body, easy.vertices)), axis=1)
    assert error.mean() < 0.02 * np.ptp(np.nonzero(easy.observation.mask)[0])


def test_a_mask_without_a_person_still_gives_a_body(anny_body: AnnyBody, easy: Truth) -> None:
    """The landmarks alone decide."""
    fit = fit_body(replace(easy.observation, mask=np.zeros_like(easy.observation.mask)), anny_body, QUICK)
    assert np.isfinite(fit.posed).all()
    assert fit.residuals["silhouette_iou"] == 0


@pytest.mark.parametrize("kind", ["smpl", "smplx"])
def test_other_body_models_are_fitted_alike(tmp_path: Path, kind: str) -> None:
    model = load_smpl(written(tmp_path, arrays_of(kind)))
    truth = synthetic_person(model)
    fit = fit_body(truth.observation, model, replace(SOON, height=truth.height, silhouette_weight=0.0))
    heads = posed_heads(fit)
    index = [model.names.index(bone) for vrm, bone in model.humanoid.items() if vrm.endswith(("Arm", "Hand", "Leg", "Foot"))]
    error = np.linalg.norm((heads - heads[0]) - (truth.heads - truth.heads[0]), axis=1)[index]
    assert error.mean() < 0.06
    assert fit.model == kind
