from dataclasses import replace

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.head.face_points import OVAL, face_points
from carve.body.head.face_surface import expression_on, features_on
from carve.geometry.rotations import axis_rotation
from carve.geometry.similarity import procrustes
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import BodyFit, CanonicalSurface, Landmarks, Observation, Pose
from carve.stages import fit_face as module
from carve.stages.fit_face import NO_FACE, Params, fit_face
from synthetic import Truth

SMILE = ("mouthSmileLeft", "mouthSmileRight", "jawOpen")
TURN = np.radians(14.0)


def posed_points(body: BodyFit, pose: Pose, canonical: np.ndarray) -> np.ndarray:
    """(468, 3) the face mesh's points in a pose, camera frame."""
    heads = body.skeleton.heads
    rotations, places = forward_kinematics(pose.rotations, heads, body.skeleton.parents, pose.root_position)
    return face_points().on(skin(canonical, bone_transforms(rotations, places, heads), body.bones, body.weights))


def with_face(observation: Observation, pixels: np.ndarray, world: np.ndarray) -> Observation:
    """The observation with a face mesh (468, 2) in pixels, (468, 3) in metres."""
    marks = observation.landmarks
    names = tuple(f"face_{k}" for k in range(468))
    count = len(names)
    rows = (pixels, np.ones(count), world, np.full((count, 3), 0.1))
    old = (marks.pixels, marks.confidence, marks.world, marks.spread)
    return replace(observation, landmarks=Landmarks(marks.names + names, *(np.concatenate(pair) for pair in zip(old, rows, strict=True))))


@pytest.fixture(scope="module")
def person(clothed: Truth, anny_body: AnnyBody) -> tuple[Observation, np.ndarray, Pose]:
    """Somebody else's head, turned and smiling, as a face mesh: the observation, the neutral head's vertices and the pose."""
    body = clothed.body
    canonical = body.canonical.copy()
    rng = np.random.default_rng(3)
    weights = rng.normal(size=20)
    canonical[anny_body.head_vertices] += np.tensordot(weights, anny_body.head_components[:20].double().numpy(), 1)
    smile = sum(anny_body.face_shapes[anny_body.face_names.index(name)] for name in SMILE)
    rotations = body.pose.rotations.copy()
    head = anny_body.names.index("head")
    rotations[head] = rotations[head] @ axis_rotation(1, TURN)
    pose = Pose(rotations, body.pose.root_position)
    points = posed_points(body, pose, canonical + 0.5 * smile.double().numpy())
    world = points - points.mean(0)
    return with_face(clothed.observation, body.camera.project(points), world), canonical, pose


@pytest.fixture(scope="module")
def fitted(clothed: Truth, anny_body: AnnyBody, person: tuple[Observation, np.ndarray, Pose]) -> BodyFit:
    # The points are those of a known head, without the detector's ways, which would be corrected.
    return fit_face(person[0], clothed.body, anny_body, Params(reading=0.0))


def test_the_mesh_comes_to_the_photo(clothed: Truth, person: tuple[Observation, np.ndarray, Pose], fitted: BodyFit) -> None:
    target = person[0].landmarks.pixels[-468:]
    metre = fitted.camera.focal / 3.6

    def error(posed: np.ndarray) -> float:
        return float(np.linalg.norm(fitted.camera.project(face_points().on(posed)) - target, axis=1).mean() / metre)

    assert error(clothed.body.posed) > 0.008
    assert error(fitted.posed) < 0.0015
    assert fitted.residuals["face"] < 0.0015 and not fitted.notes


def test_the_heads_turn_is_found(clothed: Truth, person: tuple[Observation, np.ndarray, Pose], fitted: BodyFit) -> None:
    def looks(pose: Pose) -> np.ndarray:
        rotations, _ = forward_kinematics(pose.rotations, fitted.skeleton.heads, fitted.skeleton.parents, pose.root_position)
        return rotations[fitted.skeleton.names.index("head")]

    wrong = np.degrees(np.arccos(np.clip((np.trace(looks(person[2]).T @ looks(fitted.pose)) - 1) / 2, -1, 1)))
    assert wrong < 6.0  # shape and turn can stand in for each other a little


