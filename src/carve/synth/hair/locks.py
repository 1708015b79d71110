"""Hair as solid, soft volumes: styles made of alpha-textured cards are wrapped once into a closed surface that fits any body.

Notation: samples (N, 3) lie on the visible parts of the cards; a closing by R is the set of points that no ball of radius R outside the
samples reaches. H, B: vertices of the base mesh and bones. Flow coordinates of a point: `turn`, the angle about the skull's vertical axis,
radians, and `run`, the length along the hair from the crown, metres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import warp as wp
from PIL import Image
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from warp.geometry import IsoSurfaceMarchingCubes

from carve.geometry.compiled import compiled
from carve.geometry.mesh import adjacency, face_normals, is_watertight, smooth, unique_edges, vertex_normals
from carve.geometry.meshing.refinement import refine
from carve.geometry.meshing.voxel_distance import distance_to
from carve.geometry.pictures.streaks import tiling_blur
from carve.geometry.queries import MeshQueries
from carve.synth.assets.files import GarmentAsset
from carve.synth.people.bodies import SKIN_VERTICES, FullBody, ShapedBody
from carve.synth.wear.garments import Pattern, coarse_pattern, fit

Curl = Literal["straight", "wavy", "curly"]
"""How strands run: along the flow, in waves about it, without direction."""

SPACING = 0.003
"""Metres between grid points of the wrapping."""
SEEN = 0.4
"""Alpha above which a card's texture shows hair."""
HEAD_CLOSING, TAIL_CLOSING = 0.009, 0.008
"""Radius of the closing on the head and on what hangs from it, metres: gaps of twice this are filled."""
HEAD_COAT, TAIL_COAT = 0.004, 0.0055
"""How far the surface lies outside the cards, metres; a single card that hangs becomes a sheet twice as thick."""
BELOW = 0.045
"""Cards nearer to the head than this have hair below them down to the scalp, metres."""
DEEPEST = 0.015
"""How deep the volume reaches into the head, metres."""
SMOOTHING = 6
"""Rounds of Taubin's filter on the extracted surface."""
MARGIN = 0.03
"""Of the grid about the cards, metres."""


def curl_of(asset: GarmentAsset) -> Curl:
    """Frizzy and wavy styles by name, everything else straight."""
    if any(word in asset.name for word in ("afro", "curly", "dreads")):
        return "curly"
    return "wavy" if "wavy" in asset.name else "straight"


def hair_pattern(
    body: FullBody, asset: GarmentAsset, reference: ShapedBody, edge: float = 0.009, curl: Curl | None = None, relief_seed: int = 0
) -> Pattern:
    """A hair style as a closed surface with locks; edges are at most `edge` metres on the reference body, before the relief.

    `wrapped_hair` takes seconds and depends on the style alone; keep it and call `with_relief` for each person.
    """
    return with_relief(wrapped_hair(body, asset, reference, edge), body, reference, curl or curl_of(asset), relief_seed)


def wrapped_hair(body: FullBody, asset: GarmentAsset, reference: ShapedBody, edge: float = 0.009) -> Pattern:
    """The smooth volume of a hair style, bound to the base mesh as its cards are; `edge` metres at most on the reference body."""
    coarse = coarse_pattern(body, asset)
    cards = _seen_cards(coarse, reference)
    vertices, faces, binding, joints = wrap_cards(body, reference, cards, edge)
    pattern = Pattern(
        asset.name, coarse.part, asset.layer, asset, binding, np.zeros_like(vertices), joints, faces, np.zeros((len(faces), 3, 2)), True
    )
    pattern = moved_to(pattern, reference, vertices)
    return replace(pattern, uv=flow_uv(flow_of(body, reference), vertices, faces))


def wrap_cards(
    body: FullBody, reference: ShapedBody, cards: Cards, edge: float
) -> tuple[np.ndarray, np.ndarray, sparse.csr_matrix, sparse.csr_matrix]:
    """Vertices (V, 3) and faces (F, 3) of the closed surface about samples of hair, its binding (V, H) and joints (V, B)."""
    vertices, faces = _wrap(body, reference, cards, edge)
    return (vertices, faces, *_bound(body, reference, cards, vertices, faces))


