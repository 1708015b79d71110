"""Which joints of a body move when it is fitted, about which axes, how far, and how likely.

Notation: D degrees of freedom; each is an angle in radians about a fixed axis of the body frame in the rest pose. A joint's rotation is
exp(sum of its angles x axes), shared out evenly over the bones of its chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.body.model import Rig


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
    index = {name: i for i, name in enumerate(model.names)}
    head = lambda vrm: heads[index[model.humanoid[vrm]]]  # noqa: E731
    up, forward = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    degree = np.pi / 180
    joints: list[tuple[str, list[int], list[_Dof]]] = [
        ("spine", _path(model, "spine", "chest"), _ball(9 * degree, 50 * degree)),
        ("chest", _path(model, "chest", "neck"), _ball(9 * degree, 45 * degree)),
        ("neck", _path(model, "neck", "head"), _ball(12 * degree, 50 * degree)),
        ("head", _path(model, "head", None), _ball(12 * degree, 45 * degree)),
    ]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower, hand = head(f"{side}UpperArm"), head(f"{side}LowerArm"), head(f"{side}Hand")
        arm = (lower - upper) / np.linalg.norm(lower - upper)
        fore = (hand - lower) / np.linalg.norm(hand - lower)
        hinge = np.cross(arm, forward)
        hinge /= np.linalg.norm(hinge)
        bent = float(np.arcsin(np.clip(np.cross(arm, fore) @ hinge, -1, 1)))
        outward = np.array([sign, 0.0, 0.0])
        # The rest pose holds the arm out by this angle; hanging by the side is the mean.
        hang = np.arctan2(arm @ outward, -(arm @ up)) - 12 * degree
        thigh_hinge = np.array([1.0, 0.0, 0.0])
        swing = [
            _Dof(np.array([0.0, 0.0, 1.0]), -sign * hang, 30 * degree, -170 * degree, 170 * degree),
            _Dof(np.array([0.0, 1.0, 0.0]), 0.0, 35 * degree, -150 * degree, 150 * degree),
            _Dof(np.array([1.0, 0.0, 0.0]), 0.0, 35 * degree, -150 * degree, 150 * degree),
        ]
        joints += [
            (f"{side}Shoulder", _path(model, f"{side}Shoulder", f"{side}UpperArm"), _ball(5 * degree, 40 * degree)),
            (f"{side}UpperArm", _path(model, f"{side}UpperArm", None), swing),
            (
                f"{side}LowerArm",
                _path(model, f"{side}LowerArm", None),
                [_Dof(hinge, 22 * degree - bent, 30 * degree, -bent, 150 * degree - bent)],
            ),
        ]
        twisting = _path(model, f"{side}LowerArm", f"{side}Hand")[1:]
        if twisting:
            joints.append((f"{side}Forearm", twisting, [_Dof(fore, 0.0, 30 * degree, -100 * degree, 100 * degree)]))
        joints += [
            (f"{side}Hand", _path(model, f"{side}Hand", None), _ball(14 * degree, 75 * degree)),
            (
                f"{side}UpperLeg",
                _path(model, f"{side}UpperLeg", None),
                [
                    _Dof(np.array([1.0, 0.0, 0.0]), -4 * degree, 20 * degree, -130 * degree, 45 * degree),
                    _Dof(np.array([0.0, 1.0, 0.0]), 0.0, 15 * degree, -60 * degree, 60 * degree),
                    _Dof(np.array([0.0, 0.0, 1.0]), 0.0, 12 * degree, -60 * degree, 60 * degree),
                ],
            ),
            (
                f"{side}LowerLeg",
                _path(model, f"{side}LowerLeg", None),
                [_Dof(thigh_hinge, 6 * degree, 20 * degree, -3 * degree, 150 * degree)],
            ),
            (f"{side}Foot", _path(model, f"{side}Foot", None), _ball(12 * degree, 50 * degree)),
        ]
    return _flatten(model, joints)


def _flatten(model: Rig, joints: list[tuple[str, list[int], list[_Dof]]]) -> Articulation:
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
