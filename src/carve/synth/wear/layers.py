"""Layering: cloth outside the body and outside the cloth below it, and what lies hidden taken out of the way.

Notation: an obstacle is a surface with outward normals; a point's height above it is the signed distance along the normal at its nearest
point, negative inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from carve.geometry.mesh import adjacency, boundary_edges, uniform_laplacian, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin
from carve.synth.records import Layer

REACH = 0.06
"""How deep below an obstacle a point is still found and brought out, metres."""
OPEN_REACH = 0.03
"""The same for open surfaces, whose far side must not be mistaken for the near one."""
COVER = 0.045
"""Cloth that lies this close above a surface hides it, metres."""
SUNK = 0.008
"""A surface that pokes through its cover by less than this is still hidden, metres."""


class Obstacle:
    """A surface that cloth must stay outside of."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """Vertices (V, 3), faces (F, 3) wound outward."""
        self.faces = faces
        self.normals = vertex_normals(vertices, faces)
        self.queries = MeshQueries(vertices, faces)
        rim = np.zeros(len(vertices), bool)
        border = boundary_edges(faces)
        rim[border.ravel()] = True
        self.open = bool(rim.any())
        self._rim = rim

    def heights(self, points: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Heights (N,) of points (N, 3) above the surface and the normals (N, 3) there; infinite beyond `reach` and beside open rims."""
        near = self.queries.nearest(points, reach)
        found = near.face >= 0
        corners = self.faces[np.maximum(near.face, 0)]
        normal = np.einsum("nk,nkd->nd", near.bary, self.normals[corners])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        height = np.einsum("nd,nd->n", points - near.point, normal)
        # Seen along the smooth normal the height may be small although the point is far: the distance decides, the normal gives the sign.
        height = np.where(height < 0, -1.0, 1.0) * near.distance
        at_rim = (self._rim[corners] & (near.bary > 1e-4)).sum(1) >= (near.bary > 1e-4).sum(1)
        return np.where(found & ~at_rim, height, np.inf), normal


@dataclass(frozen=True)
class Against:
    """What a garment is pushed out of."""

    obstacle: Obstacle
    clearance: float
    """Metres."""


def push_out(
    points: np.ndarray, faces: np.ndarray, against: Sequence[Against], rounds: int = 5, fixed: np.ndarray | None = None
) -> np.ndarray:
    """Bring points (V, 3) of a mesh at least their clearance above all obstacles, smoothly at first, exactly in the last round.

    `fixed` (V,) bool points stay where they are.
    """
    points = np.array(points, float)
    laplacian = uniform_laplacian(faces, len(points))
    asked = np.arange(len(points))
    for number in range(rounds):
        move = np.zeros_like(points)
        need = np.zeros(len(points))
        for item in against:
            height, normal = item.obstacle.heights(points[asked], OPEN_REACH if item.obstacle.open else REACH)
            missing = np.clip(item.clearance - height, 0.0, None)
            missing[~np.isfinite(height)] = 0.0
            more = missing > need[asked]
            move[asked[more]], need[asked[more]] = missing[more, None] * normal[more], missing[more]
        if fixed is not None:
            move[fixed], need[fixed] = 0.0, 0.0
        if not (need > 1e-5).any():
            break
        if number < rounds - 1:
            # Neighbours come along, so that the push leaves no bumps.
            for _ in range(3):
                move = move - 0.5 * (laplacian @ move)
            if fixed is not None:
                move[fixed] = 0.0
        points += move
        asked = np.flatnonzero(move.any(1))  # all others are where they were, and well
    return points


def hidden_vertices(layer: Layer, above: Sequence[Layer]) -> np.ndarray:
    """(V,) bool: a ray outwards meets one of the layers above within COVER, started SUNK below the surface, in the pose."""
    if not above:
        return np.zeros(len(layer.posed), bool)
    counts = np.cumsum([0, *(len(item.posed) for item in above)])
    vertices = np.concatenate([item.posed for item in above])
    faces = np.concatenate([item.faces + start for item, start in zip(above, counts[:-1], strict=True)])
    normals = vertex_normals(layer.posed, layer.faces)
    return MeshQueries(vertices, faces).blocked(layer.posed - SUNK * normals, normals, COVER + SUNK)


def hide(layer: Layer, above: Sequence[Layer], transforms: np.ndarray, room: np.ndarray | None = None, rings: int = 2) -> Layer:
    """Take what the layers above cover out of sight: triangles are not shown, and vertices sink by SUNK, so that nothing pokes through.

    `rings` rows of triangles beside every opening stay, so that no gap shows at a hem. `transforms` (B, 3, 4) pose the layer again; `room`
    (V,) is how far each vertex may sink before it meets what lies below, metres.
    """
    covered = hidden_vertices(layer, above)
    neighbours = adjacency(layer.faces, len(layer.posed))
    deep = covered.copy()
    for _ in range(rings):
        deep &= ~(neighbours @ (~deep).astype(float) > 0)
    if not deep.any():
        return layer
    # The sinking fades in over the rings that stay, so the border has no step.
    depth = deep.astype(float)
    for _ in range(2):
        depth = np.maximum(depth, 0.5 * np.asarray((neighbours @ depth) / np.maximum(neighbours.sum(1).A1, 1))) * covered
    sunk = SUNK * depth if room is None else np.minimum(SUNK * depth, room)
    canonical = layer.canonical - sunk[:, None] * vertex_normals(layer.canonical, layer.faces)
    shown = layer.shown & ~deep[layer.faces].all(1)
    return replace(layer, canonical=canonical, posed=skin(canonical, transforms, layer.bones, layer.weights), shown=shown)
