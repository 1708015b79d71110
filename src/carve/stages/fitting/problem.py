"""What a fit of the body looks at, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from carve.body.fitted.articulation import Articulation, build_articulation
from carve.body.fitted.landmarks import pixels_per_metre
from carve.body.fitted.reduced import ReducedBody
from carve.body.model import BodyModel, rest_pose
from carve.geometry.camera import Camera
from carve.records import Landmarks, Observation

if TYPE_CHECKING:
    from carve.stages.fit_body import Params

BODY_LANDMARKS: tuple[str, ...] = (
    "nose",
    *(
        f"{side}_{part}"
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "foot_index")
        for side in ("left", "right")
    ),
)
"""mediapipe landmarks that the body model has a regressor for."""

KNUCKLES = {"pinky": "LittleProximal", "index": "IndexProximal"}
"""mediapipe's hand points of the body network -> humanoid bone suffix."""

KNUCKLE_POINTS = {"pinky": 17, "index": 5}
"""The same points among the hand network's."""

EXTRA_BONES = ("neck", "head", "hips")
"""Humanoid bones whose heads the priors look at."""


@dataclass
class Problem:
    """Everything the loss looks at, as tensors; see `prepare`."""

    body: ReducedBody
    camera: Camera
    target: Tensor
    """(L, 2) pixels."""
    depth: Tensor
    """(L,) metres towards the viewer, relative to the hips."""
    sigma: Tensor
    """(L,) metres, in the picture."""
    depth_sigma: Tensor
    """(L,) metres."""
    weight: Tensor
    """(L,) 0..1, confidence."""
    per_metre: float
    hips: tuple[int, int]
    shoulders: tuple[int, int]
    feet: list[int]
    mass: Tensor
    """(L,) share of the body's mass at each landmark."""
    feet_seen: float
    unseen_legs: tuple[str, ...]
    """Sides of the legs whose knee and ankle nobody sees."""
    face: Tensor | None
    """(3, 3) rotation of the head from the face, or None."""
    angle_mean: Tensor
    angle_sigma: Tensor
    low: Tensor
    high: Tensor


def prepare(observation: Observation, model: BodyModel, params: Params, sample: np.ndarray) -> Problem:
    """`sample` (M,) are the vertices that see the silhouette."""
    marks = observation.landmarks
    shape = model.prior.mean
    heads = rest_pose(model, shape)[1].double().numpy()
    articulation = build_articulation(model, heads)
    wanted: dict[str, str | None] = {name: None for name in BODY_LANDMARKS if name in model.keypoints}
    for side in ("left", "right"):
        for name, bone in KNUCKLES.items():
            if f"{side}{bone}" in model.humanoid:
                wanted[f"{side}_{name}"] = model.humanoid[f"{side}{bone}"]
    wanted |= {f"bone:{vrm}": model.humanoid[vrm] for vrm in EXTRA_BONES}
    body = ReducedBody(model, articulation, wanted, sample)
    found = {name: i for i, name in enumerate(marks.names)}
    rows = [_best_seen(name, found) for name in body.names]
    known = np.array([r >= 0 for r in rows])
    body33 = np.array([found[n] for n in found if not n.startswith(("face_", "left_hand", "right_hand"))])
    per_metre = pixels_per_metre(marks.pixels[body33], marks.world[body33], marks.confidence[body33])
    target, confidence = marks.pixels[rows], np.where(known, marks.confidence[rows] ** 2, 0.0)
    depth = _aligned_depth(marks, observation.camera, body33)[rows]
    spread = marks.spread[rows]
    index = {name: i for i, name in enumerate(body.names)}
    mass = np.zeros(len(index))
    for name, share in (("bone:head", 0.08), ("bone:neck", 0.2), ("bone:hips", 0.36)):
        mass[index[name]] += share
    for side in ("left", "right"):
        for name, share in ((f"{side}_elbow", 0.05), (f"{side}_knee", 0.1), (f"{side}_ankle", 0.03)):
            mass[index[name]] += share
    feet = [index[n] for n in ("left_heel", "right_heel", "left_foot_index", "right_foot_index")]
    unseen_legs = _unseen_legs(index, confidence)
    sigma = articulation.sigma * np.where(_angles_of(articulation, unseen_legs), params.unseen_leg, 1.0)
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
    return Problem(
        body=body,
        camera=observation.camera,
        target=as_tensor(target),
        depth=as_tensor(np.where(np.isfinite(depth) & known, depth, 0.0)),
        sigma=as_tensor(np.hypot(params.landmark_sigma, spread[:, :2].mean(1) / per_metre)),
        depth_sigma=as_tensor(np.where(np.isfinite(depth), np.hypot(params.depth_sigma, 2 * np.nan_to_num(spread[:, 2])), 1e6)),
        weight=as_tensor(confidence),
        per_metre=per_metre,
        hips=(index["left_hip"], index["right_hip"]),
        shoulders=(index["left_shoulder"], index["right_shoulder"]),
        feet=feet,
        mass=as_tensor(mass / mass.sum()),
        feet_seen=float(confidence[feet].mean()),
        unseen_legs=unseen_legs,
        face=_face_rotation(marks),
        angle_mean=as_tensor(articulation.mean),
        angle_sigma=as_tensor(sigma),
        low=as_tensor(articulation.low),
        high=as_tensor(articulation.high),
    )


