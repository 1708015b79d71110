"""The body model laid into a person whose geometry is known: the body of the track `true`.

Published figures are often made with the ground truth's own body; carve's counterpart is its body model fitted to what a case knows: the
joints, and the body's surface if the case has one (`Case.body`), else the clothed surface, which the body must stay within.

Notation: D joint angles, M sampled vertices x with normals n, q the nearest true point with normal m, s = (x - q) . m, outward positive.
    loss = sum_j |p_j - t_j|^2 / sigma_j^2 + W mean_i rho(s_i^2 / sigma(s_i)^2) + priors of angles, shape and size
with a small sigma outside the surface, a large one inside it (cloth stands off by centimetres), equal ones for a naked surface; rho robust.
Correspondences follow Besl & McKay (PAMI 1992), with normals that agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from carve.body.fingers import finger_rotations
from carve.body.fitted.articulation import build_articulation
from carve.body.fitted.joint_angles import pose_of_angles
from carve.body.fitted.reduced import Posed, ReducedBody, Shaped
from carve.body.fitted.skin_sample import even_sample
from carve.body.fitted.surface_evidence import robust
from carve.body.model import BodyModel, CanonicalBody, canonical_body, rest_pose
from carve.evaluate.cases import Case
from carve.evaluate.true_surface import TrueSurface
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import BodyFit, CarveError, Pose

LOOSE = ("UpperArm", "UpperLeg", "neck", "head")
"""Endings of joints that skeletons define centimetres apart."""
SIGMA, LOOSE_SIGMA = 0.012, 0.03
"""Expected distance of a joint, metres."""
SAMPLES = 2500
REFRESH = 20
"""Steps after which correspondences are found anew."""
STEPS = (120, 160)
"""Steps on joints alone, of every start, and on everything."""


@dataclass
class _Unknowns:
    angles: Tensor
    root: Tensor
    """(3, 3) first guess of the root's rotation."""
    turn: Tensor
    position: Tensor
    log_scale: Tensor
    shape: Tensor

    def leaves(self) -> list[Tensor]:
        return [self.angles, self.turn, self.position, self.log_scale, self.shape]


class _Problem:
    """The body, the true joints and the terms that do not change."""

    def __init__(self, case: Case, model: BodyModel) -> None:
        heads = rest_pose(model, model.prior.mean)[1].detach().double().numpy()
        self.articulation = build_articulation(model, heads)
        self.names = [name for name in case.joints if name in model.humanoid]
        sample = even_sample(model, SAMPLES)
        self.sample, self.model = sample, model
        self.body = ReducedBody(model, self.articulation, {name: model.humanoid[name] for name in self.names}, sample)
        self.joints = torch.as_tensor(np.array([case.joints[name] for name in self.names]), dtype=torch.float32)
        self.sigma = torch.tensor([LOOSE_SIGMA if name.endswith(LOOSE) else SIGMA for name in self.names])
        as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
        self.mean, self.spread = as_tensor(self.articulation.mean), as_tensor(self.articulation.sigma)
        self.low, self.high = as_tensor(self.articulation.low), as_tensor(self.articulation.high)

    def posed(self, state: _Unknowns) -> tuple[Shaped, Posed]:
        shaped = self.body.shaped(state.shape)
        root = (state.root @ matrix_from_rotvec(state.turn))[None]
        return shaped, self.body.posed(shaped, state.angles[None], root, state.position[None], state.log_scale.exp()[None])

    def loss(self, state: _Unknowns, posed: Posed) -> Tensor:
        """Joints and priors."""
        gap = ((posed.landmarks[0] - self.joints) ** 2).sum(-1) / self.sigma**2
        unlikely = 0.15 * robust(((state.angles - self.mean) / self.spread) ** 2).sum()
        beyond = (state.angles - self.high).clamp(min=0) + (self.low - state.angles).clamp(min=0)
        prior = self.model.prior
        outside = (state.shape - prior.high).clamp(min=0) + (prior.low - state.shape).clamp(min=0)
        likely = 0.5 * (((state.shape - prior.mean) / prior.sigma) ** 2).sum()
        return gap.sum() + unlikely + likely + 300 * ((beyond**2).sum() + (outside**2).sum()) + (state.log_scale / 0.08) ** 2


def fit_true_body(case: Case, model: BodyModel) -> BodyFit:
    """The body model in a case's person, photo's pose, camera frame.

    Raises CarveError for a case that does not know its joints, or whose camera is not perspective.
    """
    if not case.knows_body:
        raise CarveError(f"The case {case.name} has no true body: its joints are not known.")
    camera = _camera(case)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small
    try:
        problem = _Problem(case, model)
        starts = _starts(problem, case)
        ends = [_descend(start, STEPS[0], partial(_joint_loss, problem, start)) for start in starts]
        state = starts[int(np.argmin(ends))]
        _descend(state, STEPS[1], partial(_whole_loss, problem, state, TrueSurface(case)))
    finally:
        torch.set_num_threads(threads)
    return _fit(case, problem, state, camera)


def _camera(case: Case) -> Camera:
    p = case.projection / -case.projection[2, 2] if case.projection[2, 2] else case.projection
    square = abs(p[0, 0] + p[1, 1]) < 1e-3 * abs(p[0, 0]) and abs(p[0, 1]) < 1e-6 * abs(p[0, 0]) and not p[:, 3].any()
    if not square or p[0, 0] <= 0:
        raise CarveError(f"The camera of case {case.name} is no upright perspective camera with square pixels in its own frame.")
    return Camera(*case.size, float(p[0, 0]), float(-p[0, 2]), float(-p[1, 2]))


