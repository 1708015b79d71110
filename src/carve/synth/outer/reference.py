"""The signed distance of a union of solids by brute force: slow, in double precision, and without anything that `synth.outer` computes.

The sign comes from the solid angle of every face (van Oosterom & Strackee, "The solid angle of a plane triangle", IEEE Trans. Biomed.
Eng. 30, 1983). The distance comes from a search over the solids' faces, nearest first, by the exact distance of a point to a triangle.
Where a face may be partly inside, because some face near it lies on both sides of its plane or crosses it from a corner that they share, it
is divided into four; below the finest size its centre decides. Nothing is cut and no boundary is propagated.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from carve.synth.outer.surface import Solid

FINEST = 1e-4
"""Metres: the radius below which a part of a face counts as wholly outer or wholly not; the error is at most twice that."""
STEP = 1e-7
"""Metres off a face to the points in front and behind that tell whether it is outer."""
SHORTEST = 1e-9
"""Metres: two faces that share a corner cross where they have more than this in common."""


def solid_angle_winding(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) winding number of closed faces at points (N, 3): the sum of all solid angles over 4 pi."""
    out = np.empty(len(points))
    corners = vertices[faces]
    for i, point in enumerate(points):
        a, b, c = (corners[:, k] - point for k in range(3))
        la, lb, lc = (np.sqrt((x * x).sum(1)) for x in (a, b, c))
        above = (a * np.cross(b, c)).sum(1)
        below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        out[i] = np.arctan2(above, below).sum() / (2 * np.pi)
    return out


def nearest_on_triangles(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) nearest point of triangle i, corners (N, 3, 3), to point i; Ericson, "Real-Time Collision Detection" (2005), section 5.1.5."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, bc = b - a, c - a, c - b
    d1, d2 = (ab * (points - a)).sum(1), (ac * (points - a)).sum(1)
    d3, d4 = (ab * (points - b)).sum(1), (ac * (points - b)).sum(1)
    d5, d6 = (ab * (points - c)).sum(1), (ac * (points - c)).sum(1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = a + (vb / (va + vb + vc))[:, None] * ab + (vc / (va + vb + vc))[:, None] * ac
        on_ab = a + (d1 / (d1 - d3))[:, None] * ab
        on_ac = a + (d2 / (d2 - d6))[:, None] * ac
        on_bc = b + ((d4 - d3) / ((d4 - d3) + (d5 - d6)))[:, None] * bc
    cases = [
        ((d1 <= 0) & (d2 <= 0), a),
        ((d3 >= 0) & (d4 <= d3), b),
        ((d6 >= 0) & (d5 <= d6), c),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), on_ab),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), on_ac),
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), on_bc),
    ]
    return np.select([np.broadcast_to(test[:, None], a.shape) for test, _ in cases], [value for _, value in cases], inner)


def _inside_one(solids: Sequence[Solid], points: np.ndarray) -> np.ndarray:
    """(N,) bool: the winding number of one of the solids exceeds 1/2."""
    found = np.zeros(len(points), bool)
    for solid in solids:
        used = solid.vertices[np.unique(solid.faces)]
        asked = np.flatnonzero(~found & ((points >= used.min(0)) & (points <= used.max(0))).all(1))
        found[asked] = solid_angle_winding(solid.vertices, solid.faces, points[asked]) > 0.5
    return found


