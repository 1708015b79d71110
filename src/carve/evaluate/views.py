"""Parallel views of a mesh as arrays to measure: masks, normals, base colours.

Frames: a view turned by a degrees shows the subject turned about +Y so that the side at azimuth a faces +Z; its normals are in that frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.mesh import face_normals
from carve.geometry.pictures.colour import LINEAR_FROM_SRGB, encoded
from carve.geometry.pictures.sampling import sample_texture
from carve.geometry.queries import MeshQueries

DEGREES = (0, 90, 180, 270)
SIDES = ("front", "right", "back", "left")


@dataclass(frozen=True)
class Shape:
    """A mesh to be measured."""

    vertices: np.ndarray
    """(V, 3) metres."""
    faces: np.ndarray
    """(F, 3) wound outward."""
    normals: np.ndarray
    """(V, 3) unit; seams of the texture share theirs."""
    uv: np.ndarray | None = None
    """(V, 2) origin top left."""
    texture: np.ndarray | None = None
    """(T, T', 3) uint8 sRGB."""
    colours: np.ndarray | None = None
    """(V, 3) uint8 sRGB, where there is no texture."""


@dataclass(frozen=True)
class ParallelView:
    """One view, S x S pixels."""

    mask: np.ndarray
    """(S, S) bool."""
    normals: np.ndarray
    """(S, S, 3) float32 unit, zero outside."""
    albedo: np.ndarray | None
    """(S, S, 3) float32 sRGB 0..1, grey outside."""


def welded_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) area-weighted unit normals; vertices in one place share theirs, so that seams of a texture do not show."""
    keys = np.round(vertices / max(float(np.ptp(vertices, axis=0).max()), 1e-9) * 1e6).astype(np.int64)
    _, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    total = np.zeros((place.max() + 1, 3))
    cross = face_normals(vertices, faces)
    for corner in range(3):
        np.add.at(total, place[faces[:, corner]], cross)
    normals = total[place]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def turn_about_up(degrees: float) -> np.ndarray:
    """(3, 3) that brings the side at azimuth `degrees` to face +Z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def parallel_view(shape: Shape, queries: MeshQueries, degrees: float, centre: np.ndarray, side: float, size: int) -> ParallelView:
    """The view of a square of `side` metres around `centre`; `queries` are those of the shape's mesh.

    Normals are the vertices', turned to the viewer where the face is seen from its inner side.
    """
    turn = turn_about_up(degrees)
    line = ((np.arange(size) + 0.5) / size - 0.5) * side
    x, y = np.meshgrid(line, -line)
    origins = np.stack([x, y, np.full_like(x, 2 * side)], -1).reshape(-1, 3) @ turn + centre
    direction = -turn[2]
    face, distance = queries.first_hit(origins, np.broadcast_to(direction, origins.shape))
    hit = face >= 0
    corners = shape.faces[face[hit]]
    weights = barycentric(shape.vertices[corners], origins[hit] + distance[hit, None] * direction)
    seen = np.einsum("nk,nkd->nd", weights, shape.normals[corners]) @ turn.T
    triangle = face_normals(shape.vertices, corners) @ turn.T
    seen[np.einsum("nd,nd->n", seen, triangle) < 0] *= -1
    seen[triangle[:, 2] < 0] *= -1
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    normals = np.zeros((size * size, 3), np.float32)
    normals[hit] = seen
    light = _light(shape, weights, corners)
    albedo: np.ndarray | None = None
    if light is not None:
        albedo = np.full((size * size, 3), 0.5, np.float32)
        albedo[hit] = encoded(light)
        albedo = albedo.reshape(size, size, 3)
    return ParallelView(hit.reshape(size, size), normals.reshape(size, size, 3), albedo)


def _light(shape: Shape, weights: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """(N, 3) base colour, linear light, at barycentric `weights` (N, 3) of triangles with vertices `corners` (N, 3)."""
    if shape.uv is not None and shape.texture is not None:
        return sample_texture(shape.texture, np.einsum("nk,nkd->nd", weights, shape.uv[corners]))
    return None if shape.colours is None else np.einsum("nk,nkd->nd", weights, LINEAR_FROM_SRGB[shape.colours[corners]])


def barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) barycentric coordinates of points (N, 3) in the planes of triangles (N, 3, 3), by areas."""
    a, b, c = (corners[:, k] for k in range(3))
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal**2).sum(1), 1e-30)
    u = (np.cross(c - b, points - b) * normal).sum(1) / area
    v = (np.cross(a - c, points - c) * normal).sum(1) / area
    return np.column_stack([u, v, 1 - u - v])


def silhouette(vertices: np.ndarray, faces: np.ndarray, projection: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: which pixels' centres a mesh (V, 3), (F, 3) covers under a 3 x 4 projection of either sign."""
    homogeneous = np.column_stack([vertices, np.ones(len(vertices))]) @ projection.T
    if np.median(homogeneous[:, 2]) < 0:
        homogeneous = -homogeneous
    depth = homogeneous[:, 2]
    front = depth > 1e-6 * max(float(np.abs(depth).max()), 1e-12)
    kept = faces[front[faces].all(1)]
    cover = np.zeros((size[1], size[0]), bool)
    if not len(kept):
        return cover
    flat = np.column_stack([homogeneous[:, :2] / np.where(front, depth, 1.0)[:, None], depth / np.abs(depth).max() * 100])
    used = flat[np.unique(kept)]
    columns = np.flatnonzero(_within(size[0], used[:, 0]))
    rows = np.flatnonzero(_within(size[1], used[:, 1]))
    if not len(columns) or not len(rows):
        return cover
    x, y = np.meshgrid(columns + 0.5, rows + 0.5)
    origins = np.stack([x, y, np.full_like(x, -1000.0)], -1).reshape(-1, 3)
    blocked = MeshQueries(flat, kept).blocked(origins, np.broadcast_to([0.0, 0.0, 1.0], origins.shape), 1e6)
    cover[np.ix_(rows, columns)] = blocked.reshape(x.shape)
    return cover


def _within(count: int, values: np.ndarray) -> np.ndarray:
    """(count,) bool: pixel centres within the range of `values` and a pixel more."""
    centres = np.arange(count) + 0.5
    return (centres >= values.min() - 1) & (centres <= values.max() + 1)
