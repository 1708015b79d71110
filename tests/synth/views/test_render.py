"""Cameras and buffers of a scene that is known in closed form: a ball."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import axis_rotation
from carve.synth.views.render import SIZE, Decal, Paint, Placement, render_view, sample_placement
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
        faces,
        MeshQueries(vertices, faces),
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
    paint = Paint(np.full((4, 4, 3), (200, 100, 50), np.uint8), None, uv)
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


def test_a_ball_looks_the_same_from_the_sides(view) -> None:  # type: ignore[no-untyped-def]
    normals, inner = expected_normals()
    for side in (view[0].normal_left, view[0].normal_right):
        assert error(decoded(side)[inner], normals[inner]) < 0.3


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
        assert free[inner & (facing > 0.1)].mean() > 0.98
        assert free[inner & (facing < -0.1)].mean() < 0.02


def test_colours_continue_beyond_the_outline(view) -> None:  # type: ignore[no-untyped-def]
    seen = view[0]
    row = seen.coverage[SIZE // 2]
    edge = int(np.flatnonzero(row)[0])
    np.testing.assert_allclose(seen.albedo[SIZE // 2, edge - 2], [200, 100, 50], atol=2)


def test_a_half_plane_blocks_half_the_sky() -> None:
    wall = np.array([[0.02, -50, -50], [0.02, 50, -50], [0.02, 50, 50], [0.02, -50, 50]], float)
    queries = MeshQueries(wall, np.array([[0, 1, 2], [0, 2, 3]]))
    points, normals = np.zeros((200, 3)), np.tile([0.0, 1.0, 0.0], (200, 1))
    free, bent = sky(queries, points, normals)
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