def _on_line(height: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last place (M,) on a line where triangles meet it: (M, 3) corners' heights over a plane and places along a line in it.

    Infinite and the wrong way round for a triangle that does not meet the plane.
    """
    height = np.where(np.abs(height) < 1e-13, 0, height)
    onward, then = np.roll(height, -1, 1), np.roll(along, -1, 1)
    crosses = height * onward < 0
    share = np.where(crosses, height / np.where(crosses, height - onward, 1), 0)
    met = np.concatenate([height == 0, crosses], 1)
    place = np.concatenate([along, along + share * (then - along)], 1)
    return np.where(met, place, np.inf).min(1), np.where(met, place, -np.inf).max(1)


class BruteForce:
    """The union of solids, asked face by face; what is known of a face is kept for the next point."""

    def __init__(self, solids: Sequence[Solid], finest: float = FINEST) -> None:
        self.solids = solids
        self._finest = finest
        self.corners = np.concatenate([s.vertices[s.faces] for s in solids])
        offset = np.cumsum([0, *(len(s.vertices) for s in solids[:-1])])
        self._owner = np.repeat(np.arange(len(solids)), [len(s.faces) for s in solids])
        self._index = np.concatenate([s.faces + o for s, o in zip(solids, offset, strict=True)])
        self._centre = self.corners.mean(1)
        self._radius = np.linalg.norm(self.corners - self._centre[:, None], axis=2).max(1)
        self._normal = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self._normal /= np.maximum(np.linalg.norm(self._normal, axis=1, keepdims=True), 1e-300)
        self._known: dict[tuple[int, ...], bool | None] = {}

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool: the winding number of one of the solids exceeds 1/2."""
        return _inside_one(self.solids, points)

    def _may_cross(self, face: int, corners: np.ndarray, centre: np.ndarray, radius: float, others: np.ndarray) -> np.ndarray:
        """(M,) bool: the faces `others` (M,) may cross the part (3, 3) of a face, in the sphere round it.

        Faces with two corners in common meet in that edge alone. With one, they cross if they have more in common than the corner: the
        planes' line runs through both. With none, they may cross if neither lies on one side of the other's plane.
        """
        common = (self._index[others][:, :, None] == self._index[face]).any(2)
        shared = common.sum(1)
        nearest = nearest_on_triangles(self.corners[others], np.broadcast_to(centre, (len(others), 3)))
        reach = np.linalg.norm(nearest - centre, axis=1) < radius
        theirs = (self.corners[others] - corners[0]) @ self._normal[face]
        ours = np.einsum("mkd,md->mk", corners - self.corners[others, :1], self._normal[others])
        one_side = (theirs > 0).all(1) | (theirs < 0).all(1) | (ours > 0).all(1) | (ours < 0).all(1)
        along = np.cross(self._normal[face], self._normal[others])
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
        theirs = np.where(common, 0, theirs)
        first, last = _on_line(theirs, np.einsum("mkd,md->mk", self.corners[others] - corners[0], along))
        our_first, our_last = _on_line(ours, along @ (corners - corners[0]).T)
        overlap = np.minimum(last, our_last) - np.maximum(first, our_first) > SHORTEST
        return reach & np.where(shared == 0, ~one_side, (shared == 1) & overlap)

    def _outer(self, path: tuple[int, ...], corners: np.ndarray) -> bool | None:
        """Whether the part (3, 3) of face path[0] is outer; None where the part must be divided."""
        if path not in self._known:
            face = path[0]
            centre = corners.mean(0)
            radius = np.linalg.norm(corners - centre, axis=1).max()
            close = np.flatnonzero(np.linalg.norm(self._centre - centre, axis=1) < self._radius + radius)
            crossing = self._owner[close[self._may_cross(face, corners, centre, radius, close)]]
            if len(crossing) and radius > self._finest:
                # A solid that holds the centre and whose surface stays away holds all of the part.
                away = [s for k, s in enumerate(self.solids) if k != self._owner[face] and k not in crossing]
                self._known[path] = False if _inside_one(away, centre[None])[0] else None
            else:
                front, behind = self.inside(np.stack([centre + STEP * self._normal[face], centre - STEP * self._normal[face]]))
                self._known[path] = bool(behind and not front)
        return self._known[path]

    def distance(self, point: np.ndarray) -> float:
        """Metres from one point to the boundary of the union."""
        bound = np.linalg.norm(nearest_on_triangles(self.corners, np.broadcast_to(point, self._centre.shape)) - point, axis=1)
        heap: list[tuple[float, tuple[int, ...], np.ndarray]] = []
        order = np.argsort(bound)
        following = 0
        while True:
            while following < len(order) and (not heap or bound[order[following]] <= heap[0][0]):
                face = int(order[following])
                heapq.heappush(heap, (float(bound[face]), (face,), self.corners[face]))
                following += 1
            if not heap:
                return float("inf")
            far, path, corners = heapq.heappop(heap)
            outer = self._outer(path, corners)
            if outer:
                return far
            if outer is None:
                a, b, c = corners
                ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
                parts = np.array([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]])
                away = np.linalg.norm(nearest_on_triangles(parts, np.broadcast_to(point, (4, 3))) - point, axis=1)
                for k in range(4):
                    heapq.heappush(heap, (float(away[k]), (*path, k), parts[k]))


def reference_signed_distance(solids: Sequence[Solid], points: np.ndarray, finest: float = FINEST) -> np.ndarray:
    """(N,) metres from points (N, 3) to the boundary of the union of solids, negative inside.

    For a whole person a point takes from 0.2 s to, deep inside where layers pierce each other, minutes.
    """
    union = BruteForce(solids, finest)
    distance = np.array([union.distance(point) for point in points])
    return np.where(union.inside(points), -distance, distance)
