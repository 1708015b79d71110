"""What a canonical body says of any point around it: signed distance, normal, part, and how the skeleton would carry the point.

On the skin the skinning weights are the skin's own, farther out a mean over ever more of it: a skirt between two legs follows both, and no
weight jumps where another limb becomes the nearest.

Notation: d signed distance, p nearest point, c_i cells of the skin (their middles, areas a_i and mean weights w_i). Within 1 cm of the skin
the weights are w(p), beyond 4 cm
    w(x) = sum_i k_i w_i / sum_i k_i,   k_i = a_i exp(-(|x - c_i|^2 - d^2) / (2 s^2)),   s = max(2.5 cm, 0.4 |d|),
and between them a smooth mixture. Blending is linear, so bone maps are mixed instead of weights where maps are asked for.

The sign of the distance is that of (x - p) . n with the angle-weighted pseudonormal n of the face, edge or vertex that p lies on
(Baerentzen & Aanaes, "Signed distance computation using the angle weighted pseudonormal", 2005): ten times faster than winding numbers.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from carve.geometry.mesh import components, face_normals, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.records import BodyFit

CELL = 0.05
"""Side of the cubes that the skin is cut into for the mean, metres."""
ON_SKIN, OFF_SKIN = 0.01, 0.04
"""Where the nearest point's weights begin to give way to the mean, and where the mean alone counts, metres."""
_CHUNK = 256


@dataclass(frozen=True)
class BodyPoints:
    """The body as seen from N points."""

    distance: np.ndarray
    """(N,) float32 metres to the skin, negative inside."""
    gradient: np.ndarray
    """(N, 3) float32 unit gradient of the distance."""
    normal: np.ndarray
    """(N, 3) float32 unit normal of the skin at the nearest point, interpolated between vertices."""
    region: np.ndarray
    """(N,) uint8 index into REGIONS at the nearest point."""
    face: np.ndarray
    """(N,) int64 triangle of the nearest point."""
    bary: np.ndarray
    """(N, 3) float32 barycentric coordinates in it."""
    carried: tuple[np.ndarray, np.ndarray] | None = None
    """Bone maps (B, 3, 4) that the points were carried by, and what they blend to there, (N, 3, 4) float32: `blend` does that once."""

    def part(self, rows: np.ndarray) -> BodyPoints:
        """What is said of some of the points."""
        carried = None if self.carried is None else (self.carried[0], self.carried[1][rows])
        bary, face, region = self.bary[rows], self.face[rows], self.region[rows]
        return BodyPoints(self.distance[rows], self.gradient[rows], self.normal[rows], region, face, bary, carried)


