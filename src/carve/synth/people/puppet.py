"""Setting a body's limbs by where they point and what hands reach for, in place of joint angles.

Notation: a pose is local rotations (B, 3, 3) against the canonical pose. There a limb lies along a with its hinge (elbow, knee) about h;
it is brought along d1 (upper) and d2 (lower) by the rotations that take (a, h, a x h) to (d1, n, d1 x n) and (d2, n, d2 x n), where
n ~ d1 x d2 is the hinge then. Directions are those of the trunk's frame: +X the person's left, +Y up, +Z ahead; degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from carve.body.model import REGIONS
from carve.geometry.rotations import axis_rotation, matrix_from_rotvec
from carve.synth.people.bodies import FullBody, ShapedBody

DEGREE = np.pi / 180
Side = Literal["left", "right"]
SIGN: dict[Side, float] = {"left": 1.0, "right": -1.0}
_STRAIGHT = 4 * DEGREE
"""Hinges that bend less keep the limb's own hinge axis, since the bend says nothing of it."""


def unit(vector: np.ndarray) -> np.ndarray:
    """(3,) of length 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def turned(rotvec: np.ndarray) -> np.ndarray:
    """(3, 3) of an axis times an angle, radians."""
    return np.asarray(matrix_from_rotvec(torch.from_numpy(np.asarray(rotvec, float))).numpy())


@dataclass
class Puppet:
    """A body whose pose is being made."""

    body: FullBody
    shaped: ShapedBody
    room: float = 0.0
    """How much further apart than wanted limbs are kept: 1 is a finger's breadth at the hands."""
    local: np.ndarray = field(init=False)
    """(B, 3, 3)"""

    def __post_init__(self) -> None:
        self.local = np.tile(np.eye(3), (len(self.body.names), 1, 1))

    def bone(self, humanoid: str) -> int:
        """Index of a humanoid bone."""
        return self.body.names.index(self.body.humanoid[humanoid])

    def head(self, humanoid: str) -> np.ndarray:
        """(3,) where a humanoid bone begins, canonical pose."""
        return np.asarray(self.shaped.heads[self.bone(humanoid)])

    def chain(self, first: str, last: str) -> list[int]:
        """The bones from `first` to the one before `last`, trunk side first."""
        end, found, bone = self.bone(first), [], int(self.body.parents[self.bone(last)])
        while bone not in (end, -1):
            found.append(bone)
            bone = int(self.body.parents[bone])
        return [end, *found[::-1]]

    def trunk(self, bend: float = 0.0, twist: float = 0.0, side: float = 0.0, neck: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """Bend the spine forward, turn it to the left, lean it to the left; `neck` the same for neck and head."""
        for bones, turns in ((self.chain("spine", "neck"), (bend, twist, -side)), ([*self.chain("neck", "head"), self.bone("head")], neck)):
            for bone in bones:
                self.local[bone] = turned(DEGREE * np.array(turns) / len(bones)) @ self.local[bone]

    def arm(self, side: Side, upper: np.ndarray, lower: np.ndarray, pronation: float = 0.0) -> None:
        """Point upper arm and forearm along (3,) and (3,); `pronation` turns the hand about the forearm, thumb inwards."""
        sign = SIGN[side]
        along, hinge = np.array([sign, 0.0, 0.0]), np.array([0.0, -sign, 0.0])
        self._limb(f"{side}UpperArm", f"{side}LowerArm", along, hinge, unit(upper), unit(lower))
        forearm = self.chain(f"{side}LowerArm", f"{side}Hand")[1:] or [self.bone(f"{side}Hand")]
        for bone in forearm:
            self.local[bone] = axis_rotation(0, sign * pronation * DEGREE / len(forearm)) @ self.local[bone]

    def hand(self, side: Side, flex: float, aside: float = 0.0) -> None:
        """Bend the wrist towards the palm and towards the thumb."""
        wrist, index, little, middle = (
            self.head(f"{side}{name}") for name in ("Hand", *(f"{f}Proximal" for f in ("Index", "Little", "Middle")))
        )
        palm = -SIGN[side] * unit(np.cross(index - wrist, little - wrist))
        along = unit(middle - wrist)
        self.local[self.bone(f"{side}Hand")] = turned(flex * DEGREE * np.cross(along, palm)) @ turned(
            aside * DEGREE * SIGN[side] * palm * np.sign(np.cross(along, index - little) @ palm) * SIGN[side]
        )

    def reach(self, side: Side, target: np.ndarray, elbow: np.ndarray, pronation: float = 0.0) -> None:
        """Bring the wrist to `target` (3,), or as near as the arm is long, with the elbow towards `elbow` (3,); canonical trunk."""
        shoulder, bend, wrist = (self.head(f"{side}{name}") for name in ("UpperArm", "LowerArm", "Hand"))
        first, second = float(np.linalg.norm(bend - shoulder)), float(np.linalg.norm(wrist - bend))
        # Room is made outward from the trunk's axis.
        outward = np.array([target[0], 0.0, target[2]])
        away = target + self.room * (0.02 * unit(outward) + 0.008 * SIGN[side] * np.array([1.0, 0.0, 0.0])) - shoulder
        distance = float(np.clip(np.linalg.norm(away), abs(first - second) + 0.02, 0.995 * (first + second)))
        along = unit(away)
        out = unit(elbow - (elbow @ along) * along)
        cosine = (first**2 + distance**2 - second**2) / (2 * first * distance)
        place = first * (cosine * along + np.sqrt(max(1 - cosine**2, 0.0)) * out)
        self.arm(side, place, distance * along - place, pronation)

    def leg(
        self,
        side: Side,
        flex: float,
        knee: float,
        out: float = 4.0,
        turn: float = 6.0,
        ankle: float | None = None,
        toes: float | None = None,
    ) -> None:
        """Lift the thigh forward by `flex`, sideways by `out`, turn it outwards by `turn`, bend the knee.

        The foot is flat on the ground with the toes turned out by `toes` (None: as far as the thigh), or bent upwards by `ankle` from
        square to the shin.
        """
        sign, out = SIGN[side], out + 1.2 * self.room
        # Sideways is about the forward axis for a leg that hangs, about the vertical for one that is lifted.
        lifted = np.sin(flex * DEGREE)
        aside = axis_rotation(1, sign * out * lifted * DEGREE) @ axis_rotation(2, sign * out * (1 - abs(lifted)) * DEGREE)
        swing = aside @ axis_rotation(0, -flex * DEGREE) @ axis_rotation(1, sign * turn * DEGREE)
        rest = self.shaped.rest_rotations[self.bone(f"{side}UpperLeg")].T
        self.local[self.bone(f"{side}UpperLeg")] = upper = swing @ _upright(self, side) @ rest
        hinge = upper @ rest.T @ np.array([1.0, 0.0, 0.0])
        lower = turned(knee * DEGREE * unit(hinge)) @ upper
        self.local[self.bone(f"{side}LowerLeg")] = upper.T @ lower
        foot = self.bone(f"{side}Foot")
        if ankle is None:
            flat = axis_rotation(1, sign * (turn if toes is None else toes) * DEGREE) @ self.shaped.rest_rotations[foot].T
            self.local[foot] = lower.T @ flat
        else:
            across = lower @ rest.T @ np.array([1.0, 0.0, 0.0])
            self.local[foot] = lower.T @ turned(-ankle * DEGREE * unit(across)) @ lower

    def girth(self, height: float) -> tuple[float, float]:
        """Half the trunk's width at a height, and how far its front lies before the spine, canonical pose, metres."""
        trunk = self.shaped.canonical[self.body.region == REGIONS.index("torso")]
        near = trunk[np.abs(trunk[:, 1] - height) < 0.02]
        return float(np.abs(near[:, 0]).max()), float(near[:, 2].max())

    def hanging(self, side: Side) -> float:
        """The least angle to the vertical, radians, at which a straight arm hangs clear of the trunk."""
        shoulder, wrist = self.head(f"{side}UpperArm"), self.head(f"{side}Hand")
        length = float(np.linalg.norm(wrist - shoulder))
        lowest = float(self.head("leftUpperLeg")[1]) - 0.03
        need = 0.0
        for share in (0.4, 0.55, 0.7, 0.85, 1.0, 1.15):
            wide, _ = self.girth(max(float(shoulder[1]) - share * length, lowest))
            need = max(need, (wide + 0.05 - abs(float(shoulder[0]))) / (share * length))
        return float(np.arcsin(np.clip(need, 0.05, 0.7))) + 3 * DEGREE * self.room

    def _limb(self, first: str, second: str, along: np.ndarray, hinge: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
        natural = _swung(along, upper) @ hinge
        normal = np.cross(upper, lower)
        bent = float(np.arctan2(np.linalg.norm(normal), upper @ lower))
        normal = natural - (natural @ upper) * upper if bent < _STRAIGHT else normal
        start = np.column_stack([along, hinge, np.cross(along, hinge)])
        turns = [np.column_stack([d, n, np.cross(d, n)]) @ start.T for d in (upper, lower) for n in [unit(normal - (normal @ d) * d)]]
        self.local[self.bone(first)] = turns[0]
        self.local[self.bone(second)] = turns[0].T @ turns[1]


def _upright(puppet: Puppet, side: Side) -> np.ndarray:
    """(3, 3) takes the leg at rest to hang straight down from the hip."""
    rest = puppet.shaped.rest_heads
    down = rest[puppet.bone(f"{side}Foot")] - rest[puppet.bone(f"{side}UpperLeg")]
    return axis_rotation(2, -float(np.arctan2(down[0], -down[1]))) @ axis_rotation(0, float(np.arctan2(down[2], -down[1])))


def _swung(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(3, 3) the shortest turn from unit vector to unit vector."""
    axis = np.cross(first, second)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3) if first @ second > 0 else axis_rotation(1, np.pi)
    return turned(axis / sine * np.arctan2(sine, first @ second))
