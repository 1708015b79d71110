"""The zero level of a function that is close to a signed distance, asked only in a narrow band around it.

Notation: f(x) negative inside; h the finest cell's side; a cell of level l has the side H = 2^l h, half its diagonal is r = sqrt(3) H / 2,
its middle is m. A distance cannot vanish in a cell with |f(m)| > r. Learned fields grow faster than distances here and there, so a cell is
left alone only if |f(m)| > safety r. What is left alone takes the sign at its middle.
Where that was wrong, a finest cell has corners of both signs of which some were guessed: those are asked, until none is left. A piece of
the surface of which the band holds any part is thereby exactly that of the dense grid; only pieces that it missed altogether stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from carve.geometry.mesh import compact

Scalar = Callable[[np.ndarray], np.ndarray]
"""Points (N, 3) to values (N,), metres."""

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
_BLOCK = 16384
"""Points that are asked at a time, however many threads ask: so the answers do not depend on their number."""
_NUDGE = 1e-3
"""Least |f| at a node in cells: triangles get no shorter edges than this share of one."""


@dataclass(frozen=True)
class Isosurface:
    """A closed surface."""

    vertices: np.ndarray
    """(V, 3) float64 metres."""
    faces: np.ndarray
    """(F, 3) int64 wound outward; every edge has two triangles."""
    queries: int
    """Points at which the function was asked."""


@dataclass(frozen=True)
class Grid:
    """Nodes ``low + h (i, j, k)``, each axis with a whole number of cells of the coarsest level."""

    low: np.ndarray
    """(3,) metres."""
    cell: float
    """h, metres."""
    coarse: tuple[int, int, int]
    """Cells of the coarsest level along each axis."""
    levels: int
    """Level of the coarsest cells; the finest have level 0."""

    @staticmethod
    def over(low: np.ndarray, high: np.ndarray, cell: float, levels: int) -> Grid:
        """The grid that covers the box from low (3,) to high (3,), centred on it."""
        side = cell * 2**levels
        count = np.maximum(np.ceil((high - low) / side - 1e-9), 1).astype(int)
        return Grid((low + high - count * side) / 2, cell, (int(count[0]), int(count[1]), int(count[2])), levels)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Nodes along each axis."""
        return tuple(n * 2**self.levels + 1 for n in self.coarse)

    def places(self, index: np.ndarray) -> np.ndarray:
        """(N, 3) metres of nodes (N, 3), halves allowed."""
        return self.low + self.cell * index


def zero_level(field: Scalar, bound: Scalar, grid: Grid, safety: float = 2.0, threads: int = 1) -> Isosurface:
    """The largest piece of the surface ``field = 0``, by marching cubes (Lorensen & Cline, SIGGRAPH 1987).

    Args:
        field: f, asked in batches of whatever size; with several threads it must allow to be asked at once.
        bound: a cheap signed distance that the surface surely keeps: where its absolute value exceeds a coarsest cell's r, that cell holds
            no surface and takes the bound's sign unasked. It is zero wherever the surface may be.
        grid: where to look. Its outermost nodes count as outside, so that the surface is closed.
        safety: how many times faster than a distance the field may grow.
        threads: that ask; the surface does not depend on it.

    Raises:
        ValueError: the field has no zero that the band could find.
    """
    asked = _Asked(field, threads)
    values, known = _banded(asked, bound, grid, safety)
    while len(guessed := np.flatnonzero(_beside_sign_change(values) & ~known)):
        _ask_nodes(asked, grid, guessed, values, known)
        _close(values)
    if not (values < 0).any():
        raise ValueError("the function is positive everywhere: there is no surface")
    vertices, faces = marching_cubes(values)
    vertices, faces = _largest(vertices, faces)
    return Isosurface(grid.places(vertices), faces, asked.count)


