"""Fit the body: a parametric body and a camera that explain landmarks and silhouette, by gradient descent from several starts.

Notation: N starts, D joint angles, L landmarks, residuals in metres at the person's distance (pixels / pixels per metre), so that every
term has a physical spread. theta is the camera's pitch: gravity's up in the camera frame is (0, cos theta, sin theta).

What a single photo does not show is depth; beside the detector's own depth it is taken from how people stand: upright over their feet,
before a camera held at an ordinary height. Normals and relative depth that were predicted from the photo show it better: `refit_body`
goes on from a first fit with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from carve.body.articulation import Articulation, build_articulation
from carve.body.joint_angles import angles_of_pose, pose_of_angles
from carve.body.landmarks import pixels_per_metre
from carve.body.model import BodyModel, CanonicalBody, canonical_body, rest_pose
from carve.body.reduced import Posed, ReducedBody, Shaped
from carve.body.silhouette import Silhouette
from carve.body.surface_evidence import SurfaceEvidence, Weights, robust
from carve.bounds import Degrees, Height, Scale, Steps, Weight
from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import BodyFit, CarveError, Landmarks, NormalMaps, Observation, StageError


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

LOOK_EVERY = 25
"""Steps after which the second fit finds anew which vertices the camera sees."""

EXTRA_BONES = ("neck", "head", "hips")
"""Humanoid bones whose heads the priors look at."""


@dataclass
class _Problem:
    """Everything the loss looks at, as tensors; see `_prepare`."""

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
    face: Tensor | None
    """(3, 3) rotation of the head from the face, or None."""
    angle_mean: Tensor
    angle_sigma: Tensor
    low: Tensor
    high: Tensor


@dataclass
class _State:
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


def fit_body(observation: Observation, model: BodyModel, params: Params) -> BodyFit:
    """Fit the body to one person.

    Raises CarveError for an impossible height and StageError if the optimiser returns a number that is not finite.
    """
    if params.height is not None and not 0.4 <= params.height <= 2.6:
        raise CarveError(f"A standing height of {params.height:g} m is outside 0.4 to 2.6 m: give the person's height in metres.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small: a second thread costs more than it brings
    try:
        problem = _prepare(observation, model, params, _any_sample(model, params.samples))
        state = _descend_starts(problem, _starts(problem, model), params)
        state, loss = _descend_full(problem, state, observation, params)
    finally:
        torch.set_num_threads(threads)
    return _finish(observation, model, problem, state, loss, params)


def refit_body(observation: Observation, first: BodyFit, seen: NormalMaps, model: BodyModel, params: Params) -> BodyFit:
    """Fit the body once more, from the first fit on, to normals and depth that were predicted from the photo.

    The silhouette is that of `seen.coverage` if there is one. Maps that tell nothing of the body (no valid pixel where it is) leave the
    first fit as it was, with a note. Raises StageError if the optimiser returns a number that is not finite.
    """
    if seen.coverage is not None:
        observation = replace(observation, mask=seen.coverage)
    doubtful = replace(params, depth_sigma=params.depth_sigma * params.refit_depth_doubt)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sample = _even_sample(model, params.samples)
        problem = _prepare(observation, model, doubtful, sample)
        state = _state_of(first, model, problem)
        per_metre = observation.camera.focal / -float(state.position[0, 2])
        with torch.no_grad():
            rest = rest_pose(model, state.shape)[0].double().numpy()
            shaped = problem.body.shaped(state.shape)
            posed = _pose(problem, state, shaped)
        evidence = SurfaceEvidence(seen, observation.camera, per_metre, problem.body, rest, sample)
        if not evidence.look(shaped, posed, state.log_scale.exp()):
            return replace(first, notes=(*first.notes, "Normals and depth cover too little of the body to correct its fit."))
        state, loss = _descend_full(problem, state, observation, doubtful, evidence)
    finally:
        torch.set_num_threads(threads)
    fit = _finish(observation, model, problem, state, loss, params)
    return replace(fit, notes=first.notes)


def _any_sample(model: BodyModel, count: int) -> np.ndarray:
    """(M,) sorted vertices, all as likely."""
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(len(model.template), min(count, len(model.template)), replace=False))


def _even_sample(model: BodyModel, count: int) -> np.ndarray:
    """(M,) sorted vertices, as likely as there is skin around them: face and hands have most vertices but little skin."""
    vertices = rest_pose(model, model.prior.mean)[0].detach().double().numpy()
    corners = vertices[model.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(model.faces.ravel(), np.repeat(area, 3), len(vertices))
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(len(share), min(count, int((share > 0).sum())), replace=False, p=share / share.sum()))


def _state_of(fit: BodyFit, model: BodyModel, problem: _Problem) -> _State:
    """The unknowns that a finished fit has come from; the detector's tilt, which it does not keep, is zero."""
    articulation = problem.body.articulation
    shape = torch.tensor([fit.shape[name] for name in model.shape_names], dtype=torch.float32)
    canonical = canonical_body(model, shape)
    angles, root = angles_of_pose(articulation, canonical, fit.pose)
    scale = float(np.ptp(fit.skeleton.heads[:, 1]) / np.ptp(canonical.skeleton.heads[:, 1]))
    # A height that was given has taken the place of the size that was fitted.
    size = 1.0 if fit.height_source == "argument" else scale
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)[None]  # noqa: E731
    return _State(
        angles=as_tensor(angles),
        root=as_tensor(root),
        turn=torch.zeros(1, 3),
        position=as_tensor(fit.pose.root_position * size / scale),
        log_scale=as_tensor(np.log(size)),
        pitch=as_tensor(np.arctan2(fit.up[2], fit.up[1])),
        tilt=torch.zeros(1),
        shape=shape,
    )


