"""A tangent-space normal map that gives a mesh of few triangles the fine surface's shading.

Both meshes share their texture coordinates, so a texel's fine normal is that of the fine triangle under it; nothing is projected.
Notation: n, t, b interpolated vertex normal, tangent and bitangent of the coarse mesh at a texel, each made unit; the map stores
m = [t b n]^-1 n_fine as (m + 1) / 2, +Y up as glTF has it. Tangents follow MikkTSpace (Mikkelsen, "Simulation of wrinkled surfaces
revisited", 2008): each triangle's tangent put into the vertex's tangent plane, made unit, weighted by the corner's angle.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carve.export.records import Asset
from carve.geometry.unwrapping.atlas import Atlas, texels, to_image

GUTTER = 32
"""Texels around charts that repeat them: holds to the fifth mip level."""


def with_normal_map(coarse: Asset, fine: Asset, size: int) -> Asset:
    """The coarse asset with tangents and a map (size, size, 3) of the fine one's normals; both have the same atlas."""
    tangents = vertex_tangents(coarse)
    image = baked(replace(coarse, tangents=tangents), fine, size)
    return replace(coarse, tangents=tangents, normal_map=image)


def vertex_tangents(asset: Asset) -> np.ndarray:
    """(N, 4) unit tangents of the split vertices and the handedness of their bitangents."""
    faces, corner = asset.split_faces, asset.corner
    position, uv, normals = asset.vertices[corner], asset.uv * [1, -1], asset.normals[corner]  # v up, as the tangent space's Y is
    edges = [position[faces[:, k]] - position[faces[:, 0]] for k in (1, 2)]
    steps = [uv[faces[:, k]] - uv[faces[:, 0]] for k in (1, 2)]
    area = steps[0][:, 0] * steps[1][:, 1] - steps[0][:, 1] * steps[1][:, 0]
    along = (edges[0] * steps[1][:, 1:] - edges[1] * steps[0][:, 1:]) * np.sign(area)[:, None]
    total, hand = np.zeros((len(corner), 3)), np.zeros(len(corner))
    for k in range(3):
        v = faces[:, k]
        sides = [_unit(position[faces[:, (k + j) % 3]] - position[v]) for j in (1, 2)]
        angle = np.arccos(np.clip((sides[0] * sides[1]).sum(1), -1, 1))
        n = normals[v]
        flat = _unit(along - (along * n).sum(1, keepdims=True) * n)
        np.add.at(total, v, angle[:, None] * flat)
        np.add.at(hand, v, angle * np.sign(area))
    tangent = total - (total * normals).sum(1, keepdims=True) * normals
    lost = np.linalg.norm(tangent, axis=1) < 1e-6
    axis = np.eye(3)[np.abs(normals[lost]).argmin(1)]
    tangent[lost] = axis - (axis * normals[lost]).sum(1, keepdims=True) * normals[lost]
    return np.column_stack([_unit(tangent), np.where(hand < 0, -1.0, 1.0)])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def baked(coarse: Asset, fine: Asset, size: int) -> np.ndarray:
    """(size, size, 3) uint8 the normal map; the coarse asset has tangents."""
    assert coarse.tangents is not None
    target = texels(_atlas(fine), size)
    wanted = np.zeros((size * size, 3), np.float32)
    wanted[target.index] = target.interpolate(fine.normals[fine.corner], fine.split_faces)
    here = texels(_atlas(coarse), size)
    known = np.zeros(size * size, bool)
    known[target.index] = True
    normal, tangent = coarse.normals[coarse.corner], coarse.tangents[:, :3]
    bitangent = np.cross(normal, tangent) * coarse.tangents[:, 3:]
    n, t, b = (_unit(here.interpolate(values, coarse.split_faces).astype(float)) for values in (normal, tangent, bitangent))
    fine_normal = np.where(known[here.index, None], _unit(wanted[here.index]), n)
    frame = np.stack([t, b, n], axis=-1)
    local = _unit(np.linalg.solve(frame + 1e-9 * np.eye(3), fine_normal[..., None])[..., 0])
    local[:, 2] = np.maximum(local[:, 2], 0.05)
    return to_image(np.round((_unit(local) + 1) * 127.5).astype(np.uint8), here, GUTTER * size // 2048)


def _atlas(asset: Asset) -> Atlas:
    """The asset's texture coordinates as an atlas of one chart."""
    return Atlas(asset.corner, asset.split_faces, asset.uv, np.zeros(len(asset.split_faces), np.int64))