def moved_to(pattern: Pattern, shaped: ShapedBody, where: np.ndarray) -> Pattern:
    """The pattern with offsets such that its fit on `shaped` is `where` (V, 3), metres."""
    mh = shaped.rest * 10.0
    a, b = pattern.asset.scale_vertices.T
    axes = np.arange(3)
    scale = np.abs(mh[a, axes] - mh[b, axes]) / pattern.asset.scale_denominators
    return replace(pattern, offsets=(where * 10.0 - pattern.binding @ mh) / scale)


@dataclass(frozen=True)
class Cards:
    """Samples on the parts of cards that show hair, or on strands."""

    points: np.ndarray
    """(N, 3) metres."""
    bound: Callable[[np.ndarray], tuple[sparse.csr_matrix, sparse.csr_matrix]]
    """Binding (K, H) and joints (K, B) of the samples with indices (K,): few of them are asked for."""


def _seen_cards(coarse: Pattern, reference: ShapedBody) -> Cards:
    """Centres of small pieces of the cards, those whose texture is opaque."""
    where = fit(coarse, reference)
    mesh = refine(where, coarse.faces, coarse.uv, 1.3 * SPACING, rounded=False)
    shown = np.ones(len(mesh.faces), bool)
    if coarse.asset.alpha and coarse.asset.diffuse is not None:
        image = np.asarray(Image.open(coarse.asset.diffuse).convert("RGBA"))
        size = np.array(image.shape[1::-1])
        pixel = np.floor(mesh.corners.mean(1) * size).astype(int) % size
        shown = image[pixel[:, 1], pixel[:, 0], 3] > SEEN * 255
    faces = mesh.faces[shown]
    rows = np.repeat(np.arange(len(faces)), 3)
    centre = sparse.csr_matrix((np.full(3 * len(faces), 1 / 3), (rows, faces.ravel())), shape=(len(faces), len(mesh.operator.indptr) - 1))
    operator = centre @ mesh.operator
    return Cards(operator @ where, lambda index: ((operator[index] @ coarse.binding).tocsr(), (operator[index] @ coarse.joints).tocsr()))


def _wrap(body: FullBody, reference: ShapedBody, cards: Cards, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) of the closed surface about the cards."""
    low, high = cards.points.min(0) - MARGIN, cards.points.max(0) + MARGIN
    shape = np.ceil((high - low) / SPACING).astype(int) + 1
    axes = [low[k] + SPACING * np.arange(shape[k]) for k in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    near = _distance(cards.points, low, tuple(shape))
    depth = _depth_in_head(body, reference, axes)
    scalp = (depth > -BELOW) & (depth < DEEPEST + 0.01)
    below = scalp.copy()
    below[scalp] = _below_cards(body, reference, cards.points, grid[scalp])
    distance = np.where(below, 0.0, near)
    on_head = depth > -BELOW
    coat = HEAD_COAT + (TAIL_COAT - HEAD_COAT) * np.clip((-depth - 0.03) / 0.04, 0, 1)
    solid = np.minimum(_closed(np.where(on_head, distance, MARGIN), HEAD_CLOSING, coat), _closed(distance, TAIL_CLOSING, coat))
    # What lies deep in the head is nobody's hair.
    solid = np.maximum(solid, depth - DEEPEST)
    solid = np.maximum(solid, _face_window(body, reference, axes))
    solid = ndimage.gaussian_filter(solid, 0.8)
    solid = np.where(_main_parts(solid < 0), solid, np.maximum(solid, 0.5 * SPACING))
    return _surface(solid, low, edge)


def _surface(solid: np.ndarray, low: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """The closed zero surface of a field (I, J, K) whose first point is `low`, with edges of `edge` metres at most."""
    step = edge / np.sqrt(3)
    counts = np.ceil((np.array(solid.shape) - 1) * SPACING / step).astype(int) + 1
    places = np.meshgrid(*[np.arange(n) * step / SPACING for n in counts], indexing="ij")
    coarse = ndimage.map_coordinates(solid, np.stack(places), order=1, mode="constant", cval=SPACING)
    field = wp.array(coarse.astype(np.float32), dtype=float, device="cpu")
    points, triangles = IsoSurfaceMarchingCubes.extract(field, lower=tuple(low), upper=tuple(low + step * (counts - 1)))
    faces = triangles.numpy().reshape(-1, 3).astype(np.int64)
    if len(faces) == 0 or not is_watertight(faces):
        raise ValueError("the wrapped hair is no closed surface")
    # The filter takes the grid's steps away and evens out the triangles.
    vertices = smooth(points.numpy().astype(np.float64), faces, SMOOTHING)
    fine = refine(vertices, faces, np.zeros((len(faces), 3, 2)), edge, rounded=False)
    return fine.operator @ vertices, fine.faces


_CLOSE = 0.012
"""Up to where the distance to samples is exact, metres."""


def _distance(points: np.ndarray, low: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Distance of a grid (I, J, K) from `low` on to the nearest of points (N, 3): exact up to _CLOSE, to the spacing beyond."""
    steps = (points - low) / SPACING
    full = np.zeros(shape, bool)
    full[tuple(np.round(steps).astype(int).T)] = True
    distance = SPACING * distance_to(full)
    square = np.full(shape, (_CLOSE / SPACING) ** 2)
    _nearest_samples(steps, int(np.ceil(_CLOSE / SPACING)), square)
    close = square < (_CLOSE / SPACING) ** 2
    distance[close] = SPACING * np.sqrt(square[close])
    # What no sample is close to and the rounded samples are is at the border of the two.
    distance[~close] = np.maximum(distance[~close], _CLOSE)
    return distance


