"""What normals and relative depth of the clothed person, seen in the photo, say of the body below: differentiable.

Notation: M sampled vertices of the body, of which some are visible; n their normals, z their depth towards the viewer in metres; N, Z what
the maps say at a vertex' pixel, sigma_n (radians) and sigma_z (metres) its spread; w its weight, c a constant, rho robust.
    loss = W_n sum w rho(|n - N|^2 / sigma_n^2) / sum w + W_z sum w rho((z - Z - c)^2 / sigma_z^2) / sum w
W_n and W_z say how many independent observations a map counts for: its errors are alike over whole limbs. The maps are low-passed, since
clothes have folds and bodies have none, and are not asked near the person's outline, where cloth and the body below it part. c is what the
depth leaves open, and the thickness of the clothes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from carve.body.fitted.reduced import Posed, ReducedBody, Shaped
from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.skinning import skin
from carve.records import NormalMaps

GRID = 100.0
"""Pixels per metre at which maps and body are compared: one a centimetre is enough for a body."""
BLUR = 0.02
"""Standard deviation of the low-pass, metres."""
MARGIN = 0.015
"""Width of the rim along the outline that is not asked, metres; it fades in over as much again."""
FACING = 0.25
"""Cosine between a normal and the direction to the camera below which a vertex is too near the body's own outline."""
OCCLUSION = 0.015
"""How far a vertex may lie behind the nearest surface and still count as visible, metres."""
STEP = 0.06
"""Jump in depth from pixel to pixel that is the outline of a limb before another part, metres."""
TRUST = {"hand": 0.3, "foot": 0.5}
"""Endings of REGIONS -> weight, where it is not one: fingers and shoes look little like the body model's."""
FEWEST = 60
"""Visible vertices below which maps say nothing."""


@dataclass(frozen=True)
class Weights:
    """How much the maps are believed."""

    normals: float
    """W_n."""
    depth: float
    """W_z."""
    cloth_radians: float
    """Spread of the angle between smoothed cloth and body."""
    cloth: float
    """Spread of the clothes' thickness along the viewing axis, metres."""


def robust(square: Tensor) -> Tensor:
    """Charbonnier-like growth: quadratic below one sigma, linear beyond."""
    return 2 * ((1 + square).sqrt() - 1)


