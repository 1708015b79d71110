"""Which way is up in a motion file, which pose its rotations are told against, and where the hips go: from the played motion.

Notation: p the joints' places and G their global rotations in a frame, against the zero pose, in the file's axes. Two rotations lead to
the body frame: A from the axes of a reference pose r, in which the person stands, B from the axes of the world in which the motion plays.
They differ in a file that tells of a Y-up skeleton in a Z-up world. With the limbs of the reference pose aligned by C (`motion.retarget`) a
bone's motion is
    S = B G G_r^T A^T C^T
Mostly r is the zero pose (G_r = 1). Where that does not stand, because every bone lies along its parent's x axis, say, r is the frame of
the motion that stands best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from carve.motion.bvh import Bvh
from carve.records import CarveError

_UPRIGHT = 0.7
"""Cosine to an axis above which a trunk or a leg is said to stand along it."""
_MOST = 0.8
"""Share of the frames that must stand along another axis than the rest pose for that to be the world's up."""
_FRAMES = 10
"""A shorter motion is a pose, which may well lie."""
_STANDING = (0.4, 1.5)
"""Height of the hips of somebody who stands, in leg lengths."""
_LYING = 0.5
"""Height of the hips of somebody who lies, in leg lengths."""
_AXIS_NAMES = ("X", "Y", "Z")


@dataclass(frozen=True)
class Axes:
    """How a file's numbers become a motion in the body frame."""

    body_from_world: np.ndarray
    """(3, 3) B."""
    body_from_reference: np.ndarray
    """(3, 3) A."""
    reference: np.ndarray
    """(J, 3, 3) G_r."""
    heads: np.ndarray
    """(J, 3) the joints of the reference pose in the body frame."""
    notes: tuple[str, ...]
    """What the user should know, one sentence each."""


def joint_places(bvh: Bvh, turned: np.ndarray) -> np.ndarray:
    """(T, J, 3) where the joints are, from their global rotations `turned` (T, J, 3, 3), in the file's axes.

    Position channels take the place of the offset, as most programs have it, but for those of inner joints that stay zero.
    """
    places = np.empty(turned.shape[:3])
    for joint, parent in enumerate(bvh.parents):
        given = bvh.positions[:, joint]
        step = np.where(np.isfinite(given), given, bvh.offsets[joint])
        if parent >= 0 and not np.abs(np.nan_to_num(given)).max() > 0:
            step = np.broadcast_to(bvh.offsets[joint], step.shape)
        places[:, joint] = step if parent < 0 else places[:, parent] + np.einsum("tij,tj->ti", turned[:, parent], step)
    return places


def zero_places(bvh: Bvh) -> np.ndarray:
    """(J, 3) where the joints are in the zero pose, in the file's axes."""
    zero = np.zeros_like(bvh.offsets)
    for joint, parent in enumerate(bvh.parents):
        zero[joint] = bvh.offsets[joint] + (zero[parent] if parent >= 0 else 0.0)
    return zero


def choose_axes(zero: np.ndarray, joints: Mapping[str, int], turned: np.ndarray, places: np.ndarray, source: str) -> Axes:
    """The axes of a motion of the humanoid `joints` (VRM name -> joint), with all joints' places in the zero pose (J, 3) and in the frames
    (T, J, 3), and their global rotations against the zero pose (T, J, 3, 3).

    Raises CarveError if neither the zero pose nor any frame stands upright.
    """
    legs = _leg_length(zero, joints, source)
    axes = _standing_axes(zero, joints)
    if axes is not None:
        world, notes = _world_axes(axes, turned[:, joints["hips"]], places, joints, legs)
        identity = np.broadcast_to(np.eye(3), (len(zero), 3, 3))
        return Axes(world, axes, identity, zero @ axes.T, notes)
    up = _played_up(places, joints)
    frame = _best_frame(places, joints, up)
    if frame is None:
        raise CarveError(f"{source}: its zero pose does not stand upright, nor does any frame; export it with a T-pose or A-pose as rest")
    across = places[frame, joints["leftUpperLeg"]] - places[frame, joints["rightUpperLeg"]]
    left = across - (across @ up) * up
    left /= np.linalg.norm(left)
    axes = np.stack([left, up, np.cross(left, up)])
    note = f"The zero pose of {source} does not stand; frame {frame + 1} was taken for it, with {_name(up)} up."
    return Axes(_snapped(axes, up), axes, turned[frame], places[frame] @ axes.T, (note,))


def _leg_length(zero: np.ndarray, joints: Mapping[str, int], source: str) -> float:
    hip, knee, foot = (zero[joints[f"left{bone}"]] for bone in ("UpperLeg", "LowerLeg", "Foot"))
    length = float(np.linalg.norm(knee - hip) + np.linalg.norm(foot - knee))
    if not length > 1e-6:
        raise CarveError(f"{source}: its legs have no length; this is not a usable skeleton")
    return length


def _nearest_axis(vector: np.ndarray) -> np.ndarray:
    largest = np.abs(vector).argmax()
    return np.eye(3)[largest] * np.sign(vector[largest])


