"""Motions for the viewer: carve's walk and a few of our own, as rotations of an avatar's nodes in time.

Notation: rotations are global, about the body frame's axes, against the standard pose (`io.motion`); s is +1 left, -1 right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from carve.app.animate import continuous
from carve.geometry.rotations import axis_rotation, quaternion_from_matrix
from carve.gltf.reader import GlbScene, read_glb
from carve.io.preview import Rig, model_from_scene
from carve.motion.gait import ARM_LOWERED, walk
from carve.motion.planting import planted
from carve.motion.retarget import Motion, on_the_ground, skeleton_motion

X, Y, Z = 0, 1, 2
FPS = 15.0
"""Of our own motions; the viewer goes smoothly from one frame to the next."""
Turns = dict[str, np.ndarray]


def motions_document(glb: Path) -> dict[str, Any]:
    """Every motion of an avatar: `fps` and, by node, quaternions [x, y, z, w] a frame; `root` is where the root bone goes."""
    scene = read_glb(glb)
    model, rig = model_from_scene(scene)
    if rig is None:
        return {}
    moves = {"walk": walk(), "idle": idle(), "wave": wave(), "stretch": stretch(), "squat": squat()}
    return {name: _played(scene, rig, model.vertices, motion, plant=name == "walk") for name, motion in moves.items()}


def _played(scene: GlbScene, rig: Rig, vertices: np.ndarray, motion: Motion, plant: bool) -> dict[str, Any]:
    """A motion as the avatar's nodes take it over (`app.animate` writes the same into a GLB)."""
    skeleton = rig.skeleton
    frames = skeleton_motion(motion, skeleton)
    frames = on_the_ground(frames, vertices, rig.bones, rig.weights, skeleton, motion.grounded)
    if plant:
        frames, _ = planted(frames, vertices, rig.bones, rig.weights, skeleton)
    nodes = {}
    for bone in np.flatnonzero(np.abs(frames.rotations - np.eye(3)).max((0, 2, 3)) > 1e-6):
        parent = skeleton.parents[bone]
        above = scene.axes[parent] if parent >= 0 else np.eye(3)
        turns = continuous(quaternion_from_matrix(above.T @ frames.rotations[:, bone] @ scene.axes[bone]))
        nodes[skeleton.names[bone]] = np.round(turns, 3).tolist()
    root = skeleton.names[int(np.flatnonzero(skeleton.parents < 0)[0])]
    return {"fps": frames.fps, "nodes": nodes, "root_node": root, "root": np.round(frames.root_positions, 4).tolist()}


def _motion(turns: list[Turns]) -> Motion:
    names = tuple(turns[0])
    rotations = np.stack([np.stack([frame[name] for name in names]) for frame in turns])
    return Motion(names, rotations, np.zeros((len(turns), 3)), FPS, grounded=True)


def _standing(breath: float = 0.0, lowered: float = ARM_LOWERED, lean: float = 0.0) -> Turns:
    """Upright, arms hanging; `breath` -1..1 lifts the chest, `lean` turns the trunk about the vertical, radians."""
    trunk = axis_rotation(Y, lean)
    turns: Turns = {"hips": np.eye(3), "spine": trunk, "chest": trunk @ axis_rotation(X, -0.015 * breath)}
    turns |= {"upperChest": turns["chest"], "neck": trunk, "head": trunk @ axis_rotation(X, 0.01 * breath)}
    for side, s in (("left", 1.0), ("right", -1.0)):
        hanging = axis_rotation(Z, -s * (lowered - 0.02 * breath))
        turns |= {f"{side}Shoulder": turns["chest"], f"{side}UpperArm": hanging}
        turns |= {f"{side}LowerArm": axis_rotation(X, -0.12) @ hanging, f"{side}Hand": axis_rotation(X, -0.16) @ hanging}
        turns |= {f"{side}{bone}": axis_rotation(Z, s * 0.04) for bone in ("UpperLeg", "LowerLeg")}
        turns |= {f"{side}{bone}": axis_rotation(Y, s * 0.12) for bone in ("Foot", "Toes")}
    return turns


