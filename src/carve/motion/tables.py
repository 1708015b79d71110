"""What motion files call the humanoid bones: VRM 1.0 humanoid bone -> joint. Sides and case are compared loosely (`motion_names`)."""

from __future__ import annotations

from carve.humanoid import BONES, FINGERS, table
from carve.motion.unreal_names import UNREAL


def _before(side: str, name: str) -> str:
    return f"{side}_{name}"


CMU = table(
    "Hips LowerBack Spine Spine1 Neck Head", "Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase", lambda side, name: f"{side.title()}{name}"
)

MIXAMO = table(
    "Hips Spine Spine1 Spine2 Neck Head",
    "Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase",
    lambda side, name: f"{side.title()}{name}",
    {finger: [f"Hand{'Pinky' if finger == 'Little' else finger}{number}" for number in (1, 2, 3)] for finger in FINGERS},
)

MAKEHUMAN = table(
    "root spine05 spine03 spine01 neck01 head",
    "clavicle upperarm01 lowerarm01 wrist upperleg01 lowerleg01 foot toe1-1",
    lambda side, name: f"{name}.{side[0].upper()}",
    {finger: [f"finger{number}-{k}" for k in (1, 2, 3)] for number, finger in enumerate(FINGERS, start=1)},
    eye="eye",
)
"""Also Anny's."""

POSER = table("hip abdomen chest - neck head", "Collar Shldr ForeArm Hand Thigh Shin Foot -", lambda side, name: f"{side[0]}{name}")

BIOVISION = table("Hips Chest Chest2 Chest4 Neck Head", "Collar Shoulder Elbow Wrist Hip Knee Ankle Toe", _before)
"""Biovision's own and Xsens's: joints, not bones, are named."""

ROKOKO = table(
    "Hips Spine1 Spine2 Spine3 Neck Head",
    "Shoulder Arm ForeArm Hand Thigh Shin Foot Toe",
    _before,
    {finger: [f"Digit{n}{joint}" for joint in ("Metacarpal", "Proximal", "Distal")] for n, finger in enumerate(FINGERS, start=1)},
)

RIGIFY = table(
    "spine spine.001 spine.002 spine.003 spine.004 spine.006",
    "shoulder upper_arm forearm hand thigh shin foot toe",
    _before,
    {f: [f"{'thumb' if f == 'Thumb' else 'f_' + ('pinky' if f == 'Little' else f)}.0{k}" for k in (1, 2, 3)] for f in FINGERS},
)

BLENDER = table("hips spine chest upper_chest neck head", "shoulder upper_arm forearm hand thigh shin foot toe", _before)
"""Hand-made rigs in Blender (Rigify's metarig once had these names)."""

BIPED = table("Pelvis Spine Spine1 Spine2 Neck Head", "Clavicle UpperArm Forearm Hand Thigh Calf Foot Toe0", _before)
"""3ds Max, behind `Bip01`; Valve's and many games'."""

SMPL = table("pelvis spine1 spine2 spine3 neck head", "collar shoulder elbow wrist hip knee ankle foot", _before)

VRM = {name: name for name in BONES}

TABLES = (CMU, MIXAMO, MAKEHUMAN, POSER, VRM, BIOVISION, ROKOKO, UNREAL, RIGIFY, BLENDER, BIPED, SMPL)
"""Those that a file is compared with."""
