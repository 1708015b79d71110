"""Normal maps of the clothed person. Without a network they are those of the posed surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.records import NormalMaps, Observation, PosedSurface


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    angle_sigma_degrees: float = 20.0
    """Expected error of a normal that no network has seen, degrees."""


def render_normals(observation: Observation, posed: PosedSurface, params: Params) -> NormalMaps:
    """Front and back normals of the posed surface, camera frame, at the photo's full size."""
    faces = posed.canonical.faces
    normals = vertex_normals(posed.vertices, faces)
    front = rasterise(posed.vertices, faces, posed.camera)
    back = rasterise(posed.vertices, faces, posed.camera, farthest=True)

    def image(raster_normals: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(raster_normals, axis=-1, keepdims=True)
        return (raster_normals / np.maximum(length, 1e-6)).astype(np.float16)

    variance = np.where(front.mask, 2 * np.log(np.radians(params.angle_sigma_degrees)), 0.0)
    return NormalMaps(
        image(front.interpolate(normals, faces)), image(back.interpolate(normals, faces)), variance.astype(np.float16), front.mask
    )
