"""Cameras and buffers of a scene that is known in closed form: a ball."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from carve.body.places import decode_places
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.rotations import axis_rotation
from carve.synth.records import FABRIC_UNIT, View
from carve.synth.views.light import CAVITY_REACH, cavity
from carve.synth.views.occluders import Occluders
from carve.synth.views.painting import Decal, Paint
from carve.synth.views.placement import SIZE, TALL, Placement, sample_placement
from carve.synth.views.render import MARGIN, render_view
from carve.synth.views.scene import Scene, sky
from solids import sphere


def ball_scene(radius: float = 0.5) -> Scene:
    vertices, faces = sphere(radius, (0.0, 1.0, 0.0), splits=5)
    normals = vertex_normals(vertices, faces)
    count = len(vertices)
    return Scene(
        vertices,
        normals,
        faces,
        np.zeros(len(faces), int),
        np.full(len(faces), 4, np.uint8),
        np.full(count, 3, np.uint8),
        np.full(count, 0.75),
        normals,
        vertices,
        vertices,
        faces,
        Occluders(vertices, faces),
    )


def before(yaw: float = 0.0) -> Placement:
    rotation = axis_rotation(1, yaw)
    return Placement(Camera.centred(SIZE, SIZE, 1000.0), rotation, np.array([0.0, 0.0, -3.0]) - rotation @ np.array([0.0, 1.0, 0.0]))


def decoded(image: np.ndarray) -> np.ndarray:
    return image.astype(float) / 127.5 - 1


@pytest.fixture(scope="module")
def view():  # type: ignore[no-untyped-def]
    scene = ball_scene()
    uv = np.zeros((len(scene.faces), 3, 2))
    paint = Paint(np.full((4, 4, 3), (200, 100, 50), np.uint8), None, uv, scene.vertices[scene.faces][..., :2])
    marks = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, -0.5], [0.0, 1.3, 0.4]])
    return render_view(scene, before(), [paint], [], np.arange(len(scene.faces)), marks, np.random.default_rng(0))


def error(first: np.ndarray, second: np.ndarray) -> float:
    """Mean angle in degrees; by the chord, since a cosine near one says little."""
    unit = first / np.linalg.norm(first, axis=-1, keepdims=True)
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(unit - second, axis=-1) / 2, 0, 1))).mean())


def expected_normals() -> tuple[np.ndarray, np.ndarray]:
    """(SIZE, SIZE, 3) normal of the ball's near side at each pixel's centre and where the ray meets the ball well inside its outline."""
    camera = before().camera
    v, u = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    rays = camera.rays(np.stack([u, v], -1))
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    centre = np.array([0.0, 0.0, -3.0])
    b = rays @ centre
    inside = b**2 - centre @ centre + 0.25
    t = b - np.sqrt(np.maximum(inside, 0))
    return (t[..., None] * rays - centre) / 0.5, inside > 0.02


def test_front_normals_are_the_balls(view) -> None:  # type: ignore[no-untyped-def]
    normals, inner = expected_normals()
    assert error(decoded(view[0].normal)[inner], normals[inner]) < 0.3


def test_back_normals_look_away(view) -> None:  # type: ignore[no-untyped-def]
    _, inner = expected_normals()
    back = decoded(view[0].normal_back)[inner]
    assert (back[:, 2] < 0).all()
    np.testing.assert_allclose(np.linalg.norm(back, axis=-1), 1, atol=0.02)


def test_places_and_cloth_are_where_the_surface_is(view) -> None:  # type: ignore[no-untyped-def]
    """The ball is its own body and its cloth is laid out along x and y: both say where each pixel's point lies."""
    normals, inner = expected_normals()
    point = 0.5 * normals + [0.0, 1.0, 0.0]
    # The first of four subpixels is a third of a pixel away, and more metres where the surface is steep.
    flat = inner & (normals[..., 2] > 0.5)
    assert np.abs(decode_places(view[0].place) - point)[flat].max() < 0.006
    assert np.abs(decode_places(view[0].place) - point)[flat].mean() < 0.0015
    cloth = (view[0].fabric[flat].astype(float) - 32768) * FABRIC_UNIT
    assert np.abs(cloth - point[flat][:, :2]).max() < 0.006
    assert not view[0].place[view[0].coverage == 0].any()
    assert not view[0].fabric[view[0].coverage == 0].any()


