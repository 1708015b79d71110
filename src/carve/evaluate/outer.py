"""The outer surface of a mesh as samples, and distances to it.

What a viewer can never see (teeth, a body under clothes, the inside of cloth) is no part of a person's shape: a sample counts only if some
viewer in an upper part of the sphere sees it. Notation: points (N, 3) metres, normals (N, 3) unit length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from carve.geometry.mesh import face_normals
from carve.geometry.queries import MeshQueries

VIEWERS = 64
"""Directions from which a sample may be seen."""
LOWEST_DEGREES = -35.0
"""Elevation of the lowest viewer."""
GRAZING = 0.08
"""Cosine between normal and viewer below which a view tells nothing."""
ROUNDS = 3
"""Rounds of sampling to replace what nobody sees."""


@dataclass(frozen=True)
class OuterSurface:
    """Uniform samples of what can be seen of a mesh from outside."""

    points: np.ndarray
    """(N, 3)."""
    normals: np.ndarray
    """(N, 3) unit normals of their triangles, to the side they were seen from."""
    spacing: float
    """Mean distance between neighbours, metres: the root of the area of one sample."""
    seen_share: float
    """Share of the whole area that was seen."""
    inward_share: float
    """Share of the samples seen from the inner side of their triangle."""


def viewers(count: int = VIEWERS, lowest_degrees: float = LOWEST_DEGREES) -> np.ndarray:
    """(count, 3) unit directions to viewers, on a Fibonacci spiral over the sphere above an elevation (+Y is up)."""
    k = np.arange(count) + 0.5
    y = 1 - k / count * (1 - np.sin(np.radians(lowest_degrees)))
    turn = k * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(np.maximum(0, 1 - y * y))
    return np.column_stack([radius * np.cos(turn), y, radius * np.sin(turn)])


def sample_triangles(vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` points (count, 3) uniform over a mesh, in strata of equal area, and their triangles (count,)."""
    area = np.linalg.norm(face_normals(vertices, faces), axis=1) / 2
    total = np.cumsum(area)
    strata = (np.arange(count) + rng.random(count)) / count * total[-1]
    face = np.minimum(np.searchsorted(total, strata), len(faces) - 1)
    root, share = np.sqrt(rng.random(count))[:, None], rng.random(count)[:, None]
    a, b, c = (vertices[faces[face, k]] for k in range(3))
    return (1 - root) * a + root * (1 - share) * b + root * share * c, face


def outer_surface(vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator) -> OuterSurface:
    """About `count` samples of the outer surface of a mesh (V, 3), (F, 3)."""
    queries = MeshQueries(vertices, faces)
    cross = face_normals(vertices, faces)
    length = np.linalg.norm(cross, axis=1)
    unit = cross / np.maximum(length, 1e-20)[:, None]
    directions = rng.permutation(viewers())
    gap = 1e-4 * float(np.linalg.norm(np.ptp(vertices[np.unique(faces)], axis=0)))
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    have, tried, wanted = 0, 0, count
    for _ in range(ROUNDS):
        points, face = sample_triangles(vertices, faces, wanted, rng)
        side = _side_seen(queries, points, unit[face], directions, gap)
        seen = side != 0
        parts.append((points[seen], side[seen, None] * unit[face[seen]], side[seen] < 0))
        have, tried = have + int(seen.sum()), tried + wanted
        if have == 0 or have >= 0.97 * count:
            break
        wanted = min(int((count - have) * tried / have), 3 * count)
    points, normals, inward = (np.concatenate(part) for part in zip(*parts, strict=True))
    share = have / tried
    spacing = float(np.sqrt(length.sum() / 2 * share / max(have, 1)))
    return OuterSurface(points, normals, spacing, share, float(inward.mean()) if have else 0.0)


def _side_seen(queries: MeshQueries, points: np.ndarray, normals: np.ndarray, directions: np.ndarray, gap: float) -> np.ndarray:
    """(N,) the side of each point that its first free viewer sees: 1 along the normal, -1 against it, 0 if nobody sees it."""
    side = np.zeros(len(points))
    for direction in directions:
        cosine = normals @ direction
        ask = np.flatnonzero((side == 0) & (np.abs(cosine) > GRAZING))
        if not len(ask):
            continue
        sign = np.sign(cosine[ask])
        start = points[ask] + sign[:, None] * normals[ask] * gap
        free = ~queries.blocked(start, np.broadcast_to(direction, start.shape))
        side[ask[free]] = sign[free]
    return side


class Disks:
    """A surface as a dense cloud of oriented disks: distances to it do not depend on how dense the cloud is, as those to points would."""

    def __init__(self, points: np.ndarray, normals: np.ndarray, radius: float) -> None:
        """Centres (N, 3), unit normals (N, 3), one radius in metres: the spacing of the samples."""
        self.points, self.normals, self.radius = points, normals, radius
        self._tree = cKDTree(points)

    def distance(self, queries: np.ndarray, neighbours: int = 4) -> tuple[np.ndarray, np.ndarray]:
        """(M,) distance of each of `queries` (M, 3) to the nearest disk among those of its nearest centres, and (M,) that disk."""
        _, index = self._tree.query(queries, k=neighbours)
        offset = queries[:, None] - self.points[index]
        along = np.abs(np.einsum("nkj,nkj->nk", offset, self.normals[index]))
        across = np.sqrt(np.maximum(np.einsum("nkj,nkj->nk", offset, offset) - along**2, 0))
        distance = np.hypot(along, np.maximum(across - self.radius, 0))
        best = distance.argmin(1)
        rows = np.arange(len(queries))
        return distance[rows, best], index[rows, best]
