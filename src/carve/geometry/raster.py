"""A z-buffer on the CPU.

Notation: pixel (row i, column j) has its centre at (u, v) = (j + 0.5, i + 0.5). Depth is the distance along -Z of the camera frame,
interpolated perspective-correctly; barycentric coordinates refer to the 3D triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.compiled import compiled


@dataclass(frozen=True)
class Raster:
    """What each pixel of a picture sees of a mesh."""

    face: np.ndarray
    """(H, W) int32 index of the nearest triangle, -1 where there is none."""
    bary: np.ndarray
    """(H, W, 3) float32 barycentric coordinates in that triangle, zero where there is none."""
    depth: np.ndarray
    """(H, W) float32 distance along the viewing axis, infinite where there is none."""

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the pixel sees the mesh."""
        return self.face >= 0

    def interpolate(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Per-vertex values (V, C) to an image (H, W, C), zero outside."""
        corners = values[faces[np.maximum(self.face, 0)]]
        image = np.einsum("hwk,hwkc->hwc", self.bary, corners.astype(np.float32))
        return image * self.mask[..., None]


@compiled(nogil=True)
def _fill(
    pixels: np.ndarray,
    inverse_depth: np.ndarray,
    faces: np.ndarray,
    width: int,
    height: int,
    sign: float,
    face: np.ndarray,
    bary: np.ndarray,
    key: np.ndarray,
) -> None:
    """Write the nearest (by `sign` times depth) triangle of each pixel into `face`, `bary` and `key`."""
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        wa, wb, wc = inverse_depth[a], inverse_depth[b], inverse_depth[c]
        if wa <= 0 or wb <= 0 or wc <= 0:
            continue
        ax, ay = pixels[a, 0], pixels[a, 1]
        bx, by = pixels[b, 0], pixels[b, 1]
        cx, cy = pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        left, right = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), min(int(np.floor(max(ax, bx, cx) - 0.5)) + 1, width)
        top, bottom = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), min(int(np.floor(max(ay, by, cy) - 0.5)) + 1, height)
        for i in range(top, bottom):
            v = i + 0.5
            for j in range(left, right):
                u = j + 0.5
                la = ((bx - u) * (cy - v) - (by - v) * (cx - u)) / area
                lb = ((cx - u) * (ay - v) - (cy - v) * (ax - u)) / area
                lc = 1.0 - la - lb
                if la < 0 or lb < 0 or lc < 0:
                    continue
                inverse = la * wa + lb * wb + lc * wc
                z = 1.0 / inverse
                if sign * z < key[i, j]:
                    key[i, j] = sign * z
                    face[i, j] = f
                    bary[i, j, 0] = la * wa * z
                    bary[i, j, 1] = lb * wb * z
                    bary[i, j, 2] = lc * wc * z


def rasterise(vertices: np.ndarray, faces: np.ndarray, camera: Camera, farthest: bool = False) -> Raster:
    """Rasterise camera-frame vertices (V, 3) and faces (F, 3), both sides; triangles that reach behind the camera are left out.

    With `farthest` the farthest surface is kept instead of the nearest: the back of the person as the front camera's pixels cut it.
    """
    height, width = camera.height, camera.width
    face = np.full((height, width), -1, np.int32)
    bary = np.zeros((height, width, 3), np.float32)
    key = np.full((height, width), np.inf, np.float32)
    sign = -1.0 if farthest else 1.0
    z = -vertices[:, 2].astype(float)
    safe = np.where(z > 1e-6, z, 1.0)
    pixels = camera.project(np.column_stack([vertices[:, :2], -safe]))
    _fill(pixels, np.where(z > 1e-6, 1 / safe, -1.0), faces.astype(np.int64), width, height, sign, face, bary, key)
    return Raster(face, bary, np.where(face >= 0, sign * key, np.inf).astype(np.float32))
