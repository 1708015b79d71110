"""The unknowns of a fit of the body, and where they start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from carve.body.fitted.joint_angles import angles_of_pose
from carve.body.fitted.reduced import Posed, Shaped
from carve.body.model import BodyModel, canonical_body
from carve.geometry.rotations import matrix_from_rotvec
from carve.records import BodyFit
from carve.stages.fitting.problem import Problem


@dataclass
class State:
    """The unknowns of N starts."""

    angles: Tensor
    root: Tensor
    """(N, 3, 3) first guess of the root's rotation."""
    turn: Tensor
    """(N, 3) its correction."""
    position: Tensor
    log_scale: Tensor
    pitch: Tensor
    tilt: Tensor
    """(N,) slope by which the detector's depth is wrong with height: it hardly tells a leaning person from a pitched camera."""
    shape: Tensor

    def leaves(self) -> list[Tensor]:
        return [self.angles, self.turn, self.position, self.log_scale, self.pitch, self.tilt]


def first_states(problem: Problem, model: BodyModel) -> State:
    """Root orientation and distance from hips and shoulders; legs straight, bent with the thighs forward, and bent with the shins back."""
    articulation = problem.body.articulation
    lift = lambda i: torch.cat([problem.target[i] * torch.tensor([1.0, -1.0]) / problem.per_metre, problem.depth[i : i + 1]])  # noqa: E731
    left, right = problem.hips
    up = sum(lift(i) for i in problem.shoulders) / 2 - (lift(left) + lift(right)) / 2
    across = lift(left) - lift(right) + lift(problem.shoulders[0]) - lift(problem.shoulders[1])
    across = across - up * (across @ up) / (up @ up)
    across, up = across / across.norm(), up / up.norm()
    root = torch.stack([across, up, torch.linalg.cross(across, up)], 1)
    middle = (problem.target[left] + problem.target[right]) / 2
    distance = problem.camera.focal / problem.per_metre
    ray = torch.as_tensor(problem.camera.rays(middle.numpy()), dtype=torch.float32)
    variants = []
    for knees, thighs in ((0.0, 0.0), (0.9, -0.7), (0.9, 0.1)):
        angles = problem.angle_mean.clone()
        for i, name in enumerate(articulation.names):
            if name.endswith("LowerLeg.0"):
                angles[i] += knees
            elif name.endswith("UpperLeg.0"):
                angles[i] += thighs
        variants.append(angles)
    count = len(variants)
    return State(
        angles=torch.stack(variants).requires_grad_(),
        root=root.expand(count, 3, 3),
        turn=torch.zeros(count, 3, requires_grad=True),
        position=(ray * distance).expand(count, 3).clone().requires_grad_(),
        log_scale=torch.zeros(count, requires_grad=True),
        pitch=torch.full((count,), 0.06, requires_grad=True),
        tilt=torch.zeros(count, requires_grad=True),
        shape=model.prior.mean.clone().requires_grad_(),
    )


def state_of(fit: BodyFit, model: BodyModel, problem: Problem) -> State:
    """The unknowns that a finished fit has come from; the detector's tilt, which it does not keep, is zero."""
    articulation = problem.body.articulation
    shape = torch.tensor([fit.shape[name] for name in model.shape_names], dtype=torch.float32)
    canonical = canonical_body(model, shape)
    angles, root = angles_of_pose(articulation, canonical, fit.pose)
    scale = float(np.ptp(fit.skeleton.heads[:, 1]) / np.ptp(canonical.skeleton.heads[:, 1]))
    # A height that was given has taken the place of the size that was fitted.
    size = 1.0 if fit.height_source == "argument" else scale
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)[None]  # noqa: E731
    return State(
        angles=as_tensor(angles),
        root=as_tensor(root),
        turn=torch.zeros(1, 3),
        position=as_tensor(fit.pose.root_position * size / scale),
        log_scale=as_tensor(np.log(size)),
        pitch=as_tensor(np.arctan2(fit.up[2], fit.up[1])),
        tilt=torch.zeros(1),
        shape=shape,
    )


def pose(problem: Problem, state: State, shaped: Shaped) -> Posed:
    root = state.root @ matrix_from_rotvec(state.turn)
    return problem.body.posed(shaped, state.angles, root, state.position, state.log_scale.exp())
