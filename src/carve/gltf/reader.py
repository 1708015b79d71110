"""Reading a GLB back: enough of it to show it and to animate it. Nothing outside the file is opened, nothing in it is run."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pygltflib as gltf
from PIL import Image

from carve.files.fence import fence
from carve.files.text import read_bytes
from carve.gltf.buffer import read_array, view_bytes
from carve.gltf.checks import TRIANGLES, check_tree, json_chunk
from carve.humanoid import BONES
from carve.records import CarveError, Skeleton

VRM_BONES = frozenset(BONES)

MAX_BYTES = 256 << 20
"""Larger files are refused before they are read."""
MAX_VERTICES = 5_000_000
MAX_TEXTURE = 8192
"""Texels along a side."""
SHOWN_TEXTURE = 4096
"""A larger texture is halved: previews show no more of it."""
LARGEST = 1e5
"""No vertex lies farther from the origin, metres."""


@dataclass(frozen=True)
class GlbScene:
    """The largest mesh of a GLB file and the skeleton that moves it."""

    vertices: np.ndarray
    """(N, 3) float32 metres, the frame of the file."""
    normals: np.ndarray | None
    """(N, 3) float32."""
    faces: np.ndarray
    """(F, 3) int64."""
    uv: np.ndarray | None
    """(N, 2) float32, origin at the top left."""
    texture: np.ndarray | None
    """(T, T', 3) uint8 sRGB."""
    confidence: np.ndarray | None
    """(N,) float32 0..1."""
    skeleton: Skeleton | None
    """Bones in the bind pose, named after their nodes, parents first; None for a mesh without a skin."""
    bones: np.ndarray | None
    """(N, 4) int64 index into the skeleton's bones."""
    weights: np.ndarray | None
    """(N, 4) float32."""
    nodes: tuple[int, ...]
    """(B,) index of each bone's node in the file."""
    axes: np.ndarray
    """(B, 3, 3) each bone's own axes as columns in the bind pose; a node's local rotation is A_p^T R_p^T R_b A_b (`export.asset`)."""
    document: gltf.GLTF2
    """The parsed file."""


def read_glb(path: Path) -> GlbScene:
    """Read a GLB file; a CarveError says in one sentence what is wrong with it."""
    with fence(f"The file {path}", "export it again as glTF 2.0"):
        data = read_bytes(path, MAX_BYTES)
        try:
            check_tree(json_chunk(data))
            scene = _scene(gltf.GLTF2.load_from_bytes(data))
            check_numbers(scene)
        except CarveError as error:
            raise CarveError(f"cannot use {path}: {error}") from error
        return scene


def check_numbers(scene: GlbScene) -> None:
    """Raise CarveError if a scene's numbers are not finite or beyond what any person has, or point beyond its arrays."""
    floats = (
        scene.vertices,
        scene.normals,
        scene.uv,
        scene.confidence,
        scene.weights,
        None if scene.skeleton is None else scene.skeleton.heads,
    )
    for array in floats:
        if array is not None and not (np.isfinite(array).all() and np.abs(array).max(initial=0) <= LARGEST):
            raise CarveError("it holds numbers that are not finite or far too large")
    if np.ptp(scene.vertices, axis=0).max() < 1e-6:
        raise CarveError("its mesh is a single point")
    if scene.weights is not None and scene.skeleton is not None and not (scene.weights.sum(1) > 0.5).all():
        raise CarveError("some of its vertices hang on no bone")


def _scene(document: gltf.GLTF2) -> GlbScene:
    """The largest mesh of the document."""
    node, primitive = _largest(document)
    given = primitive.attributes
    vertices = read_array(document, given.POSITION).astype(np.float32)
    index = np.arange(len(vertices)) if primitive.indices is None else read_array(document, primitive.indices).astype(np.int64)
    if len(index) < 3 or len(index) % 3:
        raise CarveError("its triangles are not whole")
    faces = index.reshape(-1, 3)

    def optional(index: int | None) -> np.ndarray | None:
        return None if index is None else read_array(document, index)

    attributes = [optional(getattr(given, name, None)) for name in ("NORMAL", "TEXCOORD_0", "_CONFIDENCE", "JOINTS_0", "WEIGHTS_0")]
    normals, uv, confidence, joints, weights = attributes
    if any(a is not None and len(a) != len(vertices) for a in attributes) or faces.max() >= len(vertices):
        raise CarveError("its arrays do not fit together")
    if node.skin is not None and joints is not None and joints.max() >= len(document.skins[node.skin].joints):
        raise CarveError("some of its vertices hang on bones that it has not")
    skeleton: Skeleton | None = None
    bones: np.ndarray | None = None
    nodes: tuple[int, ...] = ()
    axes = np.zeros((0, 3, 3))
    if node.skin is not None and joints is not None and weights is not None:
        skeleton, order, nodes, axes = _skeleton(document, document.skins[node.skin])
        bones = order[joints.astype(np.int64)]
    return GlbScene(
        vertices, normals, faces, uv, _texture(document, primitive.material), confidence, skeleton, bones, weights, nodes, axes, document
    )


def _largest(document: gltf.GLTF2) -> tuple[gltf.Node, gltf.Primitive]:
    """The node and primitive with most triangles, one with a skin first: what comes first in a file may be its eyes."""
    found = [
        (node.skin is not None, -(-document.accessors[p.attributes.POSITION if p.indices is None else p.indices].count // 3), node, p)
        for node in document.nodes
        if node.mesh is not None
        for p in document.meshes[node.mesh].primitives
        if p.mode in (None, TRIANGLES)
    ]
    if not found:
        raise CarveError("it holds no mesh of triangles")
    _, _, node, primitive = max(found, key=lambda entry: entry[:2])
    if document.accessors[primitive.attributes.POSITION].count > MAX_VERTICES:
        raise CarveError(f"its mesh has more than {MAX_VERTICES / 1e6:g} million vertices")
    return node, primitive


def _skeleton(document: gltf.GLTF2, skin: gltf.Skin) -> tuple[Skeleton, np.ndarray, tuple[int, ...], np.ndarray]:
    """The skin's bones with parents first, the place of each of the skin's joints in that order, the bones' nodes and their axes.

    A joint above the hips, on the ground, moves no skin of its own and is left out.
    """
    parent_node = {child: n for n, item in enumerate(document.nodes) for child in item.children or []}
    of_node = {n: joint for joint, n in enumerate(skin.joints)}
    if skin.inverseBindMatrices is None:
        raise CarveError("its skin has no bind pose; carve animates only avatars that it wrote itself")
    inverse_bind = read_array(document, skin.inverseBindMatrices).astype(float)
    turns = np.swapaxes(inverse_bind[:, :3, :3], 1, 2)
    if len(inverse_bind) != len(skin.joints) or not np.allclose(turns @ inverse_bind[:, :3, :3], np.eye(3), atol=1e-3):
        raise CarveError("its bones are scaled at rest; carve animates only avatars that it wrote itself")
    hips = next((n for n in skin.joints if humanoid_name(document.nodes[n]) == "hips"), None)
    above = parent_node.get(hips) if hips is not None else None
    for _ in skin.joints:
        of_node.pop(above, None)
        above = parent_node.get(above)
    depth: dict[int, int] = {}
    for n, joint in of_node.items():
        steps, up = 0, parent_node.get(n)
        while up in of_node and steps <= len(of_node):
            steps, up = steps + 1, parent_node.get(up)
        depth[joint] = steps
    if max(depth.values()) >= len(of_node):
        raise CarveError("its bones form a ring")
    in_order = all(of_node.get(parent_node.get(n, -1), -1) < joint for n, joint in of_node.items())
    sequence = list(depth) if in_order else sorted(depth, key=lambda joint: depth[joint])
    place = np.zeros(len(skin.joints), np.int64)
    place[sequence] = np.arange(len(sequence))
    nodes = tuple(skin.joints[joint] for joint in sequence)
    parents = np.array([place[of_node[parent_node[n]]] if parent_node.get(n) in of_node else -1 for n in nodes], np.int64)
    names = tuple(document.nodes[n].name or f"node_{n}" for n in nodes)
    heads = -np.einsum("bij,bj->bi", turns[sequence], inverse_bind[sequence, :3, 3])
    humanoid = {vrm: name for n, name in zip(nodes, names, strict=True) if (vrm := humanoid_name(document.nodes[n]))}
    return Skeleton(names, parents, heads, humanoid), place, nodes, turns[sequence]


def humanoid_name(node: gltf.Node) -> str | None:
    """VRM 1.0's name of a bone: what its extras say, else its own name if that is VRM's."""
    said = node.extras.get("humanoid") if isinstance(node.extras, dict) else None
    return said if said in VRM_BONES else node.name if node.name in VRM_BONES else None


def _texture(document: gltf.GLTF2, material: int | None) -> np.ndarray | None:
    """The base colour image (T, T', 3) uint8 of a material, if it has one."""
    if material is None:
        return None
    shading = document.materials[material].pbrMetallicRoughness
    if shading is None or shading.baseColorTexture is None:
        return None
    image = document.images[document.textures[shading.baseColorTexture.index].source]
    if image.bufferView is None:
        raise CarveError("its texture lies in another file; carve reads only textures inside the GLB")
    with Image.open(io.BytesIO(view_bytes(document, image.bufferView)), formats=("JPEG", "PNG", "WEBP")) as picture:
        if max(picture.size) > MAX_TEXTURE:
            raise CarveError(f"its texture has {picture.width} x {picture.height} texels; {MAX_TEXTURE} a side are the most")
        shown = picture.reduce(-(-max(picture.size) // SHOWN_TEXTURE)) if max(picture.size) > SHOWN_TEXTURE else picture
        return np.asarray(shown.convert("RGB"))