class SurfaceEvidence:
    """The maps at the resolution of the comparison, and which of the sampled vertices look at them."""

    def __init__(self, maps: NormalMaps, camera: Camera, per_metre: float, body: ReducedBody, rest: np.ndarray, sample: np.ndarray) -> None:
        """Prepare the comparison.

        Args:
            maps: of the photo; without `depth` the normals alone are compared.
            camera: of the photo.
            per_metre: pixels of the photo per metre at the person's distance.
            body: whose sampled skin is compared.
            rest: (V, 3) the body's shape at rest, for normals and visibility.
            sample: (M,) the vertices that `body` samples.
        """
        self.body, self.rest, self.sample = body, rest, sample
        height, width = maps.mask.shape
        scale = min(1.0, GRID / per_metre)
        size = (max(round(width * scale), 8), max(round(height * scale), 8))
        self.camera = Camera(*size, camera.focal * scale, camera.cx * size[0] / width, camera.cy * size[1] / height)
        self.has_depth = maps.depth is not None
        self.maps = torch.from_numpy(_channels(maps, size, per_metre, scale * per_metre))[None]
        self.normals = torch.as_tensor(vertex_normals(rest, body.model.faces)[sample], dtype=torch.float32)
        trust = np.array([next((t for ending, t in TRUST.items() if name.endswith(ending)), 1.0) for name in REGIONS])
        self.trust = torch.as_tensor(trust[body.model.region[sample]], dtype=torch.float32)
        self.seen = torch.zeros(0, dtype=torch.int64)

    def look(self, shaped: Shaped, posed: Posed, scale: Tensor) -> bool:
        """Find the vertices that the camera sees of the first of the posed bodies; whether they are enough to say anything."""
        model = self.body.model
        rotation, shift = (t.detach() for t in _transforms(shaped, posed, scale))
        bones = torch.cat([rotation, shift[..., None]], -1).double().numpy()[self.body.articulation.attached]
        points = skin(self.rest * float(scale[0].detach()), bones, model.bones, model.weights)
        raster = rasterise(points, model.faces, self.camera)
        depth = np.where(raster.mask, raster.depth, 0)
        jump = ndimage.maximum_filter(depth, 3) - ndimage.minimum_filter(depth, 3) > STEP
        at = points[self.sample]
        pixel = np.floor(self.camera.project(at)).astype(np.int64)
        inside = (pixel >= 0).all(1) & (pixel < [self.camera.width, self.camera.height]).all(1) & (at[:, 2] < 0)
        column, row = np.where(inside, pixel.T, 0)
        facing = -(vertex_normals(points, model.faces)[self.sample] * at).sum(1) / np.linalg.norm(at, axis=1)
        # A jump beside the background belongs to the outline, which the margin of the maps keeps away from.
        seen = inside & (facing > FACING) & ~jump[row, column] & (-at[:, 2] < raster.depth[row, column] + OCCLUSION)
        seen &= self.maps[0, -1].numpy()[row, column] > 0
        self.seen = torch.from_numpy(np.flatnonzero(seen))
        return len(self.seen) >= FEWEST

    def loss(self, shaped: Shaped, posed: Posed, scale: Tensor, weights: Weights) -> Tensor:
        """The loss of the vertices that `look` found, for the first of the posed bodies."""
        points, normals = self._skin(shaped, posed, scale)
        grid = self.camera.project(points) / points.new_tensor([self.camera.width, self.camera.height]) * 2 - 1
        read = torch.nn.functional.grid_sample(self.maps, grid[None, None], align_corners=False, padding_mode="zeros")[0, :, 0]
        variance, depth_variance = read[4].detach() + weights.cloth_radians**2, read[5].detach() + weights.cloth**2
        weight = self.trust[self.seen] * read[6].detach()
        total = weight.sum().clamp(min=1e-9)
        loss = weights.normals * (weight * robust(((normals - read[:3].T) ** 2).sum(1) / variance)).sum() / total
        if not self.has_depth:
            return loss
        residual = points[:, 2] - read[3]
        constant = _middle(residual.detach(), weight, depth_variance)
        return loss + weights.depth * (weight * robust((residual - constant) ** 2 / depth_variance)).sum() / total

    def _skin(self, shaped: Shaped, posed: Posed, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Points and unit normals of the visible vertices, (N, 3) each; normals turn with the blended rotations."""
        rotation, shift = _transforms(shaped, posed, scale)
        blended = self.body.weights[self.seen] @ torch.cat([rotation.flatten(1), shift], 1)
        turn = blended[:, :9].view(-1, 3, 3)
        points = (turn @ (scale[0] * shaped.vertices[self.seen])[..., None])[..., 0] + blended[:, 9:]
        return points, torch.nn.functional.normalize((turn @ self.normals[self.seen][..., None])[..., 0], dim=1)


def _transforms(shaped: Shaped, posed: Posed, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (P, 3, 3) and shifts (P, 3) of the first body's moving bones."""
    rotation = posed.rotations[0]
    return rotation, posed.heads[0] - (rotation @ (scale[0] * shaped.heads)[..., None])[..., 0]


def _middle(residual: Tensor, weight: Tensor, variance: Tensor) -> Tensor:
    """The constant that makes the robust loss of the residuals least, by reweighted means from the median."""
    if not bool((weight > 0).any()):
        return residual.new_zeros(())
    constant = residual[weight > 0].median()
    for _ in range(8):
        share = weight / variance / (1 + (residual - constant) ** 2 / variance).sqrt()
        constant = (share * residual).sum() / share.sum()
    return constant


def _channels(maps: NormalMaps, size: tuple[int, int], per_metre: float, grid: float) -> np.ndarray:
    """(7, h, w) float32: normal, depth in metres, their variances, weight 0..1; `grid` is pixels per metre of `size`."""
    front = maps.front.astype(np.float32)
    depth = maps.depth if maps.depth is not None else np.zeros(maps.mask.shape, np.float32)
    spread = maps.depth_log_variance if maps.depth_log_variance is not None else np.zeros(maps.mask.shape, np.float32)
    variance = maps.log_variance.astype(np.float32)
    known = maps.mask & (np.linalg.norm(front, axis=-1) > 0.5)
    known &= np.isfinite(front).all(-1) & np.isfinite(depth) & np.isfinite(spread) & np.isfinite(variance)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(share, (0, 0), BLUR * grid)

    def smooth(image: np.ndarray) -> np.ndarray:
        """Mean of the known pixels around."""
        small = cv2.resize(np.where(known, image, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.where(soft > 0.02, cv2.GaussianBlur(small, (0, 0), BLUR * grid) / np.maximum(soft, 0.02), 0)

    normal = np.stack([smooth(front[..., k]) for k in range(3)])
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-6)
    # Padded: the picture's border is an outline too, as far as maps go.
    edge = ndimage.distance_transform_edt(np.pad(share > 0.99, 1))[1:-1, 1:-1]
    weight = np.clip(edge / (MARGIN * grid) - 1, 0, 1)
    metres = smooth(depth) / per_metre, np.exp(smooth(spread)) / per_metre**2
    return np.stack([*normal, metres[0], np.exp(smooth(variance)), metres[1], weight]).astype(np.float32)
