"""How far a fitted body is from an evaluation case's person: joints, limbs on the wrong side in depth, surface, silhouette from the side.

Everything is compared in the case's camera frame (metres, +X right, +Y up, looking along -Z). The body's own camera is factored out: its
points keep their pixels, and its distance becomes the person's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from carve.evaluate.cases import CASE_JOINTS
from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.geometry.similarity import procrustes
from carve.geometry.skinning import forward_kinematics
from carve.records import BodyFit

LIMBS = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in ("left", "right")
    for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
)
WRONG_DEPTH = 0.15
"""Metres by which a joint lies off in depth against its neighbour from which on its limb is on the wrong side."""
SIDE_PIXELS, FAR = 512, 200.0


@dataclass(frozen=True)
class Truth:
    """What is known of a case's person."""

    joints: dict[str, np.ndarray]
    points: np.ndarray
    """(N, 3) outer surface."""
    camera: Camera
    up: np.ndarray
    side: np.ndarray
    """(512, 512) bool silhouette from the person's right, seen from +X."""
    centre: np.ndarray
    extent: float


def load_truth(case: Path) -> Truth:
    """Read a case's folder."""
    stored = np.load(case / "gt.npz", allow_pickle=False)
    names = [str(n).split(":")[-1].removeprefix("mixamorig7").removeprefix("mixamorig") for n in stored["joint_names"]]
    where = {n: stored["joints"][i].astype(float) for i, n in enumerate(names)}
    outer, views = np.load(case / "outer.npz"), np.load(case / "views.npz")
    points = outer["points_q"].astype(float) / 65535 * float(outer["extent"]) + outer["origin"]
    view = json.loads((case / "camera.json").read_text())
    p = np.array(view["projection"], float)
    p = p / -p[2, 2]
    return Truth(
        joints={vrm: where[name] for vrm, name in CASE_JOINTS.items() if name in where},
        points=points[np.random.default_rng(0).permutation(len(points))[:20_000]],
        camera=Camera(int(view["width"]), int(view["height"]), float(p[0, 0]), float(-p[0, 2]), float(-p[1, 2])),
        up=np.array(json.loads((case / "meta.json").read_text())["up_in_camera_frame"], float),
        side=views["mask"][1],
        centre=views["centre"].astype(float),
        extent=float(views["side"]),
    )


def joints_of(fit: BodyFit) -> dict[str, np.ndarray]:
    """Humanoid bone -> (3,) its head in the camera frame."""
    skeleton = fit.skeleton
    heads = forward_kinematics(fit.pose.rotations, skeleton.heads, skeleton.parents, fit.pose.root_position)[1]
    return {vrm: heads[skeleton.names.index(bone)] for vrm, bone in skeleton.humanoid.items()}


def measure(fit: BodyFit, truth: Truth) -> dict[str, float | list[str]]:
    """All figures of one fit: millimetres, centimetres, degrees."""
    found = joints_of(fit)
    names = [name for name in CASE_JOINTS if name in found and name in truth.joints]
    true = np.array([truth.joints[name] for name in names])
    moved = _registration(fit, np.array([found[name] for name in names]), true, truth.camera)
    p = moved(np.array([found[name] for name in names]))
    hips = [names.index("leftUpperLeg"), names.index("rightUpperLeg")]
    root = (p - p[hips].mean(0)) - (true - true[hips].mean(0))
    scale, rotation, shift = procrustes(p, true)
    aligned = scale * p @ rotation.T + shift
    surface = moved(fit.posed)
    error = {name: root[i, 2] for i, name in enumerate(names)}
    wrong = [b for a, b in LIMBS if a in error and b in error and abs(error[b] - error[a]) > WRONG_DEPTH]
    trunk = lambda q: q[names.index("neck")] - q[hips].mean(0)  # noqa: E731
    lean = lambda q: np.degrees(np.arctan2(trunk(q)[2], trunk(q)[1]))  # noqa: E731
    pitch = lambda up: np.degrees(np.arctan2(up[2], up[1]))  # noqa: E731
    return {
        "root_mm": 1000 * float(np.linalg.norm(root, axis=1).mean()),
        "procrustes_mm": 1000 * float(np.linalg.norm(aligned - true, axis=1).mean()),
        "depth_mm": 1000 * float(np.sqrt((root[:, 2] ** 2).mean())),
        "flat_mm": 1000 * float(np.sqrt((root[:, :2] ** 2).sum(1).mean())),
        "lean_deg": float(lean(p) - lean(true)),
        "pitch_deg": float(pitch(fit.up) - pitch(truth.up)),
        "chamfer_cm": _chamfer(surface, fit.faces, truth.points),
        "aligned_cm": _chamfer(_icp(surface, truth.points), fit.faces, truth.points),
        "side_iou": _side(_icp(surface, truth.points), fit.faces, truth),
        "wrong": wrong,
        "depth_errors_mm": {name: round(1000 * float(e)) for name, e in error.items()},  # type: ignore[dict-item]
    }


def _registration(fit: BodyFit, found: np.ndarray, true: np.ndarray, camera: Camera):  # type: ignore[no-untyped-def]
    """The map that keeps pixels, seen by the case's camera, and gives the joints the true mean distance and relative size."""
    distance, true_distance = -found[:, 2].mean(), -true[:, 2].mean()
    scale = (true_distance / camera.focal) / (distance / fit.camera.focal)

    def moved(points: np.ndarray) -> np.ndarray:
        pixels = fit.camera.project(points)
        depth = true_distance + scale * (-points[:, 2] - distance)
        return camera.rays(pixels) * depth[:, None]

    return moved


def _sampled(vertices: np.ndarray, faces: np.ndarray, count: int = 20_000) -> np.ndarray:
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(faces), count, p=area / area.sum())
    weights = rng.dirichlet(np.ones(3), count)
    return (corners[chosen] * weights[..., None]).sum(1)


def _chamfer(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> float:
    """Mean of both directions between samples, centimetres: bodies against clothed people, so never near zero."""
    own = _sampled(vertices, faces)
    return 50 * float(cKDTree(own).query(points)[0].mean() + cKDTree(points).query(own)[0].mean())


def _icp(vertices: np.ndarray, points: np.ndarray, rounds: int = 12) -> np.ndarray:
    """Vertices after the rigid motion that nearest points agree on, the farthest fifth left out."""
    tree, few = cKDTree(points), slice(None, None, 5)
    for _ in range(rounds):
        own = vertices[few]
        away, nearest = tree.query(own)
        near = away <= np.quantile(away, 0.8)
        _, rotation, _ = procrustes(own[near], points[nearest[near]])
        shift = points[nearest[near]].mean(0) - rotation @ own[near].mean(0)
        vertices = vertices @ rotation.T + shift
    return vertices


def _side(vertices: np.ndarray, faces: np.ndarray, truth: Truth) -> float:
    """Intersection over union of the silhouettes that a parallel camera on the person's +X side sees."""
    local = vertices - truth.centre
    turned = np.column_stack([-local[:, 2], local[:, 1], local[:, 0] - FAR])
    camera = Camera.centred(SIDE_PIXELS, SIDE_PIXELS, SIDE_PIXELS * FAR / truth.extent)
    drawn = rasterise(turned, faces, camera).mask
    return max(float((drawn & m).sum() / (drawn | m).sum()) for m in (truth.side, truth.side[:, ::-1]))
