"""Draping against what gravity, a sphere and held edges leave no choice about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.geometry.meshing.coarsening import coarsen
from carve.geometry.rotations import axis_rotation
from carve.synth.cloth import drape as module
from carve.synth.cloth.drape import Draped, DrapeError, Params, drape
from solids import box, sphere

QUICK = Params(coarse_edge=0.03, substeps=12, settle_frames=16)
RADIUS = 0.15


def sheet(size: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A square in the plane y = 0 of count x count vertices, facing up."""
    line = np.linspace(-size / 2, size / 2, count)
    z, x = np.meshgrid(line, line, indexing="ij")
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count, corner + count + 1
    faces = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])
    return np.column_stack([x.ravel(), np.zeros(count * count), z.ravel()]), faces


def over_a_sphere() -> tuple[np.ndarray, Draped]:
    cloth, faces = sheet(0.6, 41)
    start = cloth + np.array([0.0, RADIUS + 0.01, 0.0])
    ball, ball_faces = sphere(RADIUS)
    draped = drape(cloth, faces, np.stack([start, start]), np.zeros(len(cloth), bool), np.stack([ball, ball]), ball_faces, QUICK)
    return cloth, draped


def test_a_square_falls_over_a_sphere_and_hangs_down_beside_it() -> None:
    cloth, draped = over_a_sphere()
    assert draped.inside == 0
    assert np.linalg.norm(draped.vertices, axis=1).min() > 0.97 * RADIUS  # the sphere's own facets lie a little below its radius
    assert draped.stretched < 0.02
    middle = np.argmin(np.abs(cloth).sum(1))
    assert abs(draped.vertices[middle, 1] - RADIUS) < 0.015
    corners = np.argsort(-np.abs(cloth[:, [0, 2]]).sum(1))[:4]
    assert (draped.vertices[corners, 1] < 0).all()
    assert draped.vertices[:, 1].min() > -0.6 * np.sqrt(0.5)  # no farther below the top than the cloth reaches
    assert draped.seconds > 0


def test_two_runs_agree_exactly() -> None:
    np.testing.assert_array_equal(over_a_sphere()[1].vertices, over_a_sphere()[1].vertices)


def curtain(shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A sheet held at one border, which moves from where it is by `shift` (T, 3) in the T frames: cloth, faces, guide, held."""
    cloth, faces = sheet(0.3, 21)
    return cloth, faces, cloth + shift[:, None], cloth[:, 2] < -0.149


def test_held_vertices_stay_on_the_guide_and_the_rest_hangs_below_them() -> None:
    shift = np.linspace(0, 1, 4)[:, None] * [0.1, 0.2, 0.0]
    cloth, faces, guide, held = curtain(shift)
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    draped = drape(cloth, faces, guide, held, np.repeat(away[None], 4, 0), away_faces, replace(QUICK, settle_frames=30))
    np.testing.assert_array_equal(draped.vertices[held], guide[-1, held])
    below = draped.vertices[~held, 1] - 0.2
    assert (below < 0).all()
    assert below.min() == pytest.approx(-0.3, rel=0.1)
    assert draped.vertices[:, 0].mean() == pytest.approx(0.1, abs=0.02)  # it has come along


def test_cloth_torn_apart_is_an_error() -> None:
    cloth, faces, guide, _ = curtain(np.zeros((3, 3)))
    held = np.abs(cloth[:, 2]) > 0.149
    guide = guide * np.array([1.0, 1.5, 2.0])[:, None, None]
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    with pytest.raises(DrapeError, match="longer than"):
        drape(cloth, faces, guide, held, np.repeat(away[None], 3, 0), away_faces, QUICK)


def test_positions_that_are_not_finite_are_an_error() -> None:
    cloth, faces, guide, held = curtain(np.zeros((2, 3)))
    guide[1, held] = np.nan
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    with pytest.raises(DrapeError, match="not finite"):
        drape(cloth, faces, guide, held, np.repeat(away[None], 2, 0), away_faces, replace(QUICK, settle_frames=1))


def test_a_garment_held_inside_the_body_is_an_error() -> None:
    cloth, faces, guide, _ = curtain(np.zeros((2, 3)))
    around, around_faces = box((1.0, 1.0, 1.0))
    with pytest.raises(DrapeError, match="inside the body"):
        drape(cloth, faces, guide, np.ones(len(cloth), bool), np.repeat(around[None], 2, 0), around_faces, replace(QUICK, settle_frames=1))


def test_shapes_that_disagree_are_refused() -> None:
    cloth, faces, guide, held = curtain(np.zeros((2, 3)))
    ball, ball_faces = sphere()
    with pytest.raises(ValueError, match="agree"):
        drape(cloth, faces, guide, held, ball[None], ball_faces, QUICK)


def test_a_button_rides_on_the_cloth() -> None:
    cloth, faces, _, held = curtain(np.zeros((3, 3)))
    button, button_faces = box((0.01, 0.005, 0.01), (0.02, 0.004, 0.12))
    both, count = np.concatenate([cloth, button]), len(cloth)
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    draped = drape(
        both,
        np.concatenate([faces, button_faces + count]),
        np.repeat(both[None], 3, 0),
        np.r_[held, np.zeros(8, bool)],
        np.repeat(away[None], 3, 0),
        away_faces,
        replace(QUICK, settle_frames=30),
    )
    under = np.argmin(np.linalg.norm(cloth - [0.02, 0.0, 0.12], axis=1))
    assert draped.vertices[under, 1] < -0.2
    assert np.linalg.norm(draped.vertices[count:].mean(0) - draped.vertices[under]) < 0.015
    assert np.ptp(draped.vertices[count:], axis=0).max() < 0.02


def test_a_piece_that_nothing_holds_up_is_an_error() -> None:
    cloth, faces, _, held = curtain(np.zeros((3, 3)))
    other = cloth + np.array([1.0, 0.0, 0.0])
    both = np.concatenate([cloth, other])
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    with pytest.raises(DrapeError, match=f"{len(other)} vertices slid off"):
        drape(
            both,
            np.concatenate([faces, faces + len(cloth)]),
            np.repeat(both[None], 3, 0),
            np.r_[held, np.zeros(len(other), bool)],
            np.repeat(away[None], 3, 0),
            away_faces,
            replace(QUICK, settle_frames=24),
        )


def test_the_garment_follows_a_rigid_motion_of_its_coarse_copy() -> None:
    vertices, faces = sphere(0.2, splits=4)
    chosen, local = np.unique(coarsen(vertices, faces, 0.04), return_inverse=True)
    turn = axis_rotation(0, 0.3) @ axis_rotation(1, -0.8)
    moved = vertices[chosen] @ turn.T + [0.1, 0.2, 0.3]
    everything = np.ones(len(vertices), bool)
    followed = module._follow(vertices, faces, everything, chosen, local.reshape(-1, 3), moved)
    np.testing.assert_allclose(followed, vertices @ turn.T + [0.1, 0.2, 0.3], atol=1e-5)
