"""The outer surface of a person in several layers of clothing, and the signed distance to it.

Notation: points (N, 3), vertices (V, 3), faces (F, 3) wound outward; w is a winding number. The person is a union of solids: every closed
layer as it is, and every part of a garment closed by caps over its openings (`synth.capping`). A point is inside a solid where w > 1/2.

Real garments cross themselves in armpits, folds and hems, and a posed body crosses itself where a thigh meets the belly. Booleans of
manifold meshes (manifold3d) take their input to be free of that and leave faces with w = 2 on both sides otherwise. So the boundary is made
as in Zhou et al., "Mesh arrangements for solid geometry" (SIGGRAPH 2016): cut every triangle where others cross it (`synth.cutting`), then
keep the pieces that have no solid in front and one behind. That asks nothing of the input but caps, which always exist.

Posed cloth has folds a micrometre thick that run out into nothing: what is in front and behind is therefore found in double precision, by
counting how often a ray crosses each solid and which way (O'Rourke, "Computational Geometry in C", 1998, section 7.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from carve.geometry.compiled import compiled
from carve.geometry.mesh import face_normals, signed_volume
from carve.geometry.queries import MeshQueries, boxes_of
from carve.records import CarveError
from carve.synth.outer.capping import boundary_loops, cap_loop, close_surface, face_components, face_pairs, weld, wind_alike
from carve.synth.outer.cutting import Pieces, Stitched, cut_at_crossings, stitch
from carve.synth.records import Layer, SignedSamples

THINNEST = 2e-5
"""Metres: parts of garments whose volume over area is less (eyelashes, threads) are left out."""
STEP = 1e-9
"""Metres from a piece to the points in front and behind that say what it borders on; cuts are exact to about 1e-11."""
CELL = 0.005
"""Metres: rays are counted in bins as wide as this."""
LARGEST_GAP = 1e-6
"""Square metres: larger holes in the result are noted. Those seen lie where two sheets are less than STEP apart."""

Space = Literal["canonical", "posed"]


@dataclass(frozen=True)
class Solid:
    """One closed surface of a person, which may cross itself."""

    vertices: np.ndarray
    """(V, 3) float64, the layer's."""
    faces: np.ndarray
    """(F, 3) int64."""
    cap: np.ndarray
    """(F,) bool: the face spans an opening."""
    layer: int
    """Index of the layer."""


@dataclass(frozen=True)
class OuterSurface:
    """The boundary of the union of a person's solids."""

    vertices: np.ndarray
    """(V, 3) float64."""
    faces: np.ndarray
    """(F, 3) int64 wound outward."""
    layer: np.ndarray
    """(F,) int32 index of the layer that each face comes from, its caps included."""
    cap: np.ndarray
    """(F,) bool: the face spans an opening of its layer."""
    exact: bool
    """The faces are the boundary itself and watertight: each edge runs as often one way as the other, and slits below 1 mm2 were closed."""
    notes: tuple[str, ...]
    """What was left out or mended, one sentence each."""


def outer_surface(layers: Sequence[Layer], space: Space, seams: Sequence[np.ndarray] | None = None) -> OuterSurface:
    """The outer surface of the layers in one space; raises CarveError if none of them is a solid. `seams` is what `sewn` says of them."""
    solids, notes = person_solids(layers, space, seams)
    if not solids:
        raise CarveError("No layer of this person encloses any volume; give at least a closed skin.")
    offset = np.cumsum([0, *(len(s.vertices) for s in solids[:-1])])
    vertices = np.concatenate([s.vertices for s in solids])
    faces = np.concatenate([s.faces + o for s, o in zip(solids, offset, strict=True)])
    owner = np.repeat(np.arange(len(solids)), [len(s.faces) for s in solids])
    pieces = cut_at_crossings(vertices, faces)
    interior = Interior(solids)
    whole = _outer_whole(vertices, faces, owner, pieces.cut, interior)
    cut = _outer_pieces(vertices, faces, owner, pieces, interior)
    kept = np.flatnonzero(whole)
    corner, start = _polygons(faces[kept], pieces, cut, len(vertices))
    joined = stitch(np.concatenate([vertices, pieces.points]), corner, start)
    sealing, beside, gap = _seal(joined)
    if gap > LARGEST_GAP:
        notes.append(f"The outer surface had a hole of {1e6 * gap:.2g} mm2, which was closed by a cap of least area.")
    source = np.concatenate([kept, pieces.face[cut]])[joined.polygon[np.concatenate([np.arange(len(joined.faces)), beside])]]
    layer = np.array([s.layer for s in solids], np.int32)[owner[source]]
    cap = np.concatenate([s.cap for s in solids])[source]
    return OuterSurface(joined.vertices, np.concatenate([joined.faces, sealing]), layer, cap, gap <= LARGEST_GAP, tuple(notes))


