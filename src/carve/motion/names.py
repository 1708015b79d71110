"""Which joints of a motion file are the humanoid bones: by their names (`motion_tables`).

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
from carve.gltf.reader import VRM_BONES
from carve.motion.tables import CMU, TABLES
from carve.records import CarveError

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
