"""Moving a sphere to masks of known outlines."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.geometry.mesh import signed_volume
from carve.geometry.relief.outline import MaskField, Rim, SurfaceMover, find_rim, mask_field, silhouette_iou
from solids import Solid, sphere

CAMERA = Camera.centred(400, 300, 500.0)
DISTANCE, RADIUS = 3.0, 0.4
CENTRE = np.array([0.0, 0.0, -DISTANCE])
SEEN = 500 * RADIUS / np.sqrt(DISTANCE**2 - RADIUS**2)
"""Radius of the sphere's picture, pixels."""
METRE = 500 / DISTANCE
"""Pixels a metre at the sphere's middle."""
NO_HOLD, REACH = 0.0, 0.15


def ellipse(a: float, b: float, u: float = 200.0, v: float = 150.0) -> np.ndarray:
    """(300, 400) soft mask of an ellipse with half axes a and b pixels about (u, v)."""
    x, y = np.arange(400) + 0.5 - u, np.arange(300)[:, None] + 0.5 - v
    norm = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    return np.clip(0.5 + (1 - norm) * min(a, b), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def ball() -> Solid:
    return sphere(RADIUS, centre=(0.0, 0.0, -DISTANCE), splits=4)


def rim_against(ball: Solid, field: MaskField) -> Rim:
    return find_rim(*ball, field, REACH, REACH)


@pytest.mark.parametrize("longest", [100, 180, 512])
def test_the_field_is_the_mask_with_distances(longest: int) -> None:
    field = mask_field(ellipse(60, 60, 180.0, 140.0), CAMERA, longest)
    scale = field.camera.focal / CAMERA.focal
    assert scale == pytest.approx(min(longest / 120, 2.0), rel=0.02)
    rows, columns = np.indices(field.signed.shape)
    middle = field.camera.project(CAMERA.rays(np.array([180.0, 140.0])))  # the same direction in both cameras
    distance = 60 * scale - np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1])
    assert np.abs(field.signed - distance).max() < 1.1
    assert (field.mask == (distance > 0))[np.abs(distance) > 1].all()
    assert not field.border.any()
    assert field.signed.shape == (field.camera.height, field.camera.width)


def test_only_what_the_picture_cuts_off_is_border() -> None:
    field = mask_field(ellipse(60, 100, 30.0, 150.0), CAMERA, 150)
    scale = field.camera.focal / CAMERA.focal
    u = (np.arange(field.camera.width) + 0.5 - field.camera.cx) / scale + CAMERA.cx
    assert field.border[:, u < 1].all()
    assert not field.border[:, u > 3 / scale + 1].any()


@pytest.mark.parametrize("longer", [-8.0, -2.5, 0.0, 3.0, 12.0])
def test_the_rim_knows_how_far_the_outline_is(ball: Solid, longer: float) -> None:
    rim = rim_against(ball, mask_field(ellipse(SEEN + longer, SEEN + longer), CAMERA))
    assert len(rim.delta) > 200
    assert np.median(rim.delta) == pytest.approx(longer / METRE, abs=0.6 / METRE)
    assert np.abs(rim.delta - longer / METRE).max() < 2.0 / METRE
    radial = ball[0][rim.vertex][:, :2]
    radial /= np.linalg.norm(radial, axis=1, keepdims=True)
    assert ((rim.direction[:, :2] * radial).sum(1) > 0.97).all()
    np.testing.assert_allclose(np.linalg.norm(rim.direction, axis=1), 1, atol=1e-6)
    assert not rim.direction[:, 2].any()
    assert np.linalg.norm(ball[0][rim.vertex][:, :2], axis=1).min() > 0.9 * RADIUS


def test_the_rim_says_where_it_met_the_outline(ball: Solid) -> None:
    field = mask_field(ellipse(SEEN + 9, SEEN + 9), CAMERA)
    rim = rim_against(ball, field)
    scale = field.camera.focal / CAMERA.focal
    radius = np.linalg.norm(rim.target - [field.camera.cx, field.camera.cy], axis=1) / scale
    np.testing.assert_allclose(radius, SEEN + 9, atol=1.5)
    around = 2 * np.pi * SEEN / METRE
    assert around < rim.length.sum() * np.pi / 2 < 1.5 * around  # a pixel of a slanted outline stands for more than its side
    few = rim.only(rim.delta > np.median(rim.delta))
    assert 0 < len(few.vertex) == len(few.delta) == len(few.direction) == len(few.length) == len(few.target) < len(rim.vertex)


def test_outlines_out_of_reach_are_left_alone(ball: Solid) -> None:
    field = mask_field(ellipse(SEEN + 20, SEEN + 20), CAMERA)
    assert not len(find_rim(*ball, field, 0.05, 0.05).delta)
    assert len(find_rim(*ball, field, 0.15, 0.05).delta)
    inner = mask_field(ellipse(SEEN - 20, SEEN - 20), CAMERA)
    assert not len(find_rim(*ball, inner, 0.15, 0.05).delta)


def test_a_rim_at_the_pictures_border_is_nobodys_outline(ball: Solid) -> None:
    vertices = ball[0] - [200 / METRE, 0, 0]  # half of it lies left of the picture
    field = mask_field(ellipse(SEEN + 5, SEEN + 5, 0.0), CAMERA)
    rim = find_rim(vertices, ball[1], field, REACH, REACH)
    assert len(rim.delta)
    u = CAMERA.project(vertices[rim.vertex])[:, 0]
    assert u.min() > 0
    assert np.median(rim.delta) == pytest.approx(5 / METRE, abs=1 / METRE)


def test_a_surface_outside_of_the_masks_window_has_no_rim(ball: Solid) -> None:
    field = mask_field(ellipse(20, 20, 30.0, 30.0), CAMERA)
    assert not len(find_rim(*ball, field, REACH, REACH).delta)