def _best_seen(name: str, found: dict[str, int]) -> int:
    """Row of a landmark, -1 without one; a knuckle is the hand network's where that saw the hand."""
    side, _, point = name.partition("_")
    return found.get(f"{side}_hand_{KNUCKLE_POINTS[point]}", found.get(name, -1)) if point in KNUCKLE_POINTS else found.get(name, -1)


def _unseen_legs(index: dict[str, int], confidence: np.ndarray) -> tuple[str, ...]:
    """Sides whose knee and ankle nobody sees: the thigh's outline alone would turn such a leg anyhow."""
    return tuple(side for side in ("left", "right") if all(confidence[index[f"{side}_{joint}"]] == 0 for joint in ("knee", "ankle")))


def _angles_of(articulation: Articulation, legs: tuple[str, ...]) -> np.ndarray:
    """(D,) bool: the angles of the legs of these sides."""
    bones = tuple(f"{side}{bone}" for side in legs for bone in ("UpperLeg", "LowerLeg", "Foot"))
    return np.array([bool(bones) and name.startswith(bones) for name in articulation.names], bool)


def _aligned_depth(marks: Landmarks, camera: Camera, body: np.ndarray) -> np.ndarray:
    """(N,) the detector's depth towards the viewer, NaN where it gives none, turned from the person's viewing ray to the camera's axis."""
    world = marks.world
    middle = np.average(marks.pixels[body], axis=0, weights=np.maximum(marks.confidence[body], 1e-3))
    ray = camera.rays(middle)
    ray = ray / np.linalg.norm(ray)
    # z of the world axes after the smallest rotation that takes (0, 0, -1) to the ray, to first order in the ray's slope.
    return world[:, 2] * -ray[2] - world[:, 0] * ray[0] - world[:, 1] * ray[1]


def _face_rotation(marks: Landmarks) -> Tensor | None:
    """(3, 3) columns: the face's left-to-right, upward and forward axes in the camera frame, from the face mesh's eyes, chin and brow."""
    index = {name: i for i, name in enumerate(marks.names)}
    if "face_0" not in index:
        return None
    at = lambda k: marks.world[index[f"face_{k}"]]  # noqa: E731
    across = at(263) - at(33)  # the person's right eye corner to the left one: towards +x of the body frame
    upward = at(10) - at(152)
    across = across / np.linalg.norm(across)
    upward = upward - across * (upward @ across)
    upward = upward / np.linalg.norm(upward)
    return torch.as_tensor(np.stack([across, upward, np.cross(across, upward)], 1), dtype=torch.float32)
