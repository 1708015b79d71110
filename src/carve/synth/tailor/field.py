"""The body on a grid, and solids grown from its parts: what a garment's surface is the zero level of.

A part is closed (dilated, then eroded: Serra, "Image Analysis and Mathematical Morphology", 1982), so that cloth bridges its hollows, and
grown by an ease. Parts are joined by a smooth minimum (Inigo Quilez, "Smooth minimum", 2013, polynomial of degree two).

Notation: a grid of X x Y x Z nodes; fields are metres, negative inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.geometry.compiled import compiled
from carve.geometry.meshing.voxel_distance import distance_to
from carve.synth.tailor.figure import Figure

CELL = 0.009
"""Metres between nodes, for somebody of medium stature."""
MARGIN = 0.34
"""Metres of room around the body."""
FAR = 1.0
"""Metres: what a field says outside the box in which it was made."""

PARTS: dict[str, tuple[str, ...]] = {
    "trunk": ("torso", "left_upper_leg", "right_upper_leg"),
    "neck": ("head",),
    "head": ("head",),
    **{
        f"{side}_{part}": tuple(f"{side}_{region}" for region in regions)
        for side in ("left", "right")
        for part, regions in {
            "arm": ("upper_arm", "lower_arm"),
            "hand": ("hand",),
            "leg": ("upper_leg", "lower_leg", "foot"),
            "foot": ("foot",),
        }.items()
    },
}
"""The body's parts and the regions that they are made of; trunk and neck are cut at the crotch and the chin."""


@dataclass(frozen=True)
class BodyGrid:
    """Where on a grid the body is."""

    figure: Figure
    origin: np.ndarray
    """(3,) place of the first node."""
    cell: float
    label: np.ndarray
    """(X, Y, Z) int8 region of the nearest skin inside the body, -1 outside."""

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates of the nodes along x, y, z, shaped to broadcast."""
        x, y, z = (self.origin[k] + self.cell * np.arange(self.label.shape[k]) for k in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def part(self, name: str) -> np.ndarray:
        """(X, Y, Z) bool: nodes in a part of the body, see PARTS."""
        mask = np.isin(self.label, [REGIONS.index(region) for region in PARTS[name]])
        heights = self.figure.heights
        _, y, _ = self.axes()
        if name == "trunk":
            mask &= (y > heights["crotch"]) | (self.label == REGIONS.index("torso"))
        elif name == "neck":
            mask &= y < heights["chin"]
        return mask


@compiled()
def _fill(corners: np.ndarray, count: np.ndarray) -> None:
    """Add to count (X, Y, Z) the winding number of triangles with corners (F, 3, 3), in nodes, by rays along +z."""
    for f in range(len(corners)):
        a, b, c = corners[f]
        low_x, high_x = min(a[0], b[0], c[0]), max(a[0], b[0], c[0])
        low_y, high_y = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        way = 1 if area > 0 else -1
        for i in range(max(0, int(np.ceil(low_x))), min(count.shape[0] - 1, int(np.floor(high_x))) + 1):
            for j in range(max(0, int(np.ceil(low_y))), min(count.shape[1] - 1, int(np.floor(high_y))) + 1):
                u = ((b[0] - i) * (c[1] - j) - (b[1] - j) * (c[0] - i)) / area
                v = ((c[0] - i) * (a[1] - j) - (c[1] - j) * (a[0] - i)) / area
                w = 1.0 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                z = u * a[2] + v * b[2] + w * c[2]
                for k in range(min(count.shape[2], max(0, int(np.ceil(z))))):
                    count[i, j, k] += way


def body_grid(figure: Figure) -> BodyGrid:
    """Put a body on a grid."""
    low, high = figure.vertices.min(0) - MARGIN, figure.vertices.max(0) + MARGIN
    return grid_over(figure, low, high, CELL * max(figure.scale, 0.75))


def grid_over(figure: Figure, low: np.ndarray, high: np.ndarray, cell: float) -> BodyGrid:
    """Put what lies in a box (3,), (3,) of a body on a grid."""
    # Shifted a little, so that no node lies on a vertex or an edge of a symmetric mesh.
    origin = low + np.array([1.234e-4, 2.345e-4, 3.456e-4])
    size = np.ceil((high - low) / cell).astype(int) + 1
    corners = ((figure.vertices - origin) / cell)[figure.faces]
    beside = (corners.max(1) < 0)[:, :2].any(1) | (corners.min(1) > size - 1)[:, :2].any(1)
    count = np.zeros(size, np.int16)
    _fill(corners[~beside], count)
    label = np.full(size, -1, np.int8)
    inside = np.argwhere(count > 0)
    nearest = cKDTree(figure.vertices).query(origin + cell * inside)[1]
    label[tuple(inside.T)] = figure.region[nearest]
    return BodyGrid(figure, origin, cell, label)


def _box(mask: np.ndarray, room: int) -> tuple[slice, ...]:
    """The slices of a mask's bounding box, larger by `room` nodes."""
    found = ndimage.find_objects(mask.astype(np.int8))[0]
    return tuple(slice(max(0, s.start - room), min(n, s.stop + room)) for s, n in zip(found, mask.shape, strict=True))


def closed_part(grid: BodyGrid, mask: np.ndarray, closing: float, growth: float = 0.1) -> np.ndarray:
    """(X, Y, Z) float32 distance to the closed mask; FAR away from it by more than `closing` and `growth`."""
    reach = int(np.ceil((max(closing, growth) + 0.05) / grid.cell))
    box = _box(mask, reach)
    solid = np.pad(mask[box], reach)
    outside = distance_to(solid)
    limit = closing / grid.cell
    if limit > 0.5:
        grown = outside <= limit
        field = np.where(grown, limit - distance_to(~grown), outside)
    else:
        field = np.where(solid, 0.5 - distance_to(~solid), outside - 0.5)
    field = ndimage.gaussian_filter(field.astype(np.float32), 1.1)
    result = np.full(mask.shape, FAR, np.float32)
    inner = tuple(slice(reach, reach + s.stop - s.start) for s in box)
    result[box] = field[inner] * grid.cell
    return result


def smooth_minimum(fields: Sequence[np.ndarray], width: float) -> np.ndarray:
    """The union of solids, rounded where they meet within `width` metres."""
    total = fields[0]
    for field in fields[1:]:
        blend = np.clip(width - np.abs(total - field), 0, None)
        total = np.minimum(total, field) - blend * blend / (4 * width)
    return total
