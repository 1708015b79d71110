"""A texture atlas: charts packed into one square image, and what every texel of it shows of the surface.

Notation: T texels along a side; texel (row i, column j) has its centre at uv = ((j + 0.5) / T, (i + 0.5) / T); the origin is at the top
left (glTF).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
import xatlas

from carve.geometry.compiled import compiled
from carve.geometry.unwrapping.charts import cut_and_flatten, signed_areas

_RASTER = 2048
"""Charts are packed on a raster of at most so many pixels a side: a finer one fills the square no better and takes longer."""
_FILL = 0.61
"""Share of the square that charts usually fill."""


@dataclass(frozen=True)
class Atlas:
    """Texture coordinates of a triangle mesh. Vertices are split where charts meet: N corners."""

    corner: np.ndarray
    """(N,) int64 index of the mesh vertex at each corner."""
    faces: np.ndarray
    """(F, 3) int64 into the corners; the mesh's own triangles in their order."""
    uv: np.ndarray
    """(N, 2) float64 in 0..1."""
    chart: np.ndarray
    """(F,) int64 chart of each triangle."""


@dataclass(frozen=True)
class Texels:
    """The texels that lie inside charts, in row-major order."""

    size: int
    """T."""
    index: np.ndarray
    """(N,) int64 position in the flattened (T * T) image."""
    face: np.ndarray
    """(N,) int32 triangle under the texel's centre."""
    bary: np.ndarray
    """(N, 3) float32 barycentric coordinates in that triangle."""

    def part(self, rows: slice | np.ndarray) -> Texels:
        """Some of the texels."""
        return Texels(self.size, self.index[rows], self.face[rows], self.bary[rows])

    def interpolate(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Per-vertex values (V, C) of the triangles `faces` (F, 3) at every texel: (N, C) float32."""
        out = np.empty((len(self.index), values.shape[1]), np.float32)
        _mix(np.ascontiguousarray(values, np.float32), np.ascontiguousarray(faces, np.int64), self.face, self.bary, out)
        return out


def unwrap(
    vertices: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    size: int,
    padding: int,
    stretch_limit: float = 6.0,
    smallest: int | None = None,
    density: np.ndarray | None = None,
) -> Atlas:
    """Texture coordinates for a mesh whose triangles carry labels (F,): charts never cross from one label to another.

    `padding` is the gap between charts in texels of a `size` x `size` image; `stretch_limit` and `smallest` (triangles) are those of
    `charts.cut_and_flatten`, the latter a 300th of all by default. All charts get the same texel density, or that times the median of
    `density` (F,) over their triangles; where it is high, a chart may also be stretched as many times more before it is cut.
    """
    smallest = max(len(faces) // 300, 20) if smallest is None else smallest
    limit = stretch_limit if density is None else stretch_limit * np.maximum(density, 1)
    chart, flat = cut_and_flatten(vertices, faces, labels, limit, smallest)
    if density is not None:
        flat = [own * np.median(density[chart == k]) for k, own in enumerate(flat)]
    order = np.argsort(chart, kind="stable")
    key = np.repeat(chart[order], 3) * len(vertices) + faces[order].ravel()
    unique, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    split = inverse.reshape(-1, 3)
    uv = _pack(np.concatenate(flat).reshape(-1, 2)[first], split, chart[order], min(size, _RASTER), padding * min(size, _RASTER) / size)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return Atlas(unique % len(vertices), split[back], uv, chart)


def _pack(flat: np.ndarray, faces: np.ndarray, chart: np.ndarray, side: int, padding: float) -> np.ndarray:
    """(N, 2) places in the unit square, without overlap, of flat charts (N, 2) in metres with triangles (F, 3) and their charts (F,).

    The square is packed as a raster of about `side` pixels with gaps of `padding` pixels.
    """
    owner = np.empty(len(flat), np.int64)
    owner[faces] = chart[:, None]
    corners = np.full((owner.max() + 1, 2), np.inf)
    np.minimum.at(corners, owner, flat)
    # In millimetres: triangles of less than a ten-millionth of the square of the unit would be taken for empty.
    millimetres = 1000 * (flat - corners[owner])
    options = xatlas.PackOptions()
    options.texels_per_unit = side * np.sqrt(_FILL / max(float(np.abs(signed_areas(millimetres, faces)).sum()), 1e-9))
    options.padding = int(np.ceil(padding))
    options.bilinear, options.rotate_charts, options.bruteForce = True, True, False
    packer = xatlas.Atlas()
    # One mesh with a material a chart: separate meshes with the same triangles would be taken for copies of each other.
    packer.add_uv_mesh(millimetres.astype(np.float32), faces.astype(np.uint32), chart[:, None].astype(np.uint32))
    packer.generate(pack_options=options)
    source, _, packed = packer.get_mesh(0)
    placed = packer.get_mesh_vertex_assignment(0)[1] != np.iinfo(np.uint32).max
    source, target = source[placed], (packed * [packer.width, packer.height])[placed]
    # Triangles without area are not placed: each chart's motion (and its stretch to whole pixels) is read from the others.
    uv = np.zeros_like(flat)
    homogeneous = np.column_stack([millimetres, np.ones(len(flat))])
    for k in range(len(corners)):
        known, own = owner[source] == k, owner == k
        motion = np.linalg.lstsq(homogeneous[source[known]], target[known], rcond=None)[0]
        uv[own] = homogeneous[own] @ motion
    return np.clip(uv / max(packer.width, packer.height), 0, 1)


@compiled(nogil=True, parallel=True)
def _mix(values: np.ndarray, faces: np.ndarray, face: np.ndarray, bary: np.ndarray, out: np.ndarray) -> None:  # pragma: no cover - compiled
    for i in numba.prange(len(face)):
        f = face[i]
        for c in range(values.shape[1]):
            out[i, c] = bary[i, 0] * values[faces[f, 0], c] + bary[i, 1] * values[faces[f, 1], c] + bary[i, 2] * values[faces[f, 2], c]


@compiled(nogil=True)
def _fill(uv: np.ndarray, faces: np.ndarray, size: int, face: np.ndarray, bary: np.ndarray) -> None:  # pragma: no cover - compiled
    for f in range(len(faces)):
        ax, ay = uv[faces[f, 0], 0] * size, uv[faces[f, 0], 1] * size
        bx, by = uv[faces[f, 1], 0] * size, uv[faces[f, 1], 1] * size
        cx, cy = uv[faces[f, 2], 0] * size, uv[faces[f, 2], 1] * size
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        left, right = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top, bottom = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        for i in range(top, bottom + 1):
            y = i + 0.5
            for j in range(left, right + 1):
                x = j + 0.5
                la = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                lb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                lc = 1.0 - la - lb
                if la < 0 or lb < 0 or lc < 0:
                    continue
                face[i, j] = f
                bary[i, j, 0], bary[i, j, 1], bary[i, j, 2] = la, lb, lc


def texels(atlas: Atlas, size: int) -> Texels:
    """Which point of the surface lies under each texel's centre."""
    face = np.full((size, size), -1, np.int32)
    bary = np.zeros((size, size, 3), np.float32)
    _fill(atlas.uv, atlas.faces, size, face, bary)
    index = np.flatnonzero(face.ravel() >= 0)
    return Texels(size, index, face.ravel()[index], bary.reshape(-1, 3)[index])


def to_image(values: np.ndarray, texels: Texels, gutter: int) -> np.ndarray:
    """Texel values (N, C) uint8 as an image (T, T, C).

    Empty texels within `gutter` of a chart repeat its nearest texel, so that filtering does not bleed. Those further off hold the mean of
    what lies in the smallest square of the mip levels around them that holds anything: so the levels hold means of charts alone.
    """
    size = texels.size
    empty = np.ones(size * size, np.uint8)
    empty[texels.index] = 0
    distance, nearest = cv2.distanceTransformWithLabels(empty.reshape(size, size), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # Labels number the filled texels; the texel that carries a label is the filled one at its place.
    row_of_label = np.zeros(len(texels.index) + 1, np.int64)
    row_of_label[nearest.ravel()[texels.index]] = np.arange(len(texels.index))
    near = np.flatnonzero(distance.ravel() <= gutter)
    known = np.zeros((size * size, values.shape[1] + 1), np.float32)
    known[near, :-1], known[near, -1] = values[row_of_label[nearest.ravel()[near]]], 1
    del distance, nearest, near
    image = _pushed(known.reshape(size, size, -1))
    return np.rint(image, out=image).astype(np.uint8)


def _pushed(known: np.ndarray) -> np.ndarray:
    """(H, W, C) the picture (H, W, C + 1), premultiplied by its last channel of 0 or 1, with its holes filled, in its place, from halved
    pictures.

    Gortler et al., "The lumigraph", SIGGRAPH 1996, section 3.4 (pull-push), with a box for a filter as mip maps have it.
    """
    height, width = known.shape[:2]
    if height * width == 1:
        return known[..., :-1] / np.maximum(known[..., -1:], 1e-12)
    full = known if height % 2 == width % 2 == 0 else np.pad(known, ((0, height % 2), (0, width % 2), (0, 0)))
    halved = full[::2, ::2] + full[1::2, ::2]
    halved += full[::2, 1::2]
    halved += full[1::2, 1::2]
    halved /= np.maximum(halved[..., -1:], 1)
    coarse = _pushed(halved)
    rows, columns = np.nonzero(known[..., -1] == 0)
    known[rows, columns, :-1] = coarse[rows // 2, columns // 2]
    return known[..., :-1]
