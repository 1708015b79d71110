"""A walk as Mixamo delivers one, for measuring: a BVH with its names and the measures of its X Bot (rounded), standing feet on the floor.

Mixamo's own clips cannot be had without an account; the motion is carve's walk, taken over by that skeleton and planted by its own soles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from carve.motion.gait import walk
from carve.motion.planting import planted
from carve.motion.retarget import on_the_ground, skeleton_motion
from carve.motion.tables import MIXAMO
from carve.records import Skeleton

TRUNK = {
    "hips": (None, (0, 99.8, 0)),
    "spine": ("hips", (0, 9.9, -1.2)),
    "chest": ("spine", (0, 11.7, -0.2)),
    "upperChest": ("chest", (0, 13.5, 0)),
    "neck": ("upperChest", (0, 15.0, 0.9)),
    "head": ("neck", (0, 10.3, 3.1)),
}
SIDES = {
    "Shoulder": ("upperChest", (6.1, 9.1, 0.8)),
    "UpperArm": ("Shoulder", (12.9, 0, 0)),
    "LowerArm": ("UpperArm", (27.4, 0, 0)),
    "Hand": ("LowerArm", (27.6, 0, 0)),
    "UpperLeg": ("hips", (9.1, -6.7, -0.1)),
    "LowerLeg": ("UpperLeg", (0, -40.6, 0)),
    "Foot": ("LowerLeg", (0, -42.1, 0)),
    "Toes": ("Foot", (0, -8.6, 13.5)),
}
"""VRM bone -> what it hangs on, centimetres from there in the T-pose, left side."""
HEEL, TOES = (0.0, -0.104, -0.045), (0.0, -0.018, 0.07)
"""Of the soles, metres from ankle and from the toes' bone; the latter is where the file's end sites lie too."""


def _skeleton() -> Skeleton:
    """X Bot's, VRM bone -> Mixamo's name."""
    bones = {name: (parent, np.array(offset, float)) for name, (parent, offset) in TRUNK.items()}
    for side, sign in (("left", 1), ("right", -1)):
        for name, (parent, offset) in SIDES.items():
            above = parent if parent in TRUNK else f"{side}{parent}"
            bones[f"{side}{name}"] = (above, np.array(offset, float) * [sign, 1, 1])
    order = list(bones)
    parents = np.array([-1 if bones[name][0] is None else order.index(str(bones[name][0])) for name in order])
    heads = np.zeros((len(order), 3))
    for bone, name in enumerate(order):
        heads[bone] = bones[name][1] / 100 + (heads[parents[bone]] if parents[bone] >= 0 else 0)
    names = tuple(f"mixamorig:{MIXAMO[name]}" for name in order)
    return Skeleton(names, parents, heads, dict(zip(order, names, strict=True)))


def write_mixamo_walk(path: Path) -> None:
    """Write one cycle in place."""
    skeleton = _skeleton()
    place = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    soles, owner = [], []
    for side in ("left", "right"):
        for bone, offset in (("Foot", HEEL), ("Toes", (0, TOES[1], 0)), ("Toes", TOES)):
            soles.append(skeleton.heads[place[f"{side}{bone}"]] + offset)
            owner.append([place[f"{side}{bone}"], 0, 0, 0])
    mesh = np.array(soles), np.array(owner), np.tile([1.0, 0, 0, 0], (len(soles), 1))
    frames, _ = planted(on_the_ground(skeleton_motion(walk(), skeleton), *mesh, skeleton, True), *mesh, skeleton)
    rows = []
    order = _depth_first(skeleton.parents, 0)
    for rotations, root in zip(frames.rotations, frames.root_positions, strict=True):
        angles = Rotation.from_matrix(rotations[order]).as_euler("ZXY", degrees=True)
        rows.append(" ".join(f"{value:.5f}" for value in [*(100 * root), *angles.ravel()]))
    head = ["HIERARCHY", *_joint(skeleton, 0, ""), "MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / frames.fps:.7f}"]
    path.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")


def _depth_first(parents: np.ndarray, bone: int) -> list[int]:
    return [bone, *(below for child in np.flatnonzero(parents == bone) for below in _depth_first(parents, int(child)))]


def _joint(skeleton: Skeleton, bone: int, indent: str) -> list[str]:
    """The lines of a joint; the root has no offset, its position says where it is."""
    parent = int(skeleton.parents[bone])
    offset = 100 * (skeleton.heads[bone] - skeleton.heads[parent]) if parent >= 0 else np.zeros(3)
    children = np.flatnonzero(skeleton.parents == bone)
    turns = "Zrotation Xrotation Yrotation"
    lines = [
        f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {skeleton.names[bone]}",
        f"{indent}{{",
        f"{indent}  OFFSET {offset[0]:.4f} {offset[1]:.4f} {offset[2]:.4f}",
        f"{indent}  CHANNELS {f'3 {turns}' if parent >= 0 else f'6 Xposition Yposition Zposition {turns}'}",
    ]
    for child in children:
        lines += _joint(skeleton, int(child), indent + "  ")
    if not len(children):
        end = 100 * np.array(TOES) if skeleton.names[bone].endswith("ToeBase") else np.array([0.0, 5.0, 0.0])
        lines += [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {end[0]:.4f} {end[1]:.4f} {end[2]:.4f}", f"{indent}  }}"]
    return [*lines, f"{indent}}}"]
