"""Slack by design: where worn clothes are too long or hang from something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from carve.synth.wear.folds.limbs import CHAINS
from carve.synth.wear.folds.params import Params


@dataclass
class Sources:
    """Places of slack by design. `band`: d is an axis, turned in the surface; `pin`: folds run away from a point."""

    rows: list[np.ndarray]

    def add(
        self,
        kind: Literal["band", "pin"],
        group: int,
        point: np.ndarray,
        axis: np.ndarray,
        reach: float,
        slack: float,
        turn: float = 0.0,
        facing: np.ndarray | None = None,
    ) -> None:
        """`reach` metres is the standard deviation along `axis` (band) or from `point` (pin); `turn` radians from the axis to d.

        With `facing` only cloth that faces that way is slack; a pin's axis, if not zero, is the side of it that has folds.
        """
        length = float(np.linalg.norm(axis))
        unit = axis / length if length > 0 else axis
        face = np.zeros(3) if facing is None else facing / np.linalg.norm(facing)
        self.rows.append(np.concatenate([[float(kind == "pin"), group], point, unit, [reach, slack, turn], face]))

    @property
    def table(self) -> np.ndarray:
        """(N, 14)"""
        return np.array(self.rows).reshape(-1, 14)


def sources_of(
    rest: np.ndarray,
    share: np.ndarray,
    heads: np.ndarray,
    posed_heads: np.ndarray,
    humanoid: Mapping[str, int],
    params: Params,
    rng: np.random.Generator,
) -> np.ndarray:
    """The table of `Sources` of a garment; body parts that it does not reach get none that matter."""
    sources = Sources([])
    have = lambda names: all(name in humanoid for name in names)  # noqa: E731
    for g, chain in enumerate(CHAINS):
        if g and have(chain):
            upper, lower, end = (heads[humanoid[name]] for name in chain)
            top, bottom = posed_heads[humanoid[chain[0]]], posed_heads[humanoid[chain[1]]]
            hanging = float(np.clip((top - bottom)[1] / max(np.linalg.norm(top - bottom), 1e-9), -1, 1))
            _limb_sources(sources, rest, share[:, g], g, (upper, lower, end), hanging, params, rng)
    if have((*CHAINS[0], "leftUpperLeg", "rightUpperLeg", "leftUpperArm", "rightUpperArm")):
        _torso_sources(sources, rest, share[:, 0], {name: heads[index] for name, index in humanoid.items()}, params, rng)
    return sources.table


def _limb_sources(
    sources: Sources,
    rest: np.ndarray,
    share: np.ndarray,
    group: int,
    joints: tuple[np.ndarray, np.ndarray, np.ndarray],
    hanging: float,
    params: Params,
    rng: np.random.Generator,
) -> None:
    """Slack of a sleeve or a trouser leg; `hanging` is 1 where the limb hangs down and -1 where it is raised."""
    upper, lower, end = joints
    arm = group in (1, 2)
    first, second = float(np.linalg.norm(lower - upper)), float(np.linalg.norm(end - lower))
    if first < 1e-6 or second < 1e-6:
        return
    vary = lambda: float(np.exp(0.4 * rng.standard_normal()))  # noqa: E731
    along, shin = (lower - upper) / first, (end - lower) / second
    covered = rest[share > 0.5]
    if not len(covered):
        return
    hem = float(((covered - lower) @ shin).max()) / second
    weight = 0.35 + 0.65 * max(hanging, 0.0)
    if hem > 0.25:
        width = (0.22 if arm else 0.17) * first
        sources.add(
            "band", group, lower + rng.normal(0, 0.06) * first * along, along + shin, width, params.joints * vary(), rng.normal(0, 0.3)
        )
    if hem > 0.75:
        reach = (0.26 if arm else 0.19) * second * vary()
        sources.add(
            "band", group, lower + min(hem, 1.02) * second * shin, shin, reach, params.stacks * weight * vary(), rng.normal(0, 0.25)
        )
    # A hanging sleeve or leg twists: oblique folds over all of it.
    sources.add(
        "band",
        group,
        upper + rng.uniform(0.4, 0.9) * first * along,
        along,
        0.45 * first,
        0.3 * params.joints * weight * vary(),
        float(rng.choice([-1.0, 1.0])) * rng.uniform(0.4, 0.9),
    )
    sources.add("band", group, lower + 0.3 * second * shin, shin, 0.4 * second, params.drape * 0.5 * vary(), np.pi / 2 + rng.normal(0, 0.2))
    if arm:
        side = 1.0 if group == 1 else -1.0
        below = np.cross(along, np.array([0.0, 0.0, 1.0])) * side
        armpit = upper + 0.10 * first * along - abs(0.3 * first) * below * np.sign(below[1])
        for towards in (-1.0, 1.0):
            face = np.array([0.0, 0.0, towards])
            sources.add("pin", group, armpit, np.zeros(3), 0.35 * first, params.pulls * weight * vary(), facing=face)
            sources.add("pin", 0, armpit, np.zeros(3), 0.4 * first, params.pulls * 0.9 * weight * vary(), facing=face)


def _torso_sources(
    sources: Sources, rest: np.ndarray, share: np.ndarray, heads: Mapping[str, np.ndarray], params: Params, rng: np.random.Generator
) -> None:
    """Slack of shirts, jackets, dresses and of the upper part of trousers."""
    vary = lambda: float(np.exp(0.45 * rng.standard_normal()))  # noqa: E731
    up, front = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    hips = 0.5 * (heads["leftUpperLeg"] + heads["rightUpperLeg"])
    shoulders = 0.5 * (heads["leftUpperArm"] + heads["rightUpperArm"])
    wide = abs(heads["leftUpperArm"] - heads["rightUpperArm"])[0]
    tall = float((shoulders - hips)[1])
    crotch = hips - np.array([0.0, 0.17 * tall, 0.0])
    for group in (0, 3, 4):
        for face in (front, -front):
            sources.add("pin", group, crotch, np.zeros(3), 0.24 * tall, params.pulls * 1.2 * vary(), facing=face)
    waist = hips + rng.uniform(0.22, 0.42) * tall * up
    for face in (front, -front):
        sources.add("band", 0, waist, up, 0.14 * tall, params.waist * vary(), rng.normal(0, 0.3), facing=face)
        # Cloth hangs from the breast or the shoulder blades, one side more than the other.
        for side in (-1.0, 1.0):
            point = shoulders + np.array([side * wide * rng.uniform(0.15, 0.35), -rng.uniform(0.1, 0.3) * tall, 0.0])
            sources.add("pin", 0, point, -up, 0.45 * tall, params.drape * 1.2 * vary(), facing=face)
        sources.add(
            "band", 0, hips + 0.3 * tall * up, up, 0.35 * tall, 0.6 * params.drape * vary(), np.pi / 2 + rng.normal(0, 0.15), facing=face
        )
    if rng.random() < 0.6:
        button = waist + np.array([rng.normal(0, 0.02), 0.05 * tall, 0.0])
        sources.add("pin", 0, button, np.zeros(3), 0.2 * tall, params.pulls * 0.8 * vary(), facing=front)
    for side in (-1.0, 1.0):
        joint = heads["leftUpperArm" if side > 0 else "rightUpperArm"]
        sources.add("pin", 0, joint + np.array([0.0, 0.05, 0.0]), -up, 0.25 * tall, params.pulls * 0.4 * vary())
