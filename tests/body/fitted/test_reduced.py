"""The reduced body against the plain way: all bones, all vertices, in NumPy and double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from carve.body.anny import AnnyBody
from carve.body.fitted.articulation import build_articulation
from carve.body.fitted.reduced import ReducedBody
from carve.body.model import rest_pose
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin

MARKS: dict[str, str | None] = {
    "nose": None,
    "left_shoulder": None,
    "right_knee": None,
    "left_heel": None,
    "right_hand_8": None,
    "bone:hips": "root",
    "bone:head": "head",
    "left_index": "finger2-1.L",
}
"""Landmarks of all kinds: on the surface, across several bones, on bones that move and that do not."""

STARTS = 3


@pytest.fixture(scope="module")
def reduced(anny_body: AnnyBody) -> ReducedBody:
    """Some landmarks and a sample of the skin."""
    heads = rest_pose(anny_body, anny_body.prior.mean)[1].double().numpy()
    sample = np.sort(np.random.default_rng(0).choice(len(anny_body.template), 300, replace=False))
    return ReducedBody(anny_body, build_articulation(anny_body, heads), MARKS, sample)


@pytest.fixture(scope="module")
def precise(anny_body: AnnyBody) -> AnnyBody:
    """The same body in double precision."""
    fields = ("template", "heads", "shapes", "head_shapes", "phenotype_mask", "phenotype_projection")
    return replace(anny_body, **{name: getattr(anny_body, name).double() for name in fields})


def sampled(reduced: ReducedBody) -> np.ndarray:
    """(M,) the vertices that `reduced` holds."""
    return np.sort(np.random.default_rng(0).choice(len(reduced.model.template), 300, replace=False))


def unknowns(reduced: ReducedBody, seed: int) -> dict[str, Tensor]:
    """Angles (N, D), turn (N, 3), position (N, 3), scale (N,) and shape (S,) of N = 3 bodies, double precision."""
    generator = torch.Generator().manual_seed(seed)
    noise = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)  # noqa: E731
    prior, articulation = reduced.model.prior, reduced.articulation
    away = 0.3 * torch.rand(len(prior.mean), generator=generator, dtype=torch.float64) + 0.05
    return {
        "angles": torch.from_numpy(articulation.mean) + 0.5 * noise(STARTS, len(articulation.names)),
        "turn": noise(STARTS, 3),
        "position": noise(STARTS, 3),
        "scale": 1 + 0.1 * noise(STARTS),
        "shape": (prior.mean.double() + away).clamp(max=0.93),  # off the anchors, where the shape has kinks
    }


def slow(body: AnnyBody, reduced: ReducedBody, values: dict[str, Tensor], start: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (L, 3) and sampled skin (M, 3) of one body, the plain way."""
    articulation, scale = reduced.articulation, float(values["scale"][start])
    with torch.no_grad():
        vertices, heads = (t.numpy() * scale for t in rest_pose(body, values["shape"]))
    local = np.tile(np.eye(3), (len(body.names), 1, 1))
    turns = np.einsum("d,pd,dc->pc", values["angles"][start].numpy(), articulation.shares, articulation.axes)
    local[articulation.moving] = matrix_from_rotvec(torch.from_numpy(turns)).numpy()
    local[0] = matrix_from_rotvec(values["turn"][start]).numpy() @ local[0]
    rotations, posed_heads = forward_kinematics(local, heads, body.parents, values["position"][start].numpy())
    posed = skin(vertices, bone_transforms(rotations, posed_heads, heads), body.bones, body.weights)
    marks = [
        posed_heads[body.names.index(bone)] if bone else body.keypoints[name].weights @ posed[body.keypoints[name].vertices]
        for name, bone in MARKS.items()
    ]
    return np.array(marks), posed[sampled(reduced)]


def fast(reduced: ReducedBody, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Landmarks (N, L, 3) and the first body's sampled skin (M, 3) from `ReducedBody`."""
    single = {name: value.float() for name, value in values.items()}
    shaped = reduced.shaped(single["shape"])
    posed = reduced.posed(shaped, single["angles"], matrix_from_rotvec(single["turn"]), single["position"], single["scale"])
    return posed.landmarks, reduced.skin(shaped, posed, single["scale"])


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_and_skin_are_those_of_the_whole_body(reduced: ReducedBody, precise: AnnyBody, seed: int) -> None:
    values = unknowns(reduced, seed)
    landmarks, skinned = fast(reduced, values)
    for start in range(STARTS):
        expected, expected_skin = slow(precise, reduced, values, start)
        np.testing.assert_allclose(landmarks[start].numpy(), expected, atol=1e-5)
        if start == 0:
            np.testing.assert_allclose(skinned.numpy(), expected_skin, atol=1e-5)


@pytest.mark.parametrize("name", ["angles", "turn", "position", "scale", "shape"])
def test_gradients_match_finite_differences_of_the_whole_body(reduced: ReducedBody, precise: AnnyBody, name: str) -> None:
    values = unknowns(reduced, 11)
    rng = np.random.default_rng(5)
    on_marks, on_skin = rng.normal(size=(len(MARKS), 3)), rng.normal(size=(len(sampled(reduced)), 3)) / 30

    def plain(offset: Tensor) -> float:
        marks, skinned = slow(precise, reduced, values | {name: values[name] + offset}, 0)
        return float((on_marks * marks).sum() + (on_skin * skinned).sum())

    leaf = values[name].clone().requires_grad_()
    landmarks, skinned = fast(reduced, values | {name: leaf})
    total = (torch.from_numpy(on_marks) * landmarks[0]).sum() + (torch.from_numpy(on_skin) * skinned).sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    for _ in range(4):
        direction = torch.from_numpy(rng.normal(size=tuple(leaf.shape)))
        direction /= direction.norm()
        step = 1e-4
        numeric = (plain(step * direction) - plain(-step * direction)) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(numeric, abs=2e-4, rel=1e-3)


def test_starts_do_not_see_each_other(reduced: ReducedBody) -> None:
    values = unknowns(reduced, 2)
    together, _ = fast(reduced, values)
    for start in range(STARTS):
        alone, _ = fast(reduced, {key: value if key == "shape" else value[start : start + 1] for key, value in values.items()})
        torch.testing.assert_close(alone[0], together[start], atol=1e-6, rtol=0)


def test_moving_and_scaling_the_body_moves_and_scales_its_landmarks(reduced: ReducedBody) -> None:
    values = unknowns(reduced, 4)
    landmarks, skinned = fast(reduced, values)
    moved, moved_skin = fast(reduced, values | {"scale": 2 * values["scale"], "position": 2 * values["position"] + 1})
    torch.testing.assert_close(moved, 2 * landmarks + 1, atol=2e-5, rtol=0)
    torch.testing.assert_close(moved_skin, 2 * skinned + 1, atol=2e-5, rtol=0)


def test_weights_on_the_moving_bones_sum_to_one(reduced: ReducedBody) -> None:
    torch.testing.assert_close(reduced.weights.sum(1), torch.ones(len(reduced.weights)), atol=1e-6, rtol=0)
    torch.testing.assert_close(reduced.share.sum(1), torch.ones(len(MARKS)), atol=1e-6, rtol=0)
