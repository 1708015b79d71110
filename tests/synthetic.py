"""A person whose body is known exactly: a posed body model before a known camera, and what perfect detectors would say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from carve.body.fitted.articulation import build_articulation
from carve.body.model import REGIONS, BodyModel, canonical_body, rest_pose
from carve.geometry.camera import Camera
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.rotations import axis_rotation, matrix_from_rotvec, rotation_between
from carve.geometry.skinning import bone_transforms, forward_kinematics, local_rotations, skin
from carve.networks.detectors.person import POSE_NAMES
from carve.records import BodyFit, Landmarks, Observation, PersonBox, Photo, Pose

BONES = {"left_index": "leftIndexProximal", "right_index": "rightIndexProximal", "left_pinky": "leftLittleProximal"} | {
    "right_pinky": "rightLittleProximal",
    "left_thumb": "leftThumbProximal",
    "right_thumb": "rightThumbProximal",
}
"""Landmarks of the pose network that lie at a bone's head."""

NEAR = {f"{side}_eye_{part}": f"{side}_eye" for side in ("left", "right") for part in ("inner", "outer")} | {
    "mouth_left": "nose",
    "mouth_right": "nose",
}
"""Landmarks that the fit does not look at one by one -> where they are put."""


@dataclass(frozen=True)
class Truth:
    """The person and what is seen of them."""

    observation: Observation
    vertices: np.ndarray
    """(V, 3) camera frame."""
    heads: np.ndarray
    """(B, 3) bone heads, camera frame."""
    height: float
    """Standing height, metres."""
    up: np.ndarray
    """(3,) against gravity, camera frame."""
    body: BodyFit
    """The record that a perfect fit would give."""
    clothed: np.ndarray
    """(V, 3) the posed body with its clothes on, whose silhouette is the mask."""


def synthetic_person(
    model: BodyModel, turn: float = 0.35, pitch: float = 0.08, bend: dict[str, float] | None = None, cloth: float = 0.0
) -> Truth:
    """Someone at ease, turned by `turn` about the vertical, before a camera 1.35 m above the ground that looks down by `pitch`, radians.

    `bend` adds angles to the articulation's means; `cloth` is how far clothes stand off trunk, arms and legs, metres.
    """
    shape = model.prior.mean.clone()
    vertices, rest = (t.double().numpy() for t in rest_pose(model, shape))
    articulation = build_articulation(model, rest)
    angles = articulation.mean.copy()
    for name, value in (bend if bend is not None else {"leftLowerArm.0": 0.5, "rightUpperLeg.0": -0.25, "rightLowerLeg.0": 0.35}).items():
        angles[articulation.names.index(name)] += value
    local = np.tile(np.eye(3), (len(model.names), 1, 1))
    turns = np.einsum("d,pd,dc->pc", angles, articulation.shares, articulation.axes)
    local[articulation.moving] = matrix_from_rotvec(torch.from_numpy(turns)).numpy()
    local[0] = axis_rotation(0, pitch) @ axis_rotation(1, turn) @ local[0]
    rotations, heads = forward_kinematics(local, rest, model.parents, np.zeros(3))
    # Skinned from the canonical pose, as every record of carve is: two steps of linear blend skinning are not one.
    canonical = canonical_body(model, shape)
    against_canonical = rotations @ np.swapaxes(canonical.rest_rotations, 1, 2)
    transforms = bone_transforms(against_canonical, heads, canonical.skeleton.heads)
    posed = skin(canonical.vertices, transforms, model.bones, model.weights)
    up = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    away = np.array([0.0, np.sin(pitch), -np.cos(pitch)])
    place = 3.6 * away - (1.35 + (posed @ up).min()) * up
    posed, heads = posed + place, heads + place
    camera = Camera.centred(480, 640, 800.0)
    bare = np.isin(model.region, [i for i, name in enumerate(REGIONS) if name.endswith(("head", "hand", "foot"))])
    thickness = diffuse(np.where(bare, 0.0, cloth)[:, None], model.faces, 6)
    clothed = posed + thickness * vertex_normals(posed, model.faces)
    raster = rasterise(clothed, model.faces, camera)
    marks = _landmarks(model, posed, heads, camera)
    rows, columns = np.nonzero(raster.mask)
    observation = Observation(
        photo=Photo(np.where(raster.mask[..., None], np.uint8([150, 90, 80]), np.uint8(190)), None, camera.focal, "synthetic"),
        person=0,
        people=(PersonBox(float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max()), 1.0),),
        mask=raster.mask.astype(np.float32),
        mask_source="file",
        landmarks=marks,
        camera=camera,
        focal_source="argument",
        visible_share=1.0,
        notes=(),
    )
    height = float(np.ptp(vertices[:, 1]))
    body = BodyFit(
        model=model.name,
        shape={},
        camera=camera,
        up=up,
        skeleton=canonical.skeleton,
        pose=Pose(local_rotations(against_canonical, model.parents), heads[0]),
        canonical=canonical.vertices,
        posed=posed,
        faces=model.faces,
        bones=model.bones,
        weights=model.weights,
        region=model.region,
        joint_confidence=np.ones(len(heads)),
        height=height,
        height_source="argument",
        residuals={},
        notes=(),
    )
    return Truth(observation, posed, heads, height, up, body, clothed)


def _landmarks(model: BodyModel, posed: np.ndarray, heads: np.ndarray, camera: Camera) -> Landmarks:
    """All 33 of the pose network, exact; depths relative to the person's own viewing ray, as the network gives them."""
    places = {name: point.weights @ posed[point.vertices] for name, point in model.keypoints.items()}
    at = lambda bone: heads[model.names.index(model.humanoid[bone])]  # noqa: E731
    for name in POSE_NAMES[:11]:
        places.setdefault(name, places.get(NEAR.get(name, ""), at("head")))
    for name, bone in BONES.items():
        places[name] = at(bone if bone in model.humanoid else f"{name.split('_')[0]}Hand")
    points = np.array([places[name] for name in POSE_NAMES])
    hips = (places["left_hip"] + places["right_hip"]) / 2
    to_axis = rotation_between(points.mean(0), np.array([0.0, 0.0, -1.0]))
    spread = np.tile([0.5, 0.5, 0.01], (len(points), 1))
    return Landmarks(tuple(POSE_NAMES), camera.project(points), np.ones(len(points)), (points - hips) @ to_axis.T, spread)
