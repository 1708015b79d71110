"""The free body as a canonical surface: a naked avatar with fingers, toes and eyes, made in a moment."""

from __future__ import annotations

import numpy as np

from carve.body.anny import AnnyBody
from carve.body.finishing import skin_faces
from carve.body.model import canonical_body
from carve.geometry.camera import Camera
from carve.geometry.mesh import compact
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin, strongest_weights
from carve.records import (
    Avatar,
    BodyFit,
    CanonicalSurface,
    Landmarks,
    NormalMaps,
    Observation,
    Photo,
    Pose,
    PosedSurface,
    TexturedSurface,
)

TEXELS = 64


def naked_avatar(model: AnnyBody) -> Avatar:
    """The mean body, its skin alone, standing before the camera with bent elbows and turned forearms; UVs are a flat projection."""
    made = canonical_body(model, model.prior.mean)
    skeleton = made.skeleton
    pose = _pose(model)
    rotations, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    maps = bone_transforms(rotations, heads, skeleton.heads)
    count = len(made.vertices)
    camera = Camera.centred(120, 180, 200.0)
    body = BodyFit(
        model=model.name,
        shape={},
        camera=camera,
        up=np.array([0.0, 1.0, 0.0]),
        skeleton=skeleton,
        pose=pose,
        canonical=made.vertices,
        posed=skin(made.vertices, maps, model.bones, model.weights),
        faces=model.faces,
        bones=model.bones,
        weights=model.weights,
        region=model.region,
        joint_confidence=np.ones(len(skeleton.names)),
        height=1.7,
        height_source="prior",
        residuals={},
        notes=(),
    )
    vertices, faces, used = compact(made.vertices, skin_faces(body))
    dense = np.zeros((count, len(skeleton.names)))
    np.put_along_axis(dense, model.bones, model.weights, 1)
    bones, weights, _ = strongest_weights(dense[used])
    surface = CanonicalSurface(vertices, faces, skeleton, bones, weights, model.region[used], np.full(len(used), 0.01), 0.0, 0.0)
    posed = PosedSurface(surface, pose, camera, skin(vertices, maps, bones, weights))
    uv = (vertices[:, :2] - vertices[:, :2].min(0)) / np.ptp(vertices[:, :2], axis=0).max()
    uv[:, 1] = 1 - uv[:, 1]
    albedo = np.full((TEXELS, TEXELS, 3), 140, np.uint8)
    textured = TexturedSurface(posed, np.arange(len(used)), faces, uv, albedo, np.full((TEXELS, TEXELS), 255, np.uint8))
    empty = np.zeros((1, 1, 3), np.float16)
    landmarks = Landmarks((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))
    photo = Photo(np.zeros((180, 120, 3), np.uint8), None, None, "naked")
    observation = Observation(photo, 0, (), np.zeros((180, 120), np.float32), "file", landmarks, camera, "argument", 1.0, ())
    maps_of_normals = NormalMaps(empty, empty, empty[..., 0], empty[..., 0].astype(bool))
    return Avatar(observation, body, maps_of_normals, textured, np.ones(len(used)), {"licences": [{"part": "body", "licence": "CC0-1.0"}]})


def _pose(model: AnnyBody) -> Pose:
    local = np.tile(np.eye(3), (len(model.names), 1, 1))
    index = {vrm: model.names.index(bone) for vrm, bone in model.humanoid.items()}
    local[index["hips"]] = axis_rotation(1, 0.2)
    local[model.names.index("spine04")] = axis_rotation(0, 0.1)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        local[index[f"{side}UpperArm"]] = axis_rotation(2, -sign * 1.1)
        local[index[f"{side}LowerArm"]] = axis_rotation(1, -sign * 0.6)
        local[model.parents[index[f"{side}Hand"]]] = axis_rotation(0, 0.5)
        local[index[f"{side}UpperLeg"]] = axis_rotation(2, -sign * 0.35)
    return Pose(local, np.array([0.0, 0.1, -2.5]))
