"""Contact sheets of a data set: photograph, front and back normals, canonical mesh of each person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.records import CarveError
from carve.synth.photo.photograph import photograph
from carve.synth.photo.scenery import Scenery, load_scenery
from carve.synth.store.shard_reader import ShardSet, open_shards
from carve.synth.store.shards import Split

PER_PAGE = 50
COLUMNS = 5
"""People side by side; each takes four pictures."""


def _canonical_picture(shards: ShardSet, person: int, size: int) -> np.ndarray:
    """(size, size, 3) uint8: the outer surface in the canonical pose (all shown triangles if it was not made), coloured by its normals."""
    if shards.header["settings"].get("distances", True):
        arrays = shards.arrays(person, ("outer_vertices", "outer_faces"))
        vertices, faces = arrays["outer_vertices"].astype(float), arrays["outer_faces"].astype(np.int64)
    else:
        arrays = shards.arrays(person, ("canonical", "faces", "shown"))
        vertices, faces = arrays["canonical"].astype(float), arrays["faces"][arrays["shown"]].astype(np.int64)
    low, high = vertices.min(0), vertices.max(0)
    distance = 5.0
    seen = vertices - (low + high) / 2 - np.array([0.0, 0.0, distance])
    focal = 0.95 * size * (distance - (high[2] - low[2]) / 2) / max(high[0] - low[0], high[1] - low[1])
    raster = rasterise(seen, faces, Camera.centred(size, size, focal))
    normals = raster.interpolate(vertex_normals(seen, faces), faces)
    return np.where(raster.mask[..., None], np.clip(normals * 127.5 + 127.5, 0, 255), 255).astype(np.uint8)


def person_strip(shards: ShardSet, scenery: Scenery, person: int, size: int, view: int = 0) -> np.ndarray:
    """(size, 4 size, 3) uint8 RGB: photograph, front normals, back normals, canonical mesh."""
    info = shards.person(person)
    seen = shards.view(person, view)
    drawn = photograph(seen, tuple(info["landmarks"]), scenery, np.random.default_rng([info["seed"], info["index"], view]), augmented=False)
    outside = (seen.coverage == 0)[..., None]
    tiles = [drawn.image, np.where(outside, 255, seen.normal), np.where(outside, 255, seen.normal_back)]
    strip = [cv2.resize(tile.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA) for tile in tiles]
    strip.append(_canonical_picture(shards, person, size))
    label = f"{info['index']} {' '.join(info['outfit'])}"
    picture = np.hstack(strip)
    cv2.putText(picture, label[: 4 * size // 6], (3, size - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.28, (0, 0, 0), 2, cv2.LINE_AA)
    cv2.putText(picture, label[: 4 * size // 6], (3, size - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.28, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def write_sheets(
    folder: Path, assets: Path, out: Path, people: int, split: Split, size: int, progress: Callable[[int, int], None]
) -> list[Path]:
    """Write PNG pages OUT_1.png, ... of the first `people` of a split; returns their paths.

    Raises CarveError if the folder is no data set or the split is empty.
    """
    shards = open_shards(folder, split)
    count = min(people, len(shards.people()))
    if count == 0:
        raise CarveError(f"{folder} has no people in its split {split}; make more of them, every tenth person is for validation")
    scenery = load_scenery(assets)
    pages = []
    for first in range(0, count, PER_PAGE):
        strips = []
        for person in range(first, min(first + PER_PAGE, count)):
            strips.append(person_strip(shards, scenery, person, size))
            progress(person + 1, count)
        blank = np.full_like(strips[0], 255)
        strips += [blank] * (-len(strips) % COLUMNS)
        page = np.vstack([np.hstack(strips[k : k + COLUMNS]) for k in range(0, len(strips), COLUMNS)])
        path = out.with_name(f"{out.stem}_{first // PER_PAGE + 1}.png")
        if not cv2.imwrite(str(path), page[..., ::-1]):
            raise CarveError(f"cannot write {path}; see that the folder exists and has room")
        pages.append(path)
    return pages
