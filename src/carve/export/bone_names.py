"""What programs call the bones: VRM 1.0, Mixamo (also Ready Player Me and TalkingHead, without a prefix), Unreal's mannequin."""

from __future__ import annotations

from typing import Literal

from carve.io.motion_names import MIXAMO

SkeletonKind = Literal["vrm", "mixamo", "unreal"]
"""Whose names and bones the skeleton has."""

SIDES = (("left", "l"), ("right", "r"))

UNREAL = (
    {
        "hips": "pelvis",
        "spine": "spine_01",
        "chest": "spine_02",
        "upperChest": "spine_03",
        "neck": "neck_01",
        "head": "head",
    }
    | {
        f"{side}{vrm}": f"{bone}_{letter}"
        for side, letter in SIDES
        for vrm, bone in {
            "Eye": "eye",
            "Shoulder": "clavicle",
            "UpperArm": "upperarm",
            "LowerArm": "lowerarm",
            "Hand": "hand",
            "UpperLeg": "thigh",
            "LowerLeg": "calf",
            "Foot": "foot",
            "Toes": "ball",
        }.items()
    }
    | {
        f"{side}{finger}{part}": f"{'pinky' if finger == 'Little' else finger.lower()}_0{number}_{letter}"
        for side, letter in SIDES
        for finger in ("Thumb", "Index", "Middle", "Ring", "Little")
        for number, part in enumerate(
            ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal"), start=1
        )
    }
)

ROOTS: dict[SkeletonKind, str] = {"vrm": "Root", "mixamo": "Root", "unreal": "root"}
"""The node on the ground."""

SCENES: dict[SkeletonKind, str] = {"vrm": "avatar", "mixamo": "Armature", "unreal": "avatar"}
"""The scene's name: TalkingHead looks for an object `Armature` around mesh and bones, and a skinned mesh must lie at the scene's top."""


def names_of(kind: SkeletonKind) -> dict[str, str] | None:
    """VRM humanoid bone -> node name; None for VRM's own names."""
    if kind == "mixamo":
        return MIXAMO | {"leftEye": "LeftEye", "rightEye": "RightEye"}
    return UNREAL if kind == "unreal" else None


def twist_name(kind: SkeletonKind, source: str) -> str:
    """Name of the twist bone that comes from a body model's forearm bone such as `lowerarm02.L`."""
    return f"lowerarm_twist_01_{source[-1].lower()}" if kind == "unreal" else source
