"""How fingers bend: at ease, stretched, in a fist, pointing, gripping, pinching, every finger a little differently.

Notation: a curl is the bend of a finger's first joint in degrees; the others bend in proportion.
"""

from __future__ import annotations

import numpy as np

from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.puppet import DEGREE, turned, unit


def draw_curls(rng: np.random.Generator) -> np.ndarray:
    """(5,) degrees from thumb to little finger."""
    style = rng.choice(["ease", "straight", "fist", "point", "grip", "pinch", "two"], p=[0.56, 0.14, 0.09, 0.05, 0.09, 0.05, 0.02])
    base = {
        "ease": rng.uniform(6, 48), "straight": rng.uniform(-4, 8), "fist": rng.uniform(52, 66), "point": rng.uniform(44, 62),
        "grip": rng.uniform(40, 60), "pinch": rng.uniform(28, 45), "two": rng.uniform(48, 62),
    }[str(style)]  # fmt: skip
    # At ease the little finger bends more than the index, or all alike.
    curls = base * (1 + rng.uniform(-0.1, 0.55) * (np.array([0, 0, 1, 2, 3]) / 3 - 0.5)) + rng.normal(0, 3.5, 5)
    curls[0] = rng.uniform(0.25, 0.6) * base if style != "straight" else rng.uniform(-5, 8)
    if style in ("point", "two"):
        curls[1] = rng.uniform(-2, 10)
    if style == "two":
        curls[2] = rng.uniform(-2, 10)
    return np.clip(curls, -8, 88)


def bend_fingers(body: FullBody, shaped: ShapedBody, local: np.ndarray, rng: np.random.Generator) -> None:
    """Bend and spread the fingers of both hands of a pose (B, 3, 3), in place; the axis of each joint is across the palm."""
    index = {name: i for i, name in enumerate(body.names)}
    for letter, sign in (("L", 1.0), ("R", -1.0)):
        curls, spread = draw_curls(rng), float(rng.uniform(-3, 9))
        middle, last = rng.uniform(0.85, 1.25), rng.uniform(0.4, 0.75)
        wrist, first, little = (shaped.heads[index[f"{name}.{letter}"]] for name in ("wrist", "finger2-1", "finger5-1"))
        back = sign * np.cross(first - wrist, little - wrist)
        for finger in range(1, 6):
            along = little - first
            for joint, share in zip((1, 2, 3), (1.0, middle, last), strict=True):
                bone = index[f"finger{finger}-{joint}.{letter}"]
                if joint < 3:  # the last bone goes on as the one before
                    along = shaped.heads[index[f"finger{finger}-{joint + 1}.{letter}"]] - shaped.heads[bone]
                if finger == 1 and joint == 1:
                    continue
                axis = -unit(np.cross(along, back))
                local[bone] = turned(axis * share * curls[finger - 1] * DEGREE) @ local[bone]
                if joint == 1:
                    fan = spread * (3.5 - finger) / 2 * max(0.0, 1 - curls[finger - 1] / 60)
                    local[bone] = turned(unit(back) * fan * DEGREE) @ local[bone]
