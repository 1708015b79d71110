"""Cuts every triangle where it crosses another one, so that each piece lies wholly inside or wholly outside any solid the triangles bound.

Notation: vertices (V, 3), faces (F, 3). Two triangles that cross do so in a segment (Moeller, "A fast triangle-triangle intersection test",
J. Graphics Tools 2, 1997). A triangle is a convex polygon; each segment on it splits those of its pieces that it runs through, along the
whole line in which the other triangle's plane meets them, so all pieces stay convex. Triangles in the same plane are not cut by each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from carve.geometry.compiled import compiled
from carve.geometry.queries import boxes_of, boxes_that_meet

SHORTEST = 1e-8
"""Metres; shorter crossings do not cut."""
MOST_CORNERS = 24
"""Of a convex piece; a cut adds at most one, and a piece that has as many is halved."""


@dataclass(frozen=True)
class Pieces:
    """The triangles after cutting."""

    points: np.ndarray
    """(P, 3) float64 corners of the pieces of cut triangles, each piece's own."""
    start: np.ndarray
    """(K + 1,) int64: piece k has the corners start[k]:start[k + 1], in the triangle's winding."""
    face: np.ndarray
    """(K,) int64 the triangle each piece comes from."""
    cut: np.ndarray
    """(F,) bool: the triangle was cut; the others are whole."""