def test_the_back_has_labels_and_colours_of_its_own() -> None:
    """A ball whose far half is another layer of another part."""
    scene = ball_scene()
    far = (scene.vertices[scene.faces].mean(1)[:, 2] < 0).astype(int)
    scene = replace(scene, layer=far, part=np.where(far, 7, 4).astype(np.uint8))
    uv = np.zeros((len(scene.faces), 3, 2))
    paints = [Paint(np.full((4, 4, 3), shade, np.uint8), None, uv) for shade in (200, 60)]
    seen, _ = render_view(scene, before(), paints, [], np.arange(len(far)), np.zeros((1, 3)), np.random.default_rng(0))
    _, inner = expected_normals()
    assert (seen.part[inner] == 4).all() and (seen.part_back[inner] == 7).all()
    assert (seen.albedo[inner] == 200).all() and (seen.albedo_back[inner] == 60).all()
    assert not seen.fabric_back.any()


def test_a_right_angled_crease_takes_light_and_a_plane_none() -> None:
    """Along a crease of two walls at right angles half of the light is gone; the cavity's reach ends that."""
    size, focal = 200, 400.0
    camera = Camera.centred(size, size, focal)
    x = (np.arange(size) + 0.5 - size / 2) / focal
    flat = np.full((size, size), 1.0, np.float32)
    plane = np.zeros((size, size, 3), np.float32)
    plane[..., 2] = 1
    assert cavity(flat, plane, camera).min() > 0.999
    # Walls z = -1 + |x_world|: x_world = x z_distance, so the distance is 1 / (1 + |x|).
    distance = np.broadcast_to(1 / (1 + np.abs(x)), (size, size)).astype(np.float32)
    walls = np.stack([-np.sign(x) / np.sqrt(2), 0 * x, np.full(size, 1 / np.sqrt(2))], -1)
    crease = cavity(np.ascontiguousarray(distance), np.broadcast_to(walls, (size, size, 3)).astype(np.float32), camera)[size // 2]
    near, away = np.abs(x) < 0.004, np.abs(x) > CAVITY_REACH
    assert 0.5 < crease[near].mean() < 0.85
    assert crease[away].min() > 0.99


def test_coverage_depth_and_colours(view) -> None:  # type: ignore[no-untyped-def]
    seen = view[0]
    # The outline of a ball at distance d: tan of the half angle = r / sqrt(d^2 - r^2).
    radius = 1000 * 0.5 / np.sqrt(3.0**2 - 0.5**2)
    assert (seen.coverage / 255).sum() == pytest.approx(np.pi * radius**2, rel=2e-3)
    near, far = seen.depth_range
    middle = (float(seen.depth[SIZE // 2, SIZE // 2]) - 1) / 65534 * (far - near) + near
    assert middle == pytest.approx(2.5, abs=1e-3)
    assert seen.depth[0, 0] == 0
    inner = seen.coverage == 255
    np.testing.assert_array_equal(np.unique(seen.albedo[inner].reshape(-1, 3), axis=0), [[200, 100, 50]])
    assert (seen.part[inner] == 4).all()
    assert (seen.region[inner] == 3).all()
    np.testing.assert_allclose(seen.occlusion[inner], round(0.75 * 255), atol=1)


def test_landmarks_before_and_behind(view) -> None:  # type: ignore[no-untyped-def]
    marks = view[0].landmarks
    np.testing.assert_allclose(marks[0], [SIZE / 2, SIZE / 2, 2.5, 1], atol=1e-9)
    assert marks[1, 3] == 0
    assert marks[2, 1] < SIZE / 2
    assert marks[2, 3] == 1


def test_visible_vertices_are_the_near_half(view) -> None:  # type: ignore[no-untyped-def]
    scene = ball_scene()
    near = scene.vertices[:, 2] > 0.12
    assert view[1][near].mean() > 0.97
    assert not view[1][scene.vertices[:, 2] < 0.0].any()


def test_sunlit_where_the_sun_stands(view) -> None:  # type: ignore[no-untyped-def]
    normals, inner = expected_normals()
    for k, direction in enumerate(view[0].sun_directions):
        facing = normals @ direction
        free = view[0].sun_free[..., k] / 255
        disc = np.sin(view[0].sun_radii[k]) + 0.05
        lit, dark = inner & (facing > disc), inner & (facing < -disc - 0.4)
        assert (free[lit] > 0.9).sum() >= 0.98 * lit.sum()
        assert (free[dark] < 0.1).sum() >= 0.98 * dark.sum()


def test_a_window_around_the_person_shows_what_the_whole_frame_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = ball_scene()
    aside = replace(before(), translation=before().translation + np.array([0.35, -0.2, 0.0]))
    paint = Paint(np.full((4, 4, 3), 100, np.uint8), None, np.zeros((len(scene.faces), 3, 2)), scene.vertices[scene.faces][..., :2])
    views = []
    for margin in (MARGIN, 10_000):
        monkeypatch.setattr("carve.synth.views.render.MARGIN", margin)
        views.append(render_view(scene, aside, [paint], [], np.arange(len(scene.faces)), np.zeros((1, 3)), np.random.default_rng(0))[0])
    assert views[0].camera == views[1].camera
    for each in (each for each in fields(View) if each.name != "camera"):
        near, whole = (np.asarray(getattr(v, each.name), float) for v in views)
        if each.name not in ("up", "sun_directions", "sun_radii"):
            # A pixel's centre is rounded otherwise in another window.
            assert (np.abs(near - whole) > 1.01).mean() < 1e-4, each.name


def test_colours_continue_beyond_the_outline(view) -> None:  # type: ignore[no-untyped-def]
    seen = view[0]
    row = seen.coverage[SIZE // 2]
    edge = int(np.flatnonzero(row)[0])
    np.testing.assert_allclose(seen.albedo[SIZE // 2, edge - 2], [200, 100, 50], atol=2)


def test_a_half_plane_blocks_half_the_sky() -> None:
    wall = np.array([[0.02, -50, -50], [0.02, 50, -50], [0.02, 50, 50], [0.02, -50, 50]], float)
    occluders = Occluders(wall, np.array([[0, 1, 2], [0, 2, 3]]))
    points, normals = np.zeros((200, 3)), np.tile([0.0, 1.0, 0.0], (200, 1))
    free, bent = sky(occluders, points, normals)
    # Cosine-weighted share of the half space x < 0: one half; only walls within SKY_REACH count, so a little more is free.
    assert 0.48 < free.mean() < 0.56
    assert (bent[:, 0] < -0.2).mean() > 0.95


def test_decals_colour_without_changing_the_shape() -> None:
    scene = ball_scene()
    paint = Paint(np.full((4, 4, 3), 200, np.uint8), None, np.zeros((len(scene.faces), 3, 2)))
    patch = np.array([[-0.1, 0.9, 0.505], [0.1, 0.9, 0.505], [0.1, 1.1, 0.505], [-0.1, 1.1, 0.505]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    decal = Decal(patch, faces, Paint(np.full((2, 2, 3), 10, np.uint8), np.full((2, 2), 255, np.uint8), np.zeros((2, 3, 2))))
    args = ([paint], [decal], np.arange(len(scene.faces)), np.zeros((1, 3)), np.random.default_rng(0))
    view, _ = render_view(scene, before(), *args)
    assert view.albedo[SIZE // 2, SIZE // 2].max() < 30
    assert view.albedo[SIZE // 2, SIZE // 2 + 100].min() > 190
    assert view.normal[SIZE // 2, SIZE // 2, 2] > 250


@pytest.mark.parametrize("seed", range(10))
def test_cameras_frame_the_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = rng.uniform([-0.4, 0.0, -0.2], [0.4, 1.8, 0.2], (500, 3))
    placement = sample_placement(person, float(rng.uniform(-np.pi, np.pi)), rng)
    pixels = placement.camera.project(placement.see(person))
    assert pixels.min() > 0
    assert pixels.max() < SIZE
    assert np.ptp(pixels, axis=0).max() > 0.7 * SIZE
    np.testing.assert_allclose(placement.rotation @ placement.rotation.T, np.eye(3), atol=1e-12)
    assert placement.rotation[1, 1] > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_close_ups_show_their_focus_large(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = rng.uniform([-0.4, 0.0, -0.2], [0.4, 1.8, 0.2], (500, 3))
    focus = np.array([0.1, 1.6, 0.0])
    placement = sample_placement(person, float(rng.uniform(-np.pi, np.pi)), rng, focus=focus)
    pixels = placement.camera.project(placement.see(person))
    assert TALL[0] * 0.99 < np.ptp(pixels, axis=0).max() < TALL[1] * 1.01
    assert (np.abs(placement.camera.project(placement.see(focus[None])) - SIZE / 2) < 0.2 * SIZE).all()
