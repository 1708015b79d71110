"""Truth that is moved against the truth of the moved person, light on the person against closed forms, and what is drawn at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.records import CarveError
from carve.synth.lighting import Lighting, cap, environment_of
from carve.synth.photograph import (
    FIELDS,
    Field,
    Motion,
    Scenery,
    augment,
    develop,
    draw_motion,
    load_scenery,
    other_side,
    photograph,
    repaint,
    shade,
    srgb,
    view_fields,
)
from carve.synth.records import PARTS, View
from solids import sphere
from synth.views import LANDMARKS, Scene, make_view, mirrored, person_scene, rolled, some_suns

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
    return make_view(somebody, some_suns(somebody.up, 1, 2), rays=4)


@pytest.fixture(scope="module")
def scenery() -> Scenery:
    """Two small panoramas, one with a sun, and a few pictures, one of the same place."""
    rng = np.random.default_rng(0)
    sunny = rng.uniform(0.2, 0.6, (64, 128, 3)).astype(np.float32)
    sunny[20:22, 40:42] = 900
    pictures = tuple(cv2.GaussianBlur(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8), (0, 0), 6) for _ in range(3))
    environments = (environment_of("field_512", sunny), environment_of("hall_512", np.full((64, 128, 3), 0.7, np.float32)))
    return Scenery(environments, pictures, ("field_0", "field_1", "street_0"))


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
    for got, want in ((truth.part, expected.part), (truth.region, expected.region)):
        assert got is not None
        assert want is not None
        assert len(np.unique(want)) > 2
        assert (got == want)[inner].mean() > 0.97
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
    for labels in (truth.depth, truth.part, truth.region):
        assert labels is not None
        assert not labels[~truth.mask].any()
        assert (labels[truth.mask] > 0).all()


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


# Light.


def card(normals: np.ndarray, albedo: int = 128, part: str = "top", suns: int = 1) -> View:
    """A view of 64 x 64 pixels, all covered, with given normals (64, 64, 3), open to all sides."""
    encoded = np.round((normals + 1) * 127.5).astype(np.uint8)
    full = np.full((64, 64), 255, np.uint8)
    flat = np.full((64, 64, 3), albedo, np.uint8)
    return View(
        camera=Camera.centred(64, 64, 100.0),
        up=np.array([0.0, 1.0, 0.0]),
        coverage=full,
        albedo=flat,
        normal=encoded,
        normal_back=encoded,
        normal_left=encoded,
        normal_right=encoded,
        body_normal=encoded,
        body_normal_back=encoded,
        depth=np.full((64, 64), 1000, np.uint16),
        depth_range=(2.0, 3.0),
        occlusion=full.copy(),
        bent=encoded,
        sun_directions=np.tile([0.0, 0.0, 1.0], (suns, 1)),
        sun_free=np.full((64, 64, suns), 255, np.uint8),
        part=np.full((64, 64), PARTS.index(part), np.uint8),
        region=np.ones((64, 64), np.uint8),
        landmarks=np.zeros((len(LANDMARKS), 4)),
    )


def all_round() -> np.ndarray:
    """(64, 64, 3) unit vectors spread evenly over the sphere."""
    k = np.arange(4096) + 0.5
    y, angle = 1 - k / 2048, k * 2.399963
    radius = np.sqrt(1 - y * y)
    return np.column_stack([radius * np.cos(angle), y, radius * np.sin(angle)]).reshape(64, 64, 3)


def light(radiance: float = 0.0, sun: float = 0.0, toward: np.ndarray | None = None, index: int = 0) -> Lighting:
    toward = np.array([0.0, 0.0, 1.0]) if toward is None else toward
    up = np.array([0.0, 1.0, 0.0])
    return Lighting("lamps", cap(up, np.pi, np.full(3, radiance)), index if sun else -1, toward, np.full(3, sun), None, np.eye(3))


def diffuse_of(view: View, lighting: Lighting) -> np.ndarray:
    """(64, 64) what the albedo adds: the picture less that of a black person, which is what mirrors."""
    colour, black = (shade(view, albedo, lighting, np.random.default_rng(0)).colour for albedo in (view.albedo, np.zeros_like(view.albedo)))
    return (colour - black)[..., 1]


def test_a_constant_surrounding_makes_every_surface_its_albedo() -> None:
    view = card(all_round(), 188)
    reflectance = ((188 / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(diffuse_of(view, light(radiance=1.7)), 1.7 * reflectance, rtol=3e-3)
    np.testing.assert_allclose(shade(view, view.albedo, light(radiance=1.7), np.random.default_rng(0)).white, 1.7, rtol=3e-3)


def test_the_sun_gives_lamberts_cosine() -> None:
    toward = np.array([0.36, 0.48, 0.8])
    view = card(all_round(), 188)
    reflectance = ((188 / 255 + 0.055) / 1.055) ** 2.4
    expected = reflectance / np.pi * 2.5 * np.maximum(all_round() @ toward, 0)
    np.testing.assert_allclose(diffuse_of(view, light(sun=2.5, toward=toward)), expected, atol=0.01)


def test_light_creeps_around_skin_without_becoming_more() -> None:
    toward = np.array([0.36, 0.48, 0.8])
    cloth, skin = (diffuse_of(card(all_round(), 188, part), light(sun=2.5, toward=toward)) for part in ("top", "skin"))
    assert skin.mean() == pytest.approx(cloth.mean(), rel=0.01)
    behind = all_round() @ toward < -0.02
    assert cloth[behind].max() == 0
    assert skin[behind].max() > 0


def test_only_the_chosen_suns_shadow_falls() -> None:
    view = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)), suns=2)
    view.sun_free[:, :32, 1] = 0
    assert np.ptp(diffuse_of(view, light(sun=1.0, index=0))) < 1e-6
    shadowed = diffuse_of(view, light(sun=1.0, index=1))
    assert shadowed[:, :32].max() == 0
    assert shadowed[:, 32:].min() > 0.05


def test_a_closed_in_place_is_darker_and_less_so_where_it_is_white() -> None:
    def share(albedo: int) -> float:
        view = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)), albedo)
        closed = replace(view, occlusion=np.full((64, 64), 100, np.uint8))
        return float(diffuse_of(closed, light(radiance=1.0)).mean() / diffuse_of(view, light(radiance=1.0)).mean())

    assert share(30) == pytest.approx(100 / 255, abs=0.02)
    assert share(30) < share(240) < 0.8


def test_gloss_is_weak_on_cloth_and_mirrors_the_sun() -> None:
    facing = card(np.tile([0.0, 0.0, 1.0], (64, 64, 1)))
    black = np.zeros_like(facing.albedo)
    for part in ("top", "skin"):
        lit = shade(replace(facing, part=np.full((64, 64), PARTS.index(part), np.uint8)), black, light(sun=np.pi), np.random.default_rng(0))
        assert 0 < lit.colour[32, 32, 0] < 0.12
    slanted = light(sun=np.pi, toward=np.array([0.8, 0.0, 0.6]))
    row = shade(facing, black, slanted, np.random.default_rng(0)).colour[32, :, 0]
    assert row[-1] > 2 * row[0]  # one looks to the right of a wall to see a light mirrored that stands at the right


def test_colours_are_premultiplied_and_stay_inside_the_coverage() -> None:
    view = card(all_round())
    view.coverage[:, :10] = 0
    view.coverage[:, 10:12] = 51
    colour = shade(view, view.albedo, light(radiance=1.0), np.random.default_rng(0)).colour
    assert not colour[:, :10].any()
    np.testing.assert_allclose(colour[:, 10:12, 3], 0.2, atol=1e-6)
    assert colour[:, 10:12, 1].mean() == pytest.approx(0.2 * colour[:, 20:, 1].mean(), rel=0.05)


# What is drawn.


def test_a_third_of_the_garments_change_and_nothing_else_does(somebodys_view: View) -> None:
    changed = {"top": 0, "bottom": 0}
    for seed in range(60):
        fresh = repaint(somebodys_view, np.random.default_rng(seed))
        np.testing.assert_array_equal(fresh, repaint(somebodys_view, np.random.default_rng(seed)))
        differs = (fresh != somebodys_view.albedo).any(-1)
        assert not differs[somebodys_view.coverage == 0].any()
        for name in changed:
            changed[name] += bool(differs[somebodys_view.part == PARTS.index(name)].any())
        skin = somebodys_view.part == PARTS.index("skin")
        assert np.abs(fresh[skin].astype(float).mean(0) - somebodys_view.albedo[skin].mean(0)).max() < 50
    assert 10 <= changed["top"] <= 34
    assert 10 <= changed["bottom"] <= 34


def test_prints_are_strong(somebodys_view: View) -> None:
    top = somebodys_view.part == PARTS.index("top")
    before = somebodys_view.albedo[top].astype(float).std(0).max()
    after = [repaint(somebodys_view, np.random.default_rng(s))[top].astype(float).std(0).max() for s in range(60)]
    assert sum(spread > before + 20 for spread in after) >= 5


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
    assert min(kept) > 0.8
    assert np.mean(np.array(kept) > 0.97) > 0.7


def test_equal_generators_give_equal_photographs(somebodys_view: View, scenery: Scenery) -> None:
    a, b, c = (photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(s), 256, ("normal_front",)) for s in (5, 5, 6))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.truth.normals["normal_front"], b.truth.normals["normal_front"])
    assert (a.image != c.image).any()


def test_photographs_are_well_exposed_and_sometimes_occluded(somebodys_view: View, scenery: Scenery) -> None:
    grey = replace(somebodys_view, albedo=np.full_like(somebodys_view.albedo, 148))  # reflects 0.3
    means, clipped, occluded = [], [], 0
    for seed in range(80):
        drawn = photograph(grey, LANDMARKS, scenery, np.random.default_rng(seed), 256, ())
        assert drawn.image.shape == (256, 256, 3)
        assert drawn.image.dtype == np.uint8
        assert not (drawn.visible & ~drawn.truth.mask).any()
        occluded += bool((drawn.visible != drawn.truth.mask).any())
        person = drawn.image[drawn.visible]
        means.append(person.mean())
        clipped.append((person == 255).mean())
    assert 2 <= occluded <= 18
    assert 105 < np.median(means) < 155
    assert np.mean(np.array(means) < 50) < 0.1
    assert np.mean(clipped) < 0.03


def test_what_is_hidden_is_not_seen(somebodys_view: View, scenery: Scenery) -> None:
    lost = 0
    for seed in range(70):
        drawn = photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(seed), 128, ())
        for u, v, _, seen in drawn.truth.landmarks:
            inside = 0 <= u < 128 and 0 <= v < 128
            if not inside:
                assert seen == 0
            elif drawn.truth.mask[int(v), int(u)]:
                assert seen == drawn.visible[int(v), int(u)]
                lost += seen == 0
    assert lost > 0


def test_the_stored_framing_is_kept_without_augmentation(somebodys_view: View, scenery: Scenery) -> None:
    drawn = photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(0), 512, ("depth",), augmented=False)
    assert drawn.truth.camera == somebodys_view.camera
    np.testing.assert_allclose(drawn.truth.coverage, somebodys_view.coverage / 255, atol=1e-6)
    np.testing.assert_array_equal(drawn.visible, drawn.truth.mask)


def test_only_what_is_needed_is_read(somebodys_view: View, scenery: Scenery) -> None:
    fields: tuple[Field, ...] = ("normal_front", "normal_left")
    needed = view_fields(fields)
    assert {"normal", "normal_left", "normal_right", "albedo"} <= set(needed)
    assert not {"normal_back", "body_normal", "body_normal_back", "region"} & set(needed)
    empty = {name: np.zeros((0, 0, 3), np.uint8) for name in ("normal_back", "body_normal", "body_normal_back")}
    partial = replace(somebodys_view, **empty, region=np.zeros((0, 0), np.uint8))
    for seed in range(4):
        full, lean = (photograph(v, LANDMARKS, scenery, np.random.default_rng(seed), 256, fields) for v in (somebodys_view, partial))
        np.testing.assert_array_equal(full.image, lean.image)
        assert set(lean.truth.normals) == set(fields)
        assert lean.truth.region is None
    assert set(view_fields(FIELDS)) > set(needed)


def test_development_keeps_the_order_of_tones() -> None:
    ramp = np.linspace(0, 2, 256, dtype=np.float32)[None, :, None].repeat(256, 0).repeat(3, 2)
    greys = []
    for seed in range(20):
        column = develop(ramp.copy(), np.random.default_rng(seed)).astype(float).mean((0, 2))
        smooth = np.convolve(column, np.ones(25) / 25, "valid")
        assert (np.diff(smooth) > -1.5).all()
        greys.append(column[23])  # linear 0.18
    assert 90 < np.median(greys) < 140
    assert np.ptp(greys) > 10


def test_the_transfer_function_is_srgbs() -> None:
    np.testing.assert_allclose(srgb(np.array([0.0, 0.0031308, 0.21404, 1.0])), [0, 0.04045, 0.5, 1.0], atol=1e-4)


def test_missing_backgrounds_are_told(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="no backgrounds"):
        load_scenery(tmp_path)
    (tmp_path / "backgrounds").mkdir()
    (tmp_path / "hdri").mkdir()
    (tmp_path / "backgrounds" / "broken.jpg").write_bytes(b"nothing")
    cv2.imwrite(str(tmp_path / "hdri" / "even.hdr"), np.full((16, 32, 3), 0.5, np.float32))
    with pytest.raises(CarveError, match=r"broken\.jpg"):
        load_scenery(tmp_path)
