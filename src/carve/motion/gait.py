"""Motions that carve brings along: a walk in place and an A-pose. They are our own, drawn from general descriptions of human gait.

Notation: a positive angle about x moves the lower end of a limb backwards or points the toes down; the phase p runs from 0 at the heel
strike of the left foot to 1 at its next; the right side lags half a cycle behind. Rotations are global, against `motion`'s standard pose.
"""

from __future__ import annotations

import numpy as np

from carve.geometry.rotations import matrix_from_quaternion
from carve.motion.retarget import Motion

FPS = 30.0
CYCLE = 32
"""Frames of a cycle: two steps in a little over a second."""

HIP_FLEXION = ((0.0, 25.0), (0.12, 20.0), (0.30, 4.0), (0.50, -12.0), (0.62, 0.0), (0.75, 21.0), (0.87, 28.0))
KNEE_FLEXION = ((0.0, 5.0), (0.12, 15.0), (0.30, 5.0), (0.42, 5.0), (0.52, 17.0), (0.62, 42.0), (0.72, 58.0), (0.86, 28.0), (0.96, 5.0))
FOOT_PITCH = ((0.0, -19.0), (0.04, -10.0), (0.08, 0.0), (0.20, 0.0), (0.36, 0.0), (0.50, 22.0), (0.62, 58.0), (0.72, 42.0), (0.90, -14.0))
TOE_EXTENSION = ((0.0, 5.0), (0.10, 0.0), (0.36, 0.0), (0.50, 22.0), (0.57, 32.0), (0.68, 6.0), (0.85, 6.0))
"""Degrees at phases of the cycle, smooth periodic curves between, rounded from the usual textbook shapes of level walking.

The foot's pitch is against the ground: flat while it stands, heel up from p = 0.4 on, toes up before the heel strikes.
"""

ARM_LOWERED = np.radians(74.0)
"""How far the arms hang down from the horizontal, radians."""


def _about(axis: int, radians: np.ndarray | float, count: int) -> np.ndarray:
    """(count, 3, 3) rotations about a coordinate axis."""
    half = np.broadcast_to(np.asarray(radians, float) / 2, (count,))
    quaternion = np.zeros((count, 4))
    quaternion[:, axis], quaternion[:, 3] = np.sin(half), np.cos(half)
    return matrix_from_quaternion(quaternion)


def _curve(points: tuple[tuple[float, float], ...], phase: np.ndarray) -> np.ndarray:
    """Radians at each phase of a smooth periodic curve through (phase, degrees); the first point lies at phase 0."""
    at, degrees = np.array(points).T
    return np.radians(periodic_spline(at, degrees, phase % 1.0))


def periodic_spline(at: np.ndarray, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The cubic spline of period 1 through (at, values), `at` rising from 0, at the places `where` in 0..1.

    scipy has the same; importing its interpolation for ten points takes longer than all of this module's motions.
    Notation: h length of a piece, s its slope, m second derivatives at the points, a and b distances to a piece's start and end.
    """
    h = np.diff(at, append=1.0)
    s = (np.roll(values, -1) - values) / h
    before, eye = np.roll(h, 1), np.eye(len(at))
    system = 2 * np.diag(h + before) + h[:, None] * np.roll(eye, 1, 1) + before[:, None] * np.roll(eye, -1, 1)
    m = np.linalg.solve(system, 6 * (s - np.roll(s, 1)))
    i = np.searchsorted(at, where, side="right") - 1
    j, a, h = (i + 1) % len(at), where - at[i], h[i]
    b = h - a
    return (m[i] * b**3 + m[j] * a**3) / (6 * h) + (values[i] / h - m[i] * h / 6) * b + (values[j] / h - m[j] * h / 6) * a


def walk() -> Motion:
    """One cycle of a walk in place; after the last frame the first follows."""
    phase = np.arange(CYCLE) / CYCLE
    angle = 2 * np.pi * phase
    trunk_yaw = np.radians(4.0) * np.cos(angle)  # at the left heel strike the pelvis has its left side in front: turned to the right
    turned: dict[str, np.ndarray] = {
        "hips": _about(1, -trunk_yaw, CYCLE) @ _about(2, np.radians(2.5) * np.sin(angle), CYCLE),
        "spine": _about(0, np.radians(3.0), CYCLE),
        "chest": _about(1, trunk_yaw, CYCLE) @ _about(0, np.radians(4.0), CYCLE),
        "neck": _about(0, np.radians(3.0), CYCLE),
        "head": _about(0, np.radians(1.0) * np.cos(2 * angle), CYCLE),
    }
    turned["upperChest"] = turned["chest"]
    for side, sign, shift in (("left", 1.0, 0.0), ("right", -1.0, 0.5)):
        p = phase + shift
        hip, knee = _curve(HIP_FLEXION, p), _curve(KNEE_FLEXION, p)
        pitch, toes = _curve(FOOT_PITCH, p), _curve(TOE_EXTENSION, p)
        foot_out = _about(1, sign * np.radians(6.0), CYCLE)
        turned[f"{side}UpperLeg"] = _about(0, -hip, CYCLE) @ foot_out
        turned[f"{side}LowerLeg"] = _about(0, knee - hip, CYCLE) @ foot_out
        turned[f"{side}Foot"] = _about(0, pitch, CYCLE) @ foot_out
        turned[f"{side}Toes"] = _about(0, pitch - toes, CYCLE) @ foot_out
        swing = np.radians(5.0) + np.radians(17.0) * np.cos(2 * np.pi * p)  # the arm is behind while its own leg is in front
        elbow = np.radians(15.0) - np.radians(8.0) * np.cos(2 * np.pi * p)
        hanging = _about(2, -sign * ARM_LOWERED, CYCLE)
        turned[f"{side}Shoulder"] = turned["chest"]
        turned[f"{side}UpperArm"] = _about(0, swing, CYCLE) @ hanging
        turned[f"{side}LowerArm"] = _about(0, swing - elbow, CYCLE) @ hanging
        turned[f"{side}Hand"] = _about(0, swing - elbow * 1.15, CYCLE) @ hanging
    sway = np.column_stack([0.025 * np.sin(angle), np.zeros(CYCLE), np.zeros(CYCLE)])  # over the foot that stands
    return Motion(tuple(turned), np.stack(list(turned.values()), 1), sway, FPS, grounded=True)


def a_pose() -> Motion:
    """One frame: standing with the arms half lowered and the feet a little apart."""
    turned = {name: _about(0, 0.0, 1) for name in ("hips", "spine", "chest", "upperChest", "neck", "head")}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm, leg = _about(2, -sign * np.radians(48.0), 1), _about(2, sign * np.radians(5.0), 1)
        turned |= {f"{side}{bone}": arm for bone in ("UpperArm", "LowerArm", "Hand")}
        turned |= {f"{side}{bone}": leg for bone in ("UpperLeg", "LowerLeg")}
        turned |= {f"{side}{bone}": _about(1, sign * np.radians(6.0), 1) for bone in ("Foot", "Toes")}
    return Motion(tuple(turned), np.stack(list(turned.values()), 1), np.zeros((1, 3)), FPS, grounded=True)
