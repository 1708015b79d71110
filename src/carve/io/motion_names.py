"""What motion files call the humanoid bones. Each table maps a VRM 1.0 humanoid bone to a joint's name.

Sources: the skeletons of the CMU Graphics Lab Motion Capture Database in its BVH conversions, MakeHuman's default rig, Mixamo's and Poser's
exports, and VRM 1.0's own names.
"""

from __future__ import annotations

from carve.io.glb_reader import VRM_BONES

CMU = {
    "hips": "Hips",
    "spine": "LowerBack",
    "chest": "Spine",
    "upperChest": "Spine1",
    "neck": "Neck",
    "head": "Head",
} | {
    f"{side.lower()}{vrm}": f"{side}{joint}"
    for side in ("Left", "Right")
    for vrm, joint in {
        "Shoulder": "Shoulder",
        "UpperArm": "Arm",
        "LowerArm": "ForeArm",
        "Hand": "Hand",
        "UpperLeg": "UpLeg",
        "LowerLeg": "Leg",
        "Foot": "Foot",
        "Toes": "ToeBase",
    }.items()
}

MIXAMO = (
    CMU
    | {"spine": "Spine", "chest": "Spine1", "upperChest": "Spine2"}
    | {
        f"{side.lower()}{finger}{part}": f"{side}Hand{'Pinky' if finger == 'Little' else finger}{number}"
        for side in ("Left", "Right")
        for finger in ("Thumb", "Index", "Middle", "Ring", "Little")
        for number, part in enumerate(
            ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal"), start=1
        )
    }
)

MAKEHUMAN = {
    "hips": "root",
    "spine": "spine05",
    "chest": "spine03",
    "upperChest": "spine01",
    "neck": "neck01",
    "head": "head",
} | {
    f"{side}{vrm}": f"{joint}.{side[0].upper()}"
    for side in ("left", "right")
    for vrm, joint in (
        {
            "Eye": "eye",
            "Shoulder": "clavicle",
            "UpperArm": "upperarm01",
            "LowerArm": "lowerarm01",
            "Hand": "wrist",
            "UpperLeg": "upperleg01",
            "LowerLeg": "lowerleg01",
            "Foot": "foot",
            "Toes": "toe1-1",
            "ThumbMetacarpal": "finger1-1",
            "ThumbProximal": "finger1-2",
            "ThumbDistal": "finger1-3",
        }
        | {
            f"{finger}{part}": f"finger{number}-{joint_number}"
            for number, finger in enumerate(("Index", "Middle", "Ring", "Little"), start=2)
            for joint_number, part in enumerate(("Proximal", "Intermediate", "Distal"), start=1)
        }
    ).items()
}

POSER = {"hips": "hip", "spine": "abdomen", "chest": "chest", "neck": "neck", "head": "head"} | {
    f"{side}{vrm}": f"{side[0]}{joint}"
    for side in ("left", "right")
    for vrm, joint in {
        "Shoulder": "Collar",
        "UpperArm": "Shldr",
        "LowerArm": "ForeArm",
        "Hand": "Hand",
        "UpperLeg": "Thigh",
        "LowerLeg": "Shin",
        "Foot": "Foot",
    }.items()
}

TABLES = (CMU, MIXAMO, MAKEHUMAN, POSER, {name: name for name in sorted(VRM_BONES)})
