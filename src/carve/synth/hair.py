"""Hair as solid, soft volumes: styles made of alpha-textured cards are wrapped once into a closed surface that fits any body.

Notation: samples (N, 3) on the visible parts of the cards, d the distance to them, h the grid's spacing; a closing by R is the set of points
that no ball of radius R outside the samples reaches. Flow coordinates of a point: `turn`, the angle about the style's pole, radians, and
`run`, the length along the hair from the pole, metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import manifold3d
import numpy as np
import warp as wp
from PIL import Image
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from warp.geometry import IsoSurfaceMarchingCubes

from carve.geometry.mesh import adjacency, is_watertight, smooth, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.refinement import refine
from carve.synth.assets import GarmentAsset
from carve.synth.bodies import FullBody, ShapedBody
from carve.synth.garments import Pattern, coarse_pattern, fit

Curl = Literal["straight", "wavy", "curly"]
"""How strands run: along the flow, in waves about it, without direction."""

SPACING = 0.003
"""Metres between grid points of the wrapping."""
SEEN = 0.4
"""Alpha above which a card's texture shows hair."""
HEAD_CLOSING, TAIL_CLOSING = 0.009, 0.005
"""Radius of the closing on the head and on what hangs from it, metres: gaps of twice this are filled."""
COAT = 0.0025
"""How far the surface lies outside the cards, metres."""
ROOTED = 0.004
"""How deep below the skin the hair's own volume begins, metres."""


def curl_of(asset: GarmentAsset) -> Curl:
    """Frizzy styles by name, everything else straight."""
    return "curly" if "afro" in asset.name else "straight"


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
    vertices, faces = _wrap(body, reference, cards, edge)
    binding, joints = _bound(cards, vertices, faces)
    pattern = Pattern(asset.name, coarse.part, asset.layer, asset, binding, np.zeros_like(vertices), joints, faces, np.zeros((len(faces), 3, 2)), True)
    pattern = moved_to(pattern, reference, vertices)
    return replace(pattern, uv=_flow_uv(flow_of(body, pattern, reference), vertices, faces))


def moved_to(pattern: Pattern, shaped: ShapedBody, where: np.ndarray) -> Pattern:
    """The pattern with offsets such that its fit on `shaped` is `where` (V, 3), metres."""
    mh = shaped.rest * 10.0
    a, b = pattern.asset.scale_vertices.T
    axes = np.arange(3)
    scale = np.abs(mh[a, axes] - mh[b, axes]) / pattern.asset.scale_denominators
    return replace(pattern, offsets=(where * 10.0 - pattern.binding @ mh) / scale)


@dataclass(frozen=True)
class _Cards:
    """Samples on the parts of the cards that show hair."""

    points: np.ndarray
    """(N, 3) metres."""
    binding: sparse.csr_matrix
    """(N, H)"""
    joints: sparse.csr_matrix
    """(N, B)"""


def _seen_cards(coarse: Pattern, reference: ShapedBody) -> _Cards:
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
    return _Cards(operator @ where, (operator @ coarse.binding).tocsr(), (operator @ coarse.joints).tocsr())


def _wrap(body: FullBody, reference: ShapedBody, cards: _Cards, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) of the closed surface about the cards."""
    low, high = cards.points.min(0) - 0.03, cards.points.max(0) + 0.03
    shape = np.ceil((high - low) / SPACING).astype(int) + 1
    axes = [low[k] + SPACING * np.arange(shape[k]) for k in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    near = cKDTree(cards.points).query(grid.reshape(-1, 3), distance_upper_bound=0.03)[0].reshape(shape)
    inside = _depth_in_head(body, reference, grid, np.isfinite(near))
    rooted = (inside > ROOTED) & (near < 0.022)
    distance = np.where(rooted, 0.0, np.minimum(near, 0.04))
    on_head = inside > -0.035
    wide = _closed(np.where(on_head, distance, 0.04), HEAD_CLOSING)
    narrow = _closed(distance, TAIL_CLOSING)
    solid = np.minimum(wide, narrow)
    # What lies deep in the head is nobody's hair.
    solid = np.maximum(solid, inside - 0.025)
    solid = np.maximum(solid, _face_window(body, reference, grid))
    solid = ndimage.gaussian_filter(solid, 1.0)
    solid = np.where(_main_parts(solid < 0), solid, np.maximum(solid, 0.5 * SPACING))
    points, triangles = IsoSurfaceMarchingCubes.extract(
        wp.array(solid.astype(np.float32), dtype=float, device="cpu"), threshold=0.0, lower=tuple(axes[k][0] for k in range(3)), upper=tuple(axes[k][-1] for k in range(3))
    )
    faces = triangles.numpy().reshape(-1, 3).astype(np.int64)
    vertices = smooth(points.numpy().astype(np.float64), faces, 6)
    return _thinned(vertices, faces, edge)


def _closed(distance: np.ndarray, radius: float) -> np.ndarray:
    """Level set (negative inside) of the closing by `radius` of where `distance` is 0, coated by COAT; hollows are filled."""
    outside = distance > radius
    label, _ = ndimage.label(outside)
    outside = label == label[0, 0, 0]
    # The rim of the dilated set is known to a fraction of the spacing: half of it is added back below.
    return (radius - COAT + 0.5 * SPACING) - SPACING * ndimage.distance_transform_edt(~outside)


def _depth_in_head(body: FullBody, reference: ShapedBody, grid: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Signed depth below the skin at grid points (..., 3), metres, positive inside; -0.1 away from the head."""
    skin = reference.rest[body.base]
    queries = MeshQueries(skin, body.faces, winding=True)
    coarse = grid[::2, ::2, ::2]
    ask = ndimage.maximum_filter(wanted, 3)[::2, ::2, ::2] & (coarse[..., 1] > reference.rest_heads[body.names.index("neck02"), 1])
    depth = np.full(coarse.shape[:3], -0.1)
    depth[ask] = np.clip(-queries.signed_distance(coarse[ask]), -0.1, 0.1)
    places = np.meshgrid(*[np.minimum(np.arange(n) / 2, m - 1) for n, m in zip(grid.shape[:3], coarse.shape[:3], strict=True)], indexing="ij")
    return ndimage.map_coordinates(depth, np.stack(places), order=1, mode="nearest")