def marching_cubes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (X, Y, Z) float32 at nodes to vertices (V, 3) float64 in nodes and faces (F, 3) int64, wound so that negative is inside.

    Every edge inside the grid has exactly two triangles, whatever the values are.
    """
    # Loaded here, since only what extracts a surface needs warp; `queries` starts it without its banner.
    from warp.geometry import IsoSurfaceMarchingCubes

    from carve.geometry.queries import wp

    inside = values < 0
    first, part = [], []
    for axis in range(3):  # the extraction looks at every node: most hold nothing
        taken = np.flatnonzero(inside.any(tuple({0, 1, 2} - {axis})))
        first.append(max(int(taken[0]) - 1, 0))
        part.append(slice(first[-1], int(taken[-1]) + 2))
    nodes = wp.array(np.ascontiguousarray(values[tuple(part)], np.float32), dtype=float, device="cpu")
    vertices, corners = IsoSurfaceMarchingCubes.extract(nodes, 0.0)
    return vertices.numpy().astype(np.float64) + first, corners.numpy().reshape(-1, 3).astype(np.int64)


def _largest(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The piece with the most vertices."""
    # Two edges of each triangle hold it together: no need to sort all edges, which costs more than the rest of the extraction.
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    graph = sparse.coo_matrix((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(len(vertices), len(vertices)))
    label = csgraph.connected_components(graph, directed=False)[1]
    return compact(vertices, faces[label[faces[:, 0]] == np.bincount(label).argmax()])[:2]


class _Asked:
    """A function that counts the points at which it is asked, block by block."""

    def __init__(self, function: Scalar, threads: int = 1) -> None:
        self._function, self._threads, self.count = function, threads, 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        self.count += len(points)
        if not len(points):
            return np.zeros(0)
        blocks = [points[start : start + _BLOCK] for start in range(0, len(points), _BLOCK)]
        if self._threads == 1 or len(blocks) == 1:
            return np.concatenate([self._function(block) for block in blocks])
        with ThreadPoolExecutor(self._threads) as pool:
            return np.concatenate(list(pool.map(self._function, blocks)))


def _banded(field: _Asked, bound: Scalar, grid: Grid, safety: float) -> tuple[np.ndarray, np.ndarray]:
    """Node values (X, Y, Z) float32, and which of them were asked; the others have only a sign, as +-h."""
    cells = np.argwhere(np.ones(grid.coarse, bool))
    outside = np.ones(grid.coarse, bool)
    for level in range(grid.levels, 0, -1):
        side = 2**level
        middles, reach = grid.places((cells + 0.5) * side), np.sqrt(3) / 2 * side * grid.cell
        if level == grid.levels:
            near, sign = np.abs(safe := bound(middles)) <= reach, np.empty(len(cells))
            sign[~near], sign[near] = safe[~near], field(middles[near])
            open_ = near & (np.abs(sign) <= safety * reach)
        else:
            sign = field(middles)
            open_ = np.abs(sign) <= safety * reach
        outside[tuple(cells.T)] = sign > 0
        cells = (2 * cells[open_][:, None] + _CORNERS).reshape(-1, 3)
        outside = outside.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    # The finest cells are asked at their corners.
    values = np.where(np.pad(outside, (0, 1), mode="edge"), np.float32(grid.cell), np.float32(-grid.cell))
    known, wanted = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for corner in _CORNERS:
        wanted[tuple((cells + corner).T)] = True
    _ask_nodes(field, grid, np.flatnonzero(wanted), values, known)
    _close(values)
    return values, known


def _ask_nodes(field: _Asked, grid: Grid, nodes: np.ndarray, values: np.ndarray, known: np.ndarray) -> None:
    """Put the field's values at flat node indices (N,) into `values`, and mark them in `known`."""
    found = field(grid.places(np.stack(np.unravel_index(nodes, values.shape), 1)))
    least = _NUDGE * grid.cell
    values.ravel()[nodes] = np.where(np.abs(found) < least, np.where(found < 0, -least, least), found)
    known.ravel()[nodes] = True


def _close(values: np.ndarray) -> None:
    """Make the outermost nodes positive."""
    for axis in range(3):
        faces = np.moveaxis(values, axis, 0)
        faces[0], faces[-1] = np.abs(faces[0]), np.abs(faces[-1])


def _beside_sign_change(values: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: nodes of cells that have corners of both signs."""
    inside = values < 0
    shape = np.array(values.shape) - 1
    some, every = np.zeros(shape, bool), np.ones(shape, bool)
    parts = [tuple(slice(o, o + n) for o, n in zip(corner, shape, strict=True)) for corner in _CORNERS]
    for part in parts:
        some |= inside[part]
        every &= inside[part]
    mixed = some & ~every
    nodes = np.zeros(values.shape, bool)
    for part in parts:
        nodes[part] |= mixed
    return nodes
