"""Truth that is moved against the truth of the moved person."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.records import LABELS
from carve.synth.photo.augmentation import Motion, augment, draw_motion, other_side
from carve.synth.records import PARTS, View, label_table
from solids import sphere
from synth.views import LANDMARKS, Scene, make_view, mirrored, person_scene, rolled

MOTIONS = {
    "none": Motion(),
    "flip": Motion(flip=True),
    "turn": Motion(angle=0.4),
    "both": Motion(flip=True, angle=-0.3),
    "window": Motion(scale=1.7, shift=(0.1, -0.15)),
    "all": Motion(flip=True, angle=0.25, scale=0.8, shift=(-0.05, 0.08)),
}


def ball(size: int = 256) -> Scene:
    """A lopsided ball with a smaller one in it, before a camera whose principal point is not the centre."""
    vertices, faces = sphere(splits=5)
    bumps = 1 + 0.12 * np.sin(3 * vertices[:, 0] + 1) * np.cos(4 * vertices[:, 1]) + 0.1 * vertices[:, 0]
    centre = np.array([0.15, -0.1, -4.0])
    sides = [REGIONS.index("left_hand"), REGIONS.index("right_foot"), REGIONS.index("torso")]
    marks = np.array([[0, 0, 1], [0.8, 0.5, 0.2], [-0.7, 0.5, 0.2], [0.4, -0.8, 0.3], [-0.3, -0.8, 0.3]])
    up = np.array([0.1, 1.0, 0.2])
    return Scene(
        vertices=vertices * bumps[:, None] + centre,
        body=0.85 * vertices + centre,
        faces=faces,
        part=np.where(vertices[:, 1] > 0.2, PARTS.index("top"), PARTS.index("skin")),
        region=np.choose((vertices[:, 0] > 0.3) * 1 + (vertices[:, 1] > 0.4), sides),
        albedo=np.full((len(vertices), 3), 128.0),
        landmarks=marks + centre,
        camera=Camera(size, size, 1.35 * size, 0.45 * size, 0.53 * size),
        up=up / np.linalg.norm(up),
    )


@pytest.fixture(scope="module")
def ball_scene() -> Scene:
    return ball()


@pytest.fixture(scope="module")
def ball_view(ball_scene: Scene) -> View:
    return make_view(ball_scene)


@pytest.fixture(scope="module")
def somebody(anny_body: AnnyBody) -> Scene:
    return person_scene(anny_body, 3)


@pytest.fixture(scope="module")
def somebodys_view(somebody: Scene) -> View:
    return make_view(somebody)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) angles between unit vectors (3, N)."""
    return np.degrees(np.arccos(np.clip((a * b).sum(0), -1, 1)))


def moved(scene: Scene, motion: Motion, camera: Camera) -> Scene:
    """The person themselves mirrored and turned, before the sample's camera."""
    scene = mirrored(scene) if motion.flip else scene
    return replace(rolled(scene, motion.angle), camera=camera)


def check_against_the_moved_person(scene: Scene, view: View, motion: Motion, limit: float) -> None:
    size = scene.camera.width
    truth = augment(view, LANDMARKS, motion, size)
    scene = moved(scene, motion, truth.camera)
    expected = augment(make_view(scene), LANDMARKS, Motion(), size)
    np.testing.assert_allclose(truth.up, expected.up, atol=1e-9)
    np.testing.assert_allclose(truth.coverage, expected.coverage, atol=0.51)
    assert (truth.mask != expected.mask).mean() < 0.002
    inner = cv2.erode((truth.mask & expected.mask).astype(np.uint8), np.ones((3, 3))) > 0
    for field, normal in truth.normals.items():
        reference = expected.normals[field]
        both = (normal != 0).any(0) & (reference != 0).any(0)
        both = both & inner if field in ("normal_front", "normal_back") else cv2.erode(both.astype(np.uint8), np.ones((5, 5))) > 0
        assert both.sum() > 500, field
        assert degrees_between(normal[:, both], reference[:, both]).mean() < limit, field
    assert truth.depth is not None
    assert expected.depth is not None
    assert np.abs(truth.depth - expected.depth)[inner].mean() < 2e-3
    for field, want in expected.labels.items():
        assert len(np.unique(want)) > 2
        assert (truth.labels[field] == want)[inner].mean() > 0.97
    assert truth.place is not None and expected.place is not None
    assert np.abs(truth.place - expected.place)[:, inner].mean() < 3e-3
    for field, colours in expected.albedo.items():
        assert np.abs(truth.albedo[field] - colours)[:, inner].mean() < 0.03
    inside = (expected.landmarks[:, :2] > 1).all(1) & (expected.landmarks[:, :2] < size - 1).all(1)
    np.testing.assert_allclose(truth.landmarks[:, :3], expected.landmarks[:, :3], atol=1e-6)
    assert (truth.landmarks[inside, 3] == 1).all()


@pytest.mark.parametrize("name", MOTIONS)
def test_moving_the_truth_is_moving_the_ball(name: str, ball_scene: Scene, ball_view: View) -> None:
    check_against_the_moved_person(ball_scene, ball_view, MOTIONS[name], 1.0)


@pytest.mark.parametrize("name", ["flip", "all"])
def test_moving_the_truth_is_moving_the_person(name: str, somebody: Scene, somebodys_view: View) -> None:
    check_against_the_moved_person(somebody, somebodys_view, MOTIONS[name], 1.0)