def sewn(layers: Sequence[Layer]) -> list[np.ndarray]:
    """(F, 3) faces of each layer without seams, wound alike: found in the canonical space, so that both spaces have the same topology."""
    welded = (weld(layer.canonical, layer.faces) for layer in layers)
    return [wind_alike(faces) if len(faces) else faces for faces in welded]


def person_solids(layers: Sequence[Layer], space: Space, seams: Sequence[np.ndarray] | None = None) -> tuple[list[Solid], list[str]]:
    """The solids whose union is the person, and notes on what was left out or mended."""
    solids, notes = [], []
    for index, (layer, faces) in enumerate(zip(layers, sewn(layers) if seams is None else seams, strict=True)):
        vertices = layer.canonical if space == "canonical" else layer.posed
        if not len(faces):
            notes.append(f"{layer.name} has no faces and was left out.")
            continue
        part = np.zeros(len(faces), int) if layer.closed else face_components(faces)
        thin = 0
        for k in range(part.max() + 1):
            closed = close_surface(vertices, faces[part == k])
            if layer.closed and closed.cap.any():
                notes.append(f"{layer.name} is said to be closed but has holes, which were capped.")
            volume = signed_volume(vertices, closed.faces)
            area = np.linalg.norm(face_normals(vertices, closed.faces), axis=1).sum() / 2
            if abs(volume) < THINNEST * area:
                thin += 1
                continue
            outward = closed.faces if volume > 0 else closed.faces[:, ::-1]
            solids.append(Solid(vertices, outward, closed.cap, index))
        if thin:
            notes.append(f"{thin} of {part.max() + 1} parts of {layer.name} enclose no volume and were left out.")
    return solids, notes


class Interior:
    """Says which points lie in closed solids, by the faces above each point in a turned frame, in double precision."""

    def __init__(self, solids: Sequence[Solid]) -> None:
        # A turn at random, always the same, keeps rays off edges and faces.
        self._turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        self._turn[2] *= np.sign(np.linalg.det(self._turn))
        self._corners = np.concatenate([s.vertices[s.faces] for s in solids]) @ self._turn.T
        self._owner = np.repeat(np.arange(len(solids)), [len(s.faces) for s in solids])
        low, high = boxes_of(self._corners[..., :2])
        self._low = low.min(0)
        first, last = (np.floor((x - self._low) / CELL).astype(np.int64) for x in (low, high))
        self._cells = last.max(0) + 1
        self._start, self._listed = _faces_by_cell(first, last, self._cells)

    def holds(self, points: np.ndarray, solid: np.ndarray | None = None) -> np.ndarray:
        """(N,) bool: the winding number of one of the solids about points (N, 3) is positive; with `solid` (N,), that of this one."""
        asked = np.full(len(points), -1) if solid is None else solid
        return _held(points @ self._turn.T, asked, self._corners, self._owner, self._low, self._cells, self._start, self._listed)


