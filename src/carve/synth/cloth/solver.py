"""Cloth over moving surfaces by extended position-based dynamics, many short steps of one sweep each.

The solver is XPBD (Macklin et al., "XPBD: Position-Based Simulation of Compliant Constrained Dynamics", MIG 2016) with one Gauss-Seidel
sweep per step (Macklin et al., "Small Steps in Physics Simulation", SCA 2019); bending is the quadratic energy of Bergou et al., "A
Quadratic Bending Model for Inextensible Surfaces" (SGP 2006). A sweep runs from what is held towards what hangs, so that a pull travels
along the whole garment in one step. On one core a step of 10,000 vertices takes about 2 ms.

Notation: N particles, E edges, Q pairs of triangles (stencils of four particles), T frames, O vertices of the obstacle. SI units; gravity
is along -Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csgraph, csr_matrix
from scipy.spatial import cKDTree

from carve.geometry.compiled import compiled
from carve.geometry.mesh import unique_edges
from carve.geometry.queries import wp

GRAVITY = -9.81
"""Metres per second squared along +Y."""
DEEPEST = 0.005
"""Metres by which a step brings a particle out of the obstacle at most."""
_DETECTIONS = 2
"""How often in a frame the obstacle's nearest point is looked for."""


@dataclass(frozen=True)
class Fabric:
    """What the cloth is made of and how finely it is simulated."""

    density: float = 0.2
    """Kilograms per square metre."""
    stretch: float = 300.0
    """Newtons per metre of an edge's stretch."""
    bend: float = 1e-5
    """Newton metres: bending stiffness. One sweep a step reaches 2e-4 at most; stiffer cloth bends as if it had about that."""
    rest_bend: float = 0.0
    """Share of the curvature of the rest shape that the cloth keeps: 0 is flat cloth, 1 pressed pleats."""
    friction: float = 0.25
    """Coulomb coefficient against the obstacle."""
    thickness: float = 0.004
    """Metres kept from the obstacle."""
    apart: float = 0.009
    """Metres that particles which are far apart on the cloth keep from each other."""


@dataclass(frozen=True)
class Steps:
    """How time is cut."""

    frame_rate: float = 24.0
    """Frames of the obstacle's motion per second."""
    substeps: int = 20
    """Steps per frame; fewer stretch more."""
    sweeps: int = 3
    """Sweeps over the edges in a step, towards what is held and away from it in turn."""
    drag: float = 2.0
    """Per second: decay of velocities while the obstacle moves."""
    settle_drag: float = 5.0
    """Per second: decay of velocities afterwards."""
    settle_frames: int = 20
    """Frames of rest after the motion."""


@dataclass(frozen=True)
class _Net:
    """The constraints of a piece of cloth."""

    inverse_mass: np.ndarray
    """(N,) per kilogram, 0 where held."""
    edges: np.ndarray
    """(E, 2) in the order of the sweep."""
    length: np.ndarray
    """(E,)"""
    stencils: np.ndarray
    """(Q, 4): the shared edge's ends, then the opposite corners."""
    cotangents: np.ndarray
    """(Q, 4) coefficients of the discrete mean curvature normal."""
    stiffness: np.ndarray
    """(Q,) newtons per metre."""
    curvature: np.ndarray
    """(Q,) length of the mean curvature normal at rest."""
    rope_end: np.ndarray
    """(N,) the held particle that is nearest along the cloth, -1 without one."""
    rope: np.ndarray
    """(N,) how far that is."""


