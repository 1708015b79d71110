"""glTF's own rule for skinning, straight from the file's nodes and accessors: what every viewer does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from carve.geometry.rotations import matrix_from_quaternion
from carve.gltf.buffer import read_array
from carve.gltf.reader import GlbScene


def posed_by_nodes(
    scene: GlbScene, rotations: Mapping[str, list[float]], translations: Mapping[str, list[float]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Put rotations and translations on nodes by name (specification 3.7.3): the skinned vertices, and where each node's origin is."""
    document = scene.document
    parent = {child: n for n, node in enumerate(document.nodes) for child in node.children or []}

    def matrix(n: int) -> np.ndarray:
        node, result = document.nodes[n], np.eye(4)
        result[:3, :3] = matrix_from_quaternion(np.array(rotations.get(node.name, node.rotation or [0, 0, 0, 1])))
        result[:3, 3] = translations.get(node.name, node.translation or [0, 0, 0])
        return matrix(parent[n]) @ result if n in parent else result

    skin = document.skins[0]
    world = [matrix(n) for n in range(len(document.nodes))]
    inverse_bind = read_array(document, skin.inverseBindMatrices)
    attributes = document.meshes[0].primitives[0].attributes
    joints, weights = read_array(document, attributes.JOINTS_0), read_array(document, attributes.WEIGHTS_0)
    joint = np.stack([world[node] @ inverse for node, inverse in zip(skin.joints, inverse_bind, strict=True)])
    blended = np.einsum("vk,vkij->vij", weights, joint[joints])
    made = np.einsum("vij,vj->vi", blended[:, :3, :3], scene.vertices) + blended[:, :3, 3]
    return made, {node.name: world[n][:3, 3] for n, node in enumerate(document.nodes)}
