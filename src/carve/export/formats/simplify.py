"""Fewer triangles, face and hands kept, by meshoptimizer (MIT), which collapses edges and keeps vertices where they are.

So whatever a vertex carries (UV, weights, face shapes) stays exactly its own. The error of a collapse is that of place and normal; in face
and hands the place counts several times.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np

from carve.body.model import REGIONS
from carve.export.records import Asset, FaceShape
from carve.export.tools import NO_MESHOPT
from carve.records import CarveError

NORMAL_WEIGHT = 0.25
"""What a normal's error of one counts, in the person's height."""
FACE_BOOST, HAND_BOOST = 8.0, 4.0
"""How many times more an error in face and hands counts."""


def meshopt() -> Any:
    """The package meshoptimizer, or a CarveError that says how to get it."""
    try:
        import meshoptimizer
    except ImportError as error:
        raise CarveError(NO_MESHOPT) from error
    return meshoptimizer


def simplified(asset: Asset, triangles: int) -> Asset:
    """The asset with at most about `triangles` triangles; as it is if it has no more. Normals stay those of the fine surface."""
    if len(asset.faces) <= triangles:
        return asset
    library = meshopt()
    corner, faces = asset.corner, asset.split_faces
    size = float(np.ptp(asset.vertices, axis=0).max())
    position = asset.vertices[corner].astype(np.float32)
    boost = _boost(asset)[corner, None]
    attributes = np.hstack([asset.normals[corner] * NORMAL_WEIGHT, boost * position / size]).astype(np.float32)
    index = np.zeros(faces.size, np.uint32)
    count = library.simplify_with_attributes(
        index,
        faces.ravel().astype(np.uint32),
        position,
        attributes,
        np.ones(attributes.shape[1], np.float32),
        # The package declares no C types for this function, so the numbers bring theirs along.
        index_count=ctypes.c_size_t(faces.size),
        vertex_count=ctypes.c_size_t(len(position)),
        vertex_positions_stride=ctypes.c_size_t(position.strides[0]),
        vertex_attributes_stride=ctypes.c_size_t(attributes.strides[0]),
        attribute_count=ctypes.c_size_t(attributes.shape[1]),
        target_index_count=ctypes.c_size_t(3 * triangles),
        target_error=ctypes.c_float(1.0),
    )
    ordered = np.zeros(count, np.uint32)
    library.optimize_vertex_cache(ordered, index[:count], vertex_count=len(position))
    return with_faces(asset, ordered.astype(np.int64).reshape(-1, 3))


def _boost(asset: Asset) -> np.ndarray:
    """(V,) how many times more errors of a vertex count: the face (what its shapes move), the teeth and the hands."""
    hands = np.isin(asset.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    values = np.where(hands, HAND_BOOST, 0.0)
    if asset.inner is not None:
        values[asset.inner] = FACE_BOOST
    for shape in asset.shapes:
        strong = np.linalg.norm(shape.offsets, axis=1) > 1e-3
        values[shape.vertices[strong]] = FACE_BOOST
    return values


def with_faces(asset: Asset, split_faces: np.ndarray) -> Asset:
    """The asset with other triangles (F, 3) over its split vertices, and without the vertices that they leave out."""
    used = np.unique(split_faces)
    new_split = np.full(len(asset.corner), -1)
    new_split[used] = np.arange(len(used))
    kept = np.unique(asset.corner[used])
    new_vertex = np.full(len(asset.vertices), -1)
    new_vertex[kept] = np.arange(len(kept))
    corner = new_vertex[asset.corner[used]]
    faces = new_split[split_faces]
    shapes = []
    for shape in asset.shapes:
        here = new_vertex[shape.vertices] >= 0
        shapes.append(FaceShape(shape.name, new_vertex[shape.vertices[here]], shape.offsets[here]))
    return replace(
        asset,
        vertices=asset.vertices[kept],
        normals=asset.normals[kept],
        faces=corner[faces],
        corner=corner,
        split_faces=faces,
        uv=asset.uv[used],
        bones=asset.bones[kept],
        weights=asset.weights[kept],
        confidence=asset.confidence[kept],
        region=asset.region[kept],
        shapes=tuple(shapes),
        inner=None if asset.inner is None else asset.inner[kept],
        tangents=None if asset.tangents is None else asset.tangents[used],
    )
