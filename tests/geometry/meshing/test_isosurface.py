"""Zero levels of shapes whose area, volume and distance are known; the narrow band against the dense grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from carve.geometry.mesh import components, face_normals, is_watertight, signed_volume
from carve.geometry.meshing.isosurface import Grid, Isosurface, Scalar, _ask_nodes, _Asked, _close, _largest, marching_cubes, zero_level

CENTRE = np.array([0.013, -0.021, 0.007])


def dense_level(field: Scalar, grid: Grid) -> Isosurface:
    """The same from every node of the grid: slow, to compare with."""
    asked = _Asked(field)
    values = np.empty(grid.nodes, np.float32)
    _ask_nodes(asked, grid, np.arange(values.size), values, np.zeros(grid.nodes, bool))
    _close(values)
    vertices, faces = _largest(*marching_cubes(values))
    return Isosurface(grid.places(vertices), faces, asked.count)


def ball(points: np.ndarray) -> np.ndarray:
    """Radius 0.7."""
    return np.linalg.norm(points - CENTRE, axis=1) - 0.7


def torus(points: np.ndarray) -> np.ndarray:
    """Radii 0.6 and 0.2."""
    p = points - CENTRE
    return np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.6, p[:, 2]) - 0.2


def box(points: np.ndarray, half: tuple[float, float, float] = (0.5, 0.4, 0.3)) -> np.ndarray:
    """Exact outside and inside."""
    q = np.abs(points - CENTRE) - half
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)


def pair(points: np.ndarray) -> np.ndarray:
    """A large and a small ball that do not touch."""
    large = np.linalg.norm(points - [-0.3, 0, 0], axis=1) - 0.5
    small = np.linalg.norm(points - [0.6, 0, 0], axis=1) - 0.25
    return np.minimum(large, small)


def anywhere(points: np.ndarray) -> np.ndarray:
    """No bound."""
    return np.zeros(len(points))


def grid(cells: int = 64, levels: int = 3) -> Grid:
    return Grid.over(-np.ones(3), np.ones(3), 2 / cells, levels)


def area(surface: Isosurface) -> float:
    return float(np.linalg.norm(face_normals(surface.vertices, surface.faces), axis=1).sum() / 2)


def assert_manifold(surface: Isosurface) -> None:
    """Watertight, one piece, nothing left over, and the triangles around every vertex are one ring."""
    assert is_watertight(surface.faces)
    assert components(surface.faces, len(surface.vertices)).max() == 0
    assert len(np.unique(surface.faces)) == len(surface.vertices)
    # Corners of the triangles, joined across edges that leave the vertex, fall into as many rings as there are vertices.
    corner = np.arange(surface.faces.size).reshape(-1, 3)
    leaving = {(int(f[k]), int(f[(k + 1) % 3])): int(corner[i, k]) for i, f in enumerate(surface.faces) for k in range(3)}
    arriving = {(int(f[(k + 2) % 3]), int(f[k])): int(corner[i, k]) for i, f in enumerate(surface.faces) for k in range(3)}
    links = np.array([(leaving[a, b], arriving[b, a]) for a, b in leaving])
    assert components(np.column_stack([links, links[:, 1]]), surface.faces.size).max() + 1 == len(surface.vertices)


@pytest.mark.parametrize(
    ("field", "volume", "surface_area"),
    [(ball, 4 / 3 * np.pi * 0.7**3, 4 * np.pi * 0.7**2), (torus, 2 * np.pi**2 * 0.6 * 0.04, 4 * np.pi**2 * 0.6 * 0.2)],
)
def test_round_shapes_are_met_to_second_order(field: Scalar, volume: float, surface_area: float) -> None:
    errors = []
    for cells in (32, 64):
        found = zero_level(field, anywhere, grid(cells))
        assert_manifold(found)
        assert signed_volume(found.vertices, found.faces) == pytest.approx(volume, rel=20 / cells**2)
        assert area(found) == pytest.approx(surface_area, rel=40 / cells**2)
        middle = found.vertices[found.faces].mean(1)
        errors.append(float(max(np.abs(field(found.vertices)).max(), np.abs(field(middle)).max())))
        assert errors[-1] < (2 / cells) ** 2 * 2.5
    assert errors[1] < 0.35 * errors[0]


def test_a_box_loses_no_more_than_its_edges() -> None:
    found = zero_level(box, anywhere, grid())
    assert_manifold(found)
    assert signed_volume(found.vertices, found.faces) == pytest.approx(8 * 0.5 * 0.4 * 0.3, rel=0.01)
    assert np.abs(box(found.vertices)).max() < grid().cell
    assert np.quantile(np.abs(box(found.vertices)), 0.9) < 1e-6


def test_normals_point_outward() -> None:
    found = zero_level(ball, anywhere, grid())
    middle = found.vertices[found.faces].mean(1) - CENTRE
    normal = face_normals(found.vertices, found.faces)
    solid = np.linalg.norm(normal, axis=1) > 1e-9
    assert (np.einsum("fi,fi->f", normal, middle)[solid] > 0).all()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("field", [ball, torus, box])
def test_the_band_gives_exactly_what_the_dense_grid_gives(field: Scalar, factor: float) -> None:
    scaled = lambda points: factor * field(points)  # noqa: E731
    found, dense = zero_level(scaled, anywhere, grid()), dense_level(scaled, grid())
    np.testing.assert_array_equal(found.vertices, dense.vertices)
    np.testing.assert_array_equal(found.faces, dense.faces)
    assert dense.queries == 65**3
    assert found.queries < 0.6 * dense.queries


def test_what_the_band_missed_is_followed_up() -> None:
    """A field that grows ten times too fast on one side hides its surface from the band there, but not from its continuation."""
    steep = lambda points: ball(points) * np.where(points[:, 0] > 0, 10.0, 1.0)  # noqa: E731
    found, dense = zero_level(steep, anywhere, grid(), safety=1.0), dense_level(steep, grid())
    np.testing.assert_array_equal(found.vertices, dense.vertices)
    np.testing.assert_array_equal(found.faces, dense.faces)


def test_points_are_asked_block_by_block_whoever_asks() -> None:
    asked: list[int] = []

    def counted(points: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        return torus(points)

    alone, together = (zero_level(counted, anywhere, grid(), threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(together.vertices, alone.vertices)
    assert together.queries == alone.queries == sum(asked) / 2
    assert max(asked) == 16384 and sorted(asked[: len(asked) // 2]) == sorted(asked[len(asked) // 2 :])


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_the_number_of_levels_changes_nothing_but_the_queries(levels: int) -> None:
    found, dense = zero_level(torus, anywhere, grid(64, levels)), dense_level(torus, grid(64, levels))
    np.testing.assert_array_equal(found.vertices, dense.vertices)
    assert (found.queries == 65**3) == (levels == 0)


def test_a_sheet_thinner_than_a_coarse_cell_stays_whole() -> None:
    cell = grid().cell
    sheet = lambda points: box(points, (0.6, 0.6, 0.7 * cell))  # noqa: E731
    found = zero_level(sheet, anywhere, grid())
    assert_manifold(found)
    np.testing.assert_allclose(np.ptp(found.vertices, axis=0), [1.2, 1.2, 1.4 * cell], atol=0.5 * cell)


def test_only_the_largest_piece_is_kept() -> None:
    found = zero_level(pair, anywhere, grid())
    assert_manifold(found)
    assert signed_volume(found.vertices, found.faces) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.01)


def test_a_cavity_is_filled() -> None:
    hollow = lambda points: np.abs(ball(points)) - 0.1  # noqa: E731
    found = zero_level(hollow, anywhere, grid())
    assert signed_volume(found.vertices, found.faces) == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)


def test_what_leaves_the_grid_is_closed_at_its_border() -> None:
    rod = lambda points: np.hypot(points[:, 0], points[:, 1]) - 0.3  # noqa: E731
    found = zero_level(rod, anywhere, grid())
    assert_manifold(found)
    assert signed_volume(found.vertices, found.faces) == pytest.approx(np.pi * 0.09 * 2, rel=0.05)


def test_the_bound_saves_queries_and_changes_nothing() -> None:
    bound = lambda points: np.maximum(torus(points) - 0.1, 0) + np.minimum(torus(points) + 0.1, 0)  # noqa: E731
    asked: list[np.ndarray] = []

    def field(points: np.ndarray) -> np.ndarray:
        asked.append(points)
        return torus(points)

    found, free = zero_level(field, bound, grid()), zero_level(torus, anywhere, grid())
    np.testing.assert_array_equal(found.vertices, free.vertices)
    assert found.queries == sum(len(points) for points in asked) < free.queries
    reach = np.sqrt(3) / 2 * 8 * grid().cell
    assert np.abs(bound(np.concatenate(asked))).max() <= 2 * reach


def test_a_person_sized_shape_takes_few_of_the_dense_grids_queries() -> None:
    """Trunk, head and limbs as capsules, 1.7 m tall with the arms out, in a box with a margin of 20 cm at 256 cells."""
    ends = np.array(
        [
            [[0, 0.95, 0], [0, 1.35, 0]],
            [[0, 1.55, 0], [0, 1.6, 0]],
            *([[s * 0.15, 1.4, 0], [s * 0.8, 1.4, 0]] for s in (-1, 1)),
            *([[s * 0.1, 0.85, 0], [s * 0.45, 0.08, 0]] for s in (-1, 1)),
        ]
    )
    radii = np.array([0.16, 0.11, 0.05, 0.05, 0.08, 0.08])

    def field(points: np.ndarray) -> np.ndarray:
        start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
        offset = points[:, None] - start
        share = np.clip(np.einsum("nci,ci->nc", offset, along) / (along**2).sum(1), 0, 1)
        return (np.linalg.norm(offset - share[..., None] * along, axis=2) - radii).min(1)

    low, high = np.array([-0.85, 0.0, -0.16]) - 0.2, np.array([0.85, 1.71, 0.16]) + 0.2
    found = zero_level(field, lambda points: np.maximum(field(points) - 0.3, 0), Grid.over(low, high, float((high - low).max()) / 256, 3))
    assert found.queries < 0.025 * 256**3
    assert is_watertight(found.faces)
    assert np.quantile(np.abs(field(found.vertices)), 0.99) < 5e-4


def test_no_surface_is_an_error() -> None:
    with pytest.raises(ValueError, match="no surface"):
        zero_level(lambda points: ball(points) + 5, anywhere, grid())


def test_every_pattern_of_signs_is_closed() -> None:
    """Noise shows marching cubes all 256 cases, ambiguous faces included."""
    values = np.random.default_rng(0).normal(size=(24, 25, 26)).astype(np.float32)
    values[[0, -1]], values[:, [0, -1]], values[:, :, [0, -1]] = 1, 1, 1
    vertices, faces = marching_cubes(values)
    signs = np.stack([values[a : a + 23, b : b + 24, c : c + 25] < 0 for a, b, c in itertools.product((0, 1), repeat=3)], -1)
    assert len(np.unique(signs.reshape(-1, 8) @ (1 << np.arange(8)))) == 256
    assert is_watertight(faces)
    assert signed_volume(vertices, faces) > 0


def test_a_grid_covers_its_box() -> None:
    low, high = np.array([-0.3, 0.1, 0.0]), np.array([0.5, 1.9, 0.2])
    made = Grid.over(low, high, 0.01, 3)
    assert made.nodes == (81, 185, 25)
    first, last = made.places(np.array([[0, 0, 0], np.array(made.nodes) - 1]))
    assert (first <= low + 1e-12).all() and (last >= high - 1e-12).all()
    np.testing.assert_allclose(first + last, low + high)
