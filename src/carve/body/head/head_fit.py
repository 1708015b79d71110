"""A head bound to points of a face in a photo: turn, place and size first, then the person's own shape and expression.

Notation: p_i the i-th point on the posed skin (camera frame, metres), q_i where the photo has it (pixels), d_i its depth towards the viewer
by the detector (metres, up to a constant); u the unknowns

    u = [n (3), r (3), t (3), s, a (K), e (E)]

n turn of the neck, shared by its bones, r turn of the head, rotation vectors in the head's own axes; t shift of the head against the neck
and log s its size, both changes of the canonical shape; a weights of the population's principal components, unit spread; e facial actions,
0 to 1. The residuals (project(p_i) - q_i) / sigma_i, (depth(p_i) - d_i) / sigma_z, (c_i(a) - r_i) / rho_i and u / spread are brought
down by Gauss-Newton steps with bounds; c_i is where a point lies on the neutral canonical head before shift and size, r_i where it is said
to. Points are linear in a and e, so that only ten columns of the Jacobian need finite differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import lsq_linear

from carve.geometry.camera import Camera
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics
from carve.records import Pose, Skeleton

POSE = 10
"""Unknowns before the shape: two turns, shift, size."""


@dataclass(frozen=True)
class HeadModel:
    """A body as far as its head goes; body frame, canonical pose, metres."""

    skeleton: Skeleton
    parents: np.ndarray
    neck: tuple[int, ...]
    """Bones of the neck, from the trunk up."""
    head: int
    """The head's bone."""
    vertices: np.ndarray
    """(V, 3)."""
    bones: np.ndarray
    weights: np.ndarray
    """(V, K) skinning."""
    follow: np.ndarray
    """(V,) 0 to 1: how far a vertex follows shift and size of the head."""
    moved: np.ndarray
    """(N,) vertices that shape and expression move."""
    shape: np.ndarray
    """(K, N, 3) at one spread."""
    expression: np.ndarray
    """(E, N, 3) at full strength."""


@dataclass(frozen=True)
class Rest:
    """Where points of the neutral face are said to lie."""

    places: np.ndarray
    """(P, 3) r, canonical pose, metres; without the head's own shift and size."""
    sigma: np.ndarray
    """(P, 3) rho, metres; infinite along axes that nothing is said of."""


@dataclass(frozen=True)
class Seen:
    """Points of the photo, each a mean of n vertices."""

    corners: np.ndarray
    """(P, n) vertices."""
    bary: np.ndarray
    """(P, n) their weights, rows sum to 1."""
    pixels: np.ndarray
    """(P, 2)."""
    sigma: np.ndarray
    """(P,) metres, expected error in the picture; infinite for points that do not count."""
    depth: np.ndarray
    """(P,) metres towards the viewer up to a constant."""
    depth_sigma: float
    """Metres; infinite where the detector gives no depth."""
    rest: Rest | None = None
    """What is known of the points beside the photo."""


@dataclass(frozen=True)
class Spreads:
    """How far the unknowns stray, and the steps that are made."""

    neck: float
    head: float
    """Radians."""
    shift: float
    """Metres."""
    size: float
    """Of log s."""
    shape: float
    """Spread of the shape's weights: 1 trusts the population, 0 forbids any shape."""
    expression: float


@dataclass(frozen=True)
class HeadFit:
    """What was found."""

    pose: Pose
    skeleton: Skeleton
    canonical: np.ndarray
    """(V, 3) with the person's shape, neutral."""
    expression: np.ndarray
    """(V, 3) metres, what the photo's expression adds to `canonical`."""
    unknowns: np.ndarray


