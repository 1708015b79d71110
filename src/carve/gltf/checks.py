"""What a GLB file declares, checked before anything is made of it: its chunks, depth, counts, indices, types and the graph of its nodes.

After these checks every index that carve follows leads somewhere and every node has one parent and no ring above it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from carve.files.text import parse_json
from carve.records import CarveError

MAX_JSON = 32 << 20
"""Bytes of the JSON chunk."""
MAX_ITEMS = 65_536
"""Of each kind: nodes, accessors, meshes, ..."""
READ_EXTENSIONS = frozenset(
    {"KHR_materials_unlit", "KHR_texture_transform", "KHR_mesh_quantization", "VRMC_vrm", "VRMC_springBone", "VRMC_materials_mtoon"}
)
"""Extensions without which a file may not be read (`extensionsRequired`) and that change nothing of what carve reads of it."""

_KINDS = ("nodes", "meshes", "accessors", "bufferViews", "buffers", "skins", "scenes", "materials", "textures", "images", "animations")
_ATTRIBUTES: dict[str, tuple[str, tuple[int, ...]]] = {
    "POSITION": ("VEC3", (5120, 5121, 5122, 5123, 5126)),
    "NORMAL": ("VEC3", (5120, 5122, 5126)),
    "TEXCOORD_0": ("VEC2", (5120, 5121, 5122, 5123, 5126)),
    "_CONFIDENCE": ("SCALAR", (5121, 5123, 5126)),
    "JOINTS_0": ("VEC4", (5121, 5123)),
    "WEIGHTS_0": ("VEC4", (5121, 5123, 5126)),
}
"""What carve reads of a vertex: the accessor's type and its component types (glTF 2.0, section 3.7.2.1; KHR_mesh_quantization)."""
TRIANGLES = 4


def json_chunk(data: bytes) -> dict[str, Any]:
    """The JSON of a GLB file's bytes; inside a `fence`.

    Raises CarveError if the file is no GLB or is cut short.
    """
    if data[:4] != b"glTF":
        raise CarveError("it is not a GLB file (it does not begin with glTF)")
    if len(data) < 20 or struct.unpack("<I", data[8:12])[0] != len(data):
        raise CarveError("it is cut short or damaged: its length differs from the one in its header")
    length, kind = struct.unpack("<I4s", data[12:20])
    if kind != b"JSON" or length > min(MAX_JSON, len(data) - 20):
        raise CarveError("it is damaged: it does not begin with JSON of the declared length")
    tree = parse_json(bytes(data[20 : 20 + length]).decode("utf-8"))
    if not isinstance(tree, dict):
        raise CarveError("it is damaged: its JSON is no object")
    return tree


def check_tree(tree: Mapping[str, Any]) -> None:
    """Raise CarveError if what the JSON of a GLB declares cannot be followed."""
    needed = [name for name in _list(tree, "extensionsRequired") if name not in READ_EXTENSIONS]
    if needed:
        names = ", ".join(str(name)[:60] for name in needed[:3])
        raise CarveError(f"it needs the glTF extension {names}, which carve does not read; export it without that (uncompressed)")
    for kind in _KINDS:
        items = _list(tree, kind)
        if len(items) > MAX_ITEMS or not all(isinstance(item, dict) for item in items):
            raise CarveError(f"its list of {kind} is too long or malformed")
    if any(buffer.get("uri") is not None for buffer in _list(tree, "buffers")):
        raise CarveError("its data lies in another file; export it as one GLB file")
    _check_graph(tree)
    for mesh in _list(tree, "meshes"):
        for primitive in _list(mesh, "primitives"):
            _check_primitive(tree, primitive)
    for skin in _list(tree, "skins"):
        joints = _list(skin, "joints")
        if not joints or len(set(map(str, joints))) < len(joints):
            raise CarveError("a skin has no joints or one of them twice")
        for joint in joints:
            _index(tree, "nodes", joint)
        if "inverseBindMatrices" in skin:
            _check_accessor(tree, skin["inverseBindMatrices"], "MAT4", (5126,))


def _list(tree: Mapping[str, Any], name: str) -> list[Any]:
    value = tree.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise CarveError(f"its {name} are no list")
    return value


def _index(tree: Mapping[str, Any], kind: str, index: Any) -> int:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(_list(tree, kind)):
        raise CarveError(f"it points to one of its {kind} that is not there")
    return index


def _check_graph(tree: Mapping[str, Any]) -> None:
    """Every node has at most one parent, and none is above itself."""
    nodes = _list(tree, "nodes")
    parent: dict[int, int] = {}
    for above, node in enumerate(nodes):
        for kind, name in (("meshes", "mesh"), ("skins", "skin")):
            if node.get(name) is not None:
                _index(tree, kind, node[name])
        for child in _list(node, "children"):
            if _index(tree, "nodes", child) in parent:
                raise CarveError("one of its nodes has two parents")
            parent[child] = above
    done: set[int] = set()
    for start in range(len(nodes)):
        way: set[int] = set()
        at: int | None = start
        while at is not None and at not in done:
            if at in way:
                raise CarveError("its nodes form a ring")
            way.add(at)
            at = parent.get(at)
        done |= way


def _check_primitive(tree: Mapping[str, Any], primitive: Any) -> None:
    attributes = primitive.get("attributes") if isinstance(primitive, dict) else None
    if not isinstance(attributes, dict) or "POSITION" not in attributes:
        raise CarveError("a mesh has no positions")
    counts = set()
    for name, (kind, components) in _ATTRIBUTES.items():
        if name in attributes:
            counts.add(_check_accessor(tree, attributes[name], kind, components))
    if len(counts) > 1:
        raise CarveError("its arrays do not fit together")
    if primitive.get("indices") is not None:
        _check_accessor(tree, primitive["indices"], "SCALAR", (5121, 5123, 5125))
    if primitive.get("material") is not None:
        _index(tree, "materials", primitive["material"])


def _check_accessor(tree: Mapping[str, Any], index: Any, kind: str, components: tuple[int, ...]) -> int:
    """The count of an accessor, which must be of the type `kind` with one of the component types."""
    accessor = _list(tree, "accessors")[_index(tree, "accessors", index)]
    if accessor.get("type") != kind or accessor.get("componentType") not in components:
        raise CarveError(f"one of its arrays is {accessor.get('type')} of {accessor.get('componentType')}, where glTF 2.0 asks for {kind}")
    count, offset = accessor.get("count"), accessor.get("byteOffset", 0)
    if not isinstance(count, int) or not isinstance(offset, int) or count < 1 or offset < 0:
        raise CarveError("one of its arrays has no length")
    if accessor.get("bufferView") is not None:
        view = _list(tree, "bufferViews")[_index(tree, "bufferViews", accessor["bufferView"])]
        numbers = [view.get("byteLength"), view.get("byteOffset", 0), view.get("byteStride") or 0]
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise CarveError("one of its buffer views is malformed")
        if offset + count > numbers[0]:  # a byte an element at least; `read_array` checks to the byte
            raise CarveError("its buffer is shorter than its own table of contents says")
    return count
