"""Ways to stand, sit, walk and hold one's arms before a camera, drawn at random.

Each draws a whole pose on a puppet: legs and trunk first, then what each arm does, then where the head looks.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from carve.geometry.rotations import axis_rotation
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.gait import Stride, gait
from carve.synth.people.puppet import DEGREE, SIGN, Puppet, Side

Stance = Literal["standing", "crossed legs", "walking", "running", "sitting", "dancing", "reaching", "looking back"]
_CHANCES: dict[Stance, float] = {
    "standing": 0.40, "crossed legs": 0.04, "walking": 0.19, "running": 0.06, "sitting": 0.11, "dancing": 0.06, "reaching": 0.10,
    "looking back": 0.04,
}  # fmt: skip
MOVING: tuple[Stance, ...] = ("walking", "running", "sitting", "dancing", "reaching")
"""Those who do not stand still."""
Habit = Literal["hang", "hip", "pocket", "bent", "bag", "strap", "phone", "face", "behind", "belly", "out", "raised", "lap"]
_HABITS: dict[Habit, float] = {
    "hang": 0.34, "hip": 0.1, "pocket": 0.13, "bent": 0.1, "bag": 0.08, "strap": 0.03, "phone": 0.05, "face": 0.04, "behind": 0.03,
    "belly": 0.04, "out": 0.04, "raised": 0.02,
}  # fmt: skip
_SIDES: tuple[Side, ...] = get_args(Side)


def draw_stance(body: FullBody, shaped: ShapedBody, rng: np.random.Generator, room: float = 0.0) -> tuple[Stance, np.ndarray]:
    """A way to be photographed and its local rotations (B, 3, 3) against the canonical pose; fingers are straight.

    `room` keeps limbs further apart than the same generator would have them (see `Puppet.room`).
    """
    kind: Stance = tuple(_CHANCES)[int(rng.choice(len(_CHANCES), p=tuple(_CHANCES.values())))]
    puppet = Puppet(body, shaped, room)
    if kind in ("walking", "running"):
        run = kind == "running"
        pace, length = (rng.uniform(0.75, 1.0), rng.uniform(0.7, 1.05)) if run else (rng.uniform(0.0, 0.15), rng.uniform(0.45, 1.15))
        free = run or rng.random() < 0.75
        gait(puppet, Stride(float(rng.random()), float(pace), float(length), float(rng.random() < 0.12 and not run)), rng, free)
        if not free:
            _arms(puppet, rng)
    elif kind == "sitting":
        _sit(puppet, rng)
    elif kind == "dancing":
        _dance(puppet, rng)
    else:
        _stand(puppet, rng, crossed=kind == "crossed legs")
        twist = float(rng.choice([-1, 1]) * rng.uniform(22, 42)) if kind == "looking back" else float(rng.normal(0, 6))
        look = float(1.3 * twist + rng.normal(0, 6)) if kind == "looking back" else float(rng.normal(0, 16))
        nod = float(rng.normal(3, 6))
        puppet.trunk(float(rng.normal(0, 3)), twist, 0.0, (nod, float(np.clip(look, -65, 65)), float(rng.normal(0, 4))))
        if kind == "reaching":
            _reach_out(puppet, rng)
        else:
            _arms(puppet, rng)
    return kind, puppet.local


def _stand(puppet: Puppet, rng: np.random.Generator, crossed: bool = False) -> None:
    """On both legs or with the weight on one; the pelvis drops on the free side and the trunk leans back over the leg that stands."""
    weight = rng.choice(["left", "right", "both"], p=[0.32, 0.32, 0.36])
    wide = float(rng.choice([1.0, 3.0, 6.0, 11.0], p=[0.2, 0.38, 0.3, 0.12]))
    if weight == "both" and not crossed:
        for side in _SIDES:
            puppet.leg(side, float(rng.normal(0, 1.5)), float(rng.uniform(1, 5)), wide, float(rng.normal(7, 4)))
        return
    standing: Side = "left" if weight == "left" else "right"
    free: Side = "right" if standing == "left" else "left"
    sign, drop = SIGN[standing], float(rng.uniform(2, 7))
    if crossed:
        puppet.leg(standing, 0.0, 2.0, 1.0, float(rng.uniform(0, 8)))
        puppet.leg(free, float(rng.uniform(9, 14)), float(rng.uniform(8, 16)), float(rng.uniform(-13, -9)), float(rng.uniform(4, 18)))
    else:
        puppet.leg(standing, 0.0, 1.5, wide / 2 - drop, float(rng.uniform(0, 8)))
        puppet.leg(free, float(rng.uniform(2, 20)), float(rng.uniform(8, 34)), wide + drop, float(rng.uniform(2, 22)))
    puppet.local[0] = axis_rotation(2, sign * drop * DEGREE) @ puppet.local[0]
    puppet.trunk(0.0, 0.0, sign * drop * float(rng.uniform(0.8, 1.3)), (0.0, 0.0, 0.0))


def _sit(puppet: Puppet, rng: np.random.Generator) -> None:
    """On a chair: feet apart or together, stretched out, an ankle crossed or a leg over the other; on the ground."""
    way = rng.choice(["square", "apart", "stretched", "ankles", "over", "ground"], p=[0.28, 0.2, 0.12, 0.14, 0.16, 0.1])
    lean = float(rng.normal(2, 9))
    for side in _SIDES:
        flex, knee, out, turn = rng.normal(86, 4), rng.normal(86, 6), rng.uniform(2, 9), rng.uniform(0, 10)
        ankle: float | None = None
        if way == "apart":
            out, turn = rng.uniform(14, 26), rng.uniform(5, 18)
        elif way == "stretched":
            flex, knee = rng.normal(74, 4), rng.normal(38, 10)
            ankle = float(rng.uniform(-25, 0))
        elif way == "ankles":
            flex, knee, turn = 84, rng.normal(70, 4) + (6 if side == "left" else -3), rng.uniform(-4, 4)
            out = -1.0 if side == "left" else 1.0
            ankle = float(rng.uniform(-20, 0))
        elif way == "over" and side == "left":
            flex, knee, out, turn, ankle = rng.normal(103, 3), rng.normal(70, 8), -16, rng.uniform(-2, 6), float(rng.uniform(-30, -5))
        elif way == "ground":
            flex, knee, out, turn = rng.normal(98, 5), rng.normal(105, 14), rng.uniform(4, 22), rng.uniform(2, 20)
        puppet.leg(side, float(flex), float(knee), float(out), float(turn), ankle)
    puppet.trunk(
        lean, float(rng.normal(0, 7)), float(rng.normal(0, 3)), (float(rng.normal(2 - 0.5 * lean, 6)), float(rng.normal(0, 15)), 0.0)
    )
    for side in _SIDES:
        _habit(puppet, side, str(rng.choice(["lap", "bent", "face", "phone", "behind"], p=[0.62, 0.1, 0.1, 0.12, 0.06])), rng)  # type: ignore[arg-type]


def _dance(puppet: Puppet, rng: np.random.Generator) -> None:
    """Knees and trunk bent at random, arms anywhere above the waist."""
    for side in _SIDES:
        flex = float(rng.uniform(-8, 55))
        puppet.leg(
            side,
            flex,
            float(max(flex * rng.uniform(0.9, 1.7), 5) + rng.uniform(0, 12)),
            float(rng.uniform(2, 24)),
            float(rng.uniform(0, 28)),
        )
    bend, twist, side_lean = (float(v) for v in rng.normal(0, (9, 15, 9)))
    puppet.trunk(bend, twist, side_lean, neck=(0.0, float(rng.normal(0, 18)), float(rng.normal(0, 7))))
    for side in _SIDES:
        raised, forward = rng.uniform(-0.6, 1.0), rng.uniform(-0.25, 0.9)
        upper = np.array([SIGN[side] * rng.uniform(0.35, 1.0), raised, forward])
        lower = np.array([SIGN[side] * rng.uniform(-0.7, 0.8), rng.uniform(-0.3, 1.2), rng.uniform(-0.1, 1.0)])
        puppet.arm(side, upper, lower, float(rng.uniform(-40, 70)))
        puppet.hand(side, float(rng.uniform(-35, 35)))


def _reach_out(puppet: Puppet, rng: np.random.Generator) -> None:
    """One or both arms raised, pointing, waving or stretched out."""
    chosen = _SIDES if rng.random() < 0.45 else (_SIDES[int(rng.integers(2))],)
    way = rng.choice(["up", "wave", "point", "wide", "head"], p=[0.22, 0.2, 0.22, 0.18, 0.18])
    for side in _SIDES:
        sign = SIGN[side]
        if side not in chosen:
            _habit(puppet, side, _draw_habit(rng), rng)
        elif way == "head":
            crown = puppet.head("head") + np.array([0.0, 0.07, 0.0])
            puppet.reach(
                side,
                crown + np.array([sign * rng.uniform(0.11, 0.15), rng.uniform(-0.02, 0.06), rng.uniform(-0.12, 0.0)]),
                np.array([sign, 0.2, 0.3]),
            )
        else:
            upper, lower = {
                "up": ([0.35, 1.0, 0.15], [0.1, 1.0, 0.15]),
                "wave": ([0.9, 0.1, 0.3], [0.25, 1.0, 0.2]),
                "point": ([0.5, 0.05, 0.9], [0.35, 0.15, 1.0]),
                "wide": ([1.0, 0.1, 0.15], [1.0, 0.25, 0.3]),
            }[str(way)]
            spread = rng.normal(0, 0.17, (2, 3))
            puppet.arm(
                side,
                (np.array(upper) + spread[0]) * [sign, 1, 1],
                (np.array(lower) + spread[1]) * [sign, 1, 1],
                float(rng.uniform(-30, 60)),
            )
            puppet.hand(side, float(rng.uniform(-20, 15)))


def _draw_habit(rng: np.random.Generator) -> Habit:
    return tuple(_HABITS)[int(rng.choice(len(_HABITS), p=np.array(tuple(_HABITS.values())) / sum(_HABITS.values())))]


def _arms(puppet: Puppet, rng: np.random.Generator) -> None:
    """Both arms: crossed, alike, or each on its own."""
    chance = rng.random()
    if chance < 0.1:
        _cross_arms(puppet, rng)
        return
    first = _draw_habit(rng)
    second = first if chance < 0.5 else _draw_habit(rng)
    for side, habit in zip(_SIDES, (first, second) if rng.random() < 0.5 else (second, first), strict=True):
        _habit(puppet, side, habit, rng)


def _cross_arms(puppet: Puppet, rng: np.random.Generator) -> None:
    """Folded before the chest: one forearm over the other, hands at the other arm."""
    over: Side = _SIDES[int(rng.integers(2))]
    level = 0.5 * (puppet.head("chest")[1] + puppet.head("leftUpperArm")[1])
    wide, front = puppet.girth(level)
    for side in _SIDES:
        sign, above = SIGN[side], side == over
        target = np.array([-sign * 0.62 * wide, level + (0.035 if above else -0.02), front + (0.115 if above else 0.05)])
        puppet.reach(side, target, np.array([sign, -0.75, 0.25]), 35.0)
        puppet.hand(side, float(rng.uniform(5, 18)))


def _habit(puppet: Puppet, side: Side, habit: Habit, rng: np.random.Generator) -> None:
    """What one arm does, in place."""
    sign, mirror = SIGN[side], np.array([SIGN[side], 1.0, 1.0])
    hip, waist = puppet.head(f"{side}UpperLeg"), puppet.head("spine")[1]
    vary = rng.normal(0, 0.012, 3)
    if habit in ("hang", "out", "bag"):
        away = puppet.hanging(side) + {"hang": rng.uniform(0, 6), "out": rng.uniform(8, 25), "bag": rng.uniform(1, 5)}[habit] * DEGREE
        bend = {"hang": rng.uniform(5, 24), "out": rng.uniform(5, 40), "bag": rng.uniform(2, 8)}[habit] * DEGREE
        ahead = float(rng.normal(2, 4)) * DEGREE
        upper = np.array([np.sin(away), -np.cos(away), np.sin(ahead)])
        lower = np.array([np.sin(away) * rng.uniform(0.6, 1.0), -np.cos(bend + ahead), np.sin(bend + ahead)])
        puppet.arm(side, upper * mirror, lower * mirror, float(rng.uniform(-10, 40)))
        puppet.hand(side, float(rng.uniform(-6, 16)))
        return
    if habit in ("bent", "raised"):
        upper = (
            np.array([np.tan(puppet.hanging(side)) + rng.uniform(0.0, 0.15), -1.0, rng.uniform(0.0, 0.4)])
            if habit == "bent"
            else np.array([0.9, rng.uniform(-0.3, 0.8), 0.3])
        )
        lower = (
            np.array([rng.uniform(-0.35, 0.2), rng.uniform(-0.5, 0.5), 1.0])
            if habit == "bent"
            else np.array([0.1, 1.0, rng.uniform(0, 0.4)])
        )
        puppet.arm(side, upper * mirror, lower * mirror, float(rng.uniform(-10, 50)))
        puppet.hand(side, float(rng.uniform(-15, 20)))
        return
    crown, shoulder = puppet.head("head"), puppet.head(f"{side}UpperArm")
    wide, front = puppet.girth({"hip": waist, "belly": waist + 0.02, "behind": waist}.get(habit, float(hip[1]) + 0.05))
    target, elbow, pronation, flex = {
        "hip": (np.array([sign * (wide + 0.05), waist - 0.03, 0.02]), np.array([1.0, 0.0, -0.55]), 60.0, 25.0),
        "pocket": (np.array([sign * (wide + 0.055), hip[1] + 0.08, 0.05]), np.array([0.8, 0.2, -0.7]), 15.0, 0.0),
        "strap": (shoulder + np.array([-sign * 0.03, -0.1, 0.13]), np.array([0.6, -1.0, 0.1]), 40.0, 20.0),
        "phone": (np.array([sign * 0.06, waist + 0.16, front + 0.22]), np.array([0.7, -1.0, -0.2]), -55.0, -10.0),
        "face": (crown + np.array([sign * 0.09, -0.06, 0.19]), np.array([0.7, -1.0, 0.2]), -50.0, -20.0),
        "behind": (np.array([sign * 0.05, hip[1] + 0.05, -0.2]), np.array([1.0, 0.0, -0.5]), 10.0, 5.0),
        "belly": (np.array([sign * 0.055, waist - 0.02, front + 0.09]), np.array([0.9, -0.2, -0.5]), 25.0, 8.0),
        "lap": (
            np.array([sign * rng.uniform(0.05, 0.16), hip[1] + rng.uniform(0.13, 0.19), hip[2] + rng.uniform(0.22, 0.38)]),
            np.array([0.8, -0.4, -0.4]), 35.0, 0.0,
        ),
    }[habit]  # fmt: skip
    puppet.reach(side, np.asarray(target) + vary, elbow * mirror, pronation + float(rng.normal(0, 8)))
    puppet.hand(side, flex + float(rng.normal(0, 6)))
