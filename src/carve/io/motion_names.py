"""What motion files call the humanoid bones, and how a file's joints are found. Each table maps a VRM 1.0 humanoid bone to a joint's name.

Sources: the skeletons of the CMU Graphics Lab Motion Capture Database in its BVH conversions, MakeHuman's default rig, Mixamo's, Rokoko's,
Xsens's, Poser's and 3ds Max Biped's exports, Unreal's mannequin, Blender's Rigify, SMPL, and VRM 1.0's own names (which Unity's are too).

Names are compared without namespaces and prefixes (`mixamorig:`, `Bip01`, `DEF-`), case, and separators, and with the side wherever it
stands: `upper_arm.L`, `LeftUpperArm` and `J_Bip_L_UpperArm` are one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from carve.files.text import read_json, readable
from carve.io.glb_reader import VRM_BONES
from carve.records import CarveError

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


def _sided(centre: Mapping[str, str], side: Mapping[str, str], fingers: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """A table from names of the middle, of the limbs (without the side) and of each finger's three joints."""
    parts = dict(side)
    for finger, names in (fingers or {}).items():
        joints = ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
        parts |= {f"{finger}{joint}": name for joint, name in zip(joints, names, strict=True)}
    return dict(centre) | {f"{side}{vrm}": f"{side}_{name}" for side in ("left", "right") for vrm, name in parts.items()}


_LIMBS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")


def _limbs(names: str) -> dict[str, str]:
    """The limbs' bones to names in their order; `-` for none."""
    return {vrm: name for vrm, name in zip(_LIMBS, names.split(), strict=True) if name != "-"}


_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")

BIOVISION = _sided(
    {"hips": "Hips", "spine": "Chest", "chest": "Chest2", "upperChest": "Chest4", "neck": "Neck", "head": "Head"},
    _limbs("Collar Shoulder Elbow Wrist Hip Knee Ankle Toe"),
)
"""Biovision's own and Xsens's: joints, not bones, are named."""

ROKOKO = _sided(
    {"hips": "Hips", "spine": "Spine1", "chest": "Spine2", "upperChest": "Spine3", "neck": "Neck", "head": "Head"},
    _limbs("Shoulder Arm ForeArm Hand Thigh Shin Foot Toe"),
    {f: [f"Digit{n}{joint}" for joint in ("Metacarpal", "Proximal", "Distal")] for n, f in enumerate(_FINGERS, start=1)},
)

UNREAL = _sided(
    {"hips": "pelvis", "spine": "spine_01", "chest": "spine_02", "upperChest": "spine_03", "neck": "neck_01", "head": "head"},
    _limbs("clavicle upperarm lowerarm hand thigh calf foot ball"),
    {f: [f"{'pinky' if f == 'Little' else f}_0{k}" for k in (1, 2, 3)] for f in _FINGERS},
)

RIGIFY = _sided(
    {"hips": "spine", "spine": "spine.001", "chest": "spine.002", "upperChest": "spine.003", "neck": "spine.004", "head": "spine.006"},
    _limbs("shoulder upper_arm forearm hand thigh shin foot toe"),
    {f: [f"{'thumb' if f == 'Thumb' else 'f_' + ('pinky' if f == 'Little' else f)}.0{k}" for k in (1, 2, 3)] for f in _FINGERS},
)

BLENDER = _sided(
    {"hips": "hips", "spine": "spine", "chest": "chest", "upperChest": "upper_chest", "neck": "neck", "head": "head"},
    _limbs("shoulder upper_arm forearm hand thigh shin foot toe"),
)
"""Hand-made rigs in Blender (Rigify's metarig once had these names)."""

BIPED = _sided(
    {"hips": "Pelvis", "spine": "Spine", "chest": "Spine1", "upperChest": "Spine2", "neck": "Neck", "head": "Head"},
    _limbs("Clavicle UpperArm Forearm Hand Thigh Calf Foot Toe0"),
)
"""3ds Max, behind `Bip01`; Valve's and many games'."""

SMPL = _sided(
    {"hips": "pelvis", "spine": "spine1", "chest": "spine2", "upperChest": "spine3", "neck": "neck", "head": "head"},
    _limbs("collar shoulder elbow wrist hip knee ankle foot"),
)

VRM = {name: name for name in sorted(VRM_BONES)}

TABLES = (CMU, MIXAMO, MAKEHUMAN, POSER, VRM, BIOVISION, ROKOKO, UNREAL, RIGIFY, BLENDER, BIPED, SMPL)

REQUIRED = ("hips", "head", "leftUpperLeg", "rightUpperLeg", "leftLowerLeg", "leftFoot", "leftUpperArm")
"""Without these no motion is read."""

_PREFIXES = re.compile(
    r"^(mixamorig\d*|bip0*\d*|valvebiped(?:bip0*\d*)?|def|org|mch|ccbase|character\d*|jbip|jsec|armature|skeleton\d*)(?=.)"
)
_NUMBER = re.compile(r"[._]\d{1,4}$")
"""What Blender puts behind names that are taken (`Hips.001`) and Sketchfab behind all (`mixamorig:Hips_01`)."""
_SIDE = re.compile(r"^(left|right)(?=[a-z0-9])|(left|right)$")
_LETTER = re.compile(r"(?:^|[\s._\-])([LlRr])(?=[\s._\-]|$)|^([lr])(?=[A-Z])")