@compiled(nogil=True)
def _nearest_samples(steps: np.ndarray, reach: int, square: np.ndarray) -> None:
    """Squared distances of grid points (I, J, K) within `reach` to the nearest of samples (N, 3), all in steps of the grid, in place."""
    for n in range(len(steps)):
        x, y, z = steps[n]
        a, b, c = round(x), round(y), round(z)
        for i in range(max(a - reach, 0), min(a + reach + 1, square.shape[0])):
            for j in range(max(b - reach, 0), min(b + reach + 1, square.shape[1])):
                across = (i - x) ** 2 + (j - y) ** 2
                for k in range(max(c - reach, 0), min(c + reach + 1, square.shape[2])):
                    square[i, j, k] = min(square[i, j, k], across + (k - z) ** 2)


def _below_cards(body: FullBody, reference: ShapedBody, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,) bool: places (N, 3) lie between the skull's centre and a card near the scalp, above the nape."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    apart = float(np.linalg.norm(eyes[0] - eyes[1]))
    skin = reference.rest[body.base]
    centre = skull_centre(body, reference)
    gap = cKDTree(skin[body.region == 1]).query(points)[0]
    directions, reach = _polar(points[gap < BELOW] - centre)
    farthest = np.zeros(BINS)
    np.maximum.at(farthest, tuple(np.floor(directions).astype(int).T), reach)
    farthest = ndimage.maximum_filter(farthest, 3, mode=("nearest", "wrap"))
    farthest = ndimage.grey_closing(farthest, 5, mode="wrap")
    bins, radius = _polar(places - centre)
    outer = ndimage.map_coordinates(farthest, np.moveaxis(bins - 0.5, -1, 0), order=1, mode="grid-wrap")
    return (radius < outer - HEAD_COAT) & (places[..., 1] > eyes[:, 1].mean() - 0.9 * apart)


BINS = (60, 120)
"""Directions from the skull's centre: polar angle, azimuth."""


