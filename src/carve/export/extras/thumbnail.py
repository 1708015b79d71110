"""A square picture of an asset's head and shoulders."""

from __future__ import annotations

import numpy as np

from carve.export.records import Asset
from carve.geometry.camera import Camera
from carve.geometry.pictures.shading import Look, render_looks

DISTANCE = 1.6
"""Metres from the camera to the head."""


def thumbnail(asset: Asset, size: int = 512) -> np.ndarray:
    """(size, size, 3) uint8: the rest pose from the front."""
    skeleton = asset.skeleton
    head = skeleton.heads[skeleton.index("head")]
    reach = float(asset.vertices[:, 1].max() - head[1])
    centre = np.array([head[0], head[1] + 0.25 * reach, head[2]])
    camera = Camera.centred(size, size, 0.5 * size * DISTANCE / (1.05 * reach))
    shown = asset.vertices - centre - np.array([0.0, 0.0, DISTANCE])
    (picture,) = render_looks(shown[asset.corner], asset.split_faces, camera, [Look(asset.uv, asset.albedo, asset.normals[asset.corner])])
    return picture
