"""Move a mesh so that its silhouette explains a mask.

Notation: V vertices; the rim is where the drawn silhouette ends; q is the 2D outward normal of the drawn outline, delta the signed distance
along q from the rim to the mask's outline, in metres at the rim's depth; dl metres of outline, dA square metres of surface. Two problems,
both with the thin-plate prior of Botsch & Sorkine ("On linear variational surface deformation methods", 2008), in metric units so that the
mesh's density does not matter:
    scalar:  int_rim (s - delta)^2 dl + ell^3 int (Laplace s)^2 dA + int mu s^2 dA,       x <- x + s n   (a limb grows all round: depth
    planar:  int_rim |d - delta q|^2 dl + ell^3 int |Laplace d|^2 dA + int mu |d|^2 dA,   x <- x + d      follows width; then the rest)
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from scipy import ndimage, sparse

from carve.geometry.camera import Camera
from carve.geometry.mesh import cotangent_laplacian, vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.sparse import factorise


@dataclass(frozen=True)
class Rim:
    """Where the mesh's silhouette should go."""

    vertex: np.ndarray
    """(R,) int64 vertex nearest to each rim pixel."""
    direction: np.ndarray
    """(R, 3) unit outward direction in the picture's plane, camera frame."""
    delta: np.ndarray
    """(R,) metres to move along it."""
    length: np.ndarray
    """(R,) metres of outline that each pixel stands for."""
    target: np.ndarray
    """(R, 2) pixels of the working camera where the mask's outline was met."""

    def only(self, kept: np.ndarray) -> Rim:
        """The points where `kept` (R,) is true."""
        return Rim(*(getattr(self, f.name)[kept] for f in fields(self)))


@dataclass(frozen=True)
class MaskField:
    """A mask at working resolution with its signed distance."""

    camera: Camera
    signed: np.ndarray
    """(h, w) pixels to the outline, positive inside."""
    border: np.ndarray
    """(h, w) bool: so near the picture's border that the outline is cut off there."""

    @property
    def mask(self) -> np.ndarray:
        """(h, w) bool."""
        return self.signed > 0


def mask_field(mask: np.ndarray, camera: Camera, longest: int = 512, margin: float = 0.12) -> MaskField:
    """Crop a soft mask (H, W) to the person with a margin and resize it so that the person is at most `longest` pixels tall or wide."""
    rows, columns = np.nonzero(mask > 0.5)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    pad = int(margin * max(bottom - top, right - left)) + 2
    size = max(bottom - top, right - left)
    scale = min(longest / size, 2.0)
    x0, y0 = left - pad, top - pad
    width, height = round((right - left + 2 * pad) * scale), round((bottom - top + 2 * pad) * scale)
    matrix = np.array([[scale, 0, 0.5 * scale - 0.5 - scale * x0], [0, scale, 0.5 * scale - 0.5 - scale * y0]])
    soft = mask.astype(np.float32)
    if scale < 1:  # warping only samples: what is to shrink is averaged first
        soft = cv2.GaussianBlur(soft, (0, 0), 0.4 / scale)
    soft = cv2.warpAffine(soft, matrix, (width, height), flags=cv2.INTER_LINEAR)
    inside = soft > 0.5
    signed = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    signed = signed + np.where(inside, -0.5, 0.5)
    u, v = (np.arange(width) + 0.5) / scale + x0, (np.arange(height) + 0.5) / scale + y0
    near = 3 / scale + 1
    border = np.zeros((height, width), bool)
    border[:, (u < near) | (u > mask.shape[1] - near)] = True
    border[(v < near) | (v > mask.shape[0] - near)] = True
    return MaskField(camera.cropped(x0, y0, width, height, scale), signed.astype(np.float32), border)