def _polar(arm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (..., 3) to positions among BINS (..., 2) and lengths (...)."""
    radius = np.linalg.norm(arm, axis=-1)
    polar = np.arccos(np.clip(arm[..., 1] / np.maximum(radius, 1e-9), -1, 1)) / np.pi
    azimuth = np.arctan2(arm[..., 0], arm[..., 2]) / (2 * np.pi) % 1.0
    return np.stack([np.minimum(polar, 1 - 1e-9) * BINS[0], np.minimum(azimuth, 1 - 1e-9) * BINS[1]], -1), radius


def skull_centre(body: FullBody, reference: ShapedBody) -> np.ndarray:
    """(3,) the middle of the head at the height of the brows."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    skin = reference.rest[body.base]
    upper = skin[(body.region == 1) & (skin[:, 1] > eyes[:, 1].mean())]
    return np.array([eyes[:, 0].mean(), eyes[:, 1].mean() + 0.02, (upper[:, 2].min() + upper[:, 2].max()) / 2])


def _closed(distance: np.ndarray, radius: float, coat: np.ndarray) -> np.ndarray:
    """Level set (negative inside) of the closing by `radius` of where `distance` is 0, with a coat of `coat`; hollows are filled."""
    outside = distance > radius
    label, _ = ndimage.label(outside)
    outside = label == label[0, 0, 0]
    # The dilated set ends half a spacing before the nearest outer grid point.
    return radius - coat + 0.5 * SPACING - SPACING * distance_to(outside)


def _depth_in_head(body: FullBody, reference: ShapedBody, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Signed depth below the skin at the points of a grid (I, J, K), metres, positive inside; -0.1 away from the head.

    Asked at every third point. The skin's normals tell the side, which winding numbers would tell in the mouth too.
    """
    skin = reference.rest[body.base]
    coarse = np.stack(np.meshgrid(*[np.append(axis[:-1:3], axis[-1]) for axis in axes], indexing="ij"), -1)
    head = skin[body.region == 1]
    ask = ((coarse > head.min(0) - 0.06) & (coarse < head.max(0) + 0.06)).all(-1)
    depth = np.full(coarse.shape[:3], -0.1)
    near = MeshQueries(skin, body.faces).nearest(coarse[ask], 0.1)
    normal = np.einsum("nk,nkd->nd", near.bary, vertex_normals(skin, body.faces)[body.faces[np.maximum(near.face, 0)]])
    inside = np.einsum("nd,nd->n", coarse[ask] - near.point, normal) < 0
    depth[ask] = np.where(inside & (near.face >= 0), 1.0, -1.0) * np.minimum(near.distance, 0.1)
    for k, axis in enumerate(axes):
        depth = _linear(depth, np.append(axis[:-1:3], axis[-1]), axis, k)
    return depth


def _linear(values: np.ndarray, places: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    """Values at `places` (M,) along axis k, between them at `wanted` (N,)."""
    left = np.clip(np.searchsorted(places, wanted, side="right") - 1, 0, len(places) - 2)
    share = ((wanted - places[left]) / (places[left + 1] - places[left])).reshape([-1 if axis == k else 1 for axis in range(values.ndim)])
    return np.asarray(values.take(left, k) * (1 - share) + values.take(left + 1, k) * share)


def _face_window(body: FullBody, reference: ShapedBody, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Signed distance (positive inside), at the points of a grid (I, J, K), of the room before the eyes, nose and mouth, which hair leaves
    free."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    middle, apart = eyes.mean(0), np.linalg.norm(eyes[0] - eyes[1])
    half = np.array([0.9, 1.35]) * apart
    centre = middle + np.array([0.0, 0.36 * apart - half[1], 0.0])
    across, up, ahead = np.ix_(*axes)
    x, y = (across - centre[0]) / half[0], (up - centre[1]) / half[1]
    oval = (1 - (x**4 + y**4) ** 0.25) * half[0]
    behind = ahead - middle[2]
    curtain = np.minimum(np.minimum(y + 1, 1 - y) * half[1], behind - 0.05 * apart)
    return np.asarray(np.maximum(np.minimum(oval, behind + 0.1 * apart), curtain))


def _main_parts(solid: np.ndarray) -> np.ndarray:
    """The components of a mask that hold at least a fiftieth of it."""
    label, _ = ndimage.label(solid)
    size = np.bincount(label.ravel())
    size[0] = 0
    return (size >= 0.02 * size.sum())[label]


def _bound(
    body: FullBody, reference: ShapedBody, cards: Cards, vertices: np.ndarray, faces: np.ndarray
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Binding and joints of the wrapped vertices: means over the nearest samples, near the scalp over the nearest skin; smoothed.

    Many cards hang on helper vertices, which do not follow every change of the skull.
    """
    _, index = cKDTree(cards.points).query(vertices, k=4)
    used, index = np.unique(index, return_inverse=True)
    blend = _nearest_mean(cards.points[used], index.reshape(len(vertices), 4), vertices, 0.002)
    card_binding, card_joints = cards.bound(used)
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    skin = reference.rest[body.base]
    scalp = np.flatnonzero((body.region == 1) & (body.base < SKIN_VERTICES) & (skin[:, 1] > eyes[:, 1].mean() - 0.08))
    gap, index = cKDTree(skin[scalp]).query(vertices, k=8)
    skull = _nearest_mean(skin[scalp], index, vertices, 0.01)
    to_base, to_bones = skin_rows(body)
    own = sparse.diags(np.clip((gap[:, 0] - 0.015) / 0.04, 0, 1))
    other = sparse.identity(len(vertices)) - own
    binding = own @ blend @ card_binding + other @ skull @ to_base[scalp]
    joints = own @ blend @ card_joints + other @ skull @ to_bones[scalp]
    near = adjacency(faces, len(vertices)) + sparse.identity(len(vertices))
    mean = sparse.diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    for _ in range(3):
        binding, joints = mean @ binding, mean @ joints
    return binding.tocsr(), joints.tocsr()


def _nearest_mean(points: np.ndarray, index: np.ndarray, vertices: np.ndarray, soft: float) -> sparse.csr_matrix:
    """(V, N) weights 1 / (distance + soft) of the points (N, 3) with `index` (V, k) for each vertex; rows sum to 1."""
    weight = 1 / (np.linalg.norm(points[index] - vertices[:, None], axis=-1) + soft)
    weight /= weight.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(vertices)), index.shape[1])
    return sparse.csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(len(vertices), len(points)))