def fit_head(
    model: HeadModel, pose: Pose, camera: Camera, seen: Seen, spreads: Spreads, rounds: int, start: np.ndarray | None = None
) -> HeadFit:
    """Gauss-Newton with bounds from the given pose on, or from the unknowns `start` (U,) of an earlier fit to it."""
    shapes, actions = len(model.shape), len(model.expression)
    spread = np.concatenate(
        [
            np.full(3, spreads.neck),
            np.full(3, spreads.head),
            spreads.shift * np.array([0.4, 1.0, 1.0]),
            [spreads.size],
            np.full(shapes, spreads.shape),
            np.full(actions, spreads.expression),
        ]
    )
    u = np.zeros(len(spread)) if start is None else start.copy()
    low = np.concatenate([-3.0 * spread[: POSE + shapes], np.zeros(actions)])
    high = np.concatenate([3.0 * spread[: POSE + shapes], np.ones(actions)])
    # Pose before shape: from a bad pose the shape would run off.
    first = 0 if start is not None else min(3, rounds - 1)
    columns = _Columns(model, seen)
    for step in range(rounds):
        active = (spread > 0) & ((np.arange(len(u)) < POSE) | (step >= first))
        residual, jacobian = columns.linearise(pose, camera, u)
        a = np.concatenate([jacobian[:, active], np.diag(1 / spread[active])])
        b = np.concatenate([-residual, -u[active] / spread[active]])
        bounds = low[active] - u[active] - 1e-9, high[active] - u[active] + 1e-9
        u[active] += lsq_linear(a, b, bounds, method="bvls" if active.sum() <= POSE else "trf").x
    return columns.result(pose, u)