def _ease(t: float) -> float:
    """0 to 1 without a jerk."""
    t = float(np.clip(t, 0, 1))
    return t * t * (3 - 2 * t)


def _hold(t: float, rise: float = 0.25) -> float:
    """Up, held, and down again over t = 0..1."""
    return _ease(t / rise) * _ease((1 - t) / rise)


def idle() -> Motion:
    """Standing, breathing, looking about."""
    count = 75
    phase = 2 * np.pi * np.arange(count) / count
    frames = []
    for p in phase:
        turns = _standing(float(np.sin(2 * p)), lean=0.03 * float(np.sin(p)))
        turns["head"] = axis_rotation(Y, 0.22 * float(np.sin(p))) @ turns["head"]
        frames.append(turns)
    return _motion(frames)


def wave() -> Motion:
    """The left hand is raised and waves."""
    count = 48
    frames = []
    for k in range(count):
        t = k / count
        turns, up = _standing(), _hold(t)
        swing = 0.45 * float(np.sin(2 * np.pi * 4 * t)) * up
        turns["leftUpperArm"] = axis_rotation(Z, -ARM_LOWERED + up * (ARM_LOWERED + 0.15))
        fore = axis_rotation(Z, -ARM_LOWERED + up * (ARM_LOWERED + 1.35) + swing)
        turns["leftLowerArm"] = fore @ axis_rotation(X, -0.12 * (1 - up))
        turns["leftHand"] = axis_rotation(Z, 0.3 * swing) @ turns["leftLowerArm"]
        turns["head"] = axis_rotation(Z, 0.08 * up) @ turns["head"]
        frames.append(turns)
    return _motion(frames)


def stretch() -> Motion:
    """Both arms go up over the head, and the trunk bends to each side."""
    count = 60
    frames = []
    for k in range(count):
        t = k / count
        up = _hold(t)
        bend = 0.3 * float(np.sin(2 * np.pi * t)) * up
        turns = _standing()
        side_bend = axis_rotation(Z, bend)
        for bone, share in (("spine", 0.35), ("chest", 0.7), ("upperChest", 1.0), ("neck", 1.0), ("head", 0.9)):
            turns[bone] = axis_rotation(Z, bend * share)
        for side, s in (("left", 1.0), ("right", -1.0)):
            arm = side_bend @ axis_rotation(Z, s * (-ARM_LOWERED + up * (ARM_LOWERED + 1.2)))
            turns[f"{side}Shoulder"] = side_bend @ axis_rotation(Z, s * 0.2 * up)
            turns |= {f"{side}{bone}": arm for bone in ("UpperArm", "LowerArm", "Hand")}
        frames.append(turns)
    return _motion(frames)


def squat() -> Motion:
    """Down and up, the arms forward."""
    count = 45
    frames = []
    for k in range(count):
        down = _hold(k / count, 0.5)
        turns = _standing()
        trunk = axis_rotation(X, 0.5 * down)
        for bone in ("hips", "spine", "chest", "upperChest"):
            turns[bone] = trunk
        turns |= {"neck": axis_rotation(X, 0.25 * down), "head": axis_rotation(X, 0.05 * down)}
        for side, s in (("left", 1.0), ("right", -1.0)):
            turns[f"{side}Shoulder"] = trunk
            arm = axis_rotation(X, -1.35 * down) @ axis_rotation(Z, -s * ARM_LOWERED)
            turns |= {f"{side}{bone}": arm for bone in ("UpperArm", "LowerArm", "Hand")}
            out = axis_rotation(Y, s * 0.28 * down)
            turns[f"{side}UpperLeg"] = out @ axis_rotation(X, -1.25 * down) @ turns[f"{side}UpperLeg"]
            turns[f"{side}LowerLeg"] = out @ axis_rotation(X, 0.6 * down) @ turns[f"{side}LowerLeg"]
        frames.append(turns)
    return _motion(frames)
