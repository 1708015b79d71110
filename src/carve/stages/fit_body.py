"""Fit the body: a parametric body and a camera that explain landmarks and silhouette, by gradient descent from several starts.

Notation: N starts, D joint angles, L landmarks, residuals in metres at the person's distance (pixels / pixels per metre), so that every
term has a physical spread. theta is the camera's pitch: gravity's up in the camera frame is (0, cos theta, sin theta).

What a single photo does not show is depth; beside the detector's own depth it is taken from how people stand: upright over their feet,
before a camera held at an ordinary height. Normals and relative depth that were predicted from the photo show it better: `refit_body`
goes on from a first fit with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from carve.body.fitted.skin_sample import any_sample, even_sample
from carve.body.fitted.surface_evidence import SurfaceEvidence
from carve.body.model import BodyModel, rest_pose
from carve.bounds import Degrees, Height, Scale, Steps, Weight
from carve.geometry.camera import equivalent_of_focal
from carve.records import BodyFit, CarveError, NormalMaps, Observation
from carve.stages.fitting.descent import descend_full, descend_starts
from carve.stages.fitting.lens import better_focal
from carve.stages.fitting.problem import Problem, prepare
from carve.stages.fitting.result import finish
from carve.stages.fitting.state import State, first_states, pose, state_of


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    height: Height | None = None
    """Standing height of the person in metres; None takes what the body model thinks likely."""
    start_steps: Steps = 90
    """Steps of every start, on landmarks and priors only."""
    steps: Steps = 150
    """Steps of the best start, with shape and silhouette."""
    learning_rate: Annotated[float, Field(ge=1e-4, le=1)] = 0.04
    """Adam's step for angles, radians, and for shape parameters."""
    samples: Annotated[int, Field(ge=100, le=20000)] = 1800
    """Skin vertices that see the silhouette."""
    landmark_sigma: Scale = 0.03
    """Expected error of a landmark in the picture, metres."""
    depth_sigma: Scale = 0.13
    """Expected error of a landmark's relative depth, metres."""
    silhouette_weight: Weight = 2.0
    """Weight of the silhouette against the landmarks."""
    tilt_sigma: Scale = 0.12
    """Expected slope of the error of the landmarks' depth with height, metres per metre."""
    upright_degrees: Degrees = 7.0
    """Expected lean of the trunk against gravity."""
    balance_sigma: Scale = 0.07
    """Expected distance between the centre of mass and the support, along the viewing direction, metres."""
    camera_height: Annotated[float, Field(ge=0, le=10)] = 1.35
    """Expected height of the camera above the ground, metres."""
    camera_height_sigma: Annotated[float, Field(ge=0.01, le=100)] = 0.3
    """Its spread, metres."""
    pitch_sigma_degrees: Degrees = 12.0
    """Expected camera pitch about the level."""
    shape_weight: Weight = 1.0
    """Weight of the shape prior."""
    unseen_leg: Annotated[float, Field(ge=0.01, le=1)] = 0.25
    """Share of its usual spread that the pose of a leg beyond the picture keeps: it stands."""
    unseen_leg_degrees: Degrees = 3.0
    """Expected slope of such a leg against gravity, along the viewing direction."""
    pose_weight: Weight = 1.0
    """Weight of the pose prior."""
    refit_steps: Steps = 70
    """Steps of the second fit, to normals and depth."""
    refit_depth_doubt: Annotated[float, Field(ge=0.1, le=100)] = 2.5
    """How many times worse the landmarks' depth is held to be, once there are normals and depth to go by."""
    normals_weight: Weight = 40.0
    """How many independent landmarks the normals count for."""
    relief_weight: Weight = 25.0
    """How many independent landmarks the relative depth counts for."""
    cloth_degrees: Degrees = 15.0
    """Expected angle between smoothed cloth and the body below."""
    cloth_thickness: Scale = 0.02
    """Expected spread of the clothes' thickness towards the viewer, metres."""


def fit_body(observation: Observation, model: BodyModel, params: Params) -> BodyFit:
    """Fit the body to one person.

    Raises CarveError for an impossible height and StageError if the optimiser returns a number that is not finite.
    """
    if params.height is not None and not 0.4 <= params.height <= 2.6:
        raise CarveError(f"A standing height of {params.height:g} m is outside 0.4 to 2.6 m: give the person's height in metres.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small: a second thread costs more than it brings
    try:
        sample = any_sample(model, params.samples)
        observation, problem, state, notes = _start(observation, model, params, sample)
        state, loss = descend_full(problem, state, observation, params)
    finally:
        torch.set_num_threads(threads)
    return replace(finish(observation, model, problem, state, loss, params), notes=notes)


def _start(
    observation: Observation, model: BodyModel, params: Params, sample: np.ndarray
) -> tuple[Observation, Problem, State, tuple[str, ...]]:
    """The best start; with another camera, and a note, if the file's focal length does not suit the person."""

    def start(focal: float) -> tuple[Observation, Problem, State, float]:
        seen = replace(observation, camera=replace(observation.camera, focal=focal))
        problem = prepare(seen, model, params, sample)
        return seen, problem, *descend_starts(problem, first_states(problem, model), params)

    given = observation.camera.focal
    seen, problem, state, loss = start(given)
    if observation.focal_source != "exif":
        return seen, problem, state, ()
    other = better_focal(observation.camera, loss, lambda focal: start(focal)[3])
    if other is None:
        return seen, problem, state, ()
    was, now = (round(equivalent_of_focal(observation.photo.size, focal)) for focal in (given, other))
    note = f"The file says {was} mm (35 mm equivalent), but the person suits {now} mm clearly better, which was used; --focal decides."
    return *start(other)[:3], (note,)


def refit_body(observation: Observation, first: BodyFit, seen: NormalMaps, model: BodyModel, params: Params) -> BodyFit:
    """Fit the body once more, from the first fit on, to normals and depth that were predicted from the photo.

    The silhouette is that of `seen.coverage` if there is one. Maps that tell nothing of the body (no valid pixel where it is) leave the
    first fit as it was, with a note. Notes of the maps are passed on.

    Raises StageError if the optimiser returns a number that is not finite.
    """
    observation = replace(observation, camera=first.camera, mask=observation.mask if seen.coverage is None else seen.coverage)
    doubtful = replace(params, depth_sigma=params.depth_sigma * params.refit_depth_doubt)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sample = even_sample(model, params.samples)
        problem = prepare(observation, model, doubtful, sample)
        state = state_of(first, model, problem)
        per_metre = observation.camera.focal / -float(state.position[0, 2])
        with torch.no_grad():
            rest = rest_pose(model, state.shape)[0].double().numpy()
            shaped = problem.body.shaped(state.shape)
            posed = pose(problem, state, shaped)
        evidence = SurfaceEvidence(seen, observation.camera, per_metre, problem.body, rest, sample)
        if not evidence.look(shaped, posed, state.log_scale.exp()):
            return replace(first, notes=(*first.notes, *seen.notes, "Normals and depth cover too little of the body to correct its fit."))
        state, loss = descend_full(problem, state, observation, doubtful, evidence)
    finally:
        torch.set_num_threads(threads)
    fit = finish(observation, model, problem, state, loss, params)
    return replace(fit, notes=(*first.notes, *seen.notes), depth_source=seen.depth_source)
