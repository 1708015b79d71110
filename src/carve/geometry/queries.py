"""Nearest points, winding numbers, rays and boxes that meet, by warp's bounding volume hierarchy on the CPU.

Notation: points (N, 3), mesh vertices (V, 3), faces (F, 3) wound outward. The winding number w is 1 inside a closed surface and 0 outside;
of an open one it is the share of the sphere that the surface covers (Jacobson et al., "Robust inside-outside segmentation using generalized
winding numbers", SIGGRAPH 2013; far parts by their dipoles, Barill et al., "Fast winding numbers for soups and clouds", SIGGRAPH 2018).
warp calculates in single precision: 0.1 micrometre for coordinates of one metre.
"""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, no_type_check

import numpy as np
import warp as wp

from carve.native_output import quiet

# Without warp's banner and its news of every kernel. The line about a missing CUDA driver comes from its native library.
wp.config.log_level = wp.LOG_ERROR
try:
    with quiet():
        wp.init()
except OSError:  # no folder of the user's can be written: the kernels are kept for this run
    _kernels = TemporaryDirectory(prefix="carve-kernels-")
    wp.config.kernel_cache_dir = _kernels.name
    with quiet():
        wp.init()
wp.config.log_level = wp.LOG_WARNING
wp.set_module_options({"enable_backward": False})

_Vectors, _Pairs = wp.array(dtype=wp.vec3), wp.array(dtype=wp.vec2)
_Whole, _Real = wp.array(dtype=int), wp.array(dtype=float)


@dataclass(frozen=True)
class Nearest:
    """The nearest points of a mesh."""

    face: np.ndarray
    """(N,) int64, -1 where none lies within the limit."""
    bary: np.ndarray
    """(N, 3) float64 barycentric coordinates of the nearest point."""
    point: np.ndarray
    """(N, 3) float64."""
    distance: np.ndarray
    """(N,) float64 unsigned, infinite where there is none."""


@wp.kernel
@no_type_check
def _nearest(mesh: wp.uint64, points: _Vectors, limit: float, face: _Whole, bary: _Pairs):
    i = wp.tid()
    found = wp.mesh_query_point_no_sign(mesh, points[i], limit)
    face[i] = -1
    if found.result:
        face[i] = found.face
        bary[i] = wp.vec2(found.u, found.v)


@wp.kernel
@no_type_check
def _inside(mesh: wp.uint64, points: _Vectors, accuracy: float, threshold: float, inside: _Whole):
    i = wp.tid()
    found = wp.mesh_query_point_sign_winding_number(mesh, points[i], 1.0e6, accuracy, threshold)
    inside[i] = 0
    if found.result and found.sign < 0.0:
        inside[i] = 1


@wp.kernel
@no_type_check
def _first_hit(mesh: wp.uint64, origins: _Vectors, directions: _Vectors, limit: float, face: _Whole, distance: _Real):
    i = wp.tid()
    found = wp.mesh_query_ray(mesh, origins[i], directions[i], limit)
    face[i] = -1
    distance[i] = float(wp.inf)
    if found.result:
        face[i] = found.face
        distance[i] = found.t


@wp.kernel
@no_type_check
def _blocked(mesh: wp.uint64, origins: _Vectors, directions: _Vectors, limit: float, blocked: _Whole):
    i = wp.tid()
    blocked[i] = 0
    if wp.mesh_query_ray_anyhit(mesh, origins[i], directions[i], limit):
        blocked[i] = 1


@wp.kernel
@no_type_check
def _count_boxes(tree: wp.uint64, low: _Vectors, high: _Vectors, count: _Whole):
    i = wp.tid()
    query = wp.bvh_query_aabb(tree, low[i], high[i])
    j = wp.int32(0)
    found = wp.int32(0)
    while wp.bvh_query_next(query, j):
        if j > i:
            found += 1
    count[i] = found


@wp.kernel
@no_type_check
def _list_boxes(tree: wp.uint64, low: _Vectors, high: _Vectors, start: _Whole, other: _Whole):
    i = wp.tid()
    query = wp.bvh_query_aabb(tree, low[i], high[i])
    j = wp.int32(0)
    at = start[i]
    while wp.bvh_query_next(query, j):
        if j > i:
            other[at] = j
            at += 1


