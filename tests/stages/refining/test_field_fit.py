"""The fit of a signed distance to one person: shifts against a closed form, what moves, what stops it, that it repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from carve.networks.hyper import Architecture, HyperNet
from carve.networks.posed_field import Frame, Shape
from carve.stages.refining import field_fit
from carve.stages.refining.field_fit import Evidence, FieldFit, FitParams, zero_level
from solids import sphere

SMALL = Shape(octaves=2, hidden=24, layers=3)
PARAMS = FitParams(steps=120, rate=5e-3, on=128, off=96, refresh=30)


def ball(bumps: float = 0.0) -> Evidence:
    """A ball of radius 0.5 m, 3 m before the camera, whose front is to look as if it had waves of that slope."""
    vertices, faces = sphere(splits=4)
    unit = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    placed = 0.5 * unit + [0.0, 0.0, -3.0]
    wanted = unit + bumps * np.column_stack([np.zeros(len(unit)), np.cos(9 * unit[:, 1]), np.zeros(len(unit))])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    return Evidence(placed, faces, wanted, np.clip(2 * unit[:, 2], 0, 1), np.array([0.0, 0.0, 1.0]))


def test_shifts_along_rays_end_on_the_zero_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ball that is 1 cm larger than the mesh, as a field with a known gradient."""
    evidence = ball()
    frame = Frame(np.array([0, 0, -3.0]), 0.5, np.eye(3))
    radius = 1.02
    monkeypatch.setattr(field_fit, "with_gradient", lambda w, x: (x.norm(dim=-1) - radius, x / x.norm(dim=-1, keepdim=True)))
    shift = zero_level([], frame, evidence.vertices, 0.03)
    rays = evidence.vertices / np.linalg.norm(evidence.vertices, axis=1, keepdims=True)
    moved = np.linalg.norm(evidence.vertices + shift[:, None] * rays - [0, 0, -3.0], axis=1)
    facing = np.abs(((evidence.vertices - [0, 0, -3.0]) / 0.5 * rays).sum(1)) > 0.5
    np.testing.assert_allclose(moved[facing], 0.51, atol=1e-4)
    assert np.abs(shift).max() <= 0.03 + 1e-9
    assert np.abs(shift[np.abs(((evidence.vertices - [0, 0, -3.0]) / 0.5 * rays).sum(1)) < 0.1]).max() < 1e-6


def test_a_fit_takes_on_the_normals_and_keeps_what_is_unseen() -> None:
    evidence = ball(0.35)
    fit = FieldFit(evidence, replace(PARAMS, steps=300))
    fitted = fit.run(fit.start("sphere", None, replace(SMALL, octaves=4, hidden=48)))
    assert fitted.stopped is None
    assert fitted.looks[-1].held_normal < 0.6 * float(np.linalg.norm(ball().normals - evidence.normals, axis=1)[evidence.trust > 0].mean())
    shift = zero_level(fitted.weights, fit.frame, evidence.vertices, 0.03)
    assert np.abs(shift[evidence.vertices[:, 2] < -3.2]).mean() < 0.006


def test_the_same_seed_gives_the_same_field() -> None:
    one, other, third = (FieldFit(ball(0.2), replace(PARAMS, steps=20), seed) for seed in (0, 0, 1))
    results = [fit.run(fit.start("random", None, SMALL)).weights for fit in (one, other, third)]
    for a, b, c in zip(*results, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_a_fit_that_goes_wrong_is_stopped() -> None:
    fit = FieldFit(ball(0.2), replace(PARAMS, rate=3.0, refresh=5))
    assert fit.run(fit.start("sphere", None, SMALL)).stopped == "its loss at held-out places grew"
    idle = FieldFit(ball(0.05), replace(PARAMS, steps=2, rate=1e-6))
    assert "no better" in str(idle.run(idle.start("random", None, SMALL)).stopped)


def test_nobody_sees_the_held_out_places() -> None:
    fit = FieldFit(ball(), PARAMS)
    assert not set(fit._pool) & set(fit._held)
    held = fit.held_out()
    assert held.on.shape[1] == len(fit._held) and held.off.shape[1] == 1024


def test_a_watcher_may_end_the_fit() -> None:
    fit = FieldFit(ball(), PARAMS)
    seen: list[int] = []

    def watch(step: int, weights: list[torch.Tensor]) -> bool:
        seen.append(step)
        return step == 4

    fit.run(fit.start("random", None, SMALL), watch)
    assert seen == [1, 2, 3, 4]


def test_starts_from_the_network_need_it() -> None:
    torch.manual_seed(0)
    network = HyperNet(Architecture(places=24, hidden=16, code=8, rank=2, target=SMALL))
    fit = FieldFit(ball(), PARAMS)
    for start, expected in (("hypernetwork", network.base), ("body", [w[0] for w in network.mean_body])):
        for given, wanted in zip(fit.start(start, network), expected, strict=True):  # type: ignore[arg-type]
            torch.testing.assert_close(given[0], wanted.detach())
        with pytest.raises(ValueError, match=start):
            fit.start(start, None)  # type: ignore[arg-type]


def test_held_out_places_may_be_those_of_another_surface() -> None:
    evidence = ball()
    fit = FieldFit(evidence, PARAMS)
    coarse = fit.held_out()
    rays = evidence.vertices / np.linalg.norm(evidence.vertices, axis=1, keepdims=True)
    other = fit.held_out((evidence.vertices + 0.01 * rays, evidence.normals[:, [1, 2, 0]]))
    np.testing.assert_allclose((other.on - coarse.on).norm(dim=-1).numpy() * fit.frame.unit, 0.01, atol=1e-5)
    assert torch.equal(other.off, coarse.off) and (other.trust == 1).all()
    assert (other.normal - coarse.normal).norm(dim=-1).mean() > 0.5