def name_key(name: str) -> tuple[str, str]:
    """The side (`left`, `right` or nothing) and the rest of a joint's name, in the form in which names are compared."""
    bare = re.split(r"[:|]", name)[-1].strip()
    side = ""
    if letter := _LETTER.search(bare):
        side = "left" if (letter[1] or letter[2]) in "Ll" else "right"
        bare = f"{bare[: letter.start()]} {bare[letter.end() :]}"
    plain = re.sub(r"[^a-z0-9]", "", bare.lower())
    if prefix := _PREFIXES.match(plain):
        plain = plain[prefix.end() :]
    if not side and (word := _SIDE.search(plain)):
        side = word[1] or word[2]
        plain = plain[: word.start()] + plain[word.end() :]
    return side, plain


def humanoid_joints(names: Sequence[str], parents: np.ndarray, source: str, mapping: Mapping[str, str] | None = None) -> dict[str, int]:
    """VRM bone name -> joint of a file's joints (parents first); `source` names the file in errors.

    Raises CarveError if a bone without which no motion can be read is unknown, with the nearest names that the file has.
    """
    if mapping is not None:
        index = {name: joint for joint, name in reversed(list(enumerate(names)))}
        absent = [joint for joint in mapping.values() if joint not in index]
        if absent:
            near = difflib.get_close_matches(absent[0], list(index), 1, 0)
            raise CarveError(f"{source} has no joint '{readable(absent[0])}' as the map says; the nearest is '{readable(near[0])}'.")
        joints = {vrm: index[joint] for vrm, joint in mapping.items()}
    else:
        root = _roots(parents)
        # Of several figures in one file the one is taken that most names are known of, the first of equals.
        found = [_best(names, np.flatnonzero(root == r)) for r in np.unique(root)]
        joints = max(found, key=lambda j: (sum(bone in j for bone in REQUIRED), len(j)))
    missing = [bone for bone in REQUIRED if bone not in joints]
    if missing:
        raise CarveError(f"{source}: {_advice(names, joints, missing)}")
    return joints


def _roots(parents: np.ndarray) -> np.ndarray:
    """(J,) the root above each joint."""
    root = np.arange(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            root[joint] = root[parent]
    return root


def _best(names: Sequence[str], members: np.ndarray) -> dict[str, int]:
    """The joints by the table that knows most of them, without the numbers that programs put behind names where they do not fit with."""
    found = _by_table(names, members, False)
    return found if all(bone in found for bone in REQUIRED) else max(found, _by_table(names, members, True), key=len)


def _by_table(names: Sequence[str], members: np.ndarray, unnumbered: bool) -> dict[str, int]:
    """The joints by the table that knows most of them; fingers do not count: CMU's and Mixamo's names differ in the spine."""
    keys: dict[tuple[str, str], int] = {}
    for joint in members.tolist():
        name = names[joint].split("#")[0]
        keys.setdefault(name_key(_NUMBER.sub("", name) if unnumbered else name), joint)
    tables = [{vrm: keys[name_key(name)] for vrm, name in table.items() if name_key(name) in keys} for table in TABLES]
    return max(tables, key=lambda t: (sum(vrm in t for vrm in CMU), "spine" in t, len(t)))


def _advice(names: Sequence[str], joints: Mapping[str, int], missing: Sequence[str]) -> str:
    """What to tell of the bones that are missing: the nearest joints by name, and how a map is given."""
    free = [name for joint, name in enumerate(names) if joint not in set(joints.values())]
    plain = {"".join(name_key(name)): name for name in reversed(free)}
    guesses = {}
    for bone in missing:
        wanted = ["".join(name_key(table[bone])) for table in TABLES if bone in table]
        near = [m for w in wanted for m in difflib.get_close_matches(w, list(plain), 1, 0.5)]
        if near:
            guesses[bone] = plain[max(near, key=lambda m: max(difflib.SequenceMatcher(None, w, m).ratio() for w in wanted))]
    said = ", ".join(f'"{bone}": "{readable(guesses[bone])}"' for bone in missing if bone in guesses)
    some = ", ".join(readable(name) for name in free[:12]) + (", ..." if len(free) > 12 else "")
    example = said or f'"{missing[0]}": "{readable(free[0]) if free else "..."}"'
    guess = "nearest" if said else "such as"
    return f"no joint is known for {', '.join(missing)} (unknown are {some or 'none'}); give --map FILE with JSON, {guess} {{{example}}}"


def read_mapping(path: Path) -> dict[str, str]:
    """A JSON object of VRM 1.0 bone names to joint names, or of joint names to bone names.

    Raises CarveError if the file is no such object or names a bone that VRM has not.
    """
    what = f"The map {path}"
    value = read_json(path, what)
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value.values()):
        raise CarveError(f'{what} must be a JSON object of bones to joints, such as {{"hips": "Pelvis"}}.')
    pairs = value if any(bone in VRM_BONES for bone in value) else {bone: joint for joint, bone in value.items()}
    unknown = [bone for bone in pairs if bone not in VRM_BONES]
    if unknown:
        near = difflib.get_close_matches(unknown[0], sorted(VRM_BONES), 1, 0)[0]
        raise CarveError(f"{what} names a bone '{readable(unknown[0])[:60]}' that VRM 1.0 has not; the nearest is '{near}'.")
    return pairs
