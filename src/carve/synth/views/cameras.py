"""Which cameras a person is photographed by: some that see them whole, some that see a part of them closely."""

from __future__ import annotations

import numpy as np

from carve.synth.people.bodies import FullBody
from carve.synth.views.placement import FOCI, Focus, Placement, sample_placement

_FOCUS_BONES: dict[Focus, tuple[str, ...]] = {
    "head": ("head",),
    "torso": ("hips", "neck"),
    "legs": ("leftUpperLeg", "rightUpperLeg", "leftFoot", "rightFoot"),
    "hands": ("leftHand", "rightHand"),
}
"""The bones about whose heads' mean a close-up looks, or one of them for hands."""


def sample_cameras(
    body: FullBody, heads: np.ndarray, vertices: np.ndarray, whole: int, close: int, rng: np.random.Generator
) -> list[tuple[str, Placement]]:
    """Cameras and what each shows, `whole` or a part; the close-ups come last.

    Args:
        body: whose bones the heads are.
        heads: (B, 3) posed body frame; the person faces +Z.
        vertices: (V, 3) of what is to be seen, posed body frame.
        whole: how many cameras see everything, or the upper half.
        close: how many see a part.
        rng: of everything that is drawn.
    """
    found = [("whole", sample_placement(vertices, yaw, rng, half=rng.random() < 0.12)) for yaw in _yaws(whole, rng)]
    order = rng.permutation(len(FOCI))
    for number, yaw in enumerate(_yaws(close, rng)[:close]):
        kind = FOCI[order[number % len(FOCI)]]
        found.append((kind, sample_placement(vertices, yaw, rng, focus=_focus(body, heads, kind, rng))))
    return found


def _yaws(count: int, rng: np.random.Generator) -> list[float]:
    """Directions that cameras look from: the first near the front, then anywhere, the front more often."""
    yaws = [float(rng.normal(0, 0.3))]
    while len(yaws) < count:
        kind = rng.random()
        yaws.append(float(rng.normal(0, 0.6) if kind < 0.45 else rng.uniform(-np.pi, np.pi) if kind < 0.8 else np.pi + rng.normal(0, 0.5)))
    return yaws


def _focus(body: FullBody, heads: np.ndarray, kind: Focus, rng: np.random.Generator) -> np.ndarray:
    """(3,) what a close-up looks at, posed body frame."""
    at = [heads[body.names.index(body.humanoid[bone])] for bone in _FOCUS_BONES[kind]]
    if kind == "hands":
        return at[0] if rng.random() < 0.5 else at[-1]
    return np.asarray(np.mean(at, axis=0))