def test_nothing_to_explain_moves_nothing(ball: Solid) -> None:
    vertices, faces = ball
    nothing = find_rim(vertices, faces, mask_field(ellipse(SEEN + 20, SEEN + 20), CAMERA), 0.05, 0.05)
    mover = SurfaceMover(vertices, faces, np.full(len(vertices), 0.01))
    np.testing.assert_array_equal(mover.shift(vertices, nothing, 0.05), vertices)
    np.testing.assert_array_equal(mover.inflate(vertices, nothing, 0.05, 1.0, (-0.1, 0.1)), vertices)


def test_depth_follows_width(ball: Solid) -> None:
    """A larger disk makes a larger sphere, not a disk: it grows towards the camera and away from it as it grows sideways."""
    vertices, faces = ball
    rim = rim_against(ball, mask_field(ellipse(SEEN + 10, SEEN + 10), CAMERA))
    mover = SurfaceMover(vertices, faces, np.full(len(vertices), NO_HOLD))
    grown = mover.inflate(vertices, rim, 0.1, 1.0, (-0.1, 0.1))
    radius = np.linalg.norm(grown - CENTRE, axis=1)
    assert np.abs(radius - RADIUS - 10 / METRE).max() < 0.15 * 10 / METRE
    assert signed_volume(grown, faces) > signed_volume(vertices, faces)


def test_growth_is_limited_and_far_outlines_are_doubted(ball: Solid) -> None:
    vertices, faces = ball
    rim = rim_against(ball, mask_field(ellipse(SEEN + 20, SEEN + 20), CAMERA))
    mover = SurfaceMover(vertices, faces, np.full(len(vertices), 0.02))
    growth = lambda x: np.linalg.norm(x - CENTRE, axis=1) - RADIUS  # noqa: E731
    assert growth(mover.inflate(vertices, rim, 0.1, 1.0, (-0.02, 0.03))).max() == pytest.approx(0.03, abs=1e-6)
    trusted, doubted = (growth(mover.inflate(vertices, rim, 0.1, doubt, (-1.0, 1.0))).mean() for doubt in (1.0, 0.03))
    assert doubted < 0.8 * trusted


def test_what_is_held_stays(ball: Solid) -> None:
    vertices, faces = ball
    rim = rim_against(ball, mask_field(ellipse(SEEN + 10, SEEN + 10), CAMERA))
    held = vertices[:, 1] > 0.2
    mover = SurfaceMover(vertices, faces, np.where(held, 1e5, 0.0))
    for moved in (mover.inflate(vertices, rim, 0.02, 1.0, (-0.1, 0.1)), mover.shift(vertices, rim, 0.02)):
        distance = np.linalg.norm(moved - vertices, axis=1)
        assert distance[held].max() < 0.05 * 10 / METRE
        assert distance[vertices[:, 1] < -0.2].max() > 0.8 * 10 / METRE


def test_a_moved_mask_moves_the_surface_in_the_picture_only(ball: Solid) -> None:
    vertices, faces = ball
    field = mask_field(ellipse(SEEN, SEEN, 206.0, 146.0), CAMERA)
    mover = SurfaceMover(vertices, faces, np.full(len(vertices), NO_HOLD))
    moved = vertices
    for _ in range(4):
        moved = mover.shift(moved, find_rim(moved, faces, field, REACH, REACH), 0.3)
    np.testing.assert_array_equal(moved[:, 2], vertices[:, 2])
    np.testing.assert_allclose((moved - vertices)[:, :2].mean(0), [6 / METRE, 4 / METRE], atol=1 / METRE)
    assert (moved - vertices)[:, :2].std(0).max() < 1 / METRE
    assert silhouette_iou(moved, faces, field) > 0.97 > silhouette_iou(vertices, faces, field)


def test_an_ellipse_is_explained(ball: Solid) -> None:
    vertices, faces = ball
    field = mask_field(ellipse(SEEN + 14, SEEN - 9), CAMERA)
    before = silhouette_iou(vertices, faces, field)
    mover = SurfaceMover(vertices, faces, np.full(len(vertices), 0.01))
    moved = vertices
    for _ in range(3):
        moved = mover.shift(moved, find_rim(moved, faces, field, REACH, REACH), 0.02)
    assert before < 0.85 < 0.98 < silhouette_iou(moved, faces, field)
    seen = CAMERA.project(moved)
    assert np.ptp(seen[:, 0]) / 2 == pytest.approx(SEEN + 14, abs=1.5)
    assert np.ptp(seen[:, 1]) / 2 == pytest.approx(SEEN - 9, abs=1.5)
    np.testing.assert_array_equal(moved[:, 2], vertices[:, 2])


def test_a_denser_mesh_moves_alike(ball: Solid) -> None:
    """The problems are in metric units."""
    field = mask_field(ellipse(SEEN + 10, SEEN - 5), CAMERA)
    extents = []
    for splits in (3, 4):
        vertices, faces = sphere(RADIUS, centre=(0.0, 0.0, -DISTANCE), splits=splits)
        mover = SurfaceMover(vertices, faces, np.full(len(vertices), 0.01))
        extents.append(np.ptp(mover.inflate(vertices, find_rim(vertices, faces, field, REACH, REACH), 0.05, 1.0, (-0.1, 0.1)), axis=0))
    np.testing.assert_allclose(extents[0], extents[1], atol=0.01)


def test_the_silhouette_of_the_same_surface_is_the_same(ball: Solid) -> None:
    assert silhouette_iou(*ball, mask_field(ellipse(SEEN, SEEN), CAMERA)) > 0.98
    assert silhouette_iou(*ball, mask_field(ellipse(20, 20, 30.0, 30.0), CAMERA)) == 0