def _net(rest: np.ndarray, faces: np.ndarray, held: np.ndarray, fabric: Fabric) -> _Net:
    edges = unique_edges(faces)
    length = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
    corner = rest[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    mass = np.bincount(faces.ravel(), np.repeat(area, 3), minlength=len(rest)) * fabric.density / 3
    inverse = np.where(held, 0.0, 1 / np.maximum(mass, 0.2 * mass.mean()))
    first = np.flatnonzero(held) if held.any() else np.array([int(rest[:, 1].argmax())])
    graph = csr_matrix((length, (edges[:, 0], edges[:, 1])), shape=(len(rest), len(rest)))
    far, _, ends = csgraph.dijkstra(graph, directed=False, indices=first, min_only=True, return_predecessors=True)
    reached = np.isfinite(far) & held[np.maximum(ends, 0)]
    far = np.where(np.isfinite(far), far, 0.0)
    order = np.argsort(np.minimum(far[edges[:, 0]], far[edges[:, 1]]), kind="stable")
    stencils, cotangents, areas = _stencils(rest, faces)
    hinge = np.einsum("qk,qkd->qd", cotangents, rest[stencils])
    return _Net(
        inverse,
        edges[order].astype(np.int32),
        length[order],
        stencils.astype(np.int32),
        cotangents,
        3 * fabric.bend / areas,
        fabric.rest_bend * np.linalg.norm(hinge, axis=1),
        np.where(reached, ends, -1).astype(np.int32),
        far,
    )


def _stencils(rest: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Q, 4) particles of each inner edge's two triangles, their coefficients (Bergou et al. 2006, section 2), and the areas (Q,)."""
    count = len(faces)
    halves = np.stack([faces, np.roll(faces, -1, 1)], -1).transpose(1, 0, 2).reshape(-1, 2)
    opposite = np.roll(faces, -2, 1).T.ravel()
    key = np.sort(halves, 1) @ np.array([len(rest), 1])
    order = np.argsort(key, kind="stable")
    key = key[order]
    pair = np.flatnonzero((key[1:] == key[:-1]) & np.r_[True, key[1:-1] != key[:-2]])
    a, b = order[pair], order[pair + 1]
    stencil = np.column_stack([halves[a], opposite[a], opposite[b]])
    x0, x1, x2, x3 = rest[stencil].transpose(1, 0, 2)

    def cotangent(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Of the angle at p between q and r."""
        u, v = q - p, r - p
        return np.clip((u * v).sum(1) / np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-12), -5, 5)

    c01, c02 = cotangent(x0, x1, x2), cotangent(x0, x1, x3)
    c03, c04 = cotangent(x1, x0, x2), cotangent(x1, x0, x3)
    corner = rest[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    areas = np.maximum(area[a % count] + area[b % count], 1e-6)
    return stencil, np.column_stack([c03 + c04, c01 + c02, -c01 - c03, -c02 - c04]), areas


@compiled(fastmath=True, error_model="numpy")
def _sweep_edges(x: np.ndarray, w: np.ndarray, edges: np.ndarray, length: np.ndarray, compliance: float) -> None:
    for k in range(len(edges)):
        i, j = edges[k, 0], edges[k, 1]
        total = w[i] + w[j]
        if total == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        now = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-12
        s = (length[k] - now) / (now * (total + compliance))
        a, b = s * w[i], s * w[j]
        x[i, 0] += a * dx
        x[i, 1] += a * dy
        x[i, 2] += a * dz
        x[j, 0] -= b * dx
        x[j, 1] -= b * dy
        x[j, 2] -= b * dz


@compiled(fastmath=True, error_model="numpy")
def _sweep_ropes(x: np.ndarray, w: np.ndarray, end: np.ndarray, rope: np.ndarray) -> None:
    """No particle gets farther from what holds it than the cloth is long (Kim et al., "Long Range Attachments", SCA 2012)."""
    for i in range(len(x)):
        j = end[i]
        if j < 0 or w[i] == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        now = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-12
        if now > rope[i]:
            s = (rope[i] - now) / now
            x[i, 0] += s * dx
            x[i, 1] += s * dy
            x[i, 2] += s * dz


@compiled(fastmath=True, error_model="numpy")
def _sweep_bends(
    x: np.ndarray, w: np.ndarray, quads: np.ndarray, c: np.ndarray, stiffness: np.ndarray, curvature: np.ndarray, dt2: float
) -> None:
    for k in range(len(quads)):
        p, q, r, s = quads[k, 0], quads[k, 1], quads[k, 2], quads[k, 3]
        a, b, e, f = c[k, 0], c[k, 1], c[k, 2], c[k, 3]
        lx = a * x[p, 0] + b * x[q, 0] + e * x[r, 0] + f * x[s, 0]
        ly = a * x[p, 1] + b * x[q, 1] + e * x[r, 1] + f * x[s, 1]
        lz = a * x[p, 2] + b * x[q, 2] + e * x[r, 2] + f * x[s, 2]
        size = np.sqrt(lx * lx + ly * ly + lz * lz)
        if size < 1e-9:
            continue
        weight = w[p] * a * a + w[q] * b * b + w[r] * e * e + w[s] * f * f + 1 / (stiffness[k] * dt2)
        push = (curvature[k] - size) / (weight * size)
        for d in range(3):
            way = push * (lx if d == 0 else ly if d == 1 else lz)
            x[p, d] += w[p] * a * way
            x[q, d] += w[q] * b * way
            x[r, d] += w[r] * e * way
            x[s, d] += w[s] * f * way


@compiled(fastmath=True, error_model="numpy")
def _sweep_pairs(x: np.ndarray, w: np.ndarray, pairs: np.ndarray, apart: float) -> None:
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        square = dx * dx + dy * dy + dz * dz
        total = w[i] + w[j]
        if square >= apart * apart or total == 0.0:
            continue
        now = np.sqrt(square) + 1e-9
        s = 0.5 * (apart - now) / (now * total)
        for d in range(3):
            way = s * (dx if d == 0 else dy if d == 1 else dz)
            x[i, d] += w[i] * way
            x[j, d] -= w[j] * way


@compiled(error_model="numpy")
def _touch(
    x: np.ndarray,
    old: np.ndarray,
    w: np.ndarray,
    face: np.ndarray,
    bary: np.ndarray,
    normal: np.ndarray,
    obstacle_faces: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    share: float,
    step: float,
    thickness: float,
    friction: float,
    deepest: float,
) -> None:
    """Keep particles off their contact planes, which move from `before` to `after` (O, 3); `share` of the way is done, `step` in this
    step."""
    for i in range(len(x)):
        if face[i] < 0 or w[i] == 0.0:
            continue
        px = py = pz = mx = my = mz = 0.0
        for c in range(3):
            o, b = obstacle_faces[face[i], c], bary[i, c]
            gx, gy, gz = after[o, 0] - before[o, 0], after[o, 1] - before[o, 1], after[o, 2] - before[o, 2]
            px += b * (before[o, 0] + share * gx)
            py += b * (before[o, 1] + share * gy)
            pz += b * (before[o, 2] + share * gz)
            mx += b * step * gx
            my += b * step * gy
            mz += b * step * gz
        nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
        depth = thickness - ((x[i, 0] - px) * nx + (x[i, 1] - py) * ny + (x[i, 2] - pz) * nz)
        if depth <= 0.0:
            continue
        depth = min(depth, deepest)
        x[i, 0] += depth * nx
        x[i, 1] += depth * ny
        x[i, 2] += depth * nz
        # Friction: the slip against the surface is taken back, up to the coefficient times the push.
        sx, sy, sz = x[i, 0] - old[i, 0] - mx, x[i, 1] - old[i, 1] - my, x[i, 2] - old[i, 2] - mz
        along = sx * nx + sy * ny + sz * nz
        sx, sy, sz = sx - along * nx, sy - along * ny, sz - along * nz
        slip = np.sqrt(sx * sx + sy * sy + sz * sz) + 1e-12
        take = min(1.0, friction * depth / slip)
        x[i, 0] -= take * sx
        x[i, 1] -= take * sy
        x[i, 2] -= take * sz


@wp.kernel
def _nearest_signed(
    mesh: wp.uint64,
    points: wp.array[wp.vec3],
    reach: float,
    face: wp.array[wp.int32],
    bary: wp.array[wp.vec3],
    normal: wp.array[wp.vec3],
) -> None:
    i = wp.tid()
    face[i] = -1
    found = wp.mesh_query_point_sign_normal(mesh, points[i], reach)
    if not found.result:
        return
    nearest = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
    offset = points[i] - nearest
    distance = wp.length(offset)
    direction = wp.mesh_eval_face_normal(mesh, found.face)
    if distance > 1.0e-4:
        direction = offset * (found.sign / distance)
    face[i] = found.face
    bary[i] = wp.vec3(found.u, found.v, 1.0 - found.u - found.v)
    normal[i] = direction


class _Contacts:
    """The obstacle's nearest point to each particle."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, count: int, reach: float) -> None:
        self._reach = reach
        self.faces = np.ascontiguousarray(faces, np.int32)
        points = wp.array(np.ascontiguousarray(vertices, np.float32), dtype=wp.vec3, device="cpu")
        self._mesh = wp.Mesh(points=points, indices=wp.array(np.ascontiguousarray(faces, np.int32).ravel(), dtype=int, device="cpu"))
        self._face = wp.zeros(count, dtype=wp.int32, device="cpu")
        self._bary, self._normal = (wp.zeros(count, dtype=wp.vec3, device="cpu") for _ in range(2))

    def find(self, vertices: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Faces (N,) of the obstacle at vertices (O, 3), -1 beyond reach, barycentric coordinates (N, 3) and directions out of it (N,
        3)."""
        self._mesh.points.assign(vertices.astype(np.float32))
        self._mesh.refit()
        where = wp.array(np.ascontiguousarray(points, np.float32), dtype=wp.vec3, device="cpu")
        inputs: list[Any] = [self._mesh.id, where, self._reach, self._face, self._bary, self._normal]
        wp.launch(_nearest_signed, dim=len(points), inputs=inputs, device="cpu")
        return self._face.numpy().copy(), self._bary.numpy().astype(np.float64), self._normal.numpy().astype(np.float64)


def simulate(
    rest: np.ndarray,
    faces: np.ndarray,
    start: np.ndarray,
    guide: Callable[[float], np.ndarray],
    held: np.ndarray,
    obstacle: np.ndarray,
    obstacle_faces: np.ndarray,
    fabric: Fabric,
    steps: Steps,
    reach: float = 0.03,
    floor: np.ndarray | None = None,
) -> np.ndarray:
    """(T, N, 3) positions at the obstacle's frames, at rest in the last.

    `rest` (N, 3) and `faces` give the cloth's lengths, `start` (N, 3) where it begins; particles `held` (N,) bool go where `guide(frame)`,
    (N, 3) at a fractional frame, puts them. `obstacle` (T, O, 3) with `obstacle_faces` wound outward moves from frame to frame; the last
    `steps.settle_frames` of its frames are those in which the cloth comes to rest. `floor` (T,) is the height of the ground, if there is
    one.
    """
    net = _net(rest, faces, held, fabric)
    x, v = np.array(start, np.float64), np.zeros_like(start, np.float64)
    contacts = _Contacts(obstacle[0], obstacle_faces, len(x), reach)
    dt = 1 / (steps.frame_rate * steps.substeps)
    fixed, moving = np.flatnonzero(held), len(obstacle) - 1 - steps.settle_frames
    frames = np.empty((len(obstacle), *x.shape))
    frames[0] = x
    every = max(1, steps.substeps // _DETECTIONS)
    for frame in range(len(obstacle) - 1):
        before, after = (np.ascontiguousarray(obstacle[frame + k], np.float64) for k in (0, 1))
        motion = _Motion(before, after, contacts.faces, 1 / steps.substeps)
        keep = float(np.exp(-(steps.drag if frame < moving else steps.settle_drag) * dt))
        for sub in range(steps.substeps):
            if sub % (every if frame < moving else steps.substeps) == 0:
                pairs = _near_pairs(x, rest, fabric.apart)
                touching = contacts.find(motion.at(sub), x)
            # The first frame has no velocities: cloth fitted too tightly comes out of the body without being thrown.
            v *= keep if frame else 0.0
            v[:, 1] += dt * GRAVITY
            old = x.copy()
            x += dt * v * (net.inverse_mass > 0)[:, None]
            x[fixed] = guide(frame + (sub + 1) / steps.substeps)[fixed]
            _relax(x, net, pairs, fabric, steps.sweeps, dt)
            deepest = DEEPEST if frame else 0.2 * DEEPEST
            share = (sub + 1) * motion.step
            obstacles = (motion.faces, motion.before, motion.after, share, motion.step)
            _touch(x, old, net.inverse_mass, *touching, *obstacles, fabric.thickness, fabric.friction, deepest)
            if floor is not None:
                np.maximum(x[:, 1], floor[frame + 1] + 0.003, out=x[:, 1])
            v = (x - old) / dt
        frames[frame + 1] = x
        if not np.isfinite(x).all():
            frames[frame + 1 :] = np.nan
            break
    return frames


@dataclass(frozen=True)
class _Motion:
    """The obstacle between two frames."""

    before: np.ndarray
    """(O, 3)"""
    after: np.ndarray
    """(O, 3)"""
    faces: np.ndarray
    """(G, 3) int32"""
    step: float
    """Share of the way in one step."""

    def at(self, step: int) -> np.ndarray:
        """(O, 3) after so many steps."""
        return np.asarray(self.before + step * self.step * (self.after - self.before))


def _relax(x: np.ndarray, net: _Net, pairs: np.ndarray, fabric: Fabric, sweeps: int, dt: float) -> None:
    """One step's corrections of positions (N, 3), in place."""
    _sweep_bends(x, net.inverse_mass, net.stencils, net.cotangents, net.stiffness, net.curvature, dt * dt)
    _sweep_ropes(x, net.inverse_mass, net.rope_end, net.rope)
    for sweep in range(sweeps):
        order = 1 if sweep % 2 else -1
        _sweep_edges(x, net.inverse_mass, net.edges[::order], net.length[::order], 1 / (fabric.stretch * dt * dt))
    _sweep_pairs(x, net.inverse_mass, pairs, fabric.apart)


def _near_pairs(x: np.ndarray, rest: np.ndarray, apart: float) -> np.ndarray:
    """(P, 2) particles that are or may soon come closer than `apart` although they are far apart on the cloth."""
    if apart <= 0 or not np.isfinite(x).all():
        return np.zeros((0, 2), np.int32)
    pairs = cKDTree(x).query_pairs(1.8 * apart, output_type="ndarray")
    far = np.linalg.norm(rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=1) > 3 * apart
    return np.ascontiguousarray(pairs[far], np.int32)