def _face_window(body: FullBody, reference: ShapedBody, grid: np.ndarray) -> np.ndarray:
    """Signed distance (positive inside) of the room before the eyes, nose and mouth, which hair leaves free."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
    middle, apart = eyes.mean(0), np.linalg.norm(eyes[0] - eyes[1])
    half = np.array([0.9, 1.35]) * apart
    centre = middle + np.array([0.0, 0.36 * apart - half[1], 0.0])
    x, y = (grid[..., 0] - centre[0]) / half[0], (grid[..., 1] - centre[1]) / half[1]
    oval = (1 - (x**4 + y**4) ** 0.25) * half[0]
    return np.minimum(oval, grid[..., 2] - middle[2] + 0.1 * apart)


def _main_parts(solid: np.ndarray) -> np.ndarray:
    """The components of a mask that hold at least a fiftieth of it."""
    label, _ = ndimage.label(solid)
    size = np.bincount(label.ravel())
    size[0] = 0
    return (size >= 0.02 * size.sum())[label]


def _thinned(vertices: np.ndarray, faces: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """The same surface within half a millimetre with fewer triangles, none of whose edges exceeds `edge`."""
    solid = manifold3d.Manifold(manifold3d.Mesh(vert_properties=vertices.astype(np.float32), tri_verts=faces.astype(np.uint32)))
    mesh = solid.simplify(0.0006).refine_to_length(0.93 * edge).to_mesh()
    faces = np.asarray(mesh.tri_verts, np.int64)
    if not is_watertight(faces):
        raise ValueError("the wrapped hair is no closed surface")
    return np.asarray(mesh.vert_properties, np.float64)[:, :3], faces


def _bound(cards: _Cards, vertices: np.ndarray, faces: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Binding and joints of the wrapped vertices: means of the nearest samples', smoothed over the surface."""
    distance, index = cKDTree(cards.points).query(vertices, k=4)
    weight = 1 / (distance + 0.002)
    weight /= weight.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(vertices)), index.shape[1])
    blend = sparse.csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(len(vertices), len(cards.points)))
    near = adjacency(faces, len(vertices)) + sparse.identity(len(vertices))
    mean = sparse.diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    binding, joints = blend @ cards.binding, blend @ cards.joints
    for _ in range(2):
        binding, joints = mean @ binding, mean @ joints
    return binding.tocsr(), joints.tocsr()


@dataclass(frozen=True)
class Flow:
    """Where a style's strands start and how they run."""

    centre: np.ndarray
    """(3,) of the skull, metres."""
    pole: np.ndarray
    """(3,) unit vector from the centre to where the strands part from or gather to."""
    radius: float
    """Of the head with its hair, metres."""

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`turn` (N,) and `run` (N,) of points (N, 3)."""
        aside = np.cross(np.array([1.0, 0.0, 0.0]), self.pole)
        aside /= np.linalg.norm(aside)
        across = np.cross(self.pole, aside)
        arm = points - self.centre
        along = arm @ self.pole
        out = np.hypot(arm @ aside, arm @ across)
        # A hemisphere about the pole that goes on as a cylinder.
        run = self.radius * np.arctan2(out, np.maximum(along, 0)) + np.maximum(-along, 0)
        return np.arctan2(arm @ across, arm @ aside), run


def flow_of(body: FullBody, pattern: Pattern, reference: ShapedBody) -> Flow:
    """Strands run from the crown down."""
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]].mean(0)
    skin = reference.rest[body.base]
    head = skin[(body.region == 1) & (skin[:, 1] > eyes[1])]
    centre = np.array([0.0, eyes[1], head[:, 2].mean()])
    pole = np.array([0.0, 1.0, -0.35])
    return Flow(centre, pole / np.linalg.norm(pole), 0.11)


def _flow_uv(flow: Flow, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3, 2): u five times around the head, v once in 0.25 m along the strands."""
    turn, run = flow.coordinates(points)
    corner = turn[faces] / (2 * np.pi)
    corner = corner - np.round(corner - corner[:, :1])
    return np.stack([5 * corner, run[faces] / 0.25], -1)


def with_relief(pattern: Pattern, body: FullBody, reference: ShapedBody, curl: Curl, seed: int) -> Pattern:
    return pattern