class _Columns:
    """Points and their derivatives."""

    def __init__(self, model: HeadModel, seen: Seen) -> None:
        self.model, self.seen = model, seen
        place = np.full(len(model.vertices), -1)
        place[model.moved] = np.arange(len(model.moved))
        self.used, index = np.unique(seen.corners, return_inverse=True)
        self.corners = index.reshape(seen.corners.shape)
        at = place[self.used]
        basis = np.concatenate([model.shape, model.expression])
        self.basis = np.where((at >= 0)[None, :, None], basis[:, np.maximum(at, 0)], 0.0)
        self.unweighted = not np.isfinite(seen.depth_sigma)

    def canonical(self, u: np.ndarray, which: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices `which` (n,) with `basis` (K + E, n, 3) applied, head shifted and sized, and the bone heads (B, 3)."""
        m = self.model
        pivot = m.skeleton.heads[m.head]
        points = m.vertices[which] + np.tensordot(u[POSE:], basis, 1)
        grow = np.exp(u[9]) - 1
        points = points + m.follow[which, None] * (u[6:9] + grow * (points - pivot))
        heads = m.skeleton.heads.copy()
        below = _descendants(m.parents, m.head)
        heads[below] += u[6:9] + grow * (heads[below] - pivot)
        for k, bone in enumerate(m.neck):
            heads[bone] += u[6:9] * k / len(m.neck)
        return points, heads

    def pose(self, pose: Pose, u: np.ndarray) -> Pose:
        """The pose with neck and head turned."""
        m = self.model
        rotations = pose.rotations.copy()
        turn = lambda w: matrix_from_rotvec(torch.from_numpy(np.asarray(w, float))).numpy()  # noqa: E731
        for bone in m.neck:
            rotations[bone] = rotations[bone] @ turn(u[:3] / len(m.neck))
        rotations[m.head] = rotations[m.head] @ turn(u[3:6])
        return Pose(rotations, pose.root_position)

    def maps(self, pose: Pose, heads: np.ndarray, u: np.ndarray) -> np.ndarray:
        """(B, 3, 4) bone maps."""
        turned = self.pose(pose, u)
        rotations, places = forward_kinematics(turned.rotations, heads, self.model.parents, pose.root_position)
        return bone_transforms(rotations, places, heads)

    def points(self, pose: Pose, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, 3) posed points and (n, 3, 4) blended maps of the used vertices."""
        canonical, heads = self.canonical(u, self.used, self.basis)
        maps = self.maps(pose, heads, u)
        bones, weights = self.model.bones[self.used], self.model.weights[self.used]
        blended = np.einsum("nk,nkij->nij", weights, maps[bones])
        posed = np.einsum("nij,nj->ni", blended[..., :3], canonical) + blended[..., 3]
        return np.einsum("pk,pkc->pc", self.seen.bary, posed[self.corners]), blended

    def residual(self, points: np.ndarray, camera: Camera) -> np.ndarray:
        """(2 P [+ P],) residuals in spreads."""
        seen = self.seen
        metre = camera.focal / -points[:, 2]
        flat = (camera.project(points) - seen.pixels) / (metre * seen.sigma)[:, None]
        if self.unweighted:
            return flat.ravel()
        ray = points.mean(0) / np.linalg.norm(points.mean(0))
        depth = -points @ ray
        counts = np.where(np.isfinite(seen.sigma), 1 / np.maximum(seen.sigma, 1e-9), 0)
        off = depth - seen.depth
        off = off - (counts * off).sum() / counts.sum()
        share = counts / counts.max()
        return np.concatenate([flat.ravel(), share * off / seen.depth_sigma])

    def linearise(self, pose: Pose, camera: Camera, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (R,) and their Jacobian (R, U)."""
        points, blended = self.points(pose, u)
        residual = self.residual(points, camera)
        jacobian = np.empty((len(residual), len(u)))
        for k in range(POSE):
            step = np.zeros_like(u)
            step[k] = 1e-5
            jacobian[:, k] = (self.residual(self.points(pose, u + step)[0], camera) - residual) / 1e-5
        grown = 1 + self.model.follow[self.used] * (np.exp(u[9]) - 1)
        moved = np.einsum("nij,knj->kni", blended[..., :3], self.basis * grown[:, None])
        directions = np.einsum("pk,qpkc->qpc", self.seen.bary, moved[:, self.corners])
        # Residuals are smooth in the points: one difference along each direction.
        for k, direction in enumerate(directions):
            jacobian[:, POSE + k] = (self.residual(points + 1e-4 * direction, camera) - residual) / 1e-4
        if self.seen.rest is None:
            return residual, jacobian
        more, slope = self.at_rest(u, self.seen.rest)
        return np.concatenate([residual, more]), np.concatenate([jacobian, slope])

    def at_rest(self, u: np.ndarray, rest: Rest) -> tuple[np.ndarray, np.ndarray]:
        """(3 P,) residuals of the neutral face, and their Jacobian (3 P, U)."""
        shapes = len(self.model.shape)
        on_points = lambda values: np.einsum("pk,...pkc->...pc", self.seen.bary, values[..., self.corners, :])  # noqa: E731
        columns = on_points(self.basis[:shapes]) / rest.sigma
        now = on_points(self.model.vertices[self.used])
        slope = np.zeros((rest.places.size, len(u)))
        slope[:, POSE : POSE + shapes] = columns.reshape(shapes, -1).T
        return ((now - rest.places) / rest.sigma).ravel() + slope @ u, slope

    def result(self, pose: Pose, u: np.ndarray) -> HeadFit:
        """The whole body with what was found."""
        m = self.model
        every = np.arange(len(m.vertices))
        basis = np.zeros((len(u) - POSE, len(every), 3))
        basis[:, m.moved] = np.concatenate([m.shape, m.expression])
        neutral = u.copy()
        neutral[POSE + len(m.shape) :] = 0
        canonical, heads = self.canonical(neutral, every, basis)
        smiling, _ = self.canonical(u, every, basis)
        skeleton = Skeleton(m.skeleton.names, m.skeleton.parents, heads, m.skeleton.humanoid)
        return HeadFit(self.pose(pose, u), skeleton, canonical, smiling - canonical, u)


def _descendants(parents: np.ndarray, root: int) -> np.ndarray:
    """(n,) the bone `root` and all that hang on it."""
    below = np.zeros(len(parents), bool)
    below[root] = True
    for bone, parent in enumerate(parents):
        if parent >= 0 and below[parent]:
            below[bone] = True
    return np.flatnonzero(below)