class SkinField:
    """Distances and smooth skinning weights around one body."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, bones: np.ndarray, weights: np.ndarray, region: np.ndarray) -> None:
        """A body in the canonical pose; only its largest piece counts (eyeballs are pieces of their own).

        Args:
            vertices: (V, 3) metres.
            faces: (F, 3) wound outward.
            bones: (V, K) bone indices.
            weights: (V, K), rows sum to 1.
            region: (V,) uint8 index into REGIONS.
        """
        label = components(faces, len(vertices))
        self.faces = faces[label[faces[:, 0]] == np.bincount(label).argmax()]
        self._region = region
        rows = np.repeat(np.arange(len(bones)), bones.shape[1])
        shape = (len(bones), int(bones.max()) + 1)
        self._weights = sparse.csr_matrix((weights.ravel().astype(np.float32), (rows, bones.ravel())), shape=shape)
        ends = np.sort(self.faces[:, [[1, 2], [2, 0], [0, 1]]], axis=2)
        _, edge = np.unique(ends[..., 0] * len(vertices) + ends[..., 1], return_inverse=True)
        self._edge = edge.reshape(-1, 3)
        """(F, 3) number of the edge opposite each corner."""
        self._place(vertices)

    def reshaped(self, vertices: np.ndarray) -> SkinField:
        """The field of the same body with its vertices (V, 3) elsewhere; takes half the time."""
        other = copy(self)
        other._place(vertices)
        return other

    @staticmethod
    def of(body: BodyFit) -> SkinField:
        """The field of a fitted body."""
        return SkinField(body.canonical, body.faces, body.bones, body.weights, body.region)

    def _place(self, vertices: np.ndarray) -> None:
        """Take in where the vertices (V, 3) are."""
        self.vertices = np.asarray(vertices, np.float64)
        self._queries = MeshQueries(self.vertices, self.faces)
        self._normals = vertex_normals(self.vertices, self.faces).astype(np.float32)
        crosses = face_normals(self.vertices, self.faces)
        twice_area = np.linalg.norm(crosses, axis=1)
        self._pseudonormals(crosses / np.maximum(twice_area, 1e-12)[:, None], twice_area)
        self._cells(twice_area)

    def _pseudonormals(self, face: np.ndarray, twice_area: np.ndarray) -> None:
        """From unit normals (F, 3) and doubled areas (F,) of faces, normals of edges (E, 3) and vertices (V, 3), not of unit length."""
        edges = [self.vertices[self.faces[:, (k + 2) % 3]] - self.vertices[self.faces[:, (k + 1) % 3]] for k in range(3)]
        square = np.column_stack([np.einsum("fd,fd->f", edge, edge) for edge in edges])
        # Each angle from the two edges beside it by the law of cosines.
        cosines = (square.sum(1, keepdims=True) - 2 * square) / 2
        angles = np.arctan2(twice_area[:, None], cosines)
        self._of_face = face
        self._of_vertex = _sums(self.faces, angles[..., None] * face[:, None], len(self.vertices))
        self._of_edge = _sums(self._edge, np.broadcast_to(face[:, None], (len(face), 3, 3)), self._edge.max() + 1)

    def _cells(self, twice_area: np.ndarray) -> None:
        """Cut the skin, its faces' doubled areas (F,), into cells: middles (C, 3), areas (C,), each vertex's share in them (C, V)."""
        area = np.bincount(self.faces.ravel(), np.repeat(twice_area / 6, 3), minlength=len(self.vertices))
        used = np.flatnonzero(area > 0)
        place = np.floor((self.vertices[used] - self.vertices[used].min(0)) / CELL).astype(np.int64)
        _, cell = np.unique(place @ [1 << 40, 1 << 20, 1], return_inverse=True)
        total = np.bincount(cell, area[used])
        self._share = sparse.csr_matrix((area[used] / total[cell], (cell, used)), shape=(len(total), len(self.vertices)))
        self._middle = torch.from_numpy((self._share @ self.vertices).astype(np.float32))
        self._log_area = torch.from_numpy(np.log(total).astype(np.float32))

    def near(self, points: np.ndarray) -> BodyPoints:
        """The body as seen from points (N, 3)."""
        found = self._queries.nearest(points)
        corners = self.faces[found.face]
        zero = found.bary < 1e-5
        count, row = zero.sum(1), np.arange(len(corners))
        pseudo = np.where((count == 1)[:, None], self._of_edge[self._edge[found.face, zero.argmax(1)]], self._of_face[found.face])
        pseudo = np.where((count == 2)[:, None], self._of_vertex[corners[row, found.bary.argmax(1)]], pseudo)
        inside = ((np.asarray(points) - found.point) * pseudo).sum(1) < 0
        bary = found.bary.astype(np.float32)
        normal = _unit(np.einsum("nk,nkd->nd", bary, self._normals[corners]))
        distance = np.where(inside, -found.distance, found.distance).astype(np.float32)
        # On the skin itself the way to the nearest point has no direction.
        away = (np.asarray(points) - found.point).astype(np.float32) * np.where(inside, -1, 1)[:, None].astype(np.float32)
        gradient = np.where((found.distance > 1e-3)[:, None], _unit(away), normal)
        region = self._region[corners[row, bary.argmax(1)]]
        return BodyPoints(distance, gradient, normal, region, found.face, bary)

    def blend(self, points: np.ndarray, near: BodyPoints, transforms: np.ndarray) -> np.ndarray:
        """(N, 3, 4) float32 blended bone maps at points (N, 3), of bone maps (B, 3, 4); `near` is this field's."""
        if near.carried is not None and np.array_equal(near.carried[0], transforms):
            return near.carried[1]
        of_vertex = self._weights @ transforms[: self._weights.shape[1]].reshape(-1, 12).astype(np.float32)
        return self._mixed(points, near, of_vertex).reshape(-1, 3, 4)

    def carried(self, points: np.ndarray, near: BodyPoints, transforms: np.ndarray) -> BodyPoints:
        """`near` of points (N, 3) that keeps how bone maps (B, 3, 4) carry them."""
        return replace(near, carried=(transforms, self.blend(points, near, transforms)))

    def weights(self, points: np.ndarray, near: BodyPoints, bones: int) -> np.ndarray:
        """(N, bones) float32 skinning weights at points (N, 3), rows sum to 1; `near` is this field's."""
        dense = np.zeros((len(self.vertices), bones), np.float32)
        dense[:, : self._weights.shape[1]] = self._weights.toarray()
        return self._mixed(points, near, dense)

    def _mixed(self, points: np.ndarray, near: BodyPoints, values: np.ndarray) -> np.ndarray:
        """(N, C) the field of values (V, C) of the vertices."""
        corners = self.faces[near.face]
        on_skin = np.zeros((len(points), values.shape[1]), np.float32)
        for k in range(3):
            on_skin += near.bary[:, k, None] * values[corners[:, k]]
        share = np.clip((np.abs(near.distance) - ON_SKIN) / (OFF_SKIN - ON_SKIN), 0, 1)
        share = share * share * (3 - 2 * share)
        off = np.flatnonzero(share > 0)
        mean = self.means(points[off], near.distance[off], values)
        s = share[off, None]
        on_skin[off] = (1 - s) * on_skin[off] + s * mean
        return on_skin

    @property
    def middles(self) -> np.ndarray:
        """(C, 3) middles of the cells that the skin is cut into for the mean."""
        return self._middle.numpy()

    def means(self, points: np.ndarray, distance: np.ndarray, values: np.ndarray, cells: np.ndarray | None = None) -> np.ndarray:
        """(N, C) float32 means of values (V, C) over the skin, or over some of its cells, as seen from points (N, 3) at `distance` (N,)."""
        every = (self._share @ values).astype(np.float32)
        kept = torch.arange(len(every)) if cells is None else torch.from_numpy(np.flatnonzero(cells))
        of_cell, middle, log_area = torch.from_numpy(every)[kept], self._middle[kept], self._log_area[kept]
        out = np.empty((len(points), values.shape[1]), np.float32)
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            x = torch.from_numpy(np.asarray(points[part], np.float32))
            scale = torch.from_numpy(0.5 / np.maximum(0.025, 0.4 * np.abs(distance[part]).astype(np.float32)) ** 2)[:, None]
            # |x - c|^2 without its part |x|^2, which the normalisation takes out.
            square = torch.addmm(middle.square().sum(1), x, middle.T, alpha=-2)
            out[part] = (torch.softmax(log_area - scale * square, 1) @ of_cell).numpy()
        return out


def _sums(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count, 3) sums of the values (F, 3, 3) whose `index` (F, 3) is the same."""
    return np.column_stack([np.bincount(index.ravel(), values[..., axis].ravel(), minlength=count) for axis in range(3)])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) to unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))