def skin_rows(body: FullBody) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Binding (V, H) and joints (V, B) of the body's own vertices."""
    count = len(body.base)
    base = sparse.csr_matrix((np.ones(count), (np.arange(count), body.base)), shape=(count, body.template.shape[0]))
    bones, weights = body.bones[body.base], body.weights[body.base]
    rows = np.repeat(np.arange(count), bones.shape[1])
    return base, sparse.coo_matrix((weights.ravel(), (rows, bones.ravel())), shape=(count, len(body.names))).tocsr()


@dataclass(frozen=True)
class Flow:
    """How the strands of a style run: from the crown down the skull, then straight down."""

    centre: np.ndarray
    """(3,) of the skull, metres."""
    radius: float
    """Of the head with its hair, metres."""
    tilt: float
    """How far the crown lies behind the top of the head, radians."""

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`turn` (N,), `run` (N,) and the distance from the skull's centre, below it from its vertical axis (N,), of points (N, 3)."""
        x, y, z = ((points - self.centre) / self.radius).T
        share = np.clip(y, 0, 1)
        angle = self.tilt * share * share * (3 - 2 * share)
        y, z = np.cos(angle) * y - np.sin(angle) * z, np.sin(angle) * y + np.cos(angle) * z
        out = np.hypot(x, z)
        # A hemisphere about the crown that goes on as a cylinder.
        run = np.arctan2(out, np.maximum(y, 0)) + np.maximum(-y, 0)
        return np.arctan2(x, z), self.radius * run, self.radius * np.hypot(out, np.maximum(y, 0))


def flow_of(body: FullBody, reference: ShapedBody) -> Flow:
    """The flow about the reference body's skull."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    return Flow(skull_centre(body, reference), 1.75 * float(np.linalg.norm(eyes[0] - eyes[1])), 0.35)


AROUND, ALONG = 5, 0.25
"""How often the texture repeats around the head, and after how many metres along the strands."""


def flow_uv(flow: Flow, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3, 2) texture coordinates whose v runs along the strands; u jumps by whole repeats where a triangle crosses the seam."""
    turn, run, far = flow.coordinates(points)
    share = turn[faces] / (2 * np.pi)
    u = AROUND * (share - np.round(share - share[:, :1]))
    # A surface along the arm from the skull, a tail's side say, has all its strands at one turn.
    normal = face_normals(points, faces)
    arm = points[faces].mean(1) - flow.centre
    arm[:, 1] = np.maximum(arm[:, 1], 0)
    facing = np.abs((normal * arm).sum(1)) / np.maximum(np.linalg.norm(normal, axis=1) * np.linalg.norm(arm, axis=1), 1e-12)
    u = np.where((facing < 0.4)[:, None], AROUND * far[faces] / (2 * np.pi * flow.radius), u)
    return np.stack([u, run[faces] / ALONG], -1)


