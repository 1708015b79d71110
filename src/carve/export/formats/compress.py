"""GLB files for the web: quantised arrays, packed by meshoptimizer (EXT_meshopt_compression) or Draco (KHR_draco_mesh_compression)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pygltflib as gltf

from carve.export.formats.quantize import quantize
from carve.export.formats.simplify import meshopt
from carve.export.tools import NO_DRACO
from carve.gltf.buffer import append_bytes, read_array, view_bytes
from carve.records import CarveError

_GENERIC = {"JOINTS_0": 10, "WEIGHTS_0": 11, "TANGENT": 12}
"""Draco's numbers for attributes that it has no kind of its own for."""
MESHOPT, DRACO = "EXT_meshopt_compression", "KHR_draco_mesh_compression"


def with_meshopt(document: gltf.GLTF2) -> bytes:
    """The document as a GLB file whose mesh is quantised and packed by meshoptimizer's codecs (three.js, Babylon.js, gltfpack read it)."""
    library = meshopt()
    library.encode_vertex_version(0)  # what the extension knows
    library.encode_index_version(1)
    quantize(document)
    primitive = document.meshes[0].primitives[0]
    given = primitive.attributes
    arrays = {getattr(given, name) for name in ("POSITION", "NORMAL", "TANGENT", "TEXCOORD_0", "JOINTS_0", "WEIGHTS_0")} - {None}
    packed: dict[int, tuple[bytes, dict[str, Any]]] = {}
    for index in arrays:
        accessor = document.accessors[index]
        view = document.bufferViews[accessor.bufferView]
        raw = view_bytes(document, accessor.bufferView)
        stride = view.byteStride or len(raw) // accessor.count
        rows = np.frombuffer(raw, np.uint8).reshape(accessor.count, stride)
        packed[accessor.bufferView] = (
            library.encode_vertex_buffer(rows),
            {"byteStride": stride, "count": accessor.count, "mode": "ATTRIBUTES"},
        )
    accessor = document.accessors[primitive.indices]
    index = read_array(document, primitive.indices)
    coded = library.encode_index_buffer(index.astype(np.uint32), vertex_count=int(index.max()) + 1)
    packed[accessor.bufferView] = (coded, {"byteStride": index.itemsize, "count": len(index), "mode": "TRIANGLES"})
    return _packed(document, packed)


def _packed(document: gltf.GLTF2, packed: dict[int, tuple[bytes, dict[str, Any]]]) -> bytes:
    """The document with only the views that are used, some of them coded; their plain places are in a second buffer that no file holds."""
    used = _used_views(document)
    place = {old: new for new, old in enumerate(used)}
    blob, fallback, views = b"", 0, []
    for old in used:
        view = document.bufferViews[old]
        plain = view_bytes(document, old)
        data, extra = packed.get(old, (plain, None))
        new = gltf.BufferView(buffer=0, byteOffset=len(blob), byteLength=len(plain), byteStride=view.byteStride, target=view.target)
        if extra is not None:
            new.extensions = {MESHOPT: {"buffer": 0, "byteOffset": len(blob), "byteLength": len(data), **extra}}
            new.buffer, new.byteOffset = 1, fallback
            fallback += len(plain) + -len(plain) % 4
        views.append(new)
        blob += data + bytes(-len(data) % 4)
    _renumber(document, place)
    document.bufferViews = views
    document.buffers = [gltf.Buffer(byteLength=len(blob))]
    if fallback:
        document.buffers.append(gltf.Buffer(byteLength=fallback, extensions={MESHOPT: {"fallback": True}}))
        for names in ("extensionsUsed", "extensionsRequired"):
            setattr(document, names, sorted({*(getattr(document, names) or []), MESHOPT}))
    return _file(document, blob)


def _file(document: gltf.GLTF2, blob: bytes) -> bytes:
    """A GLB file of the document and its first buffer (pygltflib's own writer would make all buffers one)."""
    for accessor in document.accessors:
        if accessor.bufferView is None:
            accessor.byteOffset = None
    text = document.to_json(separators=(",", ":"), indent=None).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(blob)
    return b"".join(
        [b"glTF", struct.pack("<II", 2, total), struct.pack("<I", len(text)), b"JSON", text, struct.pack("<I", len(blob)), b"BIN\0", blob]
    )


