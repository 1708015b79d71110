"""Drape one loose garment over one moving body: a coarse copy is simulated and the garment follows it.

The garment's own mesh is too fine to simulate, so its edges are collapsed to a coarse mesh over a subset of its vertices. The solver
(`carve.synth.cloth.solver`) carries that mesh through the body's frames and lets it settle. The fine vertices then follow by blended affine
maps of the coarse ones (Sumner et al., "Embedded Deformation for Shape Manipulation", SIGGRAPH 2007), and what came to lie in the body is
pushed out.

Notation: V garment vertices, F triangles, C coarse vertices, T frames, Vb and Fb those of the body. Lengths are metres, the frame is the
body frame (+Y up, gravity along -Y).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from carve.geometry.mesh import adjacency, components, face_normals, unique_edges, vertex_normals
from carve.geometry.meshing.coarsening import coarsen
from carve.geometry.queries import MeshQueries
from carve.synth.cloth.solver import Fabric, Steps, simulate

_LONG = 1.25
"""An edge counts as stretched beyond this multiple of its rest length."""
_ON = 0.04
"""Metres within which every vertex of a loose component must be near held cloth for the component to ride on it."""
_BLEND_ROUNDS = 6
"""Steps of diffusion along the fine mesh that make the blend weights smooth; the coarse edge is about three fine ones."""
_PER_VERTEX = float(np.sqrt(3)) / 2
"""Area of the surface per vertex of a mesh of equilateral triangles with edges of one."""


class DrapeError(RuntimeError):
    """The simulation did not end in a usable state; the message says what happened."""


@dataclass(frozen=True)
class Params:
    """How garments are simulated. The cloth's own values suit a light dress; a coat is heavier and stiffer."""

    coarse_vertices: int = 10000
    """About how many vertices the simulated copy has; cost grows in proportion."""
    coarse_edge: float = 0.0115
    """Metres: shortest edge of the simulated copy, also where fewer vertices would do."""
    frame_rate: float = 24.0
    """Frames of the motion per second."""
    substeps: int = 20
    """Steps of the simulation per frame; fewer stretch more."""
    sweeps: int = 3
    """Sweeps over the edges in a step."""
    settle_frames: int = 20
    """Frames in which the cloth comes to rest after the motion."""
    density: float = 0.2
    """Kilograms per square metre of cloth."""
    stretch: float = 300.0
    """Newtons per metre of an edge's stretch."""
    bend: float = 3e-5
    """Newton metres: bending stiffness of the cloth, whatever the size of the triangles."""
    rest_bend: float = 0.5
    """Share of the folds of the rest shape that the cloth keeps: 0 is flat cloth, 1 pressed pleats."""
    drag: float = 2.0
    """Per second: decay of velocities while the body moves."""
    settle_drag: float = 6.0
    """Per second: decay of velocities afterwards; twice the frequency of a hem that swings by a metre's length."""
    friction: float = 0.2
    """Coulomb coefficient between cloth and body."""
    thickness: float = 0.005
    """Metres that the simulated copy keeps from the body; covers the body's bulge under a coarse triangle."""
    reach: float = 0.03
    """Metres within which contacts are looked for, both outside and inside the body."""
    clearance: float = 0.002
    """Metres that the garment keeps from the body in the end; held vertices only if they were inside it."""
    most_stretched: float = 0.08
    """A larger share of edges beyond 1.25 times their rest length is an error."""
    most_slipped: float = 0.3
    """Metres: a component without held vertices whose mean ends farther from the guide's slid off, an error."""
    most_inside: float = 0.02
    """A larger share of vertices in the body is an error."""


@dataclass(frozen=True)
class Draped:
    """A garment at rest on the last body, and how well that went."""

    vertices: np.ndarray
    """(V, 3) float64."""
    inside: float
    """Share of the vertices that lie in the last body (winding number)."""
    stretched: float
    """Share of the edges longer than 1.25 times their rest length."""
    seconds: float
    """Time that the drape took."""
    coarse: tuple[np.ndarray, np.ndarray] = field(repr=False)
    """Vertices (C, 3) and faces of the simulated copy as it came to rest."""


