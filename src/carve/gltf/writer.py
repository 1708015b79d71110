"""The GLB files of the output folder that have no skeleton: the posed clothed mesh, the naked body (avatar.glb is `export.glb`'s).

glTF's axes are those of carve's camera frame (`geometry.frames`) and its texture origin is carve's too, so nothing changes its sign here.
"""

from __future__ import annotations

import io
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from PIL import Image

from carve.geometry.mesh import vertex_normals
from carve.gltf.buffer import append_array, append_bytes, to_bytes
from carve.records import Avatar, BodyFit, TexturedSurface

ROUGHNESS = 0.8
BODY_COLOUR = [0.55, 0.55, 0.55, 1.0]
"""Linear base colour of body.glb."""
JPEG_QUALITY = 92


def write_posed_glb(path: Path, avatar: Avatar, vertices: np.ndarray | None = None) -> None:
    """Write the clothed, textured mesh in the photo's pose (camera frame, metres), without a skeleton.

    `vertices` (V, 3) stand for the surface's own: what avatar.glb becomes in that pose.
    """
    textured = avatar.textured
    document = _document(avatar.body, avatar.report, "camera frame: +X right, +Y up, looking along -Z")
    attributes = _mesh_attributes(
        document, avatar.surface.vertices if vertices is None else vertices, avatar.surface.canonical.faces, textured.corner
    )
    attributes.TEXCOORD_0 = append_array(document, textured.uv.astype(np.float32), gltf.ARRAY_BUFFER)
    _add_mesh(document, "posed", attributes, textured.faces, _textured_material(document, textured))
    path.write_bytes(to_bytes(document))


def write_body_glb(path: Path, body: BodyFit) -> None:
    """Write the fitted body without clothes in the photo's pose (camera frame, metres)."""
    document = _document(body, {}, "camera frame: +X right, +Y up, looking along -Z")
    attributes = _mesh_attributes(document, body.posed, body.faces, np.arange(len(body.posed)))
    material = gltf.PbrMetallicRoughness(baseColorFactor=BODY_COLOUR, metallicFactor=0.0, roughnessFactor=ROUGHNESS)
    document.materials.append(gltf.Material(name="body", pbrMetallicRoughness=material))
    _add_mesh(document, "body", attributes, body.faces, len(document.materials) - 1)
    path.write_bytes(to_bytes(document))


def _document(body: BodyFit, report: dict[str, Any], frame: str) -> gltf.GLTF2:
    """An empty document with one scene; units, frame and licences stand in the asset's extras."""
    try:
        generator = f"carve {version('carve')}"
    except PackageNotFoundError:
        generator = "carve"
    extras = {"units": "metres", "frame": frame, "body_model": body.model, "height": float(body.height)}
    if "licences" in report:
        extras["licences"] = report["licences"]
    return gltf.GLTF2(asset=gltf.Asset(version="2.0", generator=generator, extras=extras), scene=0, scenes=[gltf.Scene(nodes=[])])


def _mesh_attributes(document: gltf.GLTF2, vertices: np.ndarray, faces: np.ndarray, corner: np.ndarray) -> gltf.Attributes:
    """Positions and smooth normals of welded vertices (V, 3), gathered at the split vertices `corner` (N,)."""
    normals = vertex_normals(vertices, faces)
    unit = np.linalg.norm(normals, axis=1) > 0.5  # a vertex without area has no normal, and glTF wants a unit vector all the same
    normals = np.where(unit[:, None], normals, np.array([0.0, 1.0, 0.0])).astype(np.float32)
    return gltf.Attributes(
        POSITION=append_array(document, vertices[corner].astype(np.float32), gltf.ARRAY_BUFFER, bounds=True),
        NORMAL=append_array(document, normals[corner], gltf.ARRAY_BUFFER),
    )


def _add_mesh(document: gltf.GLTF2, name: str, attributes: gltf.Attributes, faces: np.ndarray, material: int) -> None:
    """One primitive in one mesh in one node at the scene's root."""
    index = faces.astype(np.uint16 if faces.max() < 65535 else np.uint32).ravel()
    indices = append_array(document, index, gltf.ELEMENT_ARRAY_BUFFER)
    primitive = gltf.Primitive(attributes=attributes, indices=indices, material=material, mode=gltf.TRIANGLES)
    document.meshes.append(gltf.Mesh(name=name, primitives=[primitive]))
    document.nodes.append(gltf.Node(name=name, mesh=len(document.meshes) - 1))
    document.scenes[0].nodes.append(len(document.nodes) - 1)


def _textured_material(document: gltf.GLTF2, textured: TexturedSurface) -> int:
    """The index of a rough, non-metallic material whose base colour is the albedo."""
    encoded = io.BytesIO()
    Image.fromarray(textured.albedo).save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    document.images.append(gltf.Image(name="albedo", mimeType="image/jpeg", bufferView=append_bytes(document, encoded.getvalue())))
    edge = gltf.CLAMP_TO_EDGE
    document.samplers.append(gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR, wrapS=edge, wrapT=edge))
    document.textures.append(gltf.Texture(source=len(document.images) - 1, sampler=len(document.samplers) - 1))
    material = gltf.PbrMetallicRoughness(
        baseColorTexture=gltf.TextureInfo(index=len(document.textures) - 1), metallicFactor=0.0, roughnessFactor=ROUGHNESS
    )
    document.materials.append(gltf.Material(name="albedo", pbrMetallicRoughness=material))
    return len(document.materials) - 1