@compiled()
def _faces_by_cell(first: np.ndarray, last: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces from cell `first` (F, 2) to cell `last` (F, 2), by cell: (i, j) has listed[start[c]:start[c + 1]] with c = i cells[1] + j."""
    start = np.zeros(cells[0] * cells[1] + 1, np.int64)
    for f in range(len(first)):
        for i in range(first[f, 0], last[f, 0] + 1):
            for j in range(first[f, 1], last[f, 1] + 1):
                start[i * cells[1] + j + 1] += 1
    start = np.cumsum(start)
    filled, listed = start[:-1].copy(), np.empty(start[-1], np.int64)
    for f in range(len(first)):
        for i in range(first[f, 0], last[f, 0] + 1):
            for j in range(first[f, 1], last[f, 1] + 1):
                listed[filled[i * cells[1] + j]] = f
                filled[i * cells[1] + j] += 1
    return start, listed


@compiled()
def _held(
    points: np.ndarray,
    asked: np.ndarray,
    corners: np.ndarray,
    owner: np.ndarray,
    low: np.ndarray,
    cells: np.ndarray,
    start: np.ndarray,
    listed: np.ndarray,
) -> np.ndarray:
    """See Interior.holds; rays run along +z, `asked` is -1 for any solid."""
    out = np.zeros(len(points), np.bool_)
    winding = np.zeros(owner.max() + 1, np.int64)
    for n in range(len(points)):
        px, py, pz = points[n]
        i, j = int(np.floor((px - low[0]) / CELL)), int(np.floor((py - low[1]) / CELL))
        if i < 0 or j < 0 or i >= cells[0] or j >= cells[1]:
            continue
        winding[:] = 0
        for at in range(start[i * cells[1] + j], start[i * cells[1] + j + 1]):
            t = corners[listed[at]]
            ax, ay, bx, by, cx, cy = t[0, 0] - px, t[0, 1] - py, t[1, 0] - px, t[1, 1] - py, t[2, 0] - px, t[2, 1] - py
            # The faces on both sides of an edge find the same number for it, up to its sign: no ray slips through between them.
            ab, bc, ca = ax * by - ay * bx, bx * cy - by * cx, cx * ay - cy * ax
            way = 1 if ab > 0 and bc > 0 and ca > 0 else -1 if ab < 0 and bc < 0 and ca < 0 else 0
            if way * (bc * (t[0, 2] - pz) + ca * (t[1, 2] - pz) + ab * (t[2, 2] - pz)) > 0:
                winding[owner[listed[at]]] += way
        out[n] = winding.max() > 0 if asked[n] < 0 else winding[asked[n]] > 0
    return out


def _borders(points: np.ndarray, normal: np.ndarray, own: np.ndarray, interior: Interior) -> np.ndarray:
    """(N,) bool: no solid in front of points (N, 3) on the solids `own` (N,), and that one behind."""
    outer = ~interior.holds(points + STEP * normal)
    outer[outer] = interior.holds((points - STEP * normal)[outer], own[outer])
    return outer


def _outer_whole(vertices: np.ndarray, faces: np.ndarray, owner: np.ndarray, cut: np.ndarray, interior: Interior) -> np.ndarray:
    """(F,) bool: the face is whole and outer. Faces that join at an uncut edge are alike, so one is tested for each patch."""
    pairs, alike = face_pairs(faces)
    joined = pairs[alike & ~cut[pairs].any(1)]
    graph = sparse.coo_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(len(faces), len(faces)))
    patch = csgraph.connected_components(graph, directed=False)[1]
    normal = face_normals(vertices, faces)
    area = np.linalg.norm(normal, axis=1)
    order = np.lexsort((area, patch))
    largest = order[np.r_[patch[order][1:] != patch[order][:-1], True]]
    largest = largest[~cut[largest] & (area[largest] > 0)]
    outer = _borders(vertices[faces[largest]].mean(1), normal[largest] / area[largest, None], owner[largest], interior)
    is_outer = np.zeros(patch.max() + 1, bool)
    is_outer[patch[largest]] = outer
    return is_outer[patch] & ~cut


def _outer_pieces(vertices: np.ndarray, faces: np.ndarray, owner: np.ndarray, pieces: Pieces, interior: Interior) -> np.ndarray:
    """(K,) bool: the piece is outer."""
    if not len(pieces.face):
        return np.zeros(0, bool)
    centre = np.add.reduceat(pieces.points, pieces.start[:-1]) / np.diff(pieces.start)[:, None]
    normal = face_normals(vertices, faces[pieces.face])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return _borders(centre, normal, owner[pieces.face], interior)


def _polygons(faces: np.ndarray, pieces: Pieces, kept: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole faces and kept pieces as polygons for `stitch`: corners one after another and where each polygon starts.

    The pieces' points are numbered from `offset` on.
    """
    count = np.diff(pieces.start)
    corner = np.concatenate([faces.ravel(), offset + np.flatnonzero(np.repeat(kept, count))])
    return corner, np.cumsum(np.concatenate([[0], np.full(len(faces), 3), count[kept]]))


def _seal(joined: Stitched) -> tuple[np.ndarray, np.ndarray, float]:
    """Faces (S, 3) over the slits where pieces narrower than STEP went wrong, a face (S,) beside each, and the largest area of one, m^2."""
    sealing, beside, gap = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], 0.0
    at = np.zeros(len(joined.vertices), np.int64)
    at[joined.faces] = np.arange(len(joined.faces))[:, None]
    for loop in boundary_loops(joined.faces):
        faces = cap_loop(joined.vertices, loop)
        gap = max(gap, float(np.linalg.norm(face_normals(joined.vertices, faces), axis=1).sum() / 2))
        sealing.append(faces)
        beside.append(np.full(len(faces), at[loop[0]]))
    return np.concatenate(sealing), np.concatenate(beside), gap