def _starts(problem: _Problem, case: Case) -> list[_Unknowns]:
    """Root from hips and neck; legs straight, bent with the thighs forward, bent with the shins back."""
    joints = case.joints
    middle = (joints["leftUpperLeg"] + joints["rightUpperLeg"]) / 2
    up, across = joints["neck"] - middle, joints["leftUpperLeg"] - joints["rightUpperLeg"]
    up /= np.linalg.norm(up)
    across = across - up * (across @ up)
    across /= np.linalg.norm(across)
    root = torch.as_tensor(np.stack([across, up, np.cross(across, up)], 1), dtype=torch.float32)
    out = []
    for knees, thighs in ((0.0, 0.0), (0.9, -0.7), (0.9, 0.1)):
        angles = problem.mean.clone()
        for i, name in enumerate(problem.articulation.names):
            angles[i] += knees * name.endswith("LowerLeg.0") + thighs * name.endswith("UpperLeg.0")
        leaf = lambda t: torch.as_tensor(np.asarray(t), dtype=torch.float32).clone().requires_grad_()  # noqa: E731
        out.append(_Unknowns(leaf(angles), root, leaf(np.zeros(3)), leaf(middle), leaf(0.0), leaf(problem.model.prior.mean)))
    return out


def _descend(state: _Unknowns, steps: int, loss_of_step: Callable[[int], Tensor]) -> float:
    """Adam with a cosine fall of the step; the last loss."""
    rates = [0.03, 0.03, 0.01, 0.005, 0.02]
    optimiser = torch.optim.Adam([{"params": [leaf], "lr": rate} for leaf, rate in zip(state.leaves(), rates, strict=True)])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        optimiser.zero_grad()
        loss = loss_of_step(step)
        loss.backward()
        optimiser.step()
        schedule.step()
    return float(loss.detach())


def _joint_loss(problem: _Problem, state: _Unknowns, step: int) -> Tensor:
    return problem.loss(state, problem.posed(state)[1])


def _whole_loss(problem: _Problem, state: _Unknowns, surface: TrueSurface, step: int) -> Tensor:
    shaped, posed = problem.posed(state)
    places = problem.body.skin(shaped, posed, state.log_scale.exp()[None])
    if step % REFRESH == 0:
        with torch.no_grad():
            normals = vertex_normals(_full_body(problem, state).posed, problem.model.faces)[problem.sample]
        surface.look(places.detach().numpy(), normals)
    return problem.loss(state, posed) + surface.loss(places)


@dataclass(frozen=True)
class _Body:
    """The body at full resolution."""

    shape: Tensor
    canonical: CanonicalBody
    pose: Pose
    posed: np.ndarray
    """(V, 3) camera frame."""


def _full_body(problem: _Problem, state: _Unknowns) -> _Body:
    model, prior = problem.model, problem.model.prior
    shape = torch.minimum(torch.maximum(state.shape.detach(), prior.low), prior.high)
    size = float(state.log_scale.detach().exp())
    canonical = canonical_body(model, shape)
    skeleton = replace(canonical.skeleton, heads=canonical.skeleton.heads * size)
    canonical = replace(canonical, vertices=canonical.vertices * size, skeleton=skeleton)
    angles = torch.minimum(torch.maximum(state.angles.detach(), problem.low), problem.high).double().numpy()
    root = (state.root @ matrix_from_rotvec(state.turn.detach())).double().numpy()
    pose = pose_of_angles(problem.articulation, canonical, angles, root, state.position.detach().double().numpy())
    rotations = pose.rotations.copy()
    for side in ("left", "right"):
        for bone, turn in finger_rotations(skeleton, side, None).items():
            rotations[bone] = turn
    pose = replace(pose, rotations=rotations)
    turned, heads = forward_kinematics(rotations, skeleton.heads, skeleton.parents, pose.root_position)
    posed = skin(canonical.vertices, bone_transforms(turned, heads, skeleton.heads), model.bones, model.weights)
    return _Body(shape, canonical, pose, posed)


def _fit(case: Case, problem: _Problem, state: _Unknowns, camera: Camera) -> BodyFit:
    model = problem.model
    with torch.no_grad():
        gap = (problem.posed(state)[1].landmarks[0] - problem.joints).norm(dim=-1)
    body = _full_body(problem, state)
    if not np.isfinite(body.posed).all():
        raise CarveError(f"The body model could not be laid into the person of case {case.name}.")
    return BodyFit(
        model=model.name,
        shape={name: float(v) for name, v in zip(model.shape_names, body.shape, strict=True)},
        camera=camera,
        up=case.up,
        skeleton=body.canonical.skeleton,
        pose=body.pose,
        canonical=body.canonical.vertices,
        posed=body.posed,
        faces=model.faces,
        bones=model.bones,
        weights=model.weights,
        region=model.region,
        joint_confidence=np.ones(len(model.names)),
        height=float(np.ptp(rest_pose(model, body.shape)[0].detach().numpy()[:, 1])) * float(state.log_scale.detach().exp()),
        height_source="argument",
        residuals={"joints": float(gap.mean())},
        notes=(),
    )
