"""Figures of an exported asset that need no other program: shading, the walk's feet, the atlas."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from carve.body.zones import face_zone
from carve.export.records import Asset
from carve.geometry.mesh import components, face_normals
from carve.geometry.pictures.shading import view_camera
from carve.geometry.raster import rasterise
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.geometry.unwrapping.atlas import Atlas, texels
from carve.motion.gait import walk
from carve.motion.planting import TOE_OFF, TOUCH, planted
from carve.motion.retarget import on_the_ground, skeleton_motion
from carve.records import Avatar, Skeleton


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def rendered_normals(asset: Asset, camera: Any, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) shading normals from the front, by the normal map if there is one, and (H, W) where the avatar is."""
    raster = rasterise(asset.vertices[asset.corner] + shift, asset.split_faces, camera)
    normal = unit(raster.interpolate(asset.normals[asset.corner], asset.split_faces))
    if asset.normal_map is not None and asset.tangents is not None:
        side = np.cross(asset.normals[asset.corner], asset.tangents[:, :3]) * asset.tangents[:, 3:]
        tangent, bitangent = (unit(raster.interpolate(values, asset.split_faces)) for values in (asset.tangents[:, :3], side))
        uv = (raster.interpolate(asset.uv, asset.split_faces) * asset.normal_map.shape[0] - 0.5).astype(np.float32)
        m = cv2.remap(asset.normal_map.astype(np.float32), uv[..., 0], uv[..., 1], cv2.INTER_LINEAR) / 127.5 - 1
        normal = unit(tangent * m[..., :1] + bitangent * m[..., 1:2] + normal * m[..., 2:])
    return normal, raster.mask


def normal_angle(fine: Asset, coarse: Asset) -> float:
    """Mean degrees between what both show from the front."""
    camera, shift = view_camera(fine.vertices, 800, 640)
    (a, seen_a), (b, seen_b) = (rendered_normals(asset, camera, shift) for asset in (fine, coarse))
    both = seen_a & seen_b
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1)[both], -1, 1))).mean())


def walking(asset: Asset) -> dict[str, float]:
    """How far standing feet slide in a step (the worse foot, cm) and how deep a foot goes (mm)."""
    bones = asset.skeleton
    skeleton = Skeleton(bones.names, bones.parents, bones.heads, bones.humanoid)
    mesh = (asset.vertices, asset.bones, asset.weights)
    frames, stride = planted(on_the_ground(skeleton_motion(walk(), skeleton), *mesh, skeleton, True), *mesh, skeleton)
    count = len(frames.rotations)
    slid, deepest = [], 0.0
    for side, shift in (("left", 0.0), ("right", 0.5)):
        foot = np.isin(asset.bones[:, 0], [bones.index(f"{side}Foot"), bones.index(f"{side}Toes")])
        points = []
        for t in range(count):
            rotations, heads = forward_kinematics(frames.rotations[t], bones.heads, bones.parents, frames.root_positions[t])
            maps = bone_transforms(rotations, heads, bones.heads)
            points.append(skin(asset.vertices[foot], maps, asset.bones[foot], asset.weights[foot]) + np.array([0, 0, stride * t / count]))
        phase = (np.arange(count) / count + shift) % 1
        order = np.flatnonzero(phase <= TOE_OFF)[np.argsort(phase[phase <= TOE_OFF])]
        total = 0.0
        for now, after in pairwise(order):
            low = (points[now][:, 1] < TOUCH) & (points[after][:, 1] < TOUCH)
            step = points[after] - points[now] + np.array([0, 0, stride if after < now else 0])
            total += float(np.linalg.norm(step[low][:, [0, 2]].mean(0))) if low.any() else 0.0
        slid.append(100 * total)
        deepest = max(deepest, -1000 * min(float(p[:, 1].min()) for p in points))
    return {"slide_cm": max(slid), "below_floor_mm": deepest}


def idle_bones(asset: Asset) -> int:
    """How many bones move no part of the skin, neither by themselves nor by those below them."""
    moves = np.zeros(len(asset.skeleton.names), bool)
    moves[asset.bones[asset.weights > 0]] = True
    for bone in range(len(moves) - 1, 0, -1):
        moves[asset.skeleton.parents[bone]] |= moves[bone]
    return int((~moves).sum())


def face_density(avatar: Avatar) -> float:
    """How many times more texels a metre the front of the face has than the rest of the surface."""
    surface, textured = avatar.surface.canonical, avatar.textured
    normal = face_normals(surface.vertices, surface.faces)
    area = np.linalg.norm(normal, axis=1)
    corners = textured.uv[textured.faces]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    flat = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    face = face_zone(surface)[surface.faces].all(1) & (normal[:, 2] > 0.3 * area)
    return float(np.sqrt(flat[face].sum() / area[face].sum() / (flat[~face].sum() / area[~face].sum())))


def mip_error(avatar: Avatar, level: int) -> float:
    """Mean difference, of 255, between the albedo's mip level as a program makes it and that of each chart alone, seen on the charts."""
    textured = avatar.textured
    size, step = textured.albedo.shape[0], 2**level
    small = size // step
    grid = texels(Atlas(textured.corner, textured.faces, textured.uv, np.zeros(len(textured.faces), np.int64)), size)
    owner = np.full(size * size, -1)
    owner[grid.index] = components(textured.faces, len(textured.uv))[textured.faces[grid.face, 0]]
    owner = owner.reshape(size, size)
    picture = textured.albedo.astype(np.float32)
    whole = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    found, seen = 0.0, 0
    for chart in np.unique(owner[owner >= 0]):
        own = owner == chart
        rows, columns = (values[:: step * 2].astype(np.float32)[None] for values in np.nonzero(own))
        x, y = (columns + 0.5) / step - 0.5, (rows + 0.5) / step - 0.5
        share, alone = (
            cv2.resize(values.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
            for values in (own, picture * own[..., None])
        )
        mixed, part, sum_ = (
            cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0] for image in (whole, share, alone)
        )
        found += float(np.abs(mixed - sum_ / np.maximum(part[:, None], 1e-6)).mean(1).sum())
        seen += x.size
    return found / max(seen, 1)
