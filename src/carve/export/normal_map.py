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
from carve.geometry.compiled import compiled
from carve.geometry.unwrapping.atlas import Atlas, texels, to_image

GUTTER = 32
"""Texels around charts that repeat them: holds to the fifth mip level."""
LEAST_UP = 0.05
"""Of a stored normal, along the coarse surface's own: a map cannot show what looks away from it."""


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
    frame = here.interpolate(np.hstack([normal, tangent, bitangent]), coarse.split_faces)
    coded = np.full((len(frame), 3), [128, 128, 255], np.uint8)
    known = known[here.index]
    if coarse.inner is not None:  # a few texels for all of their sides: their own normals do better
        known &= ~coarse.inner[coarse.faces[here.face, 0]]
    _encode(frame, np.where(known[:, None], wanted[here.index], frame[:, :3]), coded)
    return to_image(coded, here, GUTTER * size // 2048)


@compiled(nogil=True)
def _encode(frame: np.ndarray, wanted: np.ndarray, coded: np.ndarray) -> None:  # pragma: no cover - compiled
    """Normals (N, 3) in frames n, t, b (N, 9), neither of them unit, as bytes; by Cramer's rule. A frame that is flat keeps its byte."""
    for i in range(len(frame)):
        nx, ny, nz = _units(frame[i, 0], frame[i, 1], frame[i, 2])
        tx, ty, tz = _units(frame[i, 3], frame[i, 4], frame[i, 5])
        bx, by, bz = _units(frame[i, 6], frame[i, 7], frame[i, 8])
        wx, wy, wz = _units(wanted[i, 0], wanted[i, 1], wanted[i, 2])
        ax, ay, az = ty * bz - tz * by, tz * bx - tx * bz, tx * by - ty * bx
        volume = ax * nx + ay * ny + az * nz
        if abs(volume) < 1e-3 or wx * wx + wy * wy + wz * wz < 0.5:
            continue
        x = ((by * nz - bz * ny) * wx + (bz * nx - bx * nz) * wy + (bx * ny - by * nx) * wz) / volume
        y = ((ny * tz - nz * ty) * wx + (nz * tx - nx * tz) * wy + (nx * ty - ny * tx) * wz) / volume
        x, y, z = _units(x, y, (ax * wx + ay * wy + az * wz) / volume)
        for k, value in enumerate(_units(x, y, max(z, LEAST_UP))):
            coded[i, k] = np.uint8(np.floor((value + 1) * 127.5 + 0.5))


@compiled(nogil=True)
def _units(x: float, y: float, z: float) -> tuple[float, float, float]:  # pragma: no cover - compiled
    """A vector of length one, or zero."""
    length = max(np.sqrt(float(x) * x + float(y) * y + float(z) * z), 1e-12)
    return x / length, y / length, z / length


def _atlas(asset: Asset) -> Atlas:
    """The asset's texture coordinates as an atlas of one chart."""
    return Atlas(asset.corner, asset.split_faces, asset.uv, np.zeros(len(asset.split_faces), np.int64))