def drape(
    cloth: np.ndarray,
    faces: np.ndarray,
    guide: np.ndarray,
    held: np.ndarray,
    body_frames: np.ndarray,
    body_faces: np.ndarray,
    params: Params,
) -> Draped:
    """Carry a garment along with a moving body and let it hang.

    `cloth` (V, 3) gives the lengths of the cloth at rest, in whatever pose the garment was made for; `faces` (F, 3) are its triangles.
    `guide` (T, V, 3) is where plain skinning puts the vertices in each frame: the simulation starts from its first frame, and the vertices
    `held` (V,) bool follow it throughout, except that they too are moved out of the body in the end. `body_frames` (T, Vb, 3) is the body
    in the same frames, with `body_faces` (Fb, 3) wound outward. Components without a held vertex that lie on a held one (belts, buckles,
    pockets) ride on it; others must be carried by the body.

    Raises DrapeError where the simulation diverged or a piece slid off, and ValueError for arrays whose shapes disagree.
    """
    began = time.perf_counter()
    cloth, guide, body_frames = (np.asarray(a, np.float64) for a in (cloth, guide, body_frames))
    faces, body_faces, held = np.asarray(faces, np.int64), np.asarray(body_faces, np.int64), np.asarray(held, bool)
    if guide.shape[1:] != cloth.shape or held.shape != cloth.shape[:1] or len(guide) != len(body_frames):
        raise ValueError("guide, held and body_frames must agree with cloth in their vertices and with each other in their frames")
    if len(guide) < 2:
        raise ValueError("a motion has at least two frames")
    simulated = _simulated(cloth, faces, held)
    kept = simulated[faces[:, 0]]
    edge = max(params.coarse_edge, float(np.sqrt(_area(cloth, faces[kept]) / (_PER_VERTEX * params.coarse_vertices))))
    coarse_faces = coarsen(cloth, faces[kept], edge)
    chosen, local = np.unique(coarse_faces, return_inverse=True)
    coarse_faces = local.reshape(-1, 3)
    rest = cloth[chosen]
    moved = _simulate(rest, coarse_faces, guide[:, chosen], held[chosen], body_frames, body_faces, params)
    _check_coarse(rest, moved, coarse_faces, params)
    body = MeshQueries(body_frames[-1], body_faces, winding=True)
    posed = _follow(cloth, faces, simulated, chosen, coarse_faces, moved)
    posed = _meet_guide(posed, guide[-1], held, faces)
    posed = _push_out(posed, faces, held, body, params)
    _check_slip(posed, guide[-1], faces, simulated & ~_connected(faces, held), params)
    inside, stretched = float(body.inside(posed).mean()), _stretched(cloth, posed, faces)
    if inside > params.most_inside:
        raise DrapeError(f"{inside:.1%} of the garment's vertices ended inside the body")
    if stretched > params.most_stretched:
        raise DrapeError(f"{stretched:.1%} of the garment's edges ended longer than {_LONG} times their rest length")
    return Draped(posed, inside, stretched, time.perf_counter() - began, (moved, coarse_faces))


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2)


def _stretched(rest: np.ndarray, posed: np.ndarray, faces: np.ndarray) -> float:
    a, b = unique_edges(faces).T
    before, after = (np.linalg.norm(x[a] - x[b], axis=1) for x in (rest, posed))
    return float((after > _LONG * before).mean())


def _check_coarse(rest: np.ndarray, moved: np.ndarray, faces: np.ndarray, params: Params) -> None:
    if not np.isfinite(moved).all():
        raise DrapeError("the simulation diverged: positions are not finite")
    stretched = _stretched(rest, moved, faces)
    if stretched > params.most_stretched:
        raise DrapeError(f"the simulation diverged: {stretched:.1%} of the edges are longer than {_LONG} times their rest length")


