"""The body on a grid against its mesh, closing and joining against closed forms."""

from __future__ import annotations

import numpy as np

from carve.geometry.queries import MeshQueries
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.tailor.field import BodyGrid, body_grid, closed_part, smooth_minimum
from carve.synth.tailor.figure import MEDIUM, Figure, measured
from carve.synth.tailor.solids import fill_slices


def empty_grid(size: int, cell: float, woman: ShapedBody, full_body: FullBody) -> BodyGrid:
    return BodyGrid(measured(full_body, woman), np.zeros(3), cell, np.full((size, size, size), -1, np.int8))


def test_nodes_are_inside_where_the_winding_number_says_so(full_body: FullBody, woman: ShapedBody) -> None:
    figure = measured(full_body, woman)
    grid = body_grid(figure)
    rng = np.random.default_rng(0)
    nodes = np.column_stack([rng.integers(0, n, 4000) for n in grid.label.shape])
    points = grid.origin + grid.cell * nodes
    inside = MeshQueries(figure.vertices, figure.faces, winding=True).inside(points)
    assert (inside == (grid.label[tuple(nodes.T)] >= 0)).mean() > 0.999
    assert inside.sum() > 40


def test_parts_lie_where_they_should(full_body: FullBody, woman: ShapedBody) -> None:
    grid = body_grid(measured(full_body, woman))
    x, y, _ = np.meshgrid(*(axis.ravel() for axis in grid.axes()), indexing="ij")
    assert x[grid.part("left_arm")].min() > 0 > x[grid.part("right_arm")].max()
    assert y[grid.part("neck")].max() < grid.figure.heights["chin"] + grid.cell
    assert not (grid.part("trunk") & grid.part("left_arm")).any()


def test_closing_fills_the_gap_between_two_balls_and_leaves_one_alone(full_body: FullBody, woman: ShapedBody) -> None:
    grid = empty_grid(80, 0.01, woman, full_body)
    x, y, z = grid.axes()
    ball = lambda at: (x - at) ** 2 + (y - 0.4) ** 2 + (z - 0.4) ** 2 < 0.1**2  # noqa: E731
    one = closed_part(grid, ball(0.4), 0.08)
    assert abs(one[40, 40, 40] + 0.1) < 0.025  # the centre lies a radius deep
    assert abs(one[40, 55, 40] - 0.05) < 0.01
    two = ball(0.3) | ball(0.54)  # four centimetres apart
    assert closed_part(grid, two, 0.0)[42, 40, 40] > 0.01
    assert closed_part(grid, two, 0.1)[42, 40, 40] < -0.02


def test_a_smooth_minimum_is_the_minimum_away_from_the_joint_and_never_more() -> None:
    a, b = np.linspace(-1, 1, 201), np.linspace(1, -1, 201)
    joined = smooth_minimum([a, b], 0.2)
    assert (joined <= np.minimum(a, b) + 1e-12).all()
    far = np.abs(a - b) >= 0.2
    np.testing.assert_array_equal(joined[far], np.minimum(a, b)[far])
    assert abs(joined[100] + 0.2 / 4) < 1e-9


def test_slices_are_filled_to_their_hull_below_the_given_one_only() -> None:
    mask = np.zeros((20, 4, 10), bool)
    mask[[2, 17], :, 2:8] = True
    fill_slices(mask, 2)
    assert mask[2:18, :2, 2:8].all()
    assert not mask[3:17, 2:].any()


def test_measures_follow_the_wearer(full_body: FullBody, woman: ShapedBody, man: ShapedBody) -> None:
    for shaped in (woman, man):
        figure: Figure = measured(full_body, shaped)
        heights = [
            figure.heights[n] for n in ("ground", "ankle", "knee", "crotch", "hip", "waist", "chest", "shoulder", "neck", "chin", "top")
        ]
        assert heights == sorted(heights)
        assert figure.scale * MEDIUM == shaped.stature
        assert 0.04 < figure.neck_radius < 0.1