@compiled()
def _crossings(vertices: np.ndarray, faces: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (Q,) of triangles that cross and the ends (Q, 2, 3) of each segment."""
    crossing = np.empty(len(pairs), np.int64)
    ends = np.empty((len(pairs), 2, 3))
    found = 0
    height = np.empty((2, 3))
    span = np.empty((2, 2))
    point = np.empty((2, 2, 3))
    normal = np.empty((2, 3))
    for p in range(len(pairs)):
        shared = 0
        for a in range(3):
            for b in range(3):
                shared += faces[pairs[p, 0], a] == faces[pairs[p, 1], b]
        if shared > 1:
            continue
        for s in range(2):
            a, b, c = faces[pairs[p, s], 0], faces[pairs[p, s], 1], faces[pairs[p, s], 2]
            ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
            vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
            nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if length < 1e-18:
                break
            normal[s, 0], normal[s, 1], normal[s, 2] = nx / length, ny / length, nz / length
            above = below = 0
            for k in range(3):
                v = faces[pairs[p, 1 - s], k]
                d = 0.0
                if v != a and v != b and v != c:
                    for x in range(3):
                        d += normal[s, x] * (vertices[v, x] - vertices[a, x])
                    if abs(d) < 1e-13:
                        d = 0.0
                height[1 - s, k] = d
                above += d > 0
                below += d < 0
            if not above or not below:
                # The other touches this plane from one side at most. An edge that lies in it exactly is left to the edge's other triangle.
                break
        else:
            dx = normal[0, 1] * normal[1, 2] - normal[0, 2] * normal[1, 1]
            dy = normal[0, 2] * normal[1, 0] - normal[0, 0] * normal[1, 2]
            dz = normal[0, 0] * normal[1, 1] - normal[0, 1] * normal[1, 0]
            for s in range(2):
                got = 0
                for k in range(3):
                    n = (k + 1) % 3
                    i, j = faces[pairs[p, s], k], faces[pairs[p, s], n]
                    hi, hj = height[s, k], height[s, n]
                    if got == 2:
                        continue
                    if hi == 0.0:
                        for x in range(3):
                            point[s, got, x] = vertices[i, x]
                        got += 1
                    elif hi * hj < 0.0:
                        # From the lower index on, so that both triangles of the edge find the same point.
                        if i > j:
                            i, j, hi, hj = j, i, hj, hi
                        t = hi / (hi - hj)
                        for x in range(3):
                            point[s, got, x] = vertices[i, x] + t * (vertices[j, x] - vertices[i, x])
                        got += 1
                for g in range(2):
                    span[s, g] = dx * point[s, g, 0] + dy * point[s, g, 1] + dz * point[s, g, 2]
                if span[s, 0] > span[s, 1]:
                    span[s, 0], span[s, 1] = span[s, 1], span[s, 0]
                    for x in range(3):
                        point[s, 0, x], point[s, 1, x] = point[s, 1, x], point[s, 0, x]
            first = 0 if span[0, 0] > span[1, 0] else 1
            last = 0 if span[0, 1] < span[1, 1] else 1
            if span[last, 1] > span[first, 0]:
                size = 0.0
                for x in range(3):
                    ends[found, 0, x], ends[found, 1, x] = point[first, 0, x], point[last, 1, x]
                    size += (point[first, 0, x] - point[last, 1, x]) ** 2
                if size > SHORTEST * SHORTEST:
                    crossing[found] = p
                    found += 1
    return crossing[:found], ends[:found]


@compiled()
def _runs_through(piece: np.ndarray, count: int, normal: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    """The segment from a to b has a part of some length inside the convex piece (count, 3) in the plane with this normal."""
    enter, leave = 0.0, 1.0
    length = np.sqrt(((b - a) ** 2).sum())
    for k in range(count):
        p, q = piece[k], piece[(k + 1) % count]
        ex, ey, ez = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        ix = normal[1] * ez - normal[2] * ey
        iy = normal[2] * ex - normal[0] * ez
        iz = normal[0] * ey - normal[1] * ex
        size = np.sqrt(ix * ix + iy * iy + iz * iz)
        if size < 1e-12:
            continue
        ha = (ix * (a[0] - p[0]) + iy * (a[1] - p[1]) + iz * (a[2] - p[2])) / size - 1e-10
        hb = (ix * (b[0] - p[0]) + iy * (b[1] - p[1]) + iz * (b[2] - p[2])) / size - 1e-10
        if ha <= 0 and hb <= 0:
            return False
        if ha < 0:
            enter = max(enter, ha / (ha - hb))
        elif hb < 0:
            leave = min(leave, ha / (ha - hb))
    return (leave - enter) * length > SHORTEST


@compiled()
def _split(corners: np.ndarray, ends: np.ndarray, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The convex pieces of one triangle (3, 3) after cuts along segments (S, 2, 3), each in a plane (S, 4): corners and their counts."""
    pieces = np.empty((2 + 2 * len(ends), MOST_CORNERS, 3))
    count = np.zeros(len(pieces), np.int64)
    pieces[0, :3] = corners
    count[0] = 3
    total = 1
    u, v = corners[1] - corners[0], corners[2] - corners[0]
    normal = np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
    height = np.empty(MOST_CORNERS)
    kept = np.empty((MOST_CORNERS, 3))
    for s in range(len(ends)):
        k = -1
        while k + 1 < total:
            k += 1
            if total == len(pieces):
                pieces, count = np.concatenate((pieces, np.empty_like(pieces))), np.concatenate((count, np.zeros_like(count)))
            if count[k] == MOST_CORNERS:
                # Full: halve it along a diagonal, and look at both halves.
                half = MOST_CORNERS // 2
                pieces[total, : half + 1] = pieces[k, : half + 1]
                pieces[k, 1 : MOST_CORNERS - half + 1] = pieces[k, half:].copy()
                count[total], count[k] = half + 1, MOST_CORNERS - half + 1
                total += 1
                k -= 1
                continue
            above = below = False
            for c in range(count[k]):
                h = planes[s, 0] * pieces[k, c, 0] + planes[s, 1] * pieces[k, c, 1] + planes[s, 2] * pieces[k, c, 2] - planes[s, 3]
                height[c] = 0.0 if abs(h) < 1e-11 else h
                above |= height[c] > 0
                below |= height[c] < 0
            if not above or not below or not _runs_through(pieces[k], count[k], normal, ends[s, 0], ends[s, 1]):
                continue
            n = count[k]
            up = down = 0
            for c in range(n):
                here, then = height[c], height[(c + 1) % n]
                p, q = pieces[k, c].copy(), pieces[k, (c + 1) % n]
                if here >= 0:
                    kept[up] = p
                    up += 1
                if here <= 0:
                    pieces[total, down] = p
                    down += 1
                if here * then < 0:
                    t = here / (here - then)
                    cross = p + t * (q - p)
                    kept[up] = cross
                    pieces[total, down] = cross
                    up += 1
                    down += 1
            pieces[k, :up] = kept[:up]
            count[k], count[total] = up, down
            total += 1
    return pieces[:total], count[:total]


@compiled()
def _split_all(
    vertices: np.ndarray, faces: np.ndarray, start: np.ndarray, cut: np.ndarray, ends: np.ndarray, planes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split each triangle `cut` by its crossings start[i]:start[i + 1]: corners of all pieces, corners a piece, triangle of a piece."""
    room = 256 + 16 * len(ends)
    points, count, face = np.empty((4 * room, 3)), np.empty(room, np.int64), np.empty(room, np.int64)
    filled = total = 0
    for i in range(len(cut)):
        segments = slice(start[i], start[i + 1])
        pieces, corners = _split(vertices[faces[cut[i]]], ends[segments], planes[segments])
        while total + len(corners) > len(count):
            count, face = np.concatenate((count, np.empty_like(count))), np.concatenate((face, np.empty_like(face)))
        while filled + corners.sum() > len(points):
            points = np.concatenate((points, np.empty_like(points)))
        for k in range(len(corners)):
            points[filled : filled + corners[k]] = pieces[k, : corners[k]]
            filled += corners[k]
            count[total], face[total] = corners[k], cut[i]
            total += 1
    return points[:filled], count[:total], face[:total]


def cut_at_crossings(vertices: np.ndarray, faces: np.ndarray) -> Pieces:
    """Cut every triangle where others cross it, its neighbours in the same surface included where they fold into it."""
    corners = vertices[faces]
    pairs = boxes_that_meet(*boxes_of(corners))
    crossing, ends = _crossings(vertices, faces, pairs)
    met = pairs[crossing]
    owner, other = np.concatenate([met[:, 0], met[:, 1]]), np.concatenate([met[:, 1], met[:, 0]])
    order = np.argsort(owner, kind="stable")
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    plane = np.column_stack([normal, (normal * corners[:, 0]).sum(1)])
    cut, first = np.unique(owner[order], return_index=True)
    start = np.r_[first, len(order)]
    points, count, face = _split_all(vertices, faces, start, cut, np.concatenate([ends, ends])[order], plane[other[order]])
    is_cut = np.zeros(len(faces), bool)
    is_cut[cut] = True
    return Pieces(points, np.r_[0, np.cumsum(count)], face, is_cut)


@dataclass(frozen=True)
class Stitched:
    """Polygons as triangles that share vertices."""

    vertices: np.ndarray
    """(V, 3) float64."""
    faces: np.ndarray
    """(F, 3) int64."""
    polygon: np.ndarray
    """(F,) int64 the polygon each triangle is part of."""


def stitch(points: np.ndarray, corner: np.ndarray, start: np.ndarray, tolerance: float = 2e-8) -> Stitched:
    """Join convex polygons with corners points[corner[start[k]:start[k + 1]]] along their edges.

    Points within `tolerance` metres become one. Cuts run across a whole piece and so end on edges that the piece beyond may not have cut:
    an edge without a partner takes up the corners that lie on it, and its polygon is filled from its middle.
    """
    used, corner = np.unique(corner, return_inverse=True)
    points = points[used]
    pairs = cKDTree(points).query_pairs(tolerance, output_type="ndarray")
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    label = csgraph.connected_components(graph, directed=False)[1]
    points = points[np.unique(label, return_index=True)[1]]
    polygon = np.repeat(np.arange(len(start) - 1), np.diff(start))
    from_, to = label[corner], label[_next_in_polygon(corner, start)]
    # An edge whose ends are one point is gone; a polygon needs three.
    real = from_ != to
    real &= np.bincount(polygon[real], minlength=len(start) - 1)[polygon] > 2
    from_, to, polygon = from_[real], to[real], polygon[real]

    lone = np.flatnonzero(_unmatched(from_, to, len(points)))
    edge, inserted = _corners_on_edges(points, from_[lone], to[lone], tolerance)
    edge = lone[edge]
    along = ((points[inserted] - points[from_[edge]]) * (points[to[edge]] - points[from_[edge]])).sum(1)
    origin = np.concatenate([np.arange(len(from_)), edge])
    order = np.lexsort((np.concatenate([np.full(len(from_), -np.inf), along]), origin))
    split = np.zeros(len(start) - 1, bool)
    split[polygon[edge]] = True
    corner, polygon = np.concatenate([from_, inserted])[order], polygon[origin[order]]
    begin = np.flatnonzero(np.r_[True, polygon[1:] != polygon[:-1]])
    begin = np.r_[begin, len(polygon)]
    onward = _next_in_polygon(corner, begin)

    filled = split[polygon]
    middle_of = np.cumsum(split) - 1
    weight = np.bincount(polygon, minlength=len(split)).astype(float)
    middles = np.stack([np.bincount(polygon, points[corner, x], minlength=len(split)) for x in range(3)], 1)[split] / weight[split, None]
    round_middle = np.column_stack([len(points) + middle_of[polygon[filled]], corner[filled], onward[filled]])
    first = np.repeat(corner[begin[:-1]], np.diff(begin))
    place = np.arange(len(corner)) - np.repeat(begin[:-1], np.diff(begin))
    fan = ~filled & (place > 0) & (place < np.repeat(np.diff(begin), np.diff(begin)) - 1)
    plain = np.column_stack([first[fan], corner[fan], onward[fan]])
    faces, source = np.concatenate([plain, round_middle]), np.concatenate([polygon[fan], polygon[filled]])
    return Stitched(np.concatenate([points, middles]), faces, source)


def _next_in_polygon(corner: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The corner after each, going round its polygon."""
    onward = np.roll(corner, -1)
    onward[start[1:] - 1] = corner[start[:-1]]
    return onward


def _unmatched(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """(E,) bool: the edge between a and b runs more often one way than the other."""
    _, inverse = np.unique(np.minimum(a, b) * count + np.maximum(a, b), return_inverse=True)
    return np.bincount(inverse, np.where(a < b, 1, -1))[inverse] != 0


def _corners_on_edges(points: np.ndarray, a: np.ndarray, b: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Every (edge, point) such that one of the ends of these edges lies on another edge, between its ends."""
    if not len(a):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ends = np.unique(np.concatenate([a, b]))
    middle, length = (points[a] + points[b]) / 2, np.linalg.norm(points[b] - points[a], axis=1)
    near = cKDTree(points[ends]).query_ball_point(middle, length / 2 + tolerance)
    edge = np.repeat(np.arange(len(a)), [len(n) for n in near])
    point = ends[np.concatenate([np.array(n, np.int64) for n in near])]
    direction = (points[b] - points[a])[edge] / length[edge, None]
    offset = points[point] - points[a[edge]]
    along = (offset * direction).sum(1)
    off = np.linalg.norm(offset - along[:, None] * direction, axis=1)
    on = (off < tolerance) & (along > 0) & (along < length[edge]) & (point != a[edge]) & (point != b[edge])
    return edge[on], point[on]