def _simulated(cloth: np.ndarray, faces: np.ndarray, held: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices of the components that are simulated: not of those that nothing holds but that lie on one that is held."""
    anchored = _connected(faces, held)
    if not anchored.any():
        return np.ones(len(held), bool)
    away = cKDTree(cloth[anchored]).query(cloth)[0] > _ON
    return anchored | _connected(faces, away)


def _connected(faces: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices of the components that have a vertex in `seed` (V,) bool."""
    label = components(faces, len(seed))
    return np.isin(label, label[seed])


def _check_slip(posed: np.ndarray, guide: np.ndarray, faces: np.ndarray, loose: np.ndarray, params: Params) -> None:
    """Raise DrapeError where the mean of a component of `loose` (V,) bool vertices, which only the body carries, left the guide."""
    label = components(faces, len(posed))
    for piece in np.unique(label[loose]):
        member = label == piece
        slipped = float(np.linalg.norm((posed - guide)[member].mean(0)))
        if slipped > params.most_slipped:
            raise DrapeError(f"a piece of {member.sum()} vertices slid off the body: it lies {slipped:.2f} m from where skinning puts it")


def _simulate(
    rest: np.ndarray,
    faces: np.ndarray,
    guide: np.ndarray,
    held: np.ndarray,
    body_frames: np.ndarray,
    body_faces: np.ndarray,
    params: Params,
) -> np.ndarray:
    """(C, 3) positions of the coarse cloth at rest on the last body; not finite where the solver diverged."""
    fabric = Fabric(
        params.density, params.stretch, params.bend, params.rest_bend, params.friction, params.thickness, 0.5 * params.coarse_edge
    )
    steps = Steps(params.frame_rate, params.substeps, params.sweeps, params.drag, params.settle_drag, params.settle_frames)
    still = np.repeat(body_frames[-1:], params.settle_frames, axis=0)
    obstacle = np.concatenate([body_frames, still])
    follow = lambda frame: _between(guide, min(frame, len(guide) - 1))  # noqa: E731
    return simulate(rest, faces, guide[0], follow, held, obstacle, body_faces, fabric, steps, params.reach)[-1]


def _between(frames: np.ndarray, at: float, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Linear interpolation of frames (T, N, 3) at a fractional index."""
    k = min(int(at), len(frames) - 2)
    w = at - k
    return (1 - w) * frames[k, chosen] + w * frames[k + 1, chosen]


def _follow(
    cloth: np.ndarray, faces: np.ndarray, simulated: np.ndarray, chosen: np.ndarray, coarse_faces: np.ndarray, moved: np.ndarray
) -> np.ndarray:
    """(V, 3) the garment, each vertex moved by a blend of the affine maps of the coarse vertices around it."""
    rest = cloth[chosen]
    maps = _affine_maps(rest, moved, coarse_faces)
    weights = _blend_weights(cloth, faces, simulated, chosen)
    shift = moved - np.einsum("cij,cj->ci", maps, rest)
    blended = weights @ np.concatenate([maps.reshape(-1, 9), shift], axis=1)
    return np.einsum("vij,vj->vi", blended[:, :9].reshape(-1, 3, 3), cloth) + blended[:, 9:]


def _affine_maps(rest: np.ndarray, moved: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(C, 3, 3) least-squares maps of the edges around each coarse vertex and of its normal (as long as a mean edge)."""
    count = len(rest)
    a, b = unique_edges(faces).T
    start, end = np.r_[a, b], np.r_[b, a]
    before, after = rest[end] - rest[start], moved[end] - moved[start]
    normal_before, normal_after = vertex_normals(rest, faces), vertex_normals(moved, faces)
    scale = np.square(before).sum(1).mean() * 3
    gram, cross = (scale * np.einsum("ci,cj->cij", n, normal_before) for n in (normal_before, normal_after))
    np.add.at(gram, start, np.einsum("ei,ej->eij", before, before))
    np.add.at(cross, start, np.einsum("ei,ej->eij", after, before))
    ridge = 1e-6 * scale * np.eye(3)  # leaves directions that no edge spans as they are
    return np.linalg.solve(gram + ridge, np.swapaxes(cross + ridge, 1, 2)).swapaxes(1, 2).reshape(count, 3, 3)


def _blend_weights(cloth: np.ndarray, faces: np.ndarray, simulated: np.ndarray, chosen: np.ndarray) -> sparse.csr_matrix:
    """(V, C) rows that sum to 1: each vertex belongs to the coarse vertex that is nearest along the surface, then the shares diffuse.

    Components that are not simulated take the shares of the nearest simulated vertex in space.
    """
    count = len(cloth)
    a, b = unique_edges(faces).T
    length = np.maximum(np.linalg.norm(cloth[a] - cloth[b], axis=1), 1e-9)
    graph = sparse.coo_matrix((length, (a, b)), shape=(count, count)).tocsr()
    _, _, source = csgraph.dijkstra(graph, directed=False, indices=chosen, min_only=True, return_predecessors=True)
    column = np.full(count, -1)
    column[chosen] = np.arange(len(chosen))
    reached = source >= 0
    first = sparse.coo_matrix(
        (np.ones(reached.sum()), (np.flatnonzero(reached), column[source[reached]])), shape=(count, len(chosen))
    ).tocsr()
    mean, weights = _mean_of_neighbours(faces, count), first
    for _ in range(_BLEND_ROUNDS):
        weights = (0.5 * (weights + mean @ weights)).tocsr()
    riders = np.flatnonzero(~simulated | ~reached)
    if len(riders):
        hosts = np.flatnonzero(simulated & reached)
        carrier = np.arange(count)
        carrier[riders] = hosts[cKDTree(cloth[hosts]).query(cloth[riders])[1]]
        weights = weights[carrier]
    return (sparse.diags(1 / np.asarray(weights.sum(1)).ravel()) @ weights).tocsr()


def _mean_of_neighbours(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) rows that average the neighbours along the edges."""
    near = adjacency(faces, count)
    return (sparse.diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near).tocsr()


def _meet_guide(posed: np.ndarray, guide: np.ndarray, held: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Put held vertices on the guide exactly and let the correction fade out over their neighbours."""
    mean = _mean_of_neighbours(faces, len(posed))
    correction = np.where(held[:, None], guide - posed, 0.0)
    for _ in range(4):
        correction = np.where(held[:, None], guide - posed, mean @ correction)
    return np.where(held[:, None], guide, posed + correction)


def _push_out(posed: np.ndarray, faces: np.ndarray, held: np.ndarray, body: MeshQueries, params: Params) -> np.ndarray:
    """Move what is nearer to the body than the clearance, or inside it, out of it; held vertices only from inside.

    Free neighbours move along at first, so that no dents form.
    """
    mean = _mean_of_neighbours(faces, len(posed))
    posed = posed.copy()
    for spread in (3, 2, 1, 0, 0):
        move, inside = _escape(posed, body, params)
        move[held & ~inside] = 0.0
        settled = held | (np.linalg.norm(move, axis=1) > 0)
        for _ in range(spread):
            move = np.where(settled[:, None], move, mean @ move)
        posed += move
    return posed


def _escape(points: np.ndarray, body: MeshQueries, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) shortest moves to the clearance outside the body, and (N,) bool which points are inside it.

    The moves are zero where points are farther away, or inside by more than the contacts' reach, where the nearest surface is a guess.
    """
    inside = body.inside(points)
    near = body.nearest(points, params.reach)
    found = near.face >= 0
    sign = np.where(inside, -1.0, 1.0)
    normal = face_normals(body.vertices, body.faces[np.maximum(near.face, 0)])
    outward = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    clear = found & (near.distance > 1e-5)
    outward[clear] = (points - near.point)[clear] * (sign[clear] / near.distance[clear])[:, None]
    depth = np.where(found, np.maximum(params.clearance - sign * np.where(found, near.distance, 0.0), 0.0), 0.0)
    return depth[:, None] * outward, inside