def with_relief(pattern: Pattern, body: FullBody, reference: ShapedBody, curl: Curl, seed: int) -> Pattern:
    """Locks on a wrapped style: rounded ridges along the flow, 1 to 3 mm high and as narrow as the triangles can show."""
    where = fit(pattern, reference)
    turn, run, far = flow_of(body, reference).coordinates(where)
    edges = unique_edges(pattern.faces)
    width = max(0.010, 2.5 * float(np.median(np.linalg.norm(where[edges[:, 0]] - where[edges[:, 1]], axis=1))))
    if curl == "curly":
        height = 0.0032 * ridges(where / (1.3 * width), seed) + 0.003 * gradient_noise(where / (3.5 * width), seed + 1)
    else:
        swing = 0.25 * np.sin(run / 0.022 + 3 * gradient_noise(where / 0.08, seed + 3)) if curl == "wavy" else 0.0
        around = turn + swing * 0.4
        strand = np.stack([far * np.cos(around), far * np.sin(around), run / 7], 1)
        height = 0.0030 * ridges(strand / width, seed) + 0.0028 * gradient_noise(strand / (2.7 * width), seed + 1)
        # Strands meet at the crown, where triangles are wider than they.
        height *= np.clip(run / 0.06, 0, 1)
    normal = vertex_normals(where, pattern.faces)
    return moved_to(pattern, reference, where + height[:, None] * normal)


def ridges(points: np.ndarray, seed: int) -> np.ndarray:
    """(N,) rounded ridges with sharp valleys, about -0.5 to 1, at points (N, 3) in units of their width."""
    return 2.5 * np.abs(gradient_noise(points, seed)) - 0.5


def gradient_noise(points: np.ndarray, seed: int) -> np.ndarray:
    """(N,) gradient noise, about -0.7 to 0.7, at points (N, 3) in units of its lattice (Perlin, "Improving noise", SIGGRAPH 2002)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(256)
    gradients = rng.normal(size=(256, 3))
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    cell = np.floor(points).astype(int)
    inside = points - cell
    blend = inside**3 * (inside * (6 * inside - 15) + 10)
    total = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        i, j, k = ((cell + corner) % 256).T
        gradient = gradients[order[(order[(order[i] + j) % 256] + k) % 256]]
        weight = np.prod(np.where(corner, blend, 1 - blend), axis=1)
        total += weight * np.einsum("nk,nk->n", gradient, inside - corner)
    return total


def strand_image(rng: np.random.Generator, colour: np.ndarray, curl: Curl = "straight", size: int = 512) -> np.ndarray:
    """(size, size, 3) uint8 sRGB strands about `colour` (3,) 0..255; they run along v (rows) and the texture tiles."""
    shade = np.zeros((size, size))
    scale = size / 512
    for across, share in ((0.8, 0.45), (2.5, 0.35), (9.0, 0.35)):
        along = across if curl == "curly" else 45 + 8 * across
        layer = tiling_blur(rng.normal(size=(size, size)), (along * scale, across * scale))
        shade += share * layer / layer.std()
    if curl == "wavy":
        rows = np.arange(size)
        shift = np.round(size * 0.03 * np.sin(2 * np.pi * (rows / size * 6 + 0.1 * np.sin(2 * np.pi * rows / size)))).astype(int)
        shade = shade[rows[:, None], (rows[None] + shift[:, None]) % size]
    warm = tiling_blur(rng.normal(size=(size, size)), (40 * scale, 4 * scale))
    warm *= 0.03 / warm.std()
    tint = np.stack([1 + warm, np.ones_like(warm), 1 - warm], -1)
    contrast = rng.uniform(0.16, 0.32)
    return np.clip(np.round(colour * np.exp(contrast * shade)[..., None] * tint), 0, 255).astype(np.uint8)
