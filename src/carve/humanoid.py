"""The humanoid bones of VRM 1.0 (vrm-c/vrm-specification, VRMC_vrm-1.0/humanoid.md), and tables of what other rigs call them.

The one place that spells them all out; whoever needs a rig's names makes a table with `table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

SIDES = ("left", "right")
CENTRE = ("hips", "spine", "chest", "upperChest", "neck", "head", "jaw")
"""Bones without a side."""
LIMBS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
"""Bones of either side, but for eyes and fingers."""
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")


def finger_bones(finger: str) -> tuple[str, str, str]:
    """The three bones of a finger, from the palm on, without their side."""
    parts = ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
    return f"{finger}{parts[0]}", f"{finger}{parts[1]}", f"{finger}{parts[2]}"


BONES: tuple[str, ...] = (
    *CENTRE,
    *(f"{side}{bone}" for side in SIDES for bone in ("Eye", *LIMBS)),
    *(f"{side}{bone}" for side in SIDES for finger in FINGERS for bone in finger_bones(finger)),
)
"""All of them, parents first."""


def table(
    centre: str,
    limbs: str,
    sided: Callable[[str, str], str],
    fingers: Mapping[str, Sequence[str]] | None = None,
    eye: str | None = None,
    jaw: str | None = None,
) -> dict[str, str]:
    """Humanoid bone to a rig's own name.

    Args:
        centre: the names of hips to head, in order and with a blank between; `-` for a bone that the rig lacks.
        limbs: those of LIMBS without their side, likewise.
        sided: side (`left`, `right`) and a name to the name of that side.
        fingers: finger to the names of its three bones.
        eye: of the eyes.
        jaw: of the jaw.
    """
    middle = dict(zip(CENTRE, [*centre.split(), jaw or "-"], strict=True))
    groups: list[dict[str, str]] = [{} if eye is None else {"Eye": eye}, dict(zip(LIMBS, limbs.split(), strict=True))]
    groups.append({bone: name for finger, names in (fingers or {}).items() for bone, name in zip(finger_bones(finger), names, strict=True)})
    both = {f"{side}{bone}": sided(side, name) for group in groups for side in SIDES for bone, name in group.items() if name != "-"}
    return {bone: name for bone, name in middle.items() if name != "-"} | both