def test_the_comparison_notices_a_wrong_sign(ball_scene: Scene, ball_view: View) -> None:
    for wrong in (Motion(angle=-0.4), Motion(flip=True, angle=0.4)):
        truth = augment(ball_view, LANDMARKS, Motion(angle=0.4), 256)
        expected = augment(make_view(moved(ball_scene, wrong, truth.camera)), LANDMARKS, Motion(), 256)
        both = truth.mask & expected.mask
        assert degrees_between(truth.normals["normal_front"][:, both], expected.normals["normal_front"][:, both]).mean() > 5


def test_a_window_is_a_cropped_camera(ball_view: View) -> None:
    camera = augment(ball_view, LANDMARKS, Motion(scale=2.0, shift=(0.25, 0.5)), 256, ()).camera
    # The middle of the view, 128, goes to 0.75 and 1 of a sample that shows 128 pixels of the view.
    expected = ball_view.camera.cropped(128 - 0.75 * 128, 128 - 128, 256, 256, 2.0)
    np.testing.assert_allclose([camera.focal, camera.cx, camera.cy], [expected.focal, expected.cx, expected.cy])


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("name", MOTIONS)
def test_normals_are_unit_vectors_and_the_background_is_zero(name: str, size: int, ball_view: View) -> None:
    truth = augment(ball_view, LANDMARKS, MOTIONS[name], size)
    for field, normal in truth.normals.items():
        length = np.linalg.norm(normal, axis=0)
        known = length > 0
        np.testing.assert_allclose(length[known], 1, atol=1e-5)
        if field in ("normal_front", "normal_back"):
            np.testing.assert_array_equal(known, truth.mask)
        elif field.startswith("body"):
            assert not (known & ~truth.mask).any()
    assert truth.depth is not None and truth.place is not None
    for labels in (truth.depth, *truth.labels.values()):
        assert not labels[~truth.mask].any()
        assert (labels[truth.mask] > 0).all()
    for values in (truth.place, *truth.albedo.values()):
        assert not values[:, ~truth.mask].any()
        assert values[:, truth.mask].any(0).all()


def test_a_smaller_sample_is_the_same_picture(ball_view: View) -> None:
    large, small = (augment(ball_view, LANDMARKS, MOTIONS["all"], size) for size in (256, 128))
    np.testing.assert_allclose(large.coverage.reshape(128, 2, 128, 2).mean((1, 3)), small.coverage, atol=0.4)
    np.testing.assert_allclose(large.landmarks[:, :2] / 2, small.landmarks[:, :2])
    assert small.camera.focal == pytest.approx(large.camera.focal / 2)


def test_depth_does_not_blend_over_a_jump(ball_view: View) -> None:
    z = np.where(np.arange(256)[None] < 128, 1, 65535).astype(np.uint16).repeat(256, 0)
    wall = replace(ball_view, coverage=np.full((256, 256), 255, np.uint8), depth=z, depth_range=(2.0, 3.0))
    depth = augment(wall, LANDMARKS, Motion(scale=1.37, shift=(0.013, 0)), 256, ("depth",)).depth
    assert depth is not None
    assert set(np.unique(depth.round(4))) == {np.float32(2.0), np.float32(3.0)}


def test_other_sides_of_names() -> None:
    assert other_side("left_upper_arm") == "right_upper_arm"
    assert other_side("mouth_right") == "mouth_left"
    assert other_side("bone:leftUpperArm") == "bone:rightUpperArm"
    assert [other_side(name) for name in ("nose", "bone:head", "bright_spot", "cleft")] == ["nose", "bone:head", "bright_spot", "cleft"]
    assert {other_side(name) for name in REGIONS} == set(REGIONS)


def test_framings_are_mostly_of_the_whole_person(somebodys_view: View) -> None:
    windows, kept = 0, []
    for seed in range(300):
        motion = draw_motion(somebodys_view, np.random.default_rng(seed))
        if motion.scale > 1.2:
            windows += 1
        elif seed < 60:
            truth = augment(somebodys_view, LANDMARKS, motion, 128, ())
            kept.append(truth.coverage.sum() / (motion.scale**2 * (somebodys_view.coverage / 255).sum() / 16))
    assert 35 <= windows <= 85
    parts = [draw_motion(somebodys_view, np.random.default_rng(seed), windows=0.55).scale > 1.2 for seed in range(300)]
    assert 135 <= sum(parts) <= 195
    assert min(kept) > 0.8
    assert np.mean(np.array(kept) > 0.97) > 0.7


def test_labels_are_kinds(ball_view: View) -> None:
    """Whatever is worn has a label; what this list does not know is `other`."""
    table = label_table()
    assert len(table) == len(PARTS) and table[0] == 0
    assert (table[1:] > 0).all() and table.max() < len(LABELS)
    front = augment(ball_view, LANDMARKS, Motion(), 256, ("label_front",)).labels["label_front"]
    assert {LABELS[value] for value in np.unique(front)} == {"background", "skin", "top"}
    assert [LABELS[table[PARTS.index(name)]] for name in ("coat", "eyes", "suit", "scarf")] == ["outer", "skin", "dress", "other"]


def test_a_view_that_ends_in_the_person_is_shown_to_its_border_at_most(somebodys_view: View) -> None:
    """A close-up moved at random never shows what lies beyond it."""
    close = replace(somebodys_view, coverage=np.full((512, 512), 255, np.uint8))
    for seed in range(40):
        motion = draw_motion(close, np.random.default_rng(seed))
        assert augment(close, LANDMARKS, motion, 64, ()).mask.all(), motion
