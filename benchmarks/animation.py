"""How much an avatar's surface tears when it moves: edges that get over three times as long as in the bind pose.

    python benchmarks/animation.py FOLDER [--sheet FILE.png]

FOLDER holds output folders of `carve reconstruct`. Each avatar walks (the built-in cycle), squats (thighs up to 80 degrees, arms
forward) and raises its arms (80 degrees above the horizontal). Per motion the worst frame counts; results go to animation.json beside
this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from carve.geometry.mesh import unique_edges
from carve.geometry.rotations import axis_rotation
from carve.gltf.reader import read_glb
from carve.io.preview import Model, film, model_from_scene, skinned
from carve.motion.gait import a_pose, walk
from carve.motion.retarget import Motion, frame_transforms, skeleton_motion

HERE = Path(__file__).parent
FACTOR = 3.0
SHORTEST = 0.001
"""Edges below a millimetre are not looked at: rounding stretches them."""
VIEW = axis_rotation(1, -0.6)


def _posed(turned: Mapping[str, np.ndarray]) -> Motion:
    """One frame of an A-pose with some global rotations (3, 3) replaced."""
    base = a_pose()
    rotations = base.rotations.copy()
    for name, rotation in turned.items():
        rotations[:, base.names.index(name)] = rotation
    return Motion(base.names, rotations, base.hips, base.fps, grounded=True)


def motions() -> dict[str, Motion]:
    """The three that are looked at."""
    about = lambda axis, degrees: axis_rotation(axis, float(np.radians(degrees)))  # noqa: E731
    squat = {name: about(0, 35) for name in ("spine", "chest", "upperChest")} | {name: about(0, 20) for name in ("neck", "head")}
    raised: dict[str, np.ndarray] = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = about(1, sign * 15)
        squat |= {f"{side}UpperLeg": out @ about(0, -80), f"{side}LowerLeg": out @ about(0, 40), f"{side}Foot": out, f"{side}Toes": out}
        squat |= {f"{side}{bone}": about(1, -sign * 80) for bone in ("UpperArm", "LowerArm", "Hand")}
        raised |= {f"{side}{bone}": about(2, sign * 80) for bone in ("UpperArm", "LowerArm", "Hand")}
    return {"walk": walk(), "squat": _posed(squat), "arms raised": _posed(raised)}


def _turned(model: Model, _frame: int) -> Model:
    return model.turned(VIEW)


def stretched(avatar: Path) -> tuple[dict[str, float], np.ndarray]:
    """Share of the edges that are over FACTOR times as long, per motion's worst frame; a picture of one frame each."""
    model, rig = model_from_scene(read_glb(avatar))
    assert rig is not None
    edges = unique_edges(model.faces)

    def length(vertices: np.ndarray) -> np.ndarray:
        along: np.ndarray = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
        return along

    rest = length(model.vertices)
    long = rest > SHORTEST
    shares, pictures = {}, []
    for name, motion in motions().items():
        frames = skeleton_motion(motion, rig.skeleton)
        posed = [skinned(model, rig, frame_transforms(frames, rig.skeleton, t)) for t in range(0, len(frames.rotations), 4)]
        shares[name] = max(float((length(m.vertices)[long] > FACTOR * rest[long]).mean()) for m in posed)
        pictures += film(partial(_turned, posed[-1]), 1, 480)
    height = max(len(p) for p in pictures)
    tiles = [cv2.copyMakeBorder(p, 0, height - len(p), 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for p in pictures]
    return shares, np.hstack(tiles)


def main() -> None:
    """One line an avatar, then medians and the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    rows, tiles = {}, []
    for avatar in sorted(arguments.folder.glob("*/avatar.glb")):
        rows[avatar.parent.name], picture = stretched(avatar)
        tiles.append(picture)
        print(avatar.parent.name, {k: f"{100 * v:.3f} %" for k, v in rows[avatar.parent.name].items()}, flush=True)
    worst = [max(shares.values()) for shares in rows.values()]
    result = {"factor": FACTOR, "median_of_worst": median(worst), "worst": max(worst), "avatars": rows}
    (HERE / "animation.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"median {100 * median(worst):.3f} %, worst {100 * max(worst):.3f} %")
    if arguments.sheet:
        width = max(t.shape[1] for t in tiles)
        wide = [cv2.copyMakeBorder(t, 0, 0, 0, width - t.shape[1], cv2.BORDER_CONSTANT, value=(255, 255, 255)) for t in tiles]
        cv2.imwrite(str(arguments.sheet), np.vstack(wide)[..., ::-1])


if __name__ == "__main__":
    main()
