"""What normals and relative depth of the clothed person, seen in the photo, say of the body below: differentiable.

Notation: M vertices that look at the maps, N_v of them visible. Everything is compared after a low-pass, since clothes are not skin; the
body's depth is compared up to one constant, which is the maps' own unknown and the cloth's thickness together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from carve.body.model import REGIONS
from carve.body.reduced import Posed, ReducedBody, Shaped
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.skinning import skin
from carve.records import NormalMaps

GRID = 100.0
"""Pixels per metre that the maps are compared at: one a centimetre."""


@dataclass
class EvidenceParams:
    blur: float = 0.02
    margin: float = 0.015
    cloth_degrees: float = 12.0
    cloth: float = 0.02
    normal_weight: float = 30.0
    depth_weight: float = 30.0
    facing: float = 0.25
    through: bool = True
    head: float = 1.0
    gain_sigma: float = 0.0


def robust(square: Tensor) -> Tensor:
    return 2 * ((1 + square).sqrt() - 1)


class SurfaceEvidence:
    def __init__(self, maps: NormalMaps, camera: Camera, body: ReducedBody, rest: np.ndarray, per_metre: float, params: EvidenceParams) -> None:
        self.params, self.body, self.per_metre = params, body, per_metre
        scale = min(1.0, GRID / per_metre)
        height, width = maps.mask.shape
        size = (max(round(width * scale), 8), max(round(height * scale), 8))
        self.camera = Camera(size[0], size[1], camera.focal * size[0] / width, camera.cx * size[0] / width, camera.cy * size[1] / height)
        self.aspect = (size[0] / width, size[1] / height)
        grid = per_metre * scale
        known = maps.mask & np.isfinite(maps.depth) & (np.linalg.norm(maps.front.astype(np.float32), axis=-1) > 0.5)
        shrink = lambda a: cv2.resize(np.asarray(a, np.float32), size, interpolation=cv2.INTER_AREA)  # noqa: E731
        share = shrink(known)
        inside = share > 0.99
        blurred = lambda a: _blur(shrink(np.where(known if a.ndim == 2 else known[..., None], a, 0)), share, params.blur * grid)  # noqa: E731
        normal = blurred(maps.front.astype(np.float32))
        normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        depth = blurred(maps.depth) / per_metre
        variance = np.exp(blurred(maps.log_variance.astype(np.float32))) + np.radians(params.cloth_degrees) ** 2
        depth_variance = np.exp(blurred(maps.depth_log_variance)) / per_metre**2 + params.cloth**2
        edge = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        weight = np.clip(edge / (params.margin * grid) - 1, 0, 1) if inside.any() else np.zeros(inside.shape)
        # steps in depth are no surface
        channels = np.concatenate([normal, depth[..., None], variance[..., None], depth_variance[..., None], weight[..., None]], -1)
        self.maps = torch.as_tensor(channels, dtype=torch.float32).permute(2, 0, 1)[None]
        self.valid = bool((weight > 0).sum() > 100)
        model = body.model
        self.normals = torch.as_tensor(vertex_normals(rest, model.faces), dtype=torch.float32)
        trust = np.ones(len(REGIONS))
        trust[[i for i, r in enumerate(REGIONS) if r.endswith("hand")]] = 0.3
        trust[[i for i, r in enumerate(REGIONS) if r.endswith("foot")]] = 0.5
        trust[REGIONS.index("head")] = params.head
        self.trust = torch.as_tensor(trust[model.region], dtype=torch.float32)
        self.visible = np.zeros(len(rest), bool)

    def look(self, x: np.ndarray) -> None:
        """Which of the body's vertices (V, 3), camera frame, the camera sees."""
        faces = self.body.model.faces
        raster = rasterise(x, faces, self.camera)
        pixel = self.camera.project(x)
        column, row = np.floor(pixel).astype(int).T
        shown = (column >= 0) & (row >= 0) & (column < self.camera.width) & (row < self.camera.height) & (x[:, 2] < 0)
        r, c = np.where(shown, row, 0), np.where(shown, column, 0)
        far = ndimage.maximum_filter(np.where(raster.mask, raster.depth, 0), 3)
        normal = vertex_normals(x, faces)
        ray = x / np.linalg.norm(x, axis=1, keepdims=True)
        facing = -(normal * ray).sum(1)
        near = -x[:, 2] < np.where(raster.mask, raster.depth, np.inf)[r, c] + 0.015
        # steps between limbs: blurred
        step = far - ndimage.minimum_filter(np.where(raster.mask, raster.depth, 0), 3) > 0.06
        self.visible = shown & near & (facing > self.params.facing) & ~step[r, c]

    def loss(self, points: Tensor, normals: Tensor, area: Tensor) -> Tensor:
        p = self.params
        pixels = self.camera.project(points)
        grid = pixels / pixels.new_tensor([self.camera.width, self.camera.height]) * 2 - 1
        if not p.through:
            grid = grid.detach()
        read = torch.nn.functional.grid_sample(self.maps, grid[None, None], align_corners=False, padding_mode="zeros")[0, :, 0]
        weight = area * read[6].detach()
        total = weight.sum().clamp(min=1e-9)
        apart = ((normals - read[:3].T) ** 2).sum(1) / read[4].detach().clamp(min=1e-4)
        loss = p.normal_weight * (weight * robust(apart)).sum() / total
        residual = points[:, 2] - read[3]
        spread = read[5].detach().clamp(min=1e-6)
        with torch.no_grad():
            constant = residual[weight > 0].median() if bool((weight > 0).any()) else residual.new_zeros(())
            for _ in range(8):
                w = weight / spread / (1 + (residual - constant) ** 2 / spread).sqrt()
                constant = (w * residual).sum() / w.sum().clamp(min=1e-9)
        self.constant = constant
        return loss + p.depth_weight * (weight * robust((residual - constant) ** 2 / spread)).sum() / total


def skin_with_normals(body: ReducedBody, shaped: Shaped, posed: Posed, scale: Tensor, normals: Tensor, pick: Tensor) -> tuple[Tensor, Tensor]:
    r = posed.rotations[0]
    shift = posed.heads[0] - (r @ (scale[0] * shaped.heads)[..., None])[..., 0]
    blended = body.weights[pick] @ torch.cat([r.flatten(1), shift], 1)
    turn = blended[:, :9].view(-1, 3, 3)
    points = (turn @ (scale[0] * shaped.vertices[pick])[..., None])[..., 0] + blended[:, 9:]
    turned = (turn @ normals[pick][..., None])[..., 0]
    return points, turned / turned.norm(dim=1, keepdim=True).clamp(min=1e-6)


def full_skin(body: ReducedBody, rest: np.ndarray, shaped: Shaped, posed: Posed, scale: Tensor) -> np.ndarray:
    r = posed.rotations[0].detach()
    shift = posed.heads[0].detach() - (r @ (scale[0].detach() * shaped.heads.detach())[..., None])[..., 0]
    maps = torch.cat([r, shift[..., None]], -1).double().numpy()[body.articulation.attached]
    return skin(rest * float(scale[0]), maps, body.model.bones, body.model.weights)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices))


def _blur(image: np.ndarray, share: np.ndarray, sigma: float) -> np.ndarray:
    """Low-pass of values that are sums over `share` of each pixel; zero where there is none."""
    soft = cv2.GaussianBlur(share, (0, 0), sigma)
    value = cv2.GaussianBlur(image, (0, 0), sigma)
    soft = soft[..., None] if image.ndim == 3 else soft
    return np.where(soft > 0.02, value / np.maximum(soft, 0.02), 0)
