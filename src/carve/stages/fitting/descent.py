"""Gradient descent: all starts on landmarks, the best on everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from carve.body.fitted.silhouette import Silhouette
from carve.body.fitted.surface_evidence import SurfaceEvidence, Weights
from carve.records import Observation, StageError
from carve.stages.fitting.landmark_terms import landmark_loss
from carve.stages.fitting.problem import Problem
from carve.stages.fitting.state import State, pose

if TYPE_CHECKING:
    from carve.stages.fit_body import Params

LOOK_EVERY = 25
"""Steps after which the second fit finds anew which vertices the camera sees."""


def optimise(leaves: list[Tensor], rates: list[float], steps: int, loss_of_step: Callable[[int], Tensor]) -> Tensor:
    """Adam with a cosine fall of the step; returns the last loss. Raises StageError for numbers that are not finite."""
    optimiser = torch.optim.Adam([{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, rates, strict=True)], betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 0.08 + 0.92 * 0.5 * (1 + np.cos(np.pi * k / steps)))
    for step in range(steps):
        optimiser.zero_grad()
        losses = loss_of_step(step)
        if not torch.isfinite(losses).all():
            raise StageError("fit_body: the optimiser returned a number that is not finite; the photo's landmarks may be degenerate.")
        losses.sum().backward()
        optimiser.step()
        schedule.step()
    return losses.detach()


def descend_starts(problem: Problem, state: State, params: Params) -> tuple[State, float]:
    """All starts on landmarks and priors; returns the best as a state with N = 1, and its loss."""
    with torch.no_grad():
        shaped = problem.body.shaped(state.shape)
    lr = params.learning_rate
    distance = float(-state.position.detach()[0, 2])
    losses = optimise(
        state.leaves(),
        [lr, lr, 0.02 * distance, 0.005, 0.01, 0.01],
        params.start_steps,
        lambda _: landmark_loss(problem, state, pose(problem, state, shaped), params),
    )
    best = int(losses.argmin())
    pick = lambda t: t.detach()[best : best + 1].clone()  # noqa: E731
    chosen = {field.name: pick(getattr(state, field.name)) for field in fields(state) if field.name != "shape"}
    return State(**chosen, shape=state.shape.detach().clone()), float(losses[best])


def descend_full(
    problem: Problem, state: State, observation: Observation, params: Params, evidence: SurfaceEvidence | None = None
) -> tuple[State, float]:
    """One start on everything: shape and silhouette too, and normals and depth if there are any."""
    silhouette = Silhouette(observation, problem.per_metre)
    weights = Weights(params.normals_weight, params.relief_weight, float(np.radians(params.cloth_degrees)), params.cloth_thickness)
    prior = problem.body.model.prior
    unknown = [field.name for field in fields(state) if field.name != "root"]
    state = replace(state, **{name: getattr(state, name).detach().clone().requires_grad_() for name in unknown})

    def loss(step: int) -> Tensor:
        shaped = problem.body.shaped(state.shape)
        posed, size = pose(problem, state, shaped), state.log_scale.exp()
        total = landmark_loss(problem, state, posed, params)
        if evidence is not None:
            if step % LOOK_EVERY == 0:
                evidence.look(shaped, posed, size)
            total = total + evidence.loss(shaped, posed, size, weights)
        pixels = problem.camera.project(problem.body.skin(shaped, posed, size))
        beyond = (state.shape - prior.high).clamp(min=0) + (prior.low - state.shape).clamp(min=0)
        likely = (((state.shape - prior.mean) / prior.sigma) ** 2).sum() * 0.5
        return total + params.silhouette_weight * silhouette.loss(pixels) + params.shape_weight * likely + 300 * (beyond**2).sum()

    lr = params.learning_rate
    distance = float(-state.position.detach()[0, 2])
    rates = [0.5 * lr, 0.5 * lr, 0.01 * distance, 0.004, 0.006, 0.006, lr]
    final = optimise([*state.leaves(), state.shape], rates, params.steps if evidence is None else params.refit_steps, loss)
    return state, float(final)
