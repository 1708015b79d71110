"""Contact sheets of a data set: photograph, front and back normals, front and back labels, places, canonical mesh of each person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from carve.body.places import decode_places
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.records import CarveError
from carve.synth.photo.photograph import photograph
from carve.synth.photo.scenery import Scenery, load_scenery
from carve.synth.records import label_table
from carve.synth.store.shard_reader import ShardSet, open_shards
from carve.synth.store.shards import Split

WIDE = 4000
"""Strips stand side by side up to this width of a page, pixels."""
TALL = 2000
"""Height of a page, pixels, if a strip is not higher."""
_TILES = 7
_LABEL_COLOURS = np.array(
    [
        (255, 255, 255), (236, 188, 150), (92, 58, 28), (66, 135, 245), (20, 60, 140), (60, 160, 75), (200, 80, 190), (40, 40, 40),
        (240, 200, 40), (150, 100, 220), (0, 220, 220), (230, 60, 50),
    ],
    np.uint8,
)  # fmt: skip
"""Of each of `carve.records.LABELS`."""


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
    """(size, 7 size, 3) uint8 RGB: photograph, front and back normals, front and back labels, places, canonical mesh."""
    info = shards.person(person)
    seen = shards.view(person, view)
    drawn = photograph(seen, tuple(info["landmarks"]), scenery, np.random.default_rng([info["seed"], info["index"], view]), augmented=False)
    outside = (seen.coverage == 0)[..., None]
    tiles = [drawn.image, np.where(outside, 255, seen.normal), np.where(outside, 255, seen.normal_back)]
    tiles += [_LABEL_COLOURS[label_table()[part]] for part in (seen.part, seen.part_back)]
    # Bands of 8 cm along each axis of the body show whether places run on from cloth to skin.
    places = decode_places(seen.place)
    bands = np.abs(places / 0.08 % 2 - 1) * 155 + 100
    tiles.append(np.where(outside | (seen.place[..., :1] == 0), 255, bands))
    strip = [cv2.resize(tile.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA) for tile in tiles]
    strip.append(_canonical_picture(shards, person, size))
    label = f"{info['index']} {info['cameras'][view]['shows']}, {info['pose']}: {' '.join(info['outfit'])} {info['hair']}"
    picture = np.hstack(strip)
    for colour, thick in (((0, 0, 0), 2), ((255, 255, 255), 1)):
        cv2.putText(picture, label[: _TILES * size // 6], (3, size - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.28, colour, thick, cv2.LINE_AA)
    return picture


def write_sheets(
    folder: Path, assets: Path, out: Path, people: int, split: Split, size: int, progress: Callable[[int, int], None], views: int = 1
) -> list[Path]:
    """Write PNG pages OUT_1.png, ... of the first `people` of a split, `views` of each, the first and then the last; returns their paths.

    Raises CarveError if the folder is no data set or the split is empty.
    """
    shards = open_shards(folder, split)
    count = min(people, len(shards.people()))
    if count == 0:
        raise CarveError(f"{folder} has no people in its split {split}; make more of them, every tenth person is for validation")
    scenery = load_scenery(assets)
    pages = []
    wanted = [(p, v) for p in range(count) for v in [0, *range(shards.views(p) - 1, 0, -1)][:views]]
    columns = max(1, WIDE // (_TILES * size))
    a_page = columns * max(1, TALL // size)
    for first in range(0, len(wanted), a_page):
        strips = []
        for number, (person, view) in enumerate(wanted[first : first + a_page], first):
            strips.append(person_strip(shards, scenery, person, size, view))
            progress(number + 1, len(wanted))
        blank = np.full_like(strips[0], 255)
        strips += [blank] * (-len(strips) % columns)
        page = np.vstack([np.hstack(strips[k : k + columns]) for k in range(0, len(strips), columns)])
        path = out.with_name(f"{out.stem}_{first // a_page + 1}.png")
        if not cv2.imwrite(str(path), page[..., ::-1]):
            raise CarveError(f"cannot write {path}; see that the folder exists and has room")
        pages.append(path)
    return pages
