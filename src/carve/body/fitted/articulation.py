"""Which joints of a body move when it is fitted, about which axes, how far, and how likely.

Notation: D degrees of freedom; each is an angle in radians about a fixed axis of the body frame in the rest pose. A joint's rotation is
exp(sum of its angles x axes), shared out evenly over the bones of its chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.body.model import Rig

DEGREE = np.pi / 180


@dataclass(frozen=True)
class Articulation:
    """The degrees of freedom of a body, as flat arrays."""

    names: tuple[str, ...]
    """D names such as `leftUpperLeg.0`."""
    axes: np.ndarray
    """(D, 3) unit axis of each angle."""
    shares: np.ndarray
    """(P, D) share of each angle that each moving bone takes."""
    moving: np.ndarray
    """(P,) int64 the bones that move, parents first; the root is the first."""
    parents: np.ndarray
    """(P,) int64 index in `moving` of the nearest moving ancestor, -1 for the root."""
    attached: np.ndarray
    """(B,) int64 index in `moving` of the bone that carries each bone."""
    mean: np.ndarray
    """(D,) radians, of people standing about."""
    sigma: np.ndarray
    """(D,) radians."""
    low: np.ndarray
    """(D,) radians, anatomical limit."""
    high: np.ndarray
    """(D,) radians, anatomical limit."""


@dataclass(frozen=True)
class _Dof:
    axis: np.ndarray
    mean: float
    sigma: float
    low: float
    high: float


_Joint = tuple[str, list[int], list[_Dof]]
"""Name, bones of the chain, degrees of freedom."""


def _ball(sigma: float, limit: float) -> list[_Dof]:
    return [_Dof(axis, 0.0, sigma, -limit, limit) for axis in np.eye(3)]


def _path(model: Rig, first: str, last: str | None) -> list[int]:
    """Bones from humanoid bone `first` to the one before `last` (or `first` alone), root side first."""
    index = {name: i for i, name in enumerate(model.names)}
    start = index[model.humanoid[first]]
    if last is None or last not in model.humanoid:
        return [start]
    chain, bone = [], int(model.parents[index[model.humanoid[last]]])
    while bone >= 0 and bone != start:
        chain.append(bone)
        bone = int(model.parents[bone])
    return [start, *chain[::-1]] if bone == start else [start]


def build_articulation(model: Rig, heads: np.ndarray) -> Articulation:
    """The degrees of freedom for a body with rest bone heads (B, 3).

    Means and spreads are for people who stand, walk and pose for a photo (degrees, by anatomy: flexion and abduction ranges of the hip,
    knee, shoulder and elbow); limits are the joints' anatomical ranges.
    """
    joints: list[_Joint] = [
        ("spine", _path(model, "spine", "chest"), _ball(9 * DEGREE, 50 * DEGREE)),
        ("chest", _path(model, "chest", "neck"), _ball(9 * DEGREE, 45 * DEGREE)),
        ("neck", _path(model, "neck", "head"), _ball(12 * DEGREE, 50 * DEGREE)),
        ("head", _path(model, "head", None), _ball(12 * DEGREE, 45 * DEGREE)),
    ]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints += [*_arm(model, heads, side, sign), *_leg(model, side)]
    return _flatten(model, joints)


def _arm(model: Rig, heads: np.ndarray, side: str, sign: float) -> list[_Joint]:
    """The joints from the collar bone to the wrist; `sign` is the side's on x."""
    index = {name: i for i, name in enumerate(model.names)}
    upper, lower, hand = (heads[index[model.humanoid[f"{side}{bone}"]]] for bone in ("UpperArm", "LowerArm", "Hand"))
    up, forward, outward = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.array([sign, 0.0, 0.0])
    arm = (lower - upper) / np.linalg.norm(lower - upper)
    fore = (hand - lower) / np.linalg.norm(hand - lower)
    hinge = np.cross(arm, forward)
    hinge /= np.linalg.norm(hinge)
    bent = float(np.arcsin(np.clip(np.cross(arm, fore) @ hinge, -1, 1)))
    # The rest pose holds the arm out by this angle; hanging by the side is the mean.
    hang = np.arctan2(arm @ outward, -(arm @ up)) - 12 * DEGREE
    swing = [
        _Dof(np.array([0.0, 0.0, 1.0]), -sign * hang, 30 * DEGREE, -170 * DEGREE, 170 * DEGREE),
        _Dof(np.array([0.0, 1.0, 0.0]), 0.0, 35 * DEGREE, -150 * DEGREE, 150 * DEGREE),
        _Dof(np.array([1.0, 0.0, 0.0]), 0.0, 35 * DEGREE, -150 * DEGREE, 150 * DEGREE),
    ]
    elbow = [_Dof(hinge, 22 * DEGREE - bent, 30 * DEGREE, -bent, 150 * DEGREE - bent)]
    joints = [
        (f"{side}Shoulder", _path(model, f"{side}Shoulder", f"{side}UpperArm"), _ball(5 * DEGREE, 40 * DEGREE)),
        (f"{side}UpperArm", _path(model, f"{side}UpperArm", None), swing),
        (f"{side}LowerArm", _path(model, f"{side}LowerArm", None), elbow),
    ]
    twisting = _path(model, f"{side}LowerArm", f"{side}Hand")[1:]
    if twisting:
        joints.append((f"{side}Forearm", twisting, [_Dof(fore, 0.0, 30 * DEGREE, -100 * DEGREE, 100 * DEGREE)]))
    return [*joints, (f"{side}Hand", _path(model, f"{side}Hand", None), _ball(14 * DEGREE, 75 * DEGREE))]