def boxes_that_meet(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(P, 2) int64 pairs i < j of axis-aligned boxes from low (N, 3) to high (N, 3), metres, that meet; exact up to float32."""
    if not len(low):
        return np.zeros((0, 2), np.int64)
    # Rounding to float32 must not part boxes that touch.
    lows = _vectors(np.nextafter(np.asarray(low, np.float32), np.float32(-np.inf)))
    highs = _vectors(np.nextafter(np.asarray(high, np.float32), np.float32(np.inf)))
    tree = wp.Bvh(lows, highs)
    count = wp.zeros(len(low), dtype=int, device="cpu")
    _launch(_count_boxes, len(low), [tree.id, lows, highs, count])
    end = np.cumsum(count.numpy(), dtype=np.int64)
    start = wp.array((end - count.numpy()).astype(np.int32), dtype=int, device="cpu")
    other = wp.zeros(int(end[-1]), dtype=int, device="cpu")
    _launch(_list_boxes, len(low), [tree.id, lows, highs, start, other])
    return np.column_stack([np.repeat(np.arange(len(low)), count.numpy()), other.numpy().astype(np.int64)])


def boxes_of(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corners (F, D) of the boxes of triangles (F, 3, D); numpy's own minimum along so short an axis takes three times as
    long."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


class MeshQueries:
    """Queries against one mesh; building costs about as much as 20,000 nearest points."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, winding: bool = False) -> None:
        """`winding` prepares `inside` and `signed_distance`."""
        self.vertices, self.faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
        self._mesh = wp.Mesh(
            points=_vectors(self.vertices),
            indices=wp.array(np.ascontiguousarray(self.faces, np.int32).ravel(), dtype=int, device="cpu"),
            support_winding_number=winding,
        )
        self._winding = winding

    def nearest(self, points: np.ndarray, limit: float = 1e6) -> Nearest:
        """The nearest point of the mesh to each of points (N, 3), searched within `limit` metres."""
        count = len(points)
        face = wp.zeros(count, dtype=int, device="cpu")
        bary = wp.zeros(count, dtype=wp.vec2, device="cpu")
        _launch(_nearest, count, [self._mesh.id, _vectors(points), limit, face, bary])
        index, uv = face.numpy().astype(np.int64), bary.numpy().astype(np.float64)
        weights = np.column_stack([uv, 1 - uv.sum(1)])
        on = np.einsum("nk,nkd->nd", weights, self.vertices[self.faces[np.maximum(index, 0)]])
        distance = np.where(index >= 0, np.linalg.norm(np.asarray(points, np.float64) - on, axis=1), np.inf)
        return Nearest(index, weights, on, distance)

    def inside(self, points: np.ndarray, accuracy: float = 3.0, threshold: float = 0.5) -> np.ndarray:
        """(N,) bool: the winding number at points (N, 3) exceeds `threshold`.

        Parts of the surface farther away than `accuracy` times their radius count as a dipole. Raises ValueError if the queries were built
        without `winding`.
        """
        if not self._winding:
            raise ValueError("these queries were built without winding numbers")
        out = wp.zeros(len(points), dtype=int, device="cpu")
        _launch(_inside, len(points), [self._mesh.id, _vectors(points), accuracy, threshold, out])
        return out.numpy().astype(bool)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) distance of points (N, 3) to the mesh, negative inside."""
        return np.where(self.inside(points), -1.0, 1.0) * self.nearest(points).distance

    def first_hit(self, origins: np.ndarray, directions: np.ndarray, limit: float = 1e3) -> tuple[np.ndarray, np.ndarray]:
        """The first triangle that rays (N, 3), (N, 3) meet within `limit`: (N,) index, -1 for none, and (N,) distance, infinite for none.

        Both sides of a triangle count. Distances and `limit` are in lengths of the direction, metres if that is a unit vector.
        """
        face = wp.zeros(len(origins), dtype=int, device="cpu")
        distance = wp.zeros(len(origins), dtype=float, device="cpu")
        _launch(_first_hit, len(origins), [self._mesh.id, _vectors(origins), _vectors(directions), limit, face, distance])
        return face.numpy().astype(np.int64), distance.numpy().astype(np.float64)

    def blocked(self, origins: np.ndarray, directions: np.ndarray, limit: float = 1e3) -> np.ndarray:
        """(N,) bool: the ray meets the mesh within `limit`."""
        out = wp.zeros(len(origins), dtype=int, device="cpu")
        _launch(_blocked, len(origins), [self._mesh.id, _vectors(origins), _vectors(directions), limit, out])
        return out.numpy().astype(bool)


def _vectors(points: np.ndarray) -> Any:
    return wp.array(np.ascontiguousarray(points, np.float32), dtype=wp.vec3, device="cpu")


def _launch(kernel: Any, count: int, inputs: list[Any]) -> None:
    if count:
        wp.launch(kernel, dim=count, inputs=inputs, device="cpu")
