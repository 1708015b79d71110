"""Pictures of textured meshes by the CPU z-buffer: for previews, not for measuring.

Notation: n unit normal, l direction to the light, both in the camera frame. A pixel's colour in linear light is
albedo * (ambient + (1 - ambient) max(0, n.l)); the light stands beside the camera, up and to the left, for clay farther to the side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.colour import LINEAR_FROM_SRGB, srgb_from_linear
from carve.geometry.pictures.sampling import sample_texture
from carve.geometry.raster import rasterise

BACKGROUND = 0.82
"""Grey of the background, linear light."""
CLAY = 0.62
"""Grey of a surface without texture, linear light."""
TO_LIGHT = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
TO_SIDE_LIGHT = np.array([-0.62, 0.5, 0.6]) / np.linalg.norm([-0.62, 0.5, 0.6])
"""The same for light that shows form."""
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Look:
    """What a mesh's surface looks like."""

    uv: np.ndarray | None = None
    """(V, 2) texture coordinates, origin top left."""
    texture: np.ndarray | None = None
    """(T, T', 3) uint8 sRGB; without it, and without colours, the surface is grey clay."""
    normals: np.ndarray | None = None
    """(V, 3) unit normals in the frame of the vertices; computed from the faces if absent."""
    ambient: float = 0.55
    """Share of the light that comes from everywhere. A texture that holds a photo's shading wants much, clay little."""
    colours: np.ndarray | None = None
    """(V, 3) uint8 sRGB, where there is no texture."""
    light: tuple[float, float, float] = (float(TO_LIGHT[0]), float(TO_LIGHT[1]), float(TO_LIGHT[2]))
    """Unit vector to the light."""


def render_mesh(vertices: np.ndarray, faces: np.ndarray, camera: Camera, look: Look) -> np.ndarray:
    """(h, w, 3) uint8 sRGB picture of camera-frame vertices (V, 3) and faces (F, 3) through `camera` (h x w pixels)."""
    return render_looks(vertices, faces, camera, (look,))[0]


def render_looks(vertices: np.ndarray, faces: np.ndarray, camera: Camera, looks: Sequence[Look]) -> list[np.ndarray]:
    """The picture that `render_mesh` gives for each of several looks of one mesh."""
    s = SUPERSAMPLING
    fine = camera.cropped(0, 0, camera.width * s, camera.height * s, s)
    raster = rasterise(vertices, faces, fine)
    hit = raster.mask
    bary, corners = raster.bary[hit], faces[raster.face[hit]]

    def at_hits(values: np.ndarray) -> np.ndarray:
        """Per-vertex values (V, C) at the pixels that see the mesh, (n, C)."""
        single = values.astype(np.float32)
        return bary[:, :1] * single[corners[:, 0]] + bary[:, 1:2] * single[corners[:, 1]] + bary[:, 2:] * single[corners[:, 2]]

    pictures = []
    for look in looks:
        n = at_hits(vertex_normals(vertices, faces) if look.normals is None else look.normals)
        n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
        shade = look.ambient + (1 - look.ambient) * np.clip(n @ np.asarray(look.light, np.float32), 0, None)
        light = np.full((fine.height, fine.width, 3), BACKGROUND, np.float32)
        if look.texture is not None and look.uv is not None:
            light[hit] = sample_texture(look.texture, at_hits(look.uv)) * shade[:, None]
        else:
            light[hit] = (CLAY if look.colours is None else at_hits(LINEAR_FROM_SRGB[look.colours])) * shade[:, None]
        samples = [light[row::s, column::s] for row in range(s) for column in range(s)]
        pictures.append(srgb_from_linear(np.sum(samples, axis=0) / s**2))
    return pictures


def view_camera(points: np.ndarray, width: int, height: int, margin: float = 0.04) -> tuple[Camera, np.ndarray]:
    """A camera far in front of points (n, 3) that sees all of them, and the offset (3,) to add to the points.

    The points face the camera with their +Z; they fill the picture up to `margin` of its sides. The distance is ten times the
    points' extent, so that views from several sides keep nearly the same scale.
    """
    low, high = points.min(0), points.max(0)
    span = np.maximum(high - low, 1e-6)
    distance = 10 * float(span.max())
    near = distance - span[2] / 2
    focal = near * (1 - 2 * margin) * min(width / span[0], height / span[1])
    return Camera.centred(width, height, focal), np.array([0.0, 0.0, -distance]) - (low + high) / 2
