"""What the makers of synthetic people hand to each other, in the data's order.

Letters in shapes: V vertices, F triangles, B bones, H, W rows and columns of a view, S suns. Lengths are metres; "canonical" is the body
frame with arms out and legs spread, "posed" is the body frame in the pose of the photograph unless a field says camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.camera import Camera

PARTS = ("background", "skin", "hair", "eyes", "top", "bottom", "dress", "suit", "coat", "shoes", "hat", "accessory")
"""What a pixel or a triangle shows; the values of `Layer.part`, `View.part`."""


@dataclass(frozen=True)
class Layer:
    """One garment, the hair, the eyes or the skin on one person, canonical and posed in correspondence."""

    name: str
    """The asset's name; `skin` for the body."""
    part: int
    """Index into PARTS."""
    canonical: np.ndarray
    """(V, 3) float64."""
    posed: np.ndarray
    """(V, 3) float64: `canonical` skinned by `bones` and `weights`."""
    faces: np.ndarray
    """(F, 3) int64 of the whole surface, wound outward."""
    shown: np.ndarray
    """(F,) bool: not hidden below another layer for certain."""
    uv: np.ndarray
    """(F, 3, 2) texture coordinates of each triangle's corners, origin top left."""
    bones: np.ndarray
    """(V, 4) int64."""
    weights: np.ndarray
    """(V, 4) float64, rows sum to 1."""
    closed: bool
    """The faces bound a solid without further caps (skin, eyes, wrapped hair)."""


@dataclass(frozen=True)
class View:
    """What one camera sees of one person: everything that relighting and the truth need.

    Colours and normals are meaningful where `coverage` > 0 and continued a few pixels beyond it, so that a blur of the edge has colours.
    Normals are stored as uint8 ``round((n + 1) * 127.5)`` in this camera's frame (+X right, +Y up, +Z towards the viewer), also those of
    the back; those from the left and right in the frames of their own cameras.
    """

    camera: Camera
    up: np.ndarray
    """(3,) against gravity, camera frame."""
    coverage: np.ndarray
    """(H, W) uint8 share of the pixel that shows the person, times 255."""
    albedo: np.ndarray
    """(H, W, 3) uint8 sRGB diffuse reflectance."""
    normal: np.ndarray
    """(H, W, 3) uint8, the visible surface."""
    normal_back: np.ndarray
    """(H, W, 3) uint8, the farthest surface along each pixel's ray."""
    normal_left: np.ndarray
    """(H, W, 3) uint8, as this camera would see it from the person's left, a quarter of a circle further about the vertical."""
    normal_right: np.ndarray
    """(H, W, 3) uint8, the same from the right."""
    body_normal: np.ndarray
    """(H, W, 3) uint8, the true body without clothes."""
    body_normal_back: np.ndarray
    """(H, W, 3) uint8, its farthest surface."""
    depth: np.ndarray
    """(H, W) uint16: ``(z_distance - near) / (far - near) * 65534 + 1`` along the viewing axis; 0 outside."""
    depth_range: tuple[float, float]
    """near, far: metres."""
    occlusion: np.ndarray
    """(H, W) uint8: share of the cosine-weighted hemisphere that is free, times 255 (ambient occlusion; 255 is open)."""
    bent: np.ndarray
    """(H, W, 3) uint8: mean free direction, encoded as normals are."""
    sun_directions: np.ndarray
    """(S, 3) unit vectors towards each sun, camera frame."""
    sun_free: np.ndarray
    """(H, W, S) uint8: share of each sun's disc that the point sees, times 255 (cast shadows; n.l is not in it)."""
    part: np.ndarray
    """(H, W) uint8 index into PARTS."""
    region: np.ndarray
    """(H, W) uint8: 1 + index into `carve.body.model.REGIONS` of the nearest body part; 0 outside."""
    landmarks: np.ndarray
    """(L, 4) u, v in pixels, distance along the viewing axis in metres, 1 where the point is not hidden; names in the person's JSON."""


@dataclass(frozen=True)
class SignedSamples:
    """Points with the signed distance of a person's outer surface, one space."""

    surface: np.ndarray
    """(N, 3) float32 on the outer surface."""
    normal: np.ndarray
    """(N, 3) float32 unit outward normals there."""
    points: np.ndarray
    """(M, 3) float32 near the surface and uniform in the box."""
    distance: np.ndarray
    """(M,) float32 metres, negative inside."""