def test_the_rest_face_is_neutral(anny_body: AnnyBody, person: tuple[Observation, np.ndarray, Pose], fitted: BodyFit) -> None:
    assert fitted.expression is not None
    smile = sum(anny_body.face_shapes[anny_body.face_names.index(name)] for name in SMILE)
    lips = [61, 291, 13, 14, 0, 17]
    true, found = (face_points().on(v)[lips] for v in (0.5 * smile.double().numpy(), fitted.expression))
    assert np.linalg.norm(found - true, axis=1).mean() < 0.5 * np.linalg.norm(true, axis=1).mean()


def test_the_shape_is_nearer_than_the_mean_heads(clothed: Truth, person: tuple[Observation, np.ndarray, Pose], fitted: BodyFit) -> None:
    def apart(canonical: np.ndarray) -> float:
        a, b = (face_points().on(v) for v in (canonical, person[1]))
        a, b = a - a.mean(0), b - b.mean(0)
        left, size, right = np.linalg.svd(a.T @ b)
        return float(np.linalg.norm(a @ left @ right * size.sum() / (a**2).sum() - b, axis=1).mean())

    assert apart(fitted.canonical) < 0.7 * apart(clothed.body.canonical)


def test_what_is_read_out_of_the_mesh_gives_depth_and_outline(
    clothed: Truth, anny_body: AnnyBody, person: tuple[Observation, np.ndarray, Pose], fitted: BodyFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that is right, in a size, turn and place of its own; the detector's depth is flattened."""
    observation, canonical, _ = person
    true = face_points().on(canonical)
    monkeypatch.setattr(module, "face_reading", lambda: lambda world: 3 * true @ axis_rotation(1, 0.7).T + 5)
    marks = observation.landmarks
    flat = marks.world.copy()
    flat[-468:, 2] *= 0.6
    seen = replace(observation, landmarks=replace(marks, world=flat))

    def off(body: BodyFit) -> tuple[float, float]:
        scale, rotation, shift = procrustes(face_points().on(body.canonical), true)
        gap = np.abs(scale * face_points().on(body.canonical) @ rotation.T + shift - true)
        return float(gap[:, 2].mean()), float(gap[np.array(OVAL)].mean())

    (blind, read) = (off(fit_face(seen, clothed.body, anny_body, Params(reading=share))) for share in (0.0, 1.0))
    assert read[0] < 0.7 * blind[0] and read[1] < 0.8 * blind[1]
    again = fit_face(seen, clothed.body, anny_body, Params())
    assert again.residuals["face"] < 0.002


@pytest.mark.parametrize("depth", ["flat", "one point"])
def test_a_face_mesh_without_depth_is_not_read(
    clothed: Truth, anny_body: AnnyBody, person: tuple[Observation, np.ndarray, Pose], depth: str
) -> None:
    observation, _, _ = person
    marks = observation.landmarks
    world = marks.world.copy()
    world[-468:] *= [1, 1, 0] if depth == "flat" else 0
    seen = replace(observation, landmarks=replace(marks, world=world))
    blind, read = (fit_face(seen, clothed.body, anny_body, Params(reading=share)) for share in (0.0, 1.0))
    np.testing.assert_array_equal(blind.canonical, read.canonical)


def test_without_a_face_the_head_is_doubted(clothed: Truth, anny_body: AnnyBody) -> None:
    body = fit_face(clothed.observation, clothed.body, anny_body, Params())
    assert body.notes == (NO_FACE,) and "face" not in body.residuals
    assert body.joint_confidence[anny_body.names.index("head")] < 0.5
    # But for the mouth's corners, which stand elsewhere there, the landmarks are the body's own.
    assert np.linalg.norm(body.posed - clothed.body.posed, axis=1).max() < 0.05


def test_a_surface_around_the_body_takes_over_the_expression(fitted: BodyFit) -> None:
    count = len(fitted.canonical)
    zero = np.zeros(count)
    surface = CanonicalSurface(fitted.canonical, fitted.faces, fitted.skeleton, fitted.bones, fitted.weights, fitted.region, zero, 0.0, 0.0)
    moved = expression_on(surface, fitted)
    assert moved is not None and fitted.expression is not None
    own = fitted.region == 1
    np.testing.assert_allclose(moved[own], fitted.expression[own], atol=3e-4)
    features = features_on(surface, fitted)
    assert features[face_points().corners[1, 0]] == 1 and features[~own].max() == 0
    assert expression_on(surface, replace(fitted, expression=None)) is None
