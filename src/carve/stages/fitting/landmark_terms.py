"""What landmarks and the knowledge of how people stand say of N posed bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from carve.body.fitted.reduced import Posed
from carve.body.fitted.surface_evidence import robust
from carve.stages.fitting.problem import Problem
from carve.stages.fitting.state import State

if TYPE_CHECKING:
    from carve.stages.fit_body import Params


def landmark_loss(problem: Problem, state: State, posed: Posed, params: Params) -> Tensor:
    """(N,) landmarks, depth, face, priors of pose, gravity, balance and camera."""
    points = posed.landmarks
    pixels = problem.camera.project(points)
    residual = (pixels - problem.target) / problem.per_metre
    flat = robust((residual**2).sum(-1) / problem.sigma**2)
    hips = points[:, list(problem.hips)].mean(1)
    expected = problem.depth + state.tilt[:, None] * (points[..., 1] - hips[:, None, 1])
    deep = robust(((points[..., 2] - hips[:, None, 2]) - expected) ** 2 / problem.depth_sigma**2)
    loss = (problem.weight * (flat + deep)).sum(1)
    if problem.face is not None:
        head = posed.rotations[:, _part(problem, "head")]
        loss = loss + 6 * (1 - (head * problem.face).sum(-2)).sum(-1)
    angles = state.angles
    prior = ((angles - problem.angle_mean) / problem.angle_sigma) ** 2
    beyond = (angles - problem.high).clamp(min=0) + (problem.low - angles).clamp(min=0)
    loss = loss + params.pose_weight * (0.5 * robust(prior).sum(1)) + 300 * (beyond**2).sum(1)
    up = torch.stack([torch.zeros_like(state.pitch), state.pitch.cos(), state.pitch.sin()], 1)
    away = torch.stack([torch.zeros_like(state.pitch), -state.pitch.sin(), state.pitch.cos()], 1)
    index = {name: i for i, name in enumerate(problem.body.names)}
    trunk = points[:, index["bone:neck"]] - hips
    lean = torch.atan2((trunk * away).sum(1), (trunk * up).sum(1))
    loss = loss + robust((lean / np.radians(params.upright_degrees)) ** 2)
    for side in problem.unseen_legs:
        leg = points[:, index[f"{side}_hip"]] - points[:, index[f"{side}_ankle"]]
        slope = torch.atan2((leg * away).sum(1), (leg * up).sum(1))
        loss = loss + robust((slope / np.radians(params.unseen_leg_degrees)) ** 2)
    feet = points[:, problem.feet]
    heights = (feet * up[:, None]).sum(-1)
    ground = -torch.logsumexp(-heights / 0.02, 1) * 0.02
    mass = (problem.mass[:, None] * points).sum(1)
    pressed = torch.softmax(-heights / 0.06, 1)
    support = (pressed[..., None] * feet).sum(1)
    offset = ((mass - support) * away).sum(1)
    loss = loss + problem.feet_seen * 2 * robust((offset / params.balance_sigma) ** 2)
    camera = (-ground - params.camera_height) / params.camera_height_sigma
    loss = loss + problem.feet_seen * camera**2 + ((state.pitch - 0.06) / np.radians(params.pitch_sigma_degrees)) ** 2
    return loss + (state.log_scale / 0.05) ** 2 + (state.tilt / params.tilt_sigma) ** 2


def _part(problem: Problem, vrm: str) -> int:
    model, articulation = problem.body.model, problem.body.articulation
    return int(articulation.attached[model.names.index(model.humanoid[vrm])])
