"""Arrays of a glTF document in fewer bits: KHR_mesh_quantization, with places of 16 bits and directions of 8.

Notation: a place x is stored as q = (x - o) / s in -1..1; the skin's inverse bind matrices take the way back, M' = M (x = s q + o), and a
face shape's offset is stored over s. Nothing else of the file changes.
"""

from __future__ import annotations

import numpy as np
import pygltflib as gltf

from carve.gltf.buffer import append_bytes, read_array, view_bytes

KHR = "KHR_mesh_quantization"
SHORT, BYTE = 5122, 5120
"""glTF's numbers of the signed types."""


def quantize(document: gltf.GLTF2) -> None:
    """Rewrite the skinned mesh's arrays in place; what they were stays in the buffer until the document is packed anew."""
    primitive = document.meshes[0].primitives[0]
    given = primitive.attributes
    position = read_array(document, given.POSITION).astype(float)
    offset = (position.max(0) + position.min(0)) / 2
    scale = float(np.abs(position - offset).max())
    given.POSITION = _signed(document, (position - offset) / scale, np.int16, 4, bounds=True)
    given.NORMAL = _signed(document, read_array(document, given.NORMAL), np.int8, 4)
    if given.TANGENT is not None:
        given.TANGENT = _signed(document, read_array(document, given.TANGENT), np.int8, 4)
    given.TEXCOORD_0 = _unsigned(document, read_array(document, given.TEXCOORD_0), np.uint16)
    given.WEIGHTS_0 = _bytes_of_weights(document, read_array(document, given.WEIGHTS_0))
    given._CONFIDENCE = None  # a measure for looking at, not for a small file
    for target in primitive.targets or []:
        _quantize_sparse(document, target["POSITION"], scale)
    skin = document.skins[0]
    back = np.diag([scale, scale, scale, 1.0])
    back[:3, 3] = offset
    matrices = read_array(document, skin.inverseBindMatrices).astype(float) @ back
    stored = np.ascontiguousarray(np.swapaxes(matrices, 1, 2).astype(np.float32))
    document.accessors[skin.inverseBindMatrices].bufferView = append_bytes(document, stored.tobytes())
    document.extensionsUsed = sorted({*(document.extensionsUsed or []), KHR})
    document.extensionsRequired = sorted({*(document.extensionsRequired or []), KHR})


def _accessor(document: gltf.GLTF2, array: np.ndarray, kind: str, component: int, stride: int | None) -> gltf.Accessor:
    """An accessor of an array whose rows are already padded to `stride` bytes."""
    view = append_bytes(document, array.tobytes(), gltf.ARRAY_BUFFER)
    document.bufferViews[view].byteStride = stride
    return gltf.Accessor(bufferView=view, byteOffset=0, componentType=component, count=len(array), type=kind, normalized=True)


def _signed(document: gltf.GLTF2, values: np.ndarray, dtype: type, align: int, bounds: bool = False) -> int:
    """Values in -1..1 as normalised integers, rows padded to a multiple of four bytes."""
    largest = np.iinfo(dtype).max
    whole = np.round(np.clip(values, -1, 1) * largest).astype(dtype)
    width = values.shape[1]
    padded = np.zeros((len(whole), -(-width * whole.itemsize // align) * align // whole.itemsize), dtype)
    padded[:, :width] = whole
    accessor = _accessor(document, padded, f"VEC{width}", SHORT if dtype is np.int16 else BYTE, padded.strides[0])
    if bounds:
        accessor.min, accessor.max = whole.min(0).tolist(), whole.max(0).tolist()
    document.accessors.append(accessor)
    return len(document.accessors) - 1


def _unsigned(document: gltf.GLTF2, values: np.ndarray, dtype: type) -> int:
    """Values in 0..1 as normalised integers."""
    whole = np.round(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    document.accessors.append(_accessor(document, whole, f"VEC{values.shape[1]}", gltf.UNSIGNED_SHORT, whole.strides[0]))
    return len(document.accessors) - 1


def _bytes_of_weights(document: gltf.GLTF2, weights: np.ndarray) -> int:
    """Weights as bytes that sum to 255, the rounding borne by the strongest."""
    whole = np.round(weights * 255).astype(np.int64)
    whole[:, 0] += 255 - whole.sum(1)
    stored = whole.astype(np.uint8)
    document.accessors.append(_accessor(document, stored, "VEC4", gltf.UNSIGNED_BYTE, 4))
    return len(document.accessors) - 1


def _quantize_sparse(document: gltf.GLTF2, index: int, scale: float) -> None:
    """A face shape's offsets as 16-bit integers over the scale."""
    accessor = document.accessors[index]
    accessor.componentType, accessor.normalized = SHORT, True
    if accessor.sparse is None:
        accessor.min, accessor.max = [0, 0, 0], [0, 0, 0]
        return
    view = accessor.sparse.values.bufferView
    offsets = np.frombuffer(view_bytes(document, view), np.float32).reshape(-1, 3)
    whole = np.round(np.clip(offsets / scale, -1, 1) * np.iinfo(np.int16).max).astype(np.int16)
    accessor.sparse.values.bufferView = append_bytes(document, whole.tobytes())
    with_rest = np.concatenate([whole, np.zeros((1 if len(whole) < accessor.count else 0, 3), np.int16)])
    accessor.min, accessor.max = with_rest.min(0).tolist(), with_rest.max(0).tolist()
