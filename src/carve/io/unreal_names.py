"""What Unreal's mannequin (and MetaHuman's body) calls the humanoid bones: VRM 1.0 humanoid bone -> joint."""

from __future__ import annotations

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
