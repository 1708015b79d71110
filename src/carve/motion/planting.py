"""Feet that stay where they stand: a walk in place becomes a walk that travels, its legs solved anew for planted feet.

Notation: p the phase of a leg, 0 at its heel's strike; v the speed (metres a frame); a(p) the ankle of the walk in place, in a frame that
travels with the body; H, B the heel's and the ball's contact points on the sole, A the ankle, all at rest; R(p) the foot's global rotation.
While the foot stands its contact point moves by -v a frame in the travelling frame, so it rests on the ground:
    heel down (p < HEEL_DOWN):  ankle = H' + R (A - H),   flat:  ankle = A',   heel up (p > HEEL_UP):  ankle = B' + R (A - B).
In the swing the ankle takes the walk's own way, bent smoothly to where the last step ended and the next begins, and raised until no part
of the sole is below the ground. Hip, knee and ankle follow from the cosine rule (two-bone inverse kinematics); the foot keeps R.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from carve.geometry.rotations import rotation_between
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.motion.retarget import SkeletonMotion
from carve.records import Skeleton

HEEL_DOWN, MIDDLE, HEEL_UP, TOE_OFF = 0.08, 0.22, 0.36, 0.60
"""Phases: the sole is flat from the first to the third, the toes leave the ground at the last."""
SHORTER = 0.92
"""A step's length over that which changes the walk least: the hips of longer steps dip at each heel's strike."""
BEHIND = 0.04
"""Share of a cycle's way by which the feet are set back: the ball of a foot that stands behind carries the ankle forward."""
REACH = 0.995
"""Share of a leg's length that may lie between hip and ankle."""
SOLE = 0.02
"""Metres above the ground at rest within which skin belongs to the sole."""
CLEARANCE = 0.004
"""Metres that the sole keeps off the ground in the swing."""
TOUCH = 0.005
"""Metres above its lowest point up to which a standing sole touches the ground."""
ROUNDS = 4
"""How often the legs are solved and what slid or sank corrected."""


@dataclass(frozen=True)
class _Leg:
    """One leg of a skeleton and its sole, rest pose."""

    hip: int
    knee: int
    foot: int
    phase: np.ndarray
    """(T,) of this leg."""
    sole: np.ndarray
    """(n,) vertices of the foot."""
    heel: np.ndarray
    """(3,) H - A."""
    ball: np.ndarray
    """(3,) B - A."""


def planted(
    motion: SkeletonMotion, vertices: np.ndarray, bones: np.ndarray, weights: np.ndarray, skeleton: Skeleton
) -> tuple[SkeletonMotion, float]:
    """A cycle of a walk in place with planted feet, and how far it travels in that cycle (metres along +z).

    `motion` is one cycle that starts at the left heel's strike; the root still walks in place: the way is the caller's to add. The mesh
    (rest vertices (V, 3), bones and weights (V, 4)) says where soles are.
    """
    count = len(motion.rotations)
    index = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    legs = [_leg(index, skeleton, side, shift, count, vertices, bones, weights) for side, shift in (("left", 0.0), ("right", 0.5))]
    kinematics = [forward_kinematics(motion.rotations[t], skeleton.heads, skeleton.parents, motion.root_positions[t]) for t in range(count)]
    rotations, heads = (np.stack(part) for part in zip(*kinematics, strict=True))
    ankles = [heads[:, leg.foot] for leg in legs]
    fits = [_fitted(leg, rotations[:, leg.foot], ankle) for leg, ankle in zip(legs, ankles, strict=True)]
    stride = float(np.mean([fit[1] for fit in fits]))
    stands = [
        _standing(leg, rotations[:, leg.foot], ankle, start, stride) for leg, ankle, (start, _) in zip(legs, ankles, fits, strict=True)
    ]
    lifts = [np.zeros(count) for _ in legs]
    for _ in range(ROUNDS):
        targets = [_with_swing(*parts) for parts in zip(legs, stands, ankles, lifts, strict=True)]
        root = _root_height(motion.root_positions, heads, targets, legs, skeleton)
        solved = replace(motion, rotations=_solved(motion.rotations, root, targets, legs, skeleton, rotations), root_positions=root)
        _correct(stands, lifts, solved, legs, (vertices, bones, weights), skeleton, stride)
    return solved, stride


