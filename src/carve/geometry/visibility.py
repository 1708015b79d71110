"""Which vertices of a mesh a camera's pixels show, as the nearest surface or as the farthest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise


@dataclass(frozen=True)
class Visibility:
    """How well each vertex is seen."""

    pixels: np.ndarray
    """(V, 2) where it projects."""
    share: np.ndarray
    """(V,) 0 (hidden, edge-on, or beside a jump in depth) to 1."""


def visibility(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, farthest: bool, margin: float, tolerance: float = 0.012, jump: float = 0.05
) -> Visibility:
    """Of vertices (V, 3), camera frame, of a mesh wound outward.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        camera: of the picture.
        farthest: look at the farthest surface instead of the nearest: the back as the front camera's pixels cut it.
        margin: pixels beside a jump in depth, the outline among them, within which trust falls off.
        tolerance: how far behind the pixel's surface a vertex may lie, metres.
        jump: difference in depth between neighbouring pixels that is an edge, metres.
    """
    raster = rasterise(vertices, faces, camera, farthest)
    pixels = camera.project(vertices)
    index = np.floor(pixels).astype(np.int64)
    inside = ((index >= 0) & (index < [camera.width, camera.height])).all(1) & (vertices[:, 2] < 0)
    column, row = np.where(inside[:, None], index, 0).T
    behind = (-vertices[:, 2] - raster.depth[row, column]) * (-1 if farthest else 1)
    toward = -(vertex_normals(vertices, faces) * vertices).sum(1) / np.linalg.norm(vertices, axis=1) * (-1 if farthest else 1)
    depth = np.where(raster.mask, raster.depth, -1e3)
    edge = ndimage.maximum_filter(depth, 3) - ndimage.minimum_filter(depth, 3) > jump
    far = np.clip(ndimage.distance_transform_edt(~edge) / margin - 0.5, 0, 1)
    seen = inside & raster.mask[row, column] & (behind < tolerance)
    return Visibility(pixels, seen * far[row, column] * np.clip((toward - 0.1) / 0.3, 0, 1))