def _name(axis: np.ndarray) -> str:
    """`+Z` of (0, 0, 1)."""
    largest = int(np.abs(axis).argmax())
    return ("-" if axis[largest] < 0 else "+") + _AXIS_NAMES[largest]


def _cosine(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(...) cosine between vectors (..., 3) and a unit axis; 0 for vectors without length."""
    length = np.linalg.norm(vectors, axis=-1)
    return (vectors @ axis) / np.maximum(length, 1e-12)


def _limbs(places: np.ndarray, joints: Mapping[str, int]) -> list[np.ndarray]:
    """Trunk and both legs of poses (..., J, 3), each (..., 3) and pointing up in somebody who stands."""
    at = lambda name: places[..., joints[name], :]  # noqa: E731
    legs = [at(f"{side}UpperLeg") - at(f"{side}Foot") for side in ("left", "right") if f"{side}Foot" in joints]
    return [at("head") - at("hips"), *legs]


def _standing_axes(zero: np.ndarray, joints: Mapping[str, int]) -> np.ndarray | None:
    """A of a pose (J, 3) that stands along one of the axes and faces along another; None if it does not."""
    up = _nearest_axis(zero[joints["head"]] - zero[joints["hips"]])
    left = _nearest_axis(zero[joints["leftUpperLeg"]] - zero[joints["rightUpperLeg"]])
    if abs(up @ left) > 0.5 or not up.any() or not left.any():
        return None
    if min(_cosine(limb, up) for limb in _limbs(zero, joints)) < 0.5:
        return None
    return np.stack([left, up, np.cross(left, up)])


def _world_axes(
    axes: np.ndarray, hips: np.ndarray, places: np.ndarray, joints: Mapping[str, int], legs: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """B and what is to be said of it, from the zero pose's A, the hips' rotations (T, 3, 3) and all places."""
    up = axes[1]
    if (_standing(places, joints, up) > _UPRIGHT).mean() >= 1 - _MOST:
        return axes, ()
    others = [s * e for e in np.eye(3) for s in (1.0, -1.0) if abs(e @ up) < 0.5]  # along -up is a handstand
    other = max(others, key=lambda a: (_standing(places, joints, a) > _UPRIGHT).mean())
    if (_standing(places, joints, other) > _UPRIGHT).mean() < _MOST:
        return axes, ()
    root = places[:, joints["hips"]]
    along, before = np.median(root @ other) / legs, root @ up / legs
    stands = _STANDING[0] < along < _STANDING[1]
    moves = np.ptp(root, axis=0).max() > 1e-6 * legs
    lies = moves and before.min() > 0 and before.max() < _LYING
    flies = moves and _STANDING[0] < np.median(before) < _STANDING[1]
    if not stands and (lies or flies or len(places) < _FRAMES):
        return axes, ()
    turn = np.stack([np.cross(other, axis := _horizontal(other)), other, axis])
    facing = turn @ hips[0] @ axes.T @ np.array([0.0, 0.0, 1.0])
    world = _quarter_turn(facing) @ turn
    return world, (f"The motion stands along {_name(other)} and its rest pose along {_name(up)}: {_name(other)} was taken for up.",)


def _horizontal(up: np.ndarray) -> np.ndarray:
    """A coordinate axis across another."""
    return np.eye(3)[(int(np.abs(up).argmax()) + 1) % 3]


def _quarter_turn(facing: np.ndarray) -> np.ndarray:
    """(3, 3) the turn about Y by quarters that brings the direction `facing` closest to +Z."""
    angle = np.round(np.arctan2(facing[0], facing[2]) / (np.pi / 2)) * (np.pi / 2)
    c, s = round(np.cos(angle)), round(np.sin(angle))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], float)


def _snapped(axes: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The rotation from the world's axes nearest to `axes` that maps coordinate axes to coordinate axes, `up` to Y."""
    turn = np.stack([np.cross(up, axis := _horizontal(up)), up, axis])
    return _quarter_turn(turn @ axes[2]) @ turn


def _standing(places: np.ndarray, joints: Mapping[str, int], up: np.ndarray) -> np.ndarray:
    """(T,) how far along `up` the least upright of trunk and the mean leg is."""
    trunk, *legs = _limbs(places, joints)
    return np.minimum(_cosine(trunk, up), _cosine(np.mean(legs, axis=0), up))


def _played_up(places: np.ndarray, joints: Mapping[str, int]) -> np.ndarray:
    """The coordinate axis along which most frames stand."""
    return max((s * e for e in np.eye(3) for s in (1.0, -1.0)), key=lambda a: float(np.maximum(_standing(places, joints, a), 0).sum()))


def _best_frame(places: np.ndarray, joints: Mapping[str, int], up: np.ndarray) -> int | None:
    """The frame that stands straightest, the first of equals; None if none stands."""
    straight = np.min([_cosine(limb, up) for limb in _limbs(places, joints)], axis=0)
    best = int(np.argmax(np.round(straight, 2)))
    return best if straight[best] > _UPRIGHT else None