def _leg(model: Rig, side: str) -> list[_Joint]:
    """The joints from the hip to the ankle."""
    hip = [
        _Dof(np.array([1.0, 0.0, 0.0]), -4 * DEGREE, 20 * DEGREE, -130 * DEGREE, 45 * DEGREE),
        _Dof(np.array([0.0, 1.0, 0.0]), 0.0, 15 * DEGREE, -60 * DEGREE, 60 * DEGREE),
        _Dof(np.array([0.0, 0.0, 1.0]), 0.0, 12 * DEGREE, -60 * DEGREE, 60 * DEGREE),
    ]
    knee = [_Dof(np.array([1.0, 0.0, 0.0]), 6 * DEGREE, 20 * DEGREE, -3 * DEGREE, 150 * DEGREE)]
    return [
        (f"{side}UpperLeg", _path(model, f"{side}UpperLeg", None), hip),
        (f"{side}LowerLeg", _path(model, f"{side}LowerLeg", None), knee),
        (f"{side}Foot", _path(model, f"{side}Foot", None), _ball(12 * DEGREE, 50 * DEGREE)),
    ]


def _flatten(model: Rig, joints: list[_Joint]) -> Articulation:
    moving = np.array(sorted({0, *(bone for _, chain, _ in joints for bone in chain)}), np.int64)
    place = {int(bone): p for p, bone in enumerate(moving)}
    attached = np.zeros(len(model.names), np.int64)
    for bone, parent in enumerate(model.parents):
        attached[bone] = place[bone] if bone in place else attached[parent]
    parents = np.array([attached[model.parents[bone]] if model.parents[bone] >= 0 else -1 for bone in moving], np.int64)
    flat = [(f"{name}.{k}", chain, dof) for name, chain, dofs in joints for k, dof in enumerate(dofs)]
    shares = np.zeros((len(moving), len(flat)))
    for column, (_, chain, _) in enumerate(flat):
        shares[[place[bone] for bone in chain], column] = 1 / len(chain)
    return Articulation(
        names=tuple(name for name, _, _ in flat),
        axes=np.array([dof.axis for _, _, dof in flat]),
        shares=shares,
        moving=moving,
        parents=parents,
        attached=attached,
        mean=np.array([dof.mean for _, _, dof in flat]),
        sigma=np.array([dof.sigma for _, _, dof in flat]),
        low=np.array([dof.low for _, _, dof in flat]),
        high=np.array([dof.high for _, _, dof in flat]),
    )
