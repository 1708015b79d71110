"""The description of a garment: pure data, drawn from a family's table; it makes the same garment on the same body every time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["top", "bottom", "dress", "coat", "suit", "shoes", "hat", "accessory"]
Lower = Literal["none", "legs", "skirt"]
Hold = Literal["neck", "waist", "head", "rigid"]


@dataclass(frozen=True)
class Design:
    """One garment. Lengths are metres on somebody of 1.70 m; others scale them."""

    family: str
    kind: Kind
    layer: int = 2
    """Inner garments have smaller numbers."""
    upper: bool = False
    """It covers the trunk."""
    lower: Lower = "none"
    """What it covers of the legs: each by itself, or both together."""
    cape: bool = False
    """It hangs around the arms too, without sleeves."""
    tucked: bool = False
    """Its hem is held below a waistband."""
    hooded: bool = False
    """It covers the head, with an opening for the face."""
    ease: float = 0.02
    """How far the trunk's cloth stands off the closed body."""
    closing: float = 0.08
    """Hollows of the trunk narrower than twice this are bridged."""
    waist: float = 0.0
    """How much closer it is at the waist."""
    flare: float = 0.0
    """How much wider the hem is than the hips."""
    flare_from: float = -0.2
    """Where it begins to widen, as `hem`."""
    pleats: int = 0
    """Folds pressed into the skirt, around."""
    pleat_depth: float = 0.0
    hem: float = 0.1
    """Height of the hem: -1 at the waist, 0 at the hip joints, 1 at the ankles."""
    hem_curve: float = 0.0
    """How much lower the hem is in front and behind than at the sides; negative: higher."""
    sleeve: float = 0.0
    """Where the sleeve ends along the arm, 0 at the shoulder joint, 1 at the wrist; 0.03 and less has no sleeves."""
    sleeve_ease: float = 0.02
    cuff_ease: float = 0.012
    """At the sleeve's end."""
    gathered: float = 0.0
    """Length of a cuff in which the sleeve (or trouser leg) narrows to `cuff_ease`, 0 for a sleeve that tapers evenly."""
    leg_ease: float = 0.02
    leg_hem: float = 0.02
    """Ease at the trousers' hem."""
    rise: float = 0.8
    """Upper edge of what hangs from the hips: 0 at the hip joints, 1 at the waist."""
    neck_front: float = 0.03
    """How far the neckline lies from the root of the neck in front, over the neck's radius; negative runs up the neck."""
    neck_side: float = 0.015
    neck_back: float = 0.01
    neck_sharp: float = 1.0
    """1 is a round neckline, 3 a V."""
    bare: bool = False
    """The cloth ends below the arms: no shoulders."""
    front: float = -1.0
    """Width by which the front stands open at the hem; negative is closed."""
    front_top: float = 0.0
    """The same at the neckline."""
    slack: float = 0.03
    """How much longer the cloth is than the way it covers."""
    density: float = 0.2
    """Kilograms per square metre."""
    bend: float = 2e-5
    """Newton metres."""
    rest_bend: float = 0.0
    """Share of its made shape that the cloth keeps."""
    friction: float = 0.25
    hold: Hold = "neck"
    details: tuple[str, ...] = ()
    """Names of what is put on it, see `carve.synth.tailor.details`."""
    seed: int = 0
    """Of whatever its details draw."""

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "details": list(self.details)}

    @staticmethod
    def of(data: dict[str, Any]) -> Design:
        """Back from `plain`."""
        return Design(**{**data, "details": tuple(data["details"])})
