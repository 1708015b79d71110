"""Walking and running as curves of joint angles over the cycle, for every phase, pace and stride.

Notation: phase 0..1 of one leg's cycle from one contact of its heel to the next; the other leg is half a cycle off. Angles in degrees:
hip and shoulder flexion forward, knee and elbow flexion, ankle towards the shin. Curves are the sagittal means of Winter, "Biomechanics and
motor control of human movement" (walking) and of Novacheck, "The biomechanics of running", Gait and Posture 1998, at tenths of the cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.geometry.rotations import axis_rotation
from carve.synth.people.puppet import DEGREE, Puppet, Side

_WALK = {
    "hip": (28, 24, 14, 4, -5, -11, -4, 13, 25, 30),
    "knee": (5, 16, 17, 10, 6, 12, 38, 61, 55, 22),
    "ankle": (0, -5, 4, 8, 10, 4, -18, -10, 1, 2),
}
_RUN = {
    "hip": (36, 35, 25, 10, -4, -12, -6, 14, 38, 44),
    "knee": (18, 42, 36, 20, 16, 36, 75, 103, 92, 45),
    "ankle": (6, 17, 20, 8, -18, -24, -14, -4, 2, 5),
}


@dataclass(frozen=True)
class Stride:
    """How somebody moves."""

    phase: float
    """Of the left leg."""
    pace: float
    """0 walking, 1 running."""
    length: float = 1.0
    """1 is an ordinary stride; 0.5 an amble."""
    climb: float = 0.0
    """1 lifts the swinging leg as on stairs."""


def leg_angles(phase: float, stride: Stride) -> tuple[float, float, float]:
    """Hip, knee and ankle of a leg, degrees; a periodic cubic through the curves."""
    found = []
    for name in ("hip", "knee", "ankle"):
        walk, run = (_periodic(np.array(curve[name], float), phase) for curve in (_WALK, _RUN))
        angle = walk + stride.pace * (run - walk)
        middle = {"hip": 8.0, "knee": 8.0, "ankle": 0.0}[name]
        found.append(middle + stride.length * (angle - middle))
    # The leg swings forward between six and nine tenths of the cycle.
    lift = stride.climb * np.exp(-(((phase % 1.0) - 0.82) ** 2) / 0.012)
    return found[0] + 28 * lift, found[1] + 35 * lift, found[2]


def _periodic(values: np.ndarray, phase: float) -> float:
    """Catmull-Rom interpolation of a closed curve (N,) at a phase 0..1."""
    count = len(values)
    place = (phase % 1.0) * count
    k, t = int(place), place - int(place)
    a, b, c, d = (values[(k + shift) % count] for shift in (-1, 0, 1, 2))
    return float(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def gait(puppet: Puppet, stride: Stride, rng: np.random.Generator, arms: bool = True) -> None:
    """Set legs, pelvis and trunk, and the arms that swing against the legs (if they are free), in place."""
    swing = {}
    out = float(rng.normal(1.5, 1.5))
    sides: tuple[Side, Side] = ("left", "right")
    for side, shift in zip(sides, (0.0, 0.5), strict=True):
        hip, knee, ankle = leg_angles(stride.phase + shift, stride)
        puppet.leg(side, hip, max(knee, 2.0), out, float(rng.normal(5, 3)), ankle)
        swing[side] = hip - 8
    forward = (swing["left"] - swing["right"]) / 40
    turn = float(rng.normal(0, 4))
    lean = 2 + 7 * stride.pace + float(rng.normal(0, 2))
    puppet.trunk(
        0.7 * lean, turn + (6 + 4 * stride.pace) * forward, float(rng.normal(0, 1.5)), (-0.3 * lean, float(rng.normal(-turn, 8)), 0.0)
    )
    # The pelvis goes forward with the leg.
    root = axis_rotation(0, 0.3 * lean * DEGREE) @ axis_rotation(1, -4 * forward * DEGREE)
    puppet.local[0] = root @ puppet.local[0]
    if not arms:
        return
    reach = (0.75 + 0.35 * stride.pace) * stride.length * float(rng.uniform(0.5, 1.2))
    for side in sides:
        other = swing["right" if side == "left" else "left"]
        lifted, beside = (reach * other * DEGREE - 0.02), puppet.hanging(side) + float(rng.uniform(0, 5)) * DEGREE
        elbow = (10 + 70 * stride.pace + max(0.35 * reach * other, 0) + float(rng.uniform(0, 12))) * DEGREE
        sign = 1.0 if side == "left" else -1.0
        upper = np.array([sign * np.sin(beside), -np.cos(lifted), np.sin(lifted)])
        inward = -0.15 - 0.3 * stride.pace
        lower = np.array([sign * (np.sin(beside) + inward * np.sin(elbow)), -np.cos(lifted + elbow), np.sin(lifted + elbow)])
        puppet.arm(side, upper, lower, float(rng.uniform(-10, 25)))
        puppet.hand(side, float(rng.uniform(-5, 15)))
