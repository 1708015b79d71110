"""Sparse accessors: arrays that are zero but for a few rows (Khronos, glTF 2.0 specification, section 3.6.2.3)."""

from __future__ import annotations

import numpy as np
import pygltflib as gltf

from carve.gltf.buffer import append_bytes


def append_sparse(document: gltf.GLTF2, count: int, rows: np.ndarray, values: np.ndarray) -> int:
    """Add an array (count, 3) float32 that is zero but for `values` (n, 3) at the rising `rows` (n,); the index of the accessor.

    Smallest and largest values stand with it, as glTF demands of positions. Without a row the accessor is all zeros.
    """
    rest = np.zeros((1 if len(rows) < count else 0, 3), np.float32)
    extremes = np.concatenate([values, rest])
    accessor = gltf.Accessor(
        componentType=gltf.FLOAT,
        count=count,
        type="VEC3",
        min=extremes.min(0).astype(float).tolist(),
        max=extremes.max(0).astype(float).tolist(),
    )
    if len(rows):
        small = rows[-1] < 65535
        index = rows.astype(np.uint16 if small else np.uint32)
        accessor.sparse = gltf.Sparse(
            count=len(rows),
            indices=gltf.AccessorSparseIndices(
                bufferView=append_bytes(document, index.tobytes()), componentType=gltf.UNSIGNED_SHORT if small else gltf.UNSIGNED_INT
            ),
            values=gltf.AccessorSparseValues(bufferView=append_bytes(document, values.astype(np.float32).tobytes())),
        )
    document.accessors.append(accessor)
    return len(document.accessors) - 1
