"""What long hair slides over: head, neck and shoulders without their hollows, so that it covers the ears and hangs free of the neck."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from carve.geometry.meshing.voxel_distance import distance_to
from carve.geometry.queries import MeshQueries

SPACING = 0.008
"""Metres between grid points."""
CLOSING = 0.03
"""Hollows that no ball of this radius enters are filled, metres: those behind ears and jaw."""


class Mantle:
    """The closing of a body within a box: distances outside it up to CLOSING, negative ones inside, metres."""

    def __init__(self, skin: np.ndarray, faces: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Of a skin (V, 3) with faces (F, 3), between `low` (3,), which may cut through it, and `high` (3,), which is outside."""
        self.low = low
        shape = np.ceil((high - low) / SPACING).astype(int) + 1
        grid = np.stack(np.meshgrid(*[low[k] + SPACING * np.arange(shape[k]) for k in range(3)], indexing="ij"), -1)
        # What is far from the skin is outside or deep within; only the outside reaches the upper corner.
        far, _ = ndimage.label(MeshQueries(skin, faces).nearest(grid.reshape(-1, 3), CLOSING).face.reshape(shape) < 0)
        # The nearest node outside is a little farther than the nearest point.
        level = CLOSING + 0.12 * SPACING - SPACING * distance_to(far == far[-1, -1, -1])
        self.level = ndimage.gaussian_filter(level, 1.0)
        self.slope = np.stack(np.gradient(self.level, SPACING))

    def lift_out(
        self, points: np.ndarray, ways: np.ndarray, clear: np.ndarray, keep: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points (N, 3) at least `clear` (N,) outside, their directions (N, 3) not inwards, and the normal (N, 3) where they touch, else 0.

        Where `keep` (N,) is true, hair goes over a shoulder and not down its side: strands hold each other in their place.
        """
        where = ((points - self.low) / SPACING).T
        sample = lambda field: ndimage.map_coordinates(field, where, order=1, mode="nearest")  # noqa: E731
        low = np.maximum(clear - sample(self.level), 0.0)
        normal = np.stack([sample(slope) for slope in self.slope], -1) * (low > 0)[:, None]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        ways = ways - np.minimum(np.einsum("nd,nd->n", ways, normal), 0.0)[:, None] * normal
        out = normal.copy()
        kept = keep & (low > 0)
        out[kept, 0] *= np.abs(normal[kept, 0])
        ways[kept, 0] *= np.abs(normal[kept, 0])
        out /= np.maximum(np.einsum("nd,nd->n", out, normal), 0.3)[:, None]
        return points + low[:, None] * out, ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9), normal