def find_rim(vertices: np.ndarray, faces: np.ndarray, field: MaskField, reach: float, inward: float) -> Rim:
    """Rim of camera-frame vertices (V, 3) against the mask, looking up to `reach` metres outwards and `inward` metres inwards."""
    raster = rasterise(vertices, faces, field.camera)
    drawn = raster.mask
    edge = drawn & ~ndimage.binary_erosion(drawn, border_value=1) & ~field.border
    soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), 3.0)
    gx, gy = -cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3), -cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    mx, my = -cv2.Sobel(field.signed, cv2.CV_32F, 1, 0, ksize=5), -cv2.Sobel(field.signed, cv2.CV_32F, 0, 1, ksize=5)
    rows, columns = np.nonzero(edge)
    q = np.stack([gx[rows, columns], gy[rows, columns]], 1)
    length = np.linalg.norm(q, axis=1)
    keep = length > 1e-6
    rows, columns, q = rows[keep], columns[keep], q[keep] / length[keep, None]
    if len(rows) == 0:
        return Rim(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.zeros((0, 2)))
    metres = raster.depth[rows, columns] / field.camera.focal
    # March along q in half pixels from the farthest inward to the farthest outward place; the crossing nearest to the rim wins.
    most = int(np.ceil(2 * max(reach, inward) / metres.min()))
    steps = np.arange(-most, most + 1) / 2
    at_u, at_v = columns[:, None] + q[:, :1] * steps, rows[:, None] + q[:, 1:] * steps
    values = ndimage.map_coordinates(field.signed, [at_v, at_u], order=1, mode="nearest")
    crossing = (values[:, :-1] > 0) & (values[:, 1:] <= 0)
    share = values[:, :-1] / np.maximum(values[:, :-1] - values[:, 1:], 1e-6)
    places = steps[:-1] + 0.5 * share
    cost = np.where(crossing, np.abs(places), np.inf)
    best = cost.argmin(1)
    row = np.arange(len(best))
    place = places[row, best] - 0.5  # the rim pixel's centre lies half a pixel inside the outline it stands for
    delta = place * metres
    good = np.isfinite(cost[row, best]) & (delta < reach) & (delta > -inward)
    target_u, target_v = np.clip(columns + q[:, 0] * place, 0, None), np.clip(rows + q[:, 1] * place, 0, None)
    nx = ndimage.map_coordinates(mx, [target_v, target_u], order=1, mode="nearest")
    ny = ndimage.map_coordinates(my, [target_v, target_u], order=1, mode="nearest")
    aligned = (nx * q[:, 0] + ny * q[:, 1]) / np.maximum(np.hypot(nx, ny), 1e-6)
    good &= aligned > 0.35
    rows, columns, q, delta, metres = rows[good], columns[good], q[good], delta[good], metres[good]
    target = np.stack([target_u, target_v], 1)[good] + 0.5
    corner = raster.bary[rows, columns].argmax(1)
    vertex = faces[raster.face[rows, columns], corner]
    return Rim(vertex, np.stack([q[:, 0], -q[:, 1], np.zeros(len(q))], 1), delta, metres, target)


class SurfaceMover:
    """Solves the two problems for one mesh."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, hold: np.ndarray) -> None:
        """`hold` (V,) >= 0, per metre, is how strongly each vertex is kept where it is (mu); operators are those of `vertices` (V, 3)."""
        stiffness, area = cotangent_laplacian(vertices, faces)
        self.faces, self.count = faces, len(vertices)
        self.area = np.maximum(area, 1e-9)
        self.hold = hold
        self.bending = (stiffness.T @ sparse.diags(1 / self.area) @ stiffness).tocsc()

    def _solve(self, weight: np.ndarray, target: np.ndarray, scale: float) -> np.ndarray:
        """Thin-plate fit of targets (V, C) with weights (V,) in metres; `scale` is ell in metres."""
        # A vertex that no face uses has no stiffness: the small constant keeps the matrix regular.
        matrix = sparse.diags(weight + self.hold * self.area + 1e-10) + scale**3 * self.bending
        solver = factorise(matrix)
        return solver.solve(weight.reshape(-1, 1) * target)

    def _gather(self, rim: Rim, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean of rim values (R, C) at each vertex (V, C) and the metres of outline at each vertex (V,)."""
        metres = np.bincount(rim.vertex, rim.length, minlength=self.count)
        total = np.stack([np.bincount(rim.vertex, rim.length * values[:, c], minlength=self.count) for c in range(values.shape[1])], 1)
        return total / np.maximum(metres, 1e-12)[:, None], metres

    def inflate(self, vertices: np.ndarray, rim: Rim, scale: float, doubt: float, limits: tuple[float, float]) -> np.ndarray:
        """(V, 3) vertices moved along their normals by the scalar problem's solution, clipped to `limits` metres.

        Rim points farther than `doubt` metres from the mask's outline count less and less (Geman-McClure weights).
        """
        # Where the outline is far, it is more likely another limb's or an object's than this one grown thick.
        trusted = replace(rim, length=rim.length / (1 + (rim.delta / doubt) ** 2) ** 2)
        target, weight = self._gather(trusted, rim.delta[:, None])
        amount = np.clip(self._solve(weight, target, scale)[:, 0], *limits)
        return vertices + amount[:, None] * vertex_normals(vertices, self.faces)

    def shift(self, vertices: np.ndarray, rim: Rim, scale: float, inner: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
        """(V, 3) vertices moved in the picture's plane by the planar problem's solution.

        `inner` are movements (V, 2), metres, that vertices within the outline should make too, and how much (V,), per metre, each counts.
        """
        target, weight = self._gather(rim, rim.delta[:, None] * rim.direction[:, :2])
        if inner is not None:
            wanted, strength = inner[0], self.area * inner[1]
            total = weight + strength
            target = (weight[:, None] * target + strength[:, None] * wanted) / np.maximum(total, 1e-12)[:, None]
            weight = total
        moved = vertices.copy()
        moved[:, :2] += self._solve(weight, target, scale)
        return moved


def silhouette_iou(vertices: np.ndarray, faces: np.ndarray, field: MaskField) -> float:
    """Intersection over union of the drawn mesh and the mask."""
    drawn = rasterise(vertices, faces, field.camera).mask
    return float((drawn & field.mask).sum() / max((drawn | field.mask).sum(), 1))
