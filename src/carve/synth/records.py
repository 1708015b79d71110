"""What the makers of synthetic people hand to each other, in the data's order.

Letters in shapes: V vertices, F triangles, B bones, H, W rows and columns of a view, S suns. Lengths are metres; "canonical" is the body
frame with arms out and legs spread, "posed" is the body frame in the pose of the photograph unless a field says camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.camera import Camera
from carve.records import LABELS

PARTS = (
    "background", "skin", "hair", "eyes", "top", "bottom", "dress", "suit", "coat", "shoes", "hat", "accessory",
    "glasses", "bag", "scarf", "belt",
)  # fmt: skip
"""What a pixel or a triangle shows, as it is made; the values of `Layer.part`, `View.part`, `View.part_back`. New ones go to the end."""

_LABEL_OF_PART = {
    "skin": "skin", "eyes": "skin", "hair": "hair", "top": "top", "coat": "outer", "bottom": "bottom", "dress": "dress", "suit": "dress",
    "shoes": "shoes", "hat": "headwear", "bag": "bag", "glasses": "glasses",
}  # fmt: skip
"""PARTS -> LABELS; what is not named here is `other`. A suit that is in one piece covers trunk and legs as a dress does."""


def label_table() -> np.ndarray:
    """(len(PARTS),) uint8: index into LABELS of each of PARTS."""
    names = ("background", *(_LABEL_OF_PART.get(name, "other") for name in PARTS[1:]))
    return np.array([LABELS.index(name) for name in names], np.uint8)


FABRIC_UNIT = 0.00025
"""Metres that one step of `View.fabric` stands for."""


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
    the back.
    """

    camera: Camera
    up: np.ndarray
    """(3,) against gravity, camera frame."""
    coverage: np.ndarray
    """(H, W) uint8 share of the pixel that shows the person, times 255."""
    albedo: np.ndarray
    """(H, W, 3) uint8 sRGB diffuse reflectance."""
    albedo_back: np.ndarray
    """(H, W, 3) uint8 sRGB, of the farthest surface along each pixel's ray."""
    normal: np.ndarray
    """(H, W, 3) uint8, the visible surface."""
    normal_back: np.ndarray
    """(H, W, 3) uint8, the farthest surface along each pixel's ray."""
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
    sun_radii: np.ndarray
    """(S,) angular radius of each sun's disc, radians: a sun's, or a window's."""
    sun_free: np.ndarray
    """(H, W, S) uint8: share of each sun's disc that the point sees, times 255 (cast shadows; n.l is not in it)."""
    part: np.ndarray
    """(H, W) uint8 index into PARTS."""
    part_back: np.ndarray
    """(H, W) uint8 index into PARTS, of the farthest surface along each pixel's ray."""
    place: np.ndarray
    """(H, W, 3) uint16 nearest point of the undressed body below, as `carve.body.places.encode_places` writes it; 0 outside."""
    fabric: np.ndarray
    """(H, W, 2) uint16 place on the cloth (planar coordinates, see `carve.synth.looks.appearance`) in FABRIC_UNIT about 32768; 0 where
    there is none: on skin, hair and outside."""
    fabric_back: np.ndarray
    """(H, W, 2) uint16, of the farthest surface."""
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
