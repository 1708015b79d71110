"""SMPL and SMPL-X posed by a data set's parameters, with the holder's own model file.

Notation: J joints, theta_j axis-angle of joint j relative to its parent, beta shape, t translation. Vertices are linear-blend skinned
without pose correctives (`body.smpl`), so bent joints lose some millimetres; places of joints are exact:
    x = s (LBS(theta, beta) [- J_0]) + t,   J_0 the pelvis at rest.
Loper et al., SIGGRAPH Asia 2015; Pavlakos et al., CVPR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from carve.body.model import rest_pose
from carve.body.smpl import SmplBody
from carve.evaluate.datasets.scan import Surface
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import CarveError

BODY_JOINTS = 22
"""The pelvis and the 21 joints of the body, which SMPL and SMPL-X have in common and in the same order."""


@dataclass(frozen=True)
class SmplPose:
    """Parameters of a fit."""

    orient: np.ndarray
    """(3,) axis-angle of the pelvis."""
    body: np.ndarray
    """(21, 3) axis-angles; hands and face do not move the joints that are judged."""
    betas: np.ndarray
    """(S,), of which the model's first are used."""
    translation: np.ndarray
    """(3,) metres times `scale`."""
    scale: float = 1.0
    rooted: bool = False
    """Whether the pelvis at rest is moved to the origin first."""


def posed(model: SmplBody, pose: SmplPose) -> tuple[Surface, dict[str, np.ndarray]]:
    """The posed body, and where the heads of its humanoid bones lie, in the fit's frame and unit."""
    shape = torch.zeros(len(model.shape_names))
    count = min(len(shape), pose.betas.size)
    shape[:count] = torch.as_tensor(pose.betas.ravel()[:count], dtype=torch.float32)
    with torch.no_grad():
        rest, heads = (t.double().numpy() for t in rest_pose(model, shape))
    turns = np.zeros((len(model.names), 3))
    turns[0] = pose.orient
    turns[1:BODY_JOINTS] = pose.body
    local = matrix_from_rotvec(torch.from_numpy(turns)).numpy()
    start = np.zeros(3) if pose.rooted else heads[0]
    rotations, places = forward_kinematics(local, heads, model.parents, start)
    vertices = skin(rest, bone_transforms(rotations, places, heads), model.bones, model.weights)
    vertices, places = (pose.scale * points + pose.translation for points in (vertices, places))
    joints = {bone: places[model.names.index(joint)] for bone, joint in model.humanoid.items()}
    return Surface(vertices, model.faces), joints


def check_model(model: SmplBody | None, name: str, title: str) -> SmplBody | None:
    """The model if it is of the kind that the data set was fitted with. Raises CarveError for the other kind."""
    if model is not None and model.name != name:
        raise CarveError(
            f"{title} was fitted with {name.upper()}, but --body-model is a file of {model.name.upper()}; give the other, or none."
        )
    return model
