"""Normal maps of a mesh as a camera's pixels cut it: of the nearest surface and of the farthest."""

from __future__ import annotations

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise


def front_and_back(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (H, W, 3) float32, camera frame, zero outside, of a mesh whose faces (F, 3) are wound outward.

    Vertices (V, 3) are in the camera frame.
    """
    normals = vertex_normals(vertices, faces)
    maps = []
    for farthest in (False, True):
        image = rasterise(vertices, faces, camera, farthest).interpolate(normals, faces)
        maps.append((image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1e-6)).astype(np.float32))
    return maps[0], maps[1]