def _leg(
    index: dict[str, int],
    skeleton: Skeleton,
    side: str,
    shift: float,
    count: int,
    vertices: np.ndarray,
    bones: np.ndarray,
    weights: np.ndarray,
) -> _Leg:
    hip, knee, foot = (index[f"{side}{part}"] for part in ("UpperLeg", "LowerLeg", "Foot"))
    below = np.zeros(len(skeleton.names), bool)
    below[foot] = True
    for child in range(foot + 1, len(below)):
        below[child] = below[child] or (skeleton.parents[child] >= 0 and bool(below[skeleton.parents[child]]))
    sole = np.flatnonzero((weights * below[bones]).sum(1) > 0.5)
    ankle = skeleton.heads[foot]
    low = vertices[sole][vertices[sole, 1] < vertices[sole, 1].min() + SOLE] if len(sole) else ankle[None] * [1, 0, 1]
    heel = np.array([ankle[0], low[:, 1].min(), low[:, 2].min() + 0.01]) - ankle
    toes = index.get(f"{side}Toes")
    front = skeleton.heads[toes, 2] if toes is not None else 0.7 * low[:, 2].max() + 0.3 * low[:, 2].min()
    ball = np.array([ankle[0], low[:, 1].min(), front]) - ankle
    return _Leg(hip, knee, foot, (np.arange(count) / count + shift) % 1.0, sole, heel, ball)


def _fitted(leg: _Leg, rotations: np.ndarray, ankle: np.ndarray) -> tuple[float, float]:
    """Where a foot stands at phase 0 and how far it goes back in a cycle, metres along z, so that planting changes the walk least."""
    stands = leg.phase <= TOE_OFF
    place, _ = _contact(leg, rotations)
    slope, start = np.polyfit(leg.phase[stands], (ankle[:, 2] - place[:, 2])[stands], 1)
    return float(start + (1 - SHORTER) * slope * TOE_OFF / 2 + BEHIND * slope), -float(SHORTER * slope)


def _contact(leg: _Leg, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) the ankle against where it is over the flat foot, as the contact point has it, and (T, 3) the contact point at rest."""
    point = np.where((leg.phase < HEEL_DOWN)[:, None], leg.heel, leg.ball)
    flat = rotations[int(np.abs(leg.phase - MIDDLE).argmin())]
    return point @ flat.T - np.einsum("tij,tj->ti", rotations, point), point


def _standing(leg: _Leg, rotations: np.ndarray, ankle: np.ndarray, start: float, stride: float) -> np.ndarray:
    """(T, 3) the ankle over its contact point, travelling frame, in all frames; `stride` is the way of a whole cycle."""
    place, point = _contact(leg, rotations)
    middle = int(np.abs(leg.phase - MIDDLE).argmin())
    way = place.copy()
    way[:, 0] += ankle[middle, 0]
    way[:, 1] = -np.einsum("tij,tj->ti", rotations, point)[:, 1]
    way[:, 2] += start - stride * leg.phase
    return way


def _with_swing(leg: _Leg, stand: np.ndarray, ankle: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """(T, 3) the ankle's whole way: `stand` while the foot stands, between it the walk's own, bent to meet both ends and lifted."""
    p, way = leg.phase, stand.copy()
    swing = np.flatnonzero(p > TOE_OFF)
    last = int(np.argmin(np.where(p <= TOE_OFF, TOE_OFF - p, np.inf)))
    first = int(np.argmin(p))
    before, after = way[last] - ankle[last], way[first] - ankle[first]
    share = (p[swing] - p[last]) / (1 + p[first] - p[last])
    ease = (share**2 * (3 - 2 * share))[:, None]
    way[swing] = ankle[swing] + (1 - ease) * before + ease * after
    way[swing, 1] += lift[swing]
    return way


def _root_height(root: np.ndarray, heads: np.ndarray, targets: list[np.ndarray], legs: list[_Leg], skeleton: Skeleton) -> np.ndarray:
    """(T, 3) the root's way with a height at which both legs reach their ankles, smooth over the cycle."""
    bound = np.full(len(root), np.inf)
    for leg, target in zip(legs, targets, strict=True):
        length = REACH * (
            np.linalg.norm(skeleton.heads[leg.knee] - skeleton.heads[leg.hip])
            + np.linalg.norm(skeleton.heads[leg.foot] - skeleton.heads[leg.knee])
        )
        offset = heads[:, leg.hip] - root
        across = np.linalg.norm((target - root - offset)[:, [0, 2]], axis=1)
        bound = np.minimum(bound, target[:, 1] + np.sqrt(np.maximum(length**2 - across**2, 0)) - offset[:, 1])
    spectrum = np.fft.rfft(bound)
    spectrum[5:] = 0
    smooth = np.fft.irfft(spectrum, len(bound))
    result = root.copy()
    result[:, 1] = smooth - max(float((smooth - bound).max()), 0.0)
    return result


