"""Arrays into and out of the single binary buffer of a glTF file (Khronos, glTF 2.0 specification, sections 3.6 and 5.1).

An accessor says how to read a slice of the buffer (component type, number of components, count); here every accessor has a
buffer view of its own and starts at a multiple of four bytes.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pygltflib as gltf

from carve.records import CarveError

COMPONENT_TYPES: dict[np.dtype[Any], int] = {
    np.dtype(np.uint8): gltf.UNSIGNED_BYTE,
    np.dtype(np.uint16): gltf.UNSIGNED_SHORT,
    np.dtype(np.uint32): gltf.UNSIGNED_INT,
    np.dtype(np.float32): gltf.FLOAT,
}
DTYPES: dict[int, np.dtype[Any]] = {number: dtype for dtype, number in COMPONENT_TYPES.items()} | {
    gltf.BYTE: np.dtype(np.int8),
    gltf.SHORT: np.dtype(np.int16),
}
SHAPES: dict[str, tuple[int, ...]] = {"SCALAR": (), "VEC2": (2,), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


def append_bytes(document: gltf.GLTF2, data: bytes, target: int | None = None) -> int:
    """Add `data` to the document's buffer, padded to four bytes; the index of the new buffer view."""
    blob = cast("bytes | None", document.binary_blob()) or b""
    document.bufferViews.append(gltf.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data), target=target))
    blob += data + bytes(-len(data) % 4)
    document.set_binary_blob(blob)
    document.buffers = [gltf.Buffer(byteLength=len(blob))]
    return len(document.bufferViews) - 1


def append_array(document: gltf.GLTF2, array: np.ndarray, target: int | None = None, bounds: bool = False) -> int:
    """Add an array (N,), (N, 2), (N, 3), (N, 4) or (N, 4, 4) (matrices row-major, as NumPy has them); the index of the accessor.

    `bounds` writes the smallest and largest value of each component, which glTF demands of positions and animation times.
    """
    kind = next(name for name, shape in SHAPES.items() if shape == array.shape[1:])
    stored = np.swapaxes(array, 1, 2) if kind == "MAT4" else array  # glTF keeps matrices column by column
    accessor = gltf.Accessor(
        bufferView=append_bytes(document, np.ascontiguousarray(stored).tobytes(), target),
        byteOffset=0,
        componentType=COMPONENT_TYPES[array.dtype],
        count=len(array),
        type=kind,
    )
    if bounds:
        accessor.min = np.atleast_1d(array.min(0)).astype(float).tolist()
        accessor.max = np.atleast_1d(array.max(0)).astype(float).tolist()
    document.accessors.append(accessor)
    return len(document.accessors) - 1


def view_bytes(document: gltf.GLTF2, index: int) -> bytes:
    """The bytes of a buffer view."""
    view = document.bufferViews[index]
    blob = cast("bytes | None", document.binary_blob()) or b""
    start = view.byteOffset or 0
    if view.buffer != 0 or start < 0 or view.byteLength < 0 or start + view.byteLength > len(blob):
        raise CarveError("the file's buffer is shorter than its own table of contents says")
    return blob[start : start + view.byteLength]


def read_array(document: gltf.GLTF2, index: int) -> np.ndarray:
    """The values of an accessor in the shape that `append_array` takes; normalised integers become floats in -1..1."""
    accessor = document.accessors[index]
    if accessor.sparse is not None or accessor.bufferView is None or accessor.componentType not in DTYPES or accessor.type not in SHAPES:
        raise CarveError("the file stores its arrays in a way that carve does not read (sparse, or of an unknown type)")
    dtype, shape, count = DTYPES[accessor.componentType], SHAPES[accessor.type], int(accessor.count)
    item = dtype.itemsize * int(np.prod(shape, dtype=int))
    stride = document.bufferViews[accessor.bufferView].byteStride or item
    data = view_bytes(document, accessor.bufferView)[accessor.byteOffset or 0 :]
    if count < 1 or (accessor.byteOffset or 0) < 0 or stride < item or (count - 1) * stride + item > len(data):
        raise CarveError("the file's buffer is shorter than its own table of contents says")
    raw = np.frombuffer(data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(raw, (count, item), (stride, 1))
    array = np.ascontiguousarray(rows).view(dtype).reshape(count, *shape)
    if accessor.type == "MAT4":
        array = np.swapaxes(array, 1, 2)
    if not accessor.normalized or dtype.kind == "f":
        return array.copy()
    return np.maximum(array.astype(np.float32) / np.iinfo(dtype).max, -1)


def to_bytes(document: gltf.GLTF2) -> bytes:
    """The whole document as a GLB file."""
    for accessor in document.accessors:
        if accessor.bufferView is None:
            accessor.byteOffset = None  # pygltflib puts a zero there, which glTF forbids without a view
    return b"".join(cast("list[Any]", document.save_to_bytes()))