def _prepare(observation: Observation, model: BodyModel, params: Params, sample: np.ndarray) -> _Problem:
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
    rows = [found.get(name, -1) for name in body.names]
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
    sigma = articulation.sigma * np.where(_beyond_the_picture(articulation, index, confidence), params.unseen_leg, 1.0)
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
    return _Problem(
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
        face=_face_rotation(marks),
        angle_mean=as_tensor(articulation.mean),
        angle_sigma=as_tensor(sigma),
        low=as_tensor(articulation.low),
        high=as_tensor(articulation.high),
    )


def _beyond_the_picture(articulation: Articulation, index: dict[str, int], confidence: np.ndarray) -> np.ndarray:
    """(D,) bool: angles of a leg whose knee and ankle nobody sees; its thigh's outline alone would turn it anyhow."""
    unseen = [side for side in ("left", "right") if all(confidence[index[f"{side}_{joint}"]] == 0 for joint in ("knee", "ankle"))]
    legs = tuple(f"{side}{bone}" for side in unseen for bone in ("UpperLeg", "LowerLeg", "Foot"))
    return np.array([name.startswith(legs) for name in articulation.names], bool) if legs else np.zeros(len(articulation.names), bool)


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


def _starts(problem: _Problem, model: BodyModel) -> _State:
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
    return _State(
        angles=torch.stack(variants).requires_grad_(),
        root=root.expand(count, 3, 3),
        turn=torch.zeros(count, 3, requires_grad=True),
        position=(ray * distance).expand(count, 3).clone().requires_grad_(),
        log_scale=torch.zeros(count, requires_grad=True),
        pitch=torch.full((count,), 0.06, requires_grad=True),
        tilt=torch.zeros(count, requires_grad=True),
        shape=model.prior.mean.clone().requires_grad_(),
    )


def _pose(problem: _Problem, state: _State, shaped: Shaped) -> Posed:
    root = state.root @ matrix_from_rotvec(state.turn)
    return problem.body.posed(shaped, state.angles, root, state.position, state.log_scale.exp())


def _landmark_loss(problem: _Problem, state: _State, posed: Posed, params: Params) -> Tensor:
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


def _part(problem: _Problem, vrm: str) -> int:
    model, articulation = problem.body.model, problem.body.articulation
    return int(articulation.attached[model.names.index(model.humanoid[vrm])])


def _optimise(leaves: list[Tensor], rates: list[float], steps: int, loss_of_step: Callable[[int], Tensor]) -> Tensor:
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


def _descend_starts(problem: _Problem, state: _State, params: Params) -> _State:
    """All starts on landmarks and priors; returns the best as a state with N = 1."""
    with torch.no_grad():
        shaped = problem.body.shaped(state.shape)
    lr = params.learning_rate
    distance = float(-state.position.detach()[0, 2])
    losses = _optimise(
        state.leaves(),
        [lr, lr, 0.02 * distance, 0.005, 0.01, 0.01],
        params.start_steps,
        lambda _: _landmark_loss(problem, state, _pose(problem, state, shaped), params),
    )
    best = int(losses.argmin())
    pick = lambda t: t.detach()[best : best + 1].clone()  # noqa: E731
    chosen = {field.name: pick(getattr(state, field.name)) for field in fields(state) if field.name != "shape"}
    return _State(**chosen, shape=state.shape.detach().clone())


def _descend_full(
    problem: _Problem, state: _State, observation: Observation, params: Params, evidence: SurfaceEvidence | None = None
) -> tuple[_State, float]:
    """One start on everything: shape and silhouette too, and normals and depth if there are any."""
    silhouette = Silhouette(observation, problem.per_metre)
    weights = Weights(params.normals_weight, params.relief_weight, float(np.radians(params.cloth_degrees)), params.cloth_thickness)
    prior = problem.body.model.prior
    unknown = [field.name for field in fields(state) if field.name != "root"]
    state = replace(state, **{name: getattr(state, name).detach().clone().requires_grad_() for name in unknown})

    def loss(step: int) -> Tensor:
        shaped = problem.body.shaped(state.shape)
        posed, size = _pose(problem, state, shaped), state.log_scale.exp()
        total = _landmark_loss(problem, state, posed, params)
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
    final = _optimise([*state.leaves(), state.shape], rates, params.steps if evidence is None else params.refit_steps, loss)
    return state, float(final)


def _finish(observation: Observation, model: BodyModel, problem: _Problem, state: _State, loss: float, params: Params) -> BodyFit:
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
    pose = pose_of_angles(articulation, canonical, angles, root, position)
    rotations, heads = forward_kinematics(pose.rotations, canonical.skeleton.heads, canonical.skeleton.parents, pose.root_position)
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
    observation: Observation, problem: _Problem, state: _State, posed: np.ndarray, model: BodyModel, loss: float, height: float
) -> dict[str, float]:
    with torch.no_grad():
        marks = _pose(problem, state, problem.body.shaped(state.shape)).landmarks[0]
        error = (problem.camera.project(marks) - problem.target).norm(dim=-1) / problem.per_metre
        seen = problem.weight > 0.5
        share = float(error[seen].median()) / height if bool(seen.any()) else float("nan")
    mask = observation.mask > 0.5
    drawn = rasterise(posed, model.faces, observation.camera).mask
    return {"landmarks": share, "silhouette_iou": float((mask & drawn).sum() / max((mask | drawn).sum(), 1)), "loss": loss}
