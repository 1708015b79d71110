"""Poses of people before a camera: from stances, from motion files, and mixtures of both.

Notation: a pose is local rotations (B, 3, 3) relative to the parent, against the canonical pose, in the body frame; the root's own rotation
leans and tilts the person but never turns them about the vertical, which is the camera's to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from carve.body.model import REGIONS, bone_regions
from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import axis_rotation, matrix_from_quaternion, quaternion_from_matrix
from carve.geometry.skinning import bone_transforms, forward_kinematics, local_rotations, skin
from carve.motion.retarget import Motion, read_motion, skeleton_motion
from carve.records import Skeleton
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.fingers import bend_fingers
from carve.synth.people.stances import draw_stance

DEGREE = np.pi / 180

COLLISION = 0.006
"""Share of the skin's area that may lie within another part of the body: fingers that touch, the creases of bent joints."""
ROOMS = (0.0, 1.5, 4.0)
"""How much room between limbs (see `carve.synth.people.puppet`) is tried, one after the other."""

WIDE = ("fly", "fight", "gym", "run", "sit", "pirouette")
"""Motion files with these in their names are no way to stand for a photo; they are rare."""


@dataclass(frozen=True)
class Pose:
    """One pose and what came of it."""

    local: np.ndarray
    """(B, 3, 3) relative to the parent, against the canonical pose."""
    kind: str
    """Where it is from: a stance (`carve.synth.people.stances`), a motion file's name, or a mixture `stance+motion`."""
    transforms: np.ndarray
    """(B, 3, 4) bone maps, canonical to posed; the posed frame stands on y = 0."""
    heads: np.ndarray
    """(B, 3) posed bone heads."""
    posed: np.ndarray
    """(V, 3) the naked body."""


def apply_pose(body: FullBody, shaped: ShapedBody, local: np.ndarray, kind: str = "given") -> Pose:
    """Pose a body; the lowest point stands on y = 0, the root above the origin."""
    return pose_of(body, shaped.canonical, shaped.heads, local, kind)


def pose_of(body: FullBody, canonical: np.ndarray, canonical_heads: np.ndarray, local: np.ndarray, kind: str) -> Pose:
    """The same of canonical vertices (V, 3) and bone heads (B, 3) of whatever shape."""
    rotations, heads = forward_kinematics(local, canonical_heads, body.parents, canonical_heads[0])
    maps = bone_transforms(rotations, heads, canonical_heads)
    posed = skin(canonical, maps, body.bones[body.base], body.weights[body.base])
    drop = np.array([heads[0, 0], posed[:, 1].min(), heads[0, 2]])
    maps[..., 3] -= drop
    return Pose(local, kind, maps, heads - drop, posed - drop)


def overlapped(body: FullBody, vertices: np.ndarray) -> np.ndarray:
    """(V / 3,) bool for every third vertex of the skin (V, 3): it lies within another part of the body.

    A point 4 mm under the skin has the winding number 1 of its own part, and 2 where another part overlaps it. In the canonical pose this
    marks the mouth and the eyes; what a pose adds to it is a collision.
    """
    below = vertices - 0.004 * vertex_normals(vertices, body.faces)
    return MeshQueries(vertices, body.faces, winding=True).inside(below[::3], threshold=1.5)


@lru_cache(maxsize=4)
def read_motions(paths: tuple[Path, ...]) -> dict[str, Motion]:
    """The motions of BVH files by name."""
    return {path.stem: read_motion(path) for path in paths}


def _motion_pose(body: FullBody, shaped: ShapedBody, motion: Motion, rng: np.random.Generator) -> np.ndarray:
    """(B, 3, 3) local rotations of one frame of a motion, against the canonical pose, without the motion's heading."""
    frame = int(rng.integers(len(motion.rotations)))
    one = replace(motion, rotations=motion.rotations[frame : frame + 1], hips=motion.hips[frame : frame + 1])
    skeleton = Skeleton(body.names, body.parents, shaped.heads, body.humanoid)
    local = skeleton_motion(one, skeleton).rotations[0].copy()
    forward = local[0] @ np.array([0.0, 0.0, 1.0])
    local[0] = axis_rotation(1, -np.arctan2(forward[0], forward[2])) @ local[0]
    return local


def mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Local rotations (B, 3, 3) `share` (scalar or (B,)) of the way from the first pose to the second, by the shortest turn."""
    difference = quaternion_from_matrix(np.swapaxes(first, 1, 2) @ second)
    difference = np.where(difference[:, 3:] < 0, -difference, difference)
    length = np.linalg.norm(difference[:, :3], axis=1, keepdims=True)
    angle = 2 * np.arctan2(length, difference[:, 3:]) * np.broadcast_to(np.reshape(share, (-1, 1)), (len(first), 1))
    axis = difference[:, :3] / np.maximum(length, 1e-12)
    return first @ matrix_from_quaternion(np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=1))


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) square metres: a third of each vertex's triangles. Hands have many small ones."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 6
    return np.bincount(faces.ravel(), np.repeat(area, 3), len(vertices))


def _drawn(body: FullBody, shaped: ShapedBody, known: dict[str, Motion], rng: np.random.Generator, room: float) -> tuple[str, np.ndarray]:
    """What a pose is from and its local rotations (B, 3, 3), with `room` between limbs where it is a stance."""
    source = rng.choice(["stance", "motion", "mixture"], p=[0.84, 0.11, 0.05]) if known else "stance"
    kind: str
    kind, own = draw_stance(body, shaped, rng, room)
    if source != "stance":
        names = sorted(known)
        weights = np.array([0.08 if any(word in name for word in WIDE) else 1.0 for name in names])
        name = str(rng.choice(names, p=weights / weights.sum()))
        moved = _motion_pose(body, shaped, known[name], rng)
        own = moved if source == "motion" else mixed(own, moved, float(rng.uniform(0.3, 0.8)))
        kind = name if source == "motion" else f"{kind}+{name}"
    own = own.copy()
    lean = rng.normal(0, 2.0 * DEGREE, 2)
    own[0] = axis_rotation(0, lean[0]) @ axis_rotation(2, lean[1]) @ own[0]
    bend_fingers(body, shaped, own, rng)
    return kind, own


def sample_pose(
    body: FullBody, shaped: ShapedBody, motions: Sequence[Path], rng: np.random.Generator, arms_out: float = 0.0, tries: int = 6
) -> Pose:
    """One pose without the body's parts in one another.

    A pose whose parts collide is tried with more room between them, then replaced, and in the end eased towards the canonical one.
    `arms_out` lifts the upper arms sideways by so many radians, so that thick sleeves have room.
    """
    known = read_motions(tuple(sorted(motions)))
    always = overlapped(body, shaped.canonical)
    area = vertex_areas(shaped.canonical, body.faces)[::3]
    collision = lambda pose: float(area[overlapped(body, pose.posed) & ~always].sum() / area.sum())  # noqa: E731
    best, least = None, np.inf
    for _ in range(tries):
        seed = int(rng.integers(2**63))
        for room in ROOMS:
            kind, own = _drawn(body, shaped, known, np.random.default_rng(seed), room)
            _lift_arms(body, own, shaped, arms_out + (0.05 * room if "+" in kind or kind in known else 0.0))
            pose = apply_pose(body, shaped, own, kind)
            now = collision(pose)
            if now < COLLISION:
                return pose
            if now < least:
                best, least = pose, now
    assert best is not None
    neutral = np.tile(np.eye(3), (len(body.names), 1, 1))
    arms = np.isin(_bone_regions(body), [i for i, name in enumerate(REGIONS) if "arm" in name or "hand" in name])
    for share in (0.15, 0.3, 0.45, 0.6, 0.8, 1.0):
        eased = apply_pose(body, shaped, mixed(best.local, neutral, np.where(arms, share, share / 2)), best.kind + ", eased")
        if collision(eased) < COLLISION:
            break
    return eased


def _bone_regions(body: FullBody) -> np.ndarray:
    return bone_regions(body.names, body.parents, body.humanoid)


def _lift_arms(body: FullBody, local: np.ndarray, shaped: ShapedBody, angle: float) -> None:
    """Turn the upper arms outwards about the person's forward axis, in place, unless they are already raised."""
    if angle == 0.0:
        return
    index = {name: i for i, name in enumerate(body.names)}
    rotations, heads = forward_kinematics(local, shaped.heads, body.parents, shaped.heads[0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower = (index[body.humanoid[f"{side}{name}"]] for name in ("UpperArm", "LowerArm"))
        arm = heads[lower] - heads[upper]
        if arm[1] < -0.7 * np.linalg.norm(arm):
            above = rotations[body.parents[upper]]
            local[upper] = above.T @ axis_rotation(2, sign * angle) @ above @ local[upper]


def rest_local(body: FullBody, shaped: ShapedBody) -> np.ndarray:
    """(B, 3, 3) local rotations, against the canonical pose, that take the body back to rest."""
    return local_rotations(np.swapaxes(shaped.rest_rotations, 1, 2), body.parents)


def pose_path(body: FullBody, shaped: ShapedBody, pose: Pose, count: int) -> list[Pose]:
    """`count` poses from the one at rest to `pose`, eased in and out: what a cloth simulation follows."""
    start = rest_local(body, shaped)
    shares = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count))
    path = []
    for share in shares:
        local = mixed(start, pose.local, float(share))
        rotations, heads = forward_kinematics(local, shaped.heads, body.parents, shaped.heads[0])
        maps = bone_transforms(rotations, heads, shaped.heads)
        maps[..., 3] += pose.heads[0] - heads[0]
        posed = skin(shaped.canonical, maps, body.bones[body.base], body.weights[body.base])
        path.append(Pose(local, pose.kind, maps, heads + pose.heads[0] - heads[0], posed))
    return path
