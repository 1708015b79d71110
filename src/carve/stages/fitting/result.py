"""The record that a fit ends in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from carve.body.fingers import finger_rotations
from carve.body.fitted.joint_angles import pose_of_angles
from carve.body.model import BodyModel, CanonicalBody, canonical_body, rest_pose
from carve.geometry.raster import rasterise
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, skin
from carve.records import BodyFit, Observation, Pose, Skeleton, StageError
from carve.stages.fitting.problem import Problem
from carve.stages.fitting.state import State, pose

if TYPE_CHECKING:
    from carve.stages.fit_body import Params

HAND_SEEN = 0.5
"""Confidence in a hand's landmarks from which on its fingers follow them."""


def finish(observation: Observation, model: BodyModel, problem: Problem, state: State, loss: float, params: Params) -> BodyFit:
    """Full-resolution body in both poses, in metres."""
    with torch.no_grad():
        prior = model.prior
        shape = torch.minimum(torch.maximum(state.shape.detach(), prior.low), prior.high)
        root = (state.root @ matrix_from_rotvec(state.turn))[0].double().numpy()
        angles = torch.minimum(torch.maximum(state.angles.detach(), problem.low), problem.high)[0].double().numpy()
    articulation = problem.body.articulation
    canonical = canonical_body(model, shape)
    size = float(state.log_scale.detach().exp())
    natural = float(np.ptp(rest_pose(model, shape)[0].detach().numpy()[:, 1])) * size
    scale = (params.height / natural if params.height is not None else 1.0) * size
    position = state.position[0].detach().double().numpy() * (scale / size)
    canonical = CanonicalBody(
        canonical.vertices * scale, replace(canonical.skeleton, heads=canonical.skeleton.heads * scale), canonical.rest_rotations
    )
    pose = _with_fingers(pose_of_angles(articulation, canonical, angles, root, position), canonical.skeleton, observation)
    rotations, heads = pose.bones(canonical.skeleton)
    posed = skin(canonical.vertices, bone_transforms(rotations, heads, canonical.skeleton.heads), model.bones, model.weights)
    if not np.isfinite(posed).all():
        raise StageError("fit_body: the fitted body is not finite.")
    theta = float(state.pitch.detach()[0])
    return BodyFit(
        model=model.name,
        shape={name: float(v) for name, v in zip(model.shape_names, shape, strict=True)},
        camera=observation.camera,
        up=np.array([0.0, np.cos(theta), np.sin(theta)]),
        skeleton=canonical.skeleton,
        pose=pose,
        canonical=canonical.vertices,
        posed=posed,
        faces=model.faces,
        bones=model.bones,
        weights=model.weights,
        region=model.region,
        joint_confidence=_joint_confidence(observation, model),
        height=natural if params.height is None else params.height,
        height_source="prior" if params.height is None else "argument",
        residuals=_residuals(observation, problem, state, posed, model, loss, natural),
        notes=(),
    )


def _with_fingers(posed: Pose, skeleton: Skeleton, observation: Observation) -> Pose:
    """The pose with the fingers bent as their landmarks show, or at ease where there are none."""
    marks = observation.landmarks
    index = {name: i for i, name in enumerate(marks.names)}
    rotations = posed.rotations.copy()
    for side in ("left", "right"):
        rows = [index.get(f"{side}_hand_{k}", -1) for k in range(21)]
        seen = min(rows) >= 0 and marks.confidence[rows].min() > HAND_SEEN and np.isfinite(marks.world[rows]).all()
        for bone, turn in finger_rotations(skeleton, side, marks.world[rows] if seen else None).items():
            rotations[bone] = turn
    return replace(posed, rotations=rotations)


def _joint_confidence(observation: Observation, model: BodyModel) -> np.ndarray:
    """(B,) how well the landmarks around each bone were seen: a humanoid bone's own, else the parent's."""
    marks = observation.landmarks
    seen = {name: float(c) for name, c in zip(marks.names, marks.confidence, strict=True)}
    pair = lambda a, b: 0.5 * (seen.get(a, 0.0) + seen.get(b, 0.0))  # noqa: E731
    trunk = pair("left_hip", "right_hip")
    chest = pair("left_shoulder", "right_shoulder")
    own: dict[str, float] = {"hips": trunk, "spine": 0.5 * (trunk + chest), "chest": chest, "upperChest": chest, "neck": chest}
    own["head"] = pair("left_ear", "right_ear")
    for side in ("left", "right"):
        for bone, mark in (
            ("Shoulder", "shoulder"),
            ("UpperArm", "shoulder"),
            ("LowerArm", "elbow"),
            ("Hand", "wrist"),
            ("UpperLeg", "hip"),
            ("LowerLeg", "knee"),
            ("Foot", "ankle"),
        ):
            own[f"{side}{bone}"] = seen.get(f"{side}_{mark}", 0.0)
    by_bone = {model.humanoid[vrm]: value for vrm, value in own.items() if vrm in model.humanoid}
    confidence = np.zeros(len(model.names))
    for index, (name, parent) in enumerate(zip(model.names, model.parents, strict=True)):
        confidence[index] = by_bone.get(name, confidence[parent] if parent >= 0 else trunk)
    return np.clip(confidence, 0, 1)


def _residuals(
    observation: Observation, problem: Problem, state: State, posed: np.ndarray, model: BodyModel, loss: float, height: float
) -> dict[str, float]:
    with torch.no_grad():
        marks = pose(problem, state, problem.body.shaped(state.shape)).landmarks[0]
        error = (problem.camera.project(marks) - problem.target).norm(dim=-1) / problem.per_metre
        seen = problem.weight > 0.5
        share = float(error[seen].median()) / height if bool(seen.any()) else float("nan")
    mask = observation.mask > 0.5
    drawn = rasterise(posed, model.faces, observation.camera).mask
    return {"landmarks": share, "silhouette_iou": float((mask & drawn).sum() / max((mask | drawn).sum(), 1)), "loss": loss}