def signed_distance(surface: OuterSurface, points: np.ndarray) -> np.ndarray:
    """(N,) metres from points (N, 3) to the surface, negative inside.

    A watertight surface is counted through, which is quicker than its winding number.
    """
    centre = surface.vertices.mean(0)
    queries = MeshQueries(surface.vertices - centre, surface.faces, winding=not surface.exact)
    if not surface.exact:
        return queries.signed_distance(points - centre)
    inside = Interior([Solid(surface.vertices, surface.faces, surface.cap, 0)]).holds(points)
    return np.where(inside, -1.0, 1.0) * queries.nearest(points - centre).distance


def sample_signed(surface: OuterSurface, counts: tuple[int, int, int], rng: np.random.Generator) -> SignedSamples:
    """Draw `counts` = (on the surface, near it, uniform in the box) points with their signed distances.

    Half of the near points lie about 5 cm off points of the surface (a normal distribution's sigma in each coordinate), the others about
    1 cm. The box is the surface's, grown by 10 cm on every side.
    """
    on, near, uniform = counts
    normal = face_normals(surface.vertices, surface.faces)
    area = np.linalg.norm(normal, axis=1)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        face = rng.choice(len(area), count, p=area / area.sum())
        root, share = np.sqrt(rng.random(count)), rng.random(count)
        weights = np.column_stack([1 - root, root * (1 - share), root * share])
        return np.einsum("nk,nkd->nd", weights, surface.vertices[surface.faces[face]]), normal[face] / area[face, None]

    points, normals = draw(on)
    sigma = np.where(np.arange(near) < near // 2, 0.05, 0.01)
    beside = draw(near)[0] + sigma[:, None] * rng.normal(size=(near, 3))
    low, high = surface.vertices.min(0) - 0.1, surface.vertices.max(0) + 0.1
    queries = np.concatenate([beside, rng.uniform(low, high, (uniform, 3))]).astype(np.float32)
    distance = signed_distance(surface, queries.astype(float))
    return SignedSamples(points.astype(np.float32), normals.astype(np.float32), queries, distance.astype(np.float32))
