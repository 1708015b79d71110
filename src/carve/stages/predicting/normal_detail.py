"""The detail of the front normals, from the photo at its own resolution: the detail network, tile by tile.

The network has learned on patches, over which its layers take means: it is asked about tiles of the same size, which overlap and fade into
each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from carve.geometry.pictures.window import Window
from carve.networks.detail import DetailNet
from carve.networks.normals import VARIANCE_OF_SCALE
from carve.records import NormalMaps, Observation

TILE, STRIDE = 128, 96
"""Side of a tile, and from one to the next, pixels."""
MARGIN = 24
"""Pixels around the person that are looked at."""
LEAST = 560
"""A person whose longer side has fewer pixels is left to the person network, which sees as much."""
HEIGHTS = (900.0, 1600.0)
"""Pixels of the longer side that smaller people are enlarged to and larger ones reduced to: the network has learned on such."""
BATCH = 16
"""Tiles at once."""


def with_detail(observation: Observation, maps: NormalMaps, network: DetailNet) -> NormalMaps:
    """The maps with the front's detail corrected; as they are if the person is too small in the photo."""
    rows, columns = np.nonzero(maps.mask)
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    if longer < LEAST:
        return maps
    scale = float(np.clip(longer, *HEIGHTS)) / longer
    size = TILE + STRIDE * int(np.ceil(max(longer * scale + 2 * MARGIN - TILE, 0) / STRIDE))
    side = size / scale
    middle = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
    window = Window(middle[0] - side / 2, middle[1] - side / 2, side, size)
    coverage = maps.mask.astype(np.float32)
    image = window.cut(observation.photo.pixels).astype(np.float32) / 255
    mask = (window.cut(coverage) > 0.5).astype(np.float32)
    coarse = window.cut(maps.front.astype(np.float32))
    coarse /= np.maximum(np.linalg.norm(coarse, axis=-1, keepdims=True), 1e-6)
    log_scale = (window.cut(maps.log_variance.astype(np.float32)) - VARIANCE_OF_SCALE) / 2
    found = _tiles(network, image, coarse, log_scale, mask)
    height, width = maps.mask.shape
    pasted = window.paste(found, width, height)
    length = np.linalg.norm(pasted[..., :3], axis=-1)
    there = maps.mask & (length > 0.5)
    front, variance = maps.front.copy(), maps.log_variance.copy()
    front[there] = (pasted[there, :3] / length[there, None]).astype(np.float16)
    variance[there] = (2 * pasted[there, 3] + VARIANCE_OF_SCALE).astype(np.float16)
    return replace(maps, front=front, log_variance=variance, detailed=True)


def _tiles(network: DetailNet, image: np.ndarray, coarse: np.ndarray, log_scale: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(S, S, 4) normals and log-scale: the network's where a tile shows the person, else the coarse ones, faded into each other."""
    inputs = torch.from_numpy(np.concatenate([image, coarse, log_scale[..., None], mask[..., None]], -1)).permute(2, 0, 1)
    ramp = 1 - np.abs((np.arange(TILE) + 0.5) / (TILE / 2) - 1)
    fade = torch.from_numpy(np.minimum(ramp[:, None], ramp[None]).astype(np.float32))
    corners = range(0, image.shape[0] - TILE + 1, STRIDE)
    places = [(v, u) for v in corners for u in corners if mask[v : v + TILE, u : u + TILE].any()]
    total = torch.zeros(4, *image.shape[:2])
    weight = torch.full(image.shape[:2], 1e-6)
    total += 1e-6 * inputs[3:7]
    for first in range(0, len(places), BATCH):
        chosen = places[first : first + BATCH]
        batch = torch.stack([inputs[:, v : v + TILE, u : u + TILE] for v, u in chosen])
        with torch.inference_mode():
            out = network(batch[:, :3], batch[:, 3:6], batch[:, 6:7], batch[:, 7:8])
        for (v, u), normals, scale in zip(chosen, out.normals, out.log_scale, strict=True):
            total[:, v : v + TILE, u : u + TILE] += fade * torch.cat([normals, scale])
            weight[v : v + TILE, u : u + TILE] += fade
    return (total / weight).permute(1, 2, 0).numpy()
