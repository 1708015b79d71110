"""What a family of garments is, what cloth there is, and ranges that several families share.

Lengths are metres on somebody of 1.70 m. A number that a family does not name has the design's own default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from carve.synth.tailor.design import Kind

Wearer = Literal["anybody", "women", "men"]
Slot = Literal["bottom", "top", "mid", "outer", "whole", "wrap", "hat", "shoes", "bag"]


@dataclass(frozen=True)
class Fabric:
    """A kind of cloth: ranges of its weight and stiffness (drawn evenly in the logarithm)."""

    density: tuple[float, float]
    """Kilograms per square metre."""
    bend: tuple[float, float]
    """Newton metres."""


FABRICS: dict[str, Fabric] = {
    "silk": Fabric((0.06, 0.10), (5e-7, 2e-6)),
    "jersey": Fabric((0.14, 0.20), (8e-7, 4e-6)),
    "cotton": Fabric((0.11, 0.18), (1.5e-6, 8e-6)),
    "linen": Fabric((0.15, 0.25), (4e-6, 1.5e-5)),
    "fleece": Fabric((0.25, 0.40), (6e-6, 2e-5)),
    "knit": Fabric((0.25, 0.45), (6e-6, 2.5e-5)),
    "denim": Fabric((0.35, 0.50), (1e-5, 4e-5)),
    "wool": Fabric((0.28, 0.45), (1e-5, 5e-5)),
    "leather": Fabric((0.60, 0.90), (4e-5, 1.5e-4)),
    "padded": Fabric((0.25, 0.40), (8e-5, 3e-4)),
}


@dataclass(frozen=True)
class Family:
    """What the designs of a family have in common."""

    kind: Kind
    slot: Slot
    fabrics: tuple[str, ...]
    fixed: dict[str, Any]
    ranges: dict[str, tuple[float, float]]
    details: tuple[str, ...] = ()
    """Always there."""
    perhaps: dict[str, float] = field(default_factory=dict)
    """Detail -> how often it is there."""
    wearer: Wearer = "anybody"
    adult: bool = False
    often: float = 1.0
    """How often it is chosen among those of its slot."""


UPPER: dict[str, Any] = {"upper": True, "hold": "neck"}
TROUSERS: dict[str, Any] = {"lower": "legs", "hold": "waist", "closing": 0.07}
SKIRT: dict[str, Any] = {"lower": "skirt", "hold": "waist", "closing": 0.13}
CREW: dict[str, tuple[float, float]] = {"neck_front": (0.0, 0.035), "neck_side": (-0.012, 0.002), "neck_back": (-0.014, -0.002)}
COLLARED: dict[str, tuple[float, float]] = {"neck_front": (-0.008, 0.01), "neck_side": (-0.018, -0.008), "neck_back": (-0.03, -0.016)}
LONG_SLEEVE: dict[str, tuple[float, float]] = {"sleeve": (0.96, 1.06), "slack": (0.03, 0.09)}


def fits(*groups: dict[str, tuple[float, float]], **own: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Ranges put together; later ones win."""
    result: dict[str, tuple[float, float]] = {}
    for group in (*groups, own):
        result |= group
    return result
