"""The posed field: its gradient is that of its value, its starts are what they say, its loss is zero for the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from carve.networks import posed_field
from carve.networks.posed_field import Balance, Frame, Shape, Told, evaluate, misfit, random_weights, sphere_weights, with_gradient

SMALL = Shape(octaves=3, hidden=16, layers=3)


def drawn(shape: Shape = SMALL, people: int = 2) -> tuple[list[Tensor], Tensor]:
    """Weights and points of several people, double precision."""
    noise = torch.Generator().manual_seed(0)
    each = [random_weights(shape, noise) for _ in range(people)]
    weights = [torch.cat(layers).double() for layers in zip(*each, strict=True)]
    return weights, 2 * torch.rand(people, 20, 3, generator=noise, dtype=torch.float64) - 1


def test_the_default_has_as_many_weights_as_a_small_network_may() -> None:
    assert 30_000 < Shape().count < 60_000
    assert sum(w.numel() for w in random_weights(Shape(), torch.Generator())) == Shape().count


def test_the_gradient_is_that_of_finite_differences() -> None:
    weights, points = drawn()
    value, gradient = with_gradient(weights, points)
    torch.testing.assert_close(value, evaluate(weights, points))
    step = 1e-5
    for axis in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[axis] = step
        slope = (evaluate(weights, points + offset) - evaluate(weights, points - offset)) / (2 * step)
        torch.testing.assert_close(gradient[..., axis], slope, atol=1e-7, rtol=1e-5)


def test_gradients_slopes_in_the_weights_are_those_of_double_backward() -> None:
    weights, points = drawn()
    weights = [w.requires_grad_() for w in weights]
    value, gradient = with_gradient(weights, points)
    ours = torch.autograd.grad(value.sin().sum() + gradient.square().sum(), weights)
    at = points.clone().requires_grad_()
    plain = evaluate(weights, at)
    (slope,) = torch.autograd.grad(plain.sum(), at, create_graph=True)
    theirs = torch.autograd.grad(plain.sin().sum() + slope.square().sum(), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_the_ball_begins_as_one() -> None:
    weights = sphere_weights(Shape(), torch.Generator().manual_seed(1))
    points = torch.nn.functional.normalize(torch.randn(1, 500, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    inside, on, outside = (evaluate(weights, r * points).mean() for r in (0.2, 0.5, 0.9))
    assert inside < -0.1 < on < 0.1 < outside


def ball(count: int = 60) -> Told:
    """A ball of radius 0.5, as one is told of it."""
    noise = torch.Generator().manual_seed(3)
    normal = torch.nn.functional.normalize(torch.randn(1, count, 3, generator=noise), dim=-1)
    off = torch.randn(1, count, 3, generator=noise)
    return Told(0.5 * normal, normal, torch.ones(1, count), off, off.norm(dim=-1) - 0.5)


def test_the_true_distance_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ball()
    monkeypatch.setattr(posed_field, "with_gradient", lambda w, x: (x.norm(dim=-1) - 0.5, x / x.norm(dim=-1, keepdim=True)))
    monkeypatch.setattr(posed_field, "evaluate", lambda w, x: x.norm(dim=-1) - 0.5)
    total, parts = misfit([], told, Balance())
    assert float(total) == pytest.approx(1e-3, abs=1e-4)  # the rounded corner
    assert {name for name, value in parts.items() if float(value) > 1e-5} == {"normal"}
    monkeypatch.setattr(posed_field, "evaluate", lambda w, x: x.norm(dim=-1) - 0.48)
    _, parts = misfit([], told, Balance())
    d, reach = told.distance, Balance().reach
    # Deep inside it is enough to be deep, far outside to be far.
    expected = torch.where(d <= -reach, (d + 0.02 + reach).clamp(min=0), torch.where(d >= reach, 0, 0.02))
    assert float(parts["off"]) == pytest.approx(float(expected.mean()), abs=1e-6)
    _, parts = misfit([], Told(told.on, told.normal, told.trust, told.off, told.distance, slack=0.03), Balance())
    assert float(parts["off"]) == 0


def test_normals_count_as_they_are_trusted() -> None:
    told = ball()
    weights = sphere_weights(SMALL, torch.Generator().manual_seed(0))
    wrong = told.normal.clone()
    wrong[:, 30:] *= -1
    doubted = told.trust.clone()
    doubted[:, 30:] = 0
    one = misfit(weights, Told(told.on, told.normal, doubted, told.off, told.distance), Balance())[1]["normal"]
    other = misfit(weights, Told(told.on, wrong, doubted, told.off, told.distance), Balance())[1]["normal"]
    torch.testing.assert_close(one, other)


def test_the_frame_holds_the_person_and_turns_them_forward() -> None:
    rng = np.random.default_rng(0)
    vertices = np.array([0.3, 1.0, -4]) + rng.normal(0, [0.2, 0.5, 0.1], (300, 3))
    forward = np.array([0.6, 0.1, 0.8])
    frame = Frame.around(vertices, forward)
    turned = frame.turned(forward[None])[0]
    assert turned[0] == pytest.approx(0, abs=1e-6) and turned[2] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(frame.out_of(frame.into(vertices)), vertices, atol=1e-6)
    np.testing.assert_allclose(frame.turn @ frame.turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame.turn) == pytest.approx(1)
    into = frame.into(vertices)
    np.testing.assert_allclose(
        np.linalg.norm(into[1:] - into[:-1], axis=1) * frame.unit, np.linalg.norm(np.diff(vertices, axis=0), axis=1), rtol=1e-4
    )
