"""Files in the format of SMPL and SMPL-X: an octahedron of skin about every joint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

BODY = {
    "pelvis": (None, (0.0, -0.25, 0.02)),
    "left_hip": ("pelvis", (0.07, -0.34, 0.01)),
    "right_hip": ("pelvis", (-0.07, -0.34, 0.01)),
    "spine1": ("pelvis", (0.0, -0.13, 0.0)),
    "left_knee": ("left_hip", (0.11, -0.72, 0.0)),
    "right_knee": ("right_hip", (-0.11, -0.72, 0.0)),
    "spine2": ("spine1", (0.0, 0.0, 0.01)),
    "left_ankle": ("left_knee", (0.09, -1.13, -0.03)),
    "right_ankle": ("right_knee", (-0.09, -1.13, -0.03)),
    "spine3": ("spine2", (0.0, 0.06, 0.02)),
    "left_foot": ("left_ankle", (0.12, -1.19, 0.09)),
    "right_foot": ("right_ankle", (-0.12, -1.19, 0.09)),
    "neck": ("spine3", (0.0, 0.27, -0.02)),
    "left_collar": ("spine3", (0.08, 0.18, -0.01)),
    "right_collar": ("spine3", (-0.08, 0.18, -0.01)),
    "head": ("neck", (0.0, 0.35, 0.03)),
    "left_shoulder": ("left_collar", (0.19, 0.22, -0.02)),
    "right_shoulder": ("right_collar", (-0.19, 0.22, -0.02)),
    "left_elbow": ("left_shoulder", (0.44, 0.20, -0.05)),
    "right_elbow": ("right_shoulder", (-0.44, 0.20, -0.05)),
    "left_wrist": ("left_elbow", (0.70, 0.21, -0.05)),
    "right_wrist": ("right_elbow", (-0.70, 0.21, -0.05)),
}
"""Joint -> parent, place (metres): a person with the arms out. In SMPL's order."""

Joints = dict[str, tuple[str | None, tuple[float, float, float]]]


def joints_of(kind: str) -> Joints:
    """All joints of `smpl` or `smplx`, in the model's order."""
    joints: Joints = dict(BODY)
    if kind == "smpl":
        return joints | {f"{side}_hand": (f"{side}_wrist", (sign * 0.78, 0.2, -0.05)) for side, sign in (("left", 1), ("right", -1))}
    joints |= {"jaw": ("head", (0.0, 0.34, 0.05))}
    joints |= {f"{side}_eye": ("head", (sign * 0.03, 0.42, 0.09)) for side, sign in (("left", 1), ("right", -1))}
    for side, sign in (("left", 1), ("right", -1)):
        for place, finger in enumerate(("index", "middle", "pinky", "ring", "thumb")):
            parent = f"{side}_wrist"
            for number in (1, 2, 3):
                joints[f"{side}_{finger}{number}"] = (parent, (sign * (0.77 + 0.03 * number), 0.2, 0.02 - 0.02 * place))
                parent = f"{side}_{finger}{number}"
    return joints


def arrays_of(kind: str, vertices: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of a model file; `vertices` adds loose vertices up to that number."""
    joints, rng = joints_of(kind), np.random.default_rng(3)
    names = list(joints)
    places = np.array([place for _, place in joints.values()])
    parents = np.array([names.index(parent) if parent else 2**32 - 1 for parent, _ in joints.values()], np.uint32)
    corners = 0.02 * np.concatenate([np.eye(3), -np.eye(3)])
    signs = np.array([[x, y, z] for x in (0, 3) for y in (1, 4) for z in (2, 5)])
    odd = (signs >= 3).sum(1) % 2 == 1
    signs[odd] = signs[odd][:, ::-1]  # wound outward
    count = len(names)
    skin_count = 6 * count if vertices is None else vertices
    template = rng.normal(scale=0.1, size=(skin_count, 3))
    template[: 6 * count] = (places[:, None] + corners).reshape(-1, 3)
    regressor, weights = np.zeros((count, skin_count)), np.zeros((skin_count, count))
    weights[6 * count :, 0] = 1
    for joint in range(count):
        own = slice(6 * joint, 6 * joint + 6)
        regressor[joint, own] = 1 / 6
        weights[own, joint] += 0.75
        weights[own, parents[joint] if joint else 0] += 0.25
    directions = 300 if kind == "smpl" else 400
    return {
        "v_template": template,
        "shapedirs": rng.normal(scale=0.004, size=(skin_count, 3, directions)),
        "posedirs": np.zeros((skin_count, 3, 9 * (count - 1))),
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(count, dtype=np.uint32)]),
        "weights": weights,
        "f": np.concatenate([signs + 6 * joint for joint in range(count)]).astype(np.uint32),
    }


def written(folder: Path, arrays: dict[str, Any], name: str = "model.npz") -> Path:
    """The path of a file with these arrays."""
    path = folder / name
    np.savez(path, **arrays)
    return path