def _used_views(document: gltf.GLTF2) -> list[int]:
    """Views that an accessor in use or an image refers to, after accessors that nothing uses have lost theirs."""
    primitive = document.meshes[0].primitives[0]
    kept = {index for index in vars(primitive.attributes).values() if isinstance(index, int)}
    kept |= {primitive.indices, *(skin.inverseBindMatrices for skin in document.skins)}
    kept |= {index for target in primitive.targets or [] for index in target.values()}
    order = sorted(kept)
    place = {old: new for new, old in enumerate(order)}
    for name, index in vars(primitive.attributes).items():
        if isinstance(index, int):
            setattr(primitive.attributes, name, place[index])
    primitive.indices = place[primitive.indices]
    primitive.targets = [{key: place[index] for key, index in target.items()} for target in primitive.targets or []]
    for skin in document.skins:
        skin.inverseBindMatrices = place[skin.inverseBindMatrices]
    document.accessors = [document.accessors[old] for old in order]
    views = {accessor.bufferView for accessor in document.accessors} | {image.bufferView for image in document.images}
    for accessor in document.accessors:
        if accessor.sparse is not None:
            views |= {accessor.sparse.indices.bufferView, accessor.sparse.values.bufferView}
    if primitive.extensions:
        views.add(primitive.extensions[DRACO]["bufferView"])
    return sorted(views - {None})


def _renumber(document: gltf.GLTF2, place: dict[int, int]) -> None:
    """Point accessors and images at the new views, in place."""
    for accessor in document.accessors:
        if accessor.bufferView is not None:
            accessor.bufferView = place[accessor.bufferView]
        if accessor.sparse is not None:
            accessor.sparse.indices.bufferView = place[accessor.sparse.indices.bufferView]
            accessor.sparse.values.bufferView = place[accessor.sparse.values.bufferView]
    for image in document.images:
        image.bufferView = place[image.bufferView]
    primitive = document.meshes[0].primitives[0]
    if primitive.extensions:
        primitive.extensions[DRACO]["bufferView"] = place[primitive.extensions[DRACO]["bufferView"]]


def with_draco(document: gltf.GLTF2) -> bytes:
    """The document as a GLB file whose triangles, places, normals and texture coordinates Draco packs; the order of vertices stays."""
    try:
        import DracoPy
    except ImportError as error:
        raise CarveError(NO_DRACO) from error
    primitive = document.meshes[0].primitives[0]
    given = primitive.attributes
    given._CONFIDENCE = None
    arrays = {name: read_array(document, index) for name, index in vars(given).items() if isinstance(index, int)}
    generic = {_GENERIC[name]: array for name, array in arrays.items() if name in _GENERIC}
    coded = DracoPy.encode(
        arrays["POSITION"],
        read_array(document, primitive.indices).reshape(-1, 3).astype(np.uint32),
        quantization_bits=16,
        compression_level=7,
        tex_coord=arrays["TEXCOORD_0"].astype(np.float64),
        tex_coord_quantization_bits=14,
        normals=arrays["NORMAL"].astype(np.float64),
        normal_quantization_bits=10,
        preserve_order=True,  # face shapes go by the vertices' numbers
        generic_attributes=generic,
    )
    decoded = DracoPy.decode(coded)
    if len(decoded.points) != len(arrays["POSITION"]):
        raise CarveError("Draco merged vertices of this mesh; use --compress meshopt.")
    kinds = {0: "POSITION", 1: "NORMAL", 3: "TEXCOORD_0"}
    names = {unique: name for name, unique in _GENERIC.items()}
    ids = {kinds.get(a["attribute_type"], names.get(a["unique_id"])): a["unique_id"] for a in decoded.attributes}
    view = append_bytes(document, coded)
    for index in (*(getattr(given, name) for name in arrays), primitive.indices):
        document.accessors[index].bufferView = None
    primitive.extensions = {DRACO: {"bufferView": view, "attributes": {name: ids[name] for name in arrays}}}
    for names_of in ("extensionsUsed", "extensionsRequired"):
        setattr(document, names_of, sorted({*(getattr(document, names_of) or []), DRACO}))
    return _packed(document, {})