def _solved(
    local: np.ndarray, root: np.ndarray, targets: list[np.ndarray], legs: list[_Leg], skeleton: Skeleton, wanted: np.ndarray
) -> np.ndarray:
    """(T, B, 3, 3) local rotations with each leg's ankle at its target and each foot turned as in `wanted` (T, B, 3, 3) global."""
    result = local.copy()
    for t in range(len(local)):
        for leg, target in zip(legs, targets, strict=True):
            _bend(result[t], root[t], target[t], leg, skeleton, wanted[t, leg.foot])
    return result


def _bend(local: np.ndarray, root: np.ndarray, target: np.ndarray, leg: _Leg, skeleton: Skeleton, foot: np.ndarray) -> None:
    """Two-bone inverse kinematics of one leg, in place; the knee points where the thigh looks."""
    parents = skeleton.parents
    turned, heads = forward_kinematics(local, skeleton.heads, parents, root)
    hip, knee, ankle = heads[leg.hip], heads[leg.knee], heads[leg.foot]
    upper, lower = np.linalg.norm(knee - hip), np.linalg.norm(ankle - knee)
    along = target - hip
    distance = float(np.clip(np.linalg.norm(along), abs(upper - lower) + 1e-4, (upper + lower) * (1 - 1e-5)))
    along = along / np.linalg.norm(along)
    ahead = turned[leg.hip] @ np.array([0.0, 0.0, 1.0])  # where the knee points: at rest the legs are straight and face +Z
    pole = ahead - (ahead @ along) * along
    pole = pole / np.linalg.norm(pole)
    cosine = np.clip((upper**2 + distance**2 - lower**2) / (2 * upper * distance), -1, 1)
    bent = hip + upper * (cosine * along + np.sqrt(1 - cosine**2) * pole)
    thigh = rotation_between(knee - hip, bent - hip)
    local[leg.hip] = turned[parents[leg.hip]].T @ thigh @ turned[leg.hip]
    turned, heads = forward_kinematics(local, skeleton.heads, parents, root)
    shin = rotation_between(heads[leg.foot] - heads[leg.knee], hip + distance * along - heads[leg.knee])
    local[leg.knee] = turned[parents[leg.knee]].T @ shin @ turned[leg.knee]
    turned, _ = forward_kinematics(local, skeleton.heads, parents, root)
    local[leg.foot] = turned[parents[leg.foot]].T @ foot


def _correct(
    stands: list[np.ndarray],
    lifts: list[np.ndarray],
    motion: SkeletonMotion,
    legs: list[_Leg],
    mesh: tuple[np.ndarray, np.ndarray, np.ndarray],
    skeleton: Skeleton,
    stride: float,
) -> None:
    """Correct the standing ankles and the swing's lift, in place, by where the soles came to lie.

    Soles are neither flat nor rigid: what touches the ground is lowered or raised onto it and moved back by what it slid.
    """
    vertices, bones, weights = mesh
    count = len(motion.rotations)
    soles: list[list[np.ndarray]] = [[] for _ in legs]
    for t in range(count):
        rotations, heads = forward_kinematics(motion.rotations[t], skeleton.heads, skeleton.parents, motion.root_positions[t])
        maps = bone_transforms(rotations, heads, skeleton.heads)
        for sole, leg in zip(soles, legs, strict=True):
            sole.append(skin(vertices[leg.sole], maps, bones[leg.sole], weights[leg.sole]))
    for leg, sole, stand, lift in zip(legs, soles, stands, lifts, strict=True):
        if len(leg.sole) == 0:
            continue
        lowest = np.array([points[:, 1].min() for points in sole])
        standing = leg.phase <= TOE_OFF
        lift[~standing] += np.maximum(CLEARANCE - lowest[~standing], 0)
        stand[standing, 1] -= lowest[standing]
        order = np.flatnonzero(standing)[np.argsort(leg.phase[standing])]
        slid = np.zeros((len(order), 2))
        for k, (now, after) in enumerate(pairwise(order), start=1):
            touching = (sole[now][:, 1] < lowest[now] + TOUCH) & (sole[after][:, 1] < lowest[after] + TOUCH)
            slid[k] = slid[k - 1]
            if touching.any():
                slid[k] += (sole[after] - sole[now])[touching][:, [0, 2]].mean(0) + np.array([0.0, stride / count])
        middle = int(np.abs(leg.phase[order] - MIDDLE).argmin())
        stand[order[:, None], np.array([[0, 2]])] -= slid - slid[middle]
