"""An asset as a glTF document: mesh, texture, skeleton, face shapes.

glTF's axes are those of carve's body frame, its quaternions and its texture origin are carve's too, so nothing changes its sign here.
"""

from __future__ import annotations

import io
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from PIL import Image

from carve.export.asset import make_asset, rest_node_rotations
from carve.export.bone_names import SCENES
from carve.export.options import ExportOptions
from carve.export.records import Asset, Bones
from carve.geometry.rotations import quaternion_from_matrix
from carve.geometry.skin_weights import stored_weights
from carve.gltf.buffer import append_array, append_bytes, to_bytes
from carve.gltf.sparse import append_sparse
from carve.records import Avatar

ROUGHNESS = 0.8
JPEG_QUALITY = 92
WEB_QUALITY = 84
"""Of textures in compressed files, whose colour also has half the resolution."""


def write_avatar_glb(path: Path, avatar: Avatar, options: ExportOptions | None = None) -> None:
    """Write the avatar as its records hold it, skinned and textured, without face shapes."""
    options = options or ExportOptions()
    path.write_bytes(to_bytes(asset_document(make_asset(avatar, options).asset, options)))


def asset_document(asset: Asset, options: ExportOptions) -> gltf.GLTF2:
    """The asset as a glTF document whose buffer holds everything."""
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator=generator(), copyright=asset.copyright or None, extras=asset_extras(asset)),
        scene=0,
        scenes=[gltf.Scene(name=SCENES[options.skeleton], nodes=[])],
    )
    index = asset.split_faces.astype(np.uint16 if asset.split_faces.max() < 65535 else np.uint32).ravel()
    primitive = gltf.Primitive(
        attributes=_attributes(document, asset),
        indices=append_array(document, index, gltf.ELEMENT_ARRAY_BUFFER),
        material=_material(document, asset, JPEG_QUALITY if options.compress == "none" else WEB_QUALITY),
        mode=gltf.TRIANGLES,
    )
    mesh = gltf.Mesh(name="avatar", primitives=[primitive])
    if asset.shapes:
        primitive.targets = _targets(document, asset)
        mesh.weights = [0.0] * len(asset.shapes)
        mesh.extras = {"targetNames": [shape.name for shape in asset.shapes]}
    document.meshes.append(mesh)
    document.nodes.append(gltf.Node(name="avatar", mesh=0))
    document.scenes[0].nodes.append(0)
    _add_skeleton(document, asset.skeleton, ground_is_joint=options.skeleton == "unreal")
    return document


def generator() -> str:
    """What `asset.generator` says."""
    try:
        return f"carve {version('carve')}"
    except PackageNotFoundError:
        return "carve"


def asset_extras(asset: Asset) -> dict[str, Any]:
    """Units, frame, heights and licences."""
    return {
        "units": "metres",
        "frame": "body frame: +Y up, facing +Z, soles at y = 0; rest pose",
        "body_model": asset.body_model,
        "height": asset.height,
        "height_without_shoes": asset.body_height,
        "licences": asset.licences,
    }


def _attributes(document: gltf.GLTF2, asset: Asset) -> gltf.Attributes:
    """The vertex attributes, gathered at the split vertices."""
    corner = asset.corner
    unit = np.linalg.norm(asset.normals, axis=1) > 0.5  # a vertex without area has no normal, and glTF wants a unit vector all the same
    normals = np.where(unit[:, None], asset.normals, np.array([0.0, 1.0, 0.0])).astype(np.float32)
    joints, weights = stored_weights(asset.bones, asset.weights)
    attributes = gltf.Attributes(
        POSITION=append_array(document, asset.vertices[corner].astype(np.float32), gltf.ARRAY_BUFFER, bounds=True),
        NORMAL=append_array(document, normals[corner], gltf.ARRAY_BUFFER),
        TEXCOORD_0=append_array(document, asset.uv.astype(np.float32), gltf.ARRAY_BUFFER),
        JOINTS_0=append_array(document, joints[corner], gltf.ARRAY_BUFFER),
        WEIGHTS_0=append_array(document, weights[corner], gltf.ARRAY_BUFFER),
    )
    if asset.tangents is not None:
        attributes.TANGENT = append_array(document, asset.tangents.astype(np.float32), gltf.ARRAY_BUFFER)
    attributes._CONFIDENCE = append_array(document, asset.confidence[corner].astype(np.float32), gltf.ARRAY_BUFFER)
    return attributes


