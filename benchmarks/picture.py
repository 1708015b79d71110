"""Errors in the picture's plane: the mask's, and the joints'.

Joint errors are distances in pixels as a percentage of the person's standing height, seen at the distance of the hips: so a raised
arm, a crouch or a picture that ends at the waist does not change what one percent is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

LIMBS = {
    f"{side}{bone}": (f"{side.capitalize()}{case}", (f"{side}_{landmark}",))
    for side in ("left", "right")
    for bone, case, landmark in (
        ("UpperArm", "Arm", "shoulder"),
        ("LowerArm", "ForeArm", "elbow"),
        ("Hand", "Hand", "wrist"),
        ("UpperLeg", "UpLeg", "hip"),
        ("LowerLeg", "Leg", "knee"),
        ("Foot", "Foot", "ankle"),
    )
}
"""Humanoid bone -> the joint of a case's skeleton at its head, and the detector's landmarks there."""
JOINTS = {"neck": ("Neck", ("left_shoulder", "right_shoulder")), "head": ("Head", ("left_ear", "right_ear")), **LIMBS}
"""The same with the two joints that no landmark marks: those named only tell whether the joint is seen."""
SEEN = 0.5
"""A joint is visible where the detector's confidence in its landmarks is above this."""


def mask_iou(own: Path, truth: Path) -> float:
    """Intersection over union of two masks of one size, each cut at one half."""
    a, b = (np.asarray(Image.open(path).convert("L")) > 127 for path in (own, truth))
    if a.shape != b.shape:
        raise ValueError(f"{own.name} is {a.shape[1]} x {a.shape[0]} pixels, the true mask {b.shape[1]} x {b.shape[0]}")
    return float((a & b).sum() / max((a | b).sum(), 1))


def error_against_case(out: Path, case: Path) -> float:
    """Mean error of the visible joints against the case's own skeleton, percent of the person's height; NaN if none is visible."""
    truth = np.load(case / "gt.npz")
    names = [str(name).split(":")[-1].removeprefix("mixamorig7").removeprefix("mixamorig") for name in truth["joint_names"]]
    where = dict(zip(names, truth["joints"], strict=True))
    projection = np.array(json.loads((case / "camera.json").read_text(encoding="utf-8"))["projection"], float)
    standing = json.loads((case / "meta.json").read_text(encoding="utf-8"))["standing_height_m"]
    fitted, landmarks = fitted_pixels(out), _landmarks(out)
    errors = [
        np.linalg.norm(fitted[bone] - _project(projection, where[joint]))
        for bone, (joint, marks) in JOINTS.items()
        if _seen(landmarks, marks)
    ]
    return _percent(errors, _height_in_pixels(projection, standing, where["LeftUpLeg"], where["RightUpLeg"]))


def error_against_landmarks(out: Path) -> float:
    """Mean distance of the limbs' fitted joints from the detector's landmarks, percent of the person's height; NaN if none is visible."""
    fitted, landmarks = fitted_pixels(out), _landmarks(out)
    errors = [np.linalg.norm(fitted[bone] - landmarks[mark][0]) for bone, (_, (mark,)) in LIMBS.items() if _seen(landmarks, (mark,))]
    standing = json.loads((out / "report.json").read_text(encoding="utf-8"))["body"]["height"]
    joints, projection = _pose(out)
    return _percent(errors, _height_in_pixels(projection, standing, joints["leftUpperLeg"], joints["rightUpperLeg"]))


def fitted_pixels(out: Path) -> dict[str, np.ndarray]:
    """Humanoid bone -> pixel of its head."""
    joints, projection = _pose(out)
    return {name: _project(projection, joint) for name, joint in joints.items()}


def _pose(out: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    joints = json.loads((out / "pose.json").read_text(encoding="utf-8"))["joints"]
    projection = json.loads((out / "camera.json").read_text(encoding="utf-8"))["projection"]
    return {name: np.array(joint, float) for name, joint in joints.items()}, np.array(projection, float)


def _landmarks(out: Path) -> dict[str, tuple[np.ndarray, float]]:
    """Landmark -> its pixel and the detector's confidence in it."""
    entries = json.loads((out / "stages" / "landmarks.json").read_text(encoding="utf-8"))
    return {name: (np.array(entry["pixel"], float), entry["confidence"]) for name, entry in entries.items()}


def _seen(landmarks: dict[str, tuple[np.ndarray, float]], marks: tuple[str, ...]) -> bool:
    return all(mark in landmarks and landmarks[mark][1] > SEEN for mark in marks)


def _project(projection: np.ndarray, point: np.ndarray) -> np.ndarray:
    u, v, w = projection @ np.append(point, 1.0)
    return np.array([u / w, v / w])


def _height_in_pixels(projection: np.ndarray, standing: float, left_hip: np.ndarray, right_hip: np.ndarray) -> float:
    """The standing height as it would be seen, upright and square to the camera, where the hips are."""
    forward = np.linalg.norm(projection[2, :3])
    focal = float(np.linalg.norm(np.cross(projection[1, :3], projection[2, :3])) / forward**2)
    depth = float(abs(projection[2] @ np.append((left_hip + right_hip) / 2, 1.0)) / forward)
    return standing * focal / depth


def _percent(errors: list[np.floating], height: float) -> float:
    return 100 * float(np.mean(errors)) / height if errors else float("nan")
