"""Cloth by position-based dynamics against what gravity and a sphere leave no choice about."""

from __future__ import annotations

import numpy as np
import pytest

from carve.synth.cloth.solver import Fabric, Steps, simulate
from solids import box, sphere

STEPS = Steps(settle_frames=30)


def sheet(size: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A square in the plane y = 0 of count x count vertices, facing up."""
    line = np.linspace(-size / 2, size / 2, count)
    z, x = np.meshgrid(line, line, indexing="ij")
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count, corner + count + 1
    return np.column_stack([x.ravel(), np.zeros(count * count), z.ravel()]), np.concatenate(
        [np.column_stack([a, c, b]), np.column_stack([b, c, d])]
    )


def hung(fabric: Fabric, apart: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """A sheet held at one border beside a box that is far away: its rest, and where it ends."""
    cloth, faces = sheet(0.3, 25)
    held = cloth[:, 2] < -0.12
    away, away_faces = box((0.1, 0.1, 0.1), (apart, 0.0, 0.0))
    obstacle = np.repeat(away[None], STEPS.settle_frames + 2, 0)
    frames = simulate(cloth, faces, cloth, lambda _: cloth, held, obstacle, away_faces, fabric, STEPS)
    np.testing.assert_array_equal(frames[-1][held], cloth[held])
    return cloth, frames[-1]


def test_a_held_sheet_hangs_down_by_its_length_and_hardly_stretches() -> None:
    cloth, end = hung(Fabric())
    assert end[:, 1].min() == pytest.approx(-0.27, rel=0.05)
    assert np.abs(end[cloth[:, 2] > 0, 2] + 0.12).max() < 0.06  # vertically below the border


def test_a_strip_bends_as_an_elastica_does() -> None:
    """Tip of a cantilever under its own weight with w L^3 / B = 6.7: 0.72 L below (Bisshopp and Drucker 1945, for a like load)."""
    rows, columns, length = 9, 11, 0.07
    z, x = np.meshgrid(np.linspace(0, 0.08, rows), np.linspace(-0.05, 0.05, columns), indexing="ij")
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
    faces = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])
    cloth = np.column_stack([x.ravel(), np.zeros(x.size), z.ravel()])
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    steps = Steps(settle_frames=60)
    obstacle = np.repeat(away[None], steps.settle_frames + 2, 0)
    tips = [
        simulate(cloth, faces, cloth, lambda _: cloth, cloth[:, 2] < 0.015, obstacle, away_faces, Fabric(bend=bend), steps)[-1][:, 1].min()
        for bend in (1e-5, 1e-4)
    ]
    assert tips[0] < -0.9 * length
    assert tips[1] == pytest.approx(-0.72 * length, rel=0.12)


def over_a_ball(friction: float) -> np.ndarray:
    cloth, faces = sheet(0.5, 31)
    start = cloth + np.array([0.0, 0.165, 0.0])
    ball, ball_faces = sphere(0.15)
    obstacle = np.repeat(ball[None], STEPS.settle_frames + 2, 0)
    fabric = Fabric(friction=friction)
    return simulate(cloth, faces, start, lambda _: start, np.zeros(len(cloth), bool), obstacle, ball_faces, fabric, STEPS)[-1]


def test_a_sheet_lies_on_a_ball_and_two_runs_agree_exactly() -> None:
    end = over_a_ball(0.4)
    assert np.linalg.norm(end, axis=1).min() > 0.15
    corners = [0, 30, -31, -1]
    assert (end[corners, 1] < 0).all()
    np.testing.assert_array_equal(end, over_a_ball(0.4))


def test_cloth_comes_along_with_what_it_lies_on() -> None:
    cloth, faces = sheet(0.3, 21)
    slab, slab_faces = box((0.4, 0.05, 0.4))
    shift = np.r_[np.linspace(0, 0.1, 9), np.full(STEPS.settle_frames, 0.1)]
    obstacle = slab[None] + shift[:, None, None] * np.array([1.0, 0.0, 0.0])
    start = cloth + np.array([0.0, slab[:, 1].max() + 0.005, 0.0])
    held = np.zeros(len(cloth), bool)
    moved = [
        simulate(cloth, faces, start, lambda _: start, held, obstacle, slab_faces, Fabric(friction=f), STEPS)[-1][:, 0].mean()
        for f in (0.0, 0.8)
    ]
    assert moved[1] == pytest.approx(0.1, abs=0.02)
    assert moved[0] < 0.05


def test_a_floor_holds_what_falls_on_it() -> None:
    cloth, faces = sheet(0.2, 15)
    away, away_faces = box((0.1, 0.1, 0.1), (5.0, 0.0, 0.0))
    obstacle = np.repeat(away[None], STEPS.settle_frames + 2, 0)
    floor = np.full(len(obstacle), -0.1)
    end = simulate(cloth, faces, cloth, lambda _: cloth, np.zeros(len(cloth), bool), obstacle, away_faces, Fabric(), STEPS, floor=floor)[-1]
    assert end[:, 1].min() >= -0.1
    assert end[:, 1].max() < -0.08