def _targets(document: gltf.GLTF2, asset: Asset) -> list[dict[str, int]]:
    """The face shapes as sparse morph targets."""
    targets = []
    place = np.full(len(asset.vertices), -1)
    for shape in asset.shapes:
        place[:] = -1
        place[shape.vertices] = np.arange(len(shape.vertices))
        moved = np.flatnonzero(place[asset.corner] >= 0)
        offsets = shape.offsets[place[asset.corner[moved]]].astype(np.float32)
        targets.append({"POSITION": append_sparse(document, len(asset.corner), moved, offsets)})
    return targets


def _material(document: gltf.GLTF2, asset: Asset, quality: int) -> int:
    """The index of a rough, non-metallic material with the albedo and, if there is one, the normal map."""
    edge = gltf.CLAMP_TO_EDGE
    document.samplers.append(gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR, wrapS=edge, wrapT=edge))
    material = gltf.PbrMetallicRoughness(
        baseColorTexture=gltf.TextureInfo(index=_texture(document, "albedo", asset.albedo, quality)),
        metallicFactor=0.0,
        roughnessFactor=ROUGHNESS,
    )
    document.materials.append(gltf.Material(name="albedo", pbrMetallicRoughness=material))
    if asset.normal_map is not None:
        index = _texture(document, "normals", asset.normal_map, quality)
        document.materials[-1].normalTexture = gltf.NormalMaterialTexture(index=index)
    return len(document.materials) - 1


def _texture(document: gltf.GLTF2, name: str, pixels: np.ndarray, quality: int) -> int:
    """The index of a texture that holds the pixels as JPEG."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(
        encoded, "JPEG", quality=quality, subsampling=0 if quality == JPEG_QUALITY or name == "normals" else 2, optimize=True
    )
    document.images.append(gltf.Image(name=name, mimeType="image/jpeg", bufferView=append_bytes(document, encoded.getvalue())))
    document.textures.append(gltf.Texture(source=len(document.images) - 1, sampler=0))
    return len(document.textures) - 1


def _add_skeleton(document: gltf.GLTF2, bones: Bones, ground_is_joint: bool) -> None:
    """A node on the ground, below it the bones; a skin on the last node that was added. Nodes keep the body model's names in their extras.

    Unreal wants the node on the ground among the bones.
    """
    mesh_node, ground = document.nodes[-1], len(document.nodes)
    first = ground + 1
    rotations = quaternion_from_matrix(rest_node_rotations(bones))
    heads = bones.heads.astype(np.float32).astype(float)
    roots = [first + int(bone) for bone in np.flatnonzero(bones.parents < 0)]
    document.nodes.append(gltf.Node(name=bones.root, children=roots))
    vrm_of = {name: vrm for vrm, name in bones.humanoid.items()}
    for bone, (name, parent) in enumerate(zip(bones.names, bones.parents, strict=True)):
        step = heads[bone] - heads[parent] if parent >= 0 else heads[bone]
        local = bones.axes[parent].T @ step if parent >= 0 else step
        extras = {"bone": bones.sources[bone]} | ({"humanoid": vrm_of[name]} if name in vrm_of else {})
        if name in bones.twists:
            extras["twist"] = bones.twists[name]
        children = [first + int(child) for child in np.flatnonzero(bones.parents == bone)]
        node = gltf.Node(name=name, translation=local.tolist(), rotation=rotations[bone].tolist(), children=children, extras=extras)
        document.nodes.append(node)
    inverse_bind = np.tile(np.eye(4), (len(heads), 1, 1))
    inverse_bind[:, :3, :3] = np.swapaxes(bones.axes, 1, 2)
    inverse_bind[:, :3, 3] = -np.einsum("bji,bj->bi", bones.axes, heads)
    joints = list(range(first, first + len(heads)))
    if ground_is_joint:  # last, so that the joints' numbers are the bones'
        joints, inverse_bind = [*joints, ground], np.concatenate([inverse_bind, np.eye(4)[None]])
    matrices = append_array(document, inverse_bind.astype(np.float32))
    document.skins.append(gltf.Skin(name="skeleton", inverseBindMatrices=matrices, joints=joints, skeleton=ground))
    mesh_node.skin = len(document.skins) - 1
    document.scenes[0].nodes.append(ground)
