"""Losses and figures of the normals network against closed forms, and a tiny training from shards to a card."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from carve.networks.normals import VARIANCE_OF_SCALE, Architecture, NormalsNet, NormalsOutput, load_normals_net
from carve.networks.photo_features import PhotoFeatures
from carve.networks.weights import read_card, write_weights
from carve.records import LABELS, CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.wear.wardrobe import reference_body
from carve.train.normals import (
    ARCHITECTURE,
    Params,
    _depth_term,
    card,
    normal_terms,
    normals_loss,
    phases,
    relief_term,
    train_normals,
)
from carve.train.normals_figures import angles, evaluate_normals, true_depth
from carve.train.running.log import read_log
from carve.train.running.loop import Batch
from carve.train.running.schedule import Phase, Schedule
from synth.known_people import known_person, small_assets, write_known

TINY = Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2, context=1, labels=12, places=True)
COUNT, SIZE = 3, 16


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def units(seed: int, size: int = SIZE, count: int = COUNT) -> Tensor:
    """(B, 3, S, S) random unit vectors."""
    noise = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 3, size, size, generator=noise, dtype=torch.float64), dim=1)


def made_up_batch(count: int = COUNT) -> Batch:
    """Somebody who is a rectangle that is hidden on the left, in double precision; bodies cover the upper half of the picture."""
    noise = torch.Generator().manual_seed(9)
    mask = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.float64)
    mask[..., 3:13, 2:14] = 1
    visible = mask.clone()
    visible[..., :5] = 0
    weight = mask * (0.5 + 0.5 * torch.rand(mask.shape, generator=noise, dtype=torch.float64))
    body = torch.zeros_like(mask)
    body[..., 4:8, 4:12] = 1
    return {
        "image": torch.rand(count, 3, SIZE, SIZE, generator=noise, dtype=torch.float64),
        "rough_mask": mask,
        "mask": mask,
        "visible": visible,
        "weight": weight,
        "normal_front": units(1, count=count) * mask,
        "normal_back": units(2, count=count) * mask,
        "body_normal_front": units(3, count=count) * body,
        "body_normal_back": units(4, count=count) * body,
        "fitted_normal_front": units(5, SIZE // 2, count),
        "fitted_normal_back": units(6, SIZE // 2, count),
        "depth": mask * (3 + torch.rand(mask.shape, generator=noise, dtype=torch.float64)),
        "camera": torch.tensor([[20.0, 8, 8, SIZE, SIZE]] * count, dtype=torch.float64),
        "label_front": (mask * torch.randint(1, len(LABELS), mask.shape, generator=noise)).to(torch.uint8),
        "label_back": (mask * torch.randint(1, len(LABELS), mask.shape, generator=noise)).to(torch.uint8),
        "place": mask * torch.randn((*mask.shape[:1], 3, *mask.shape[2:]), generator=noise, dtype=torch.float64),
    }


class Answer(nn.Module):
    """A network whose answer is given; it remembers what bodies it saw."""

    def __init__(self, **outputs: Tensor) -> None:
        super().__init__()
        self.answer = NormalsOutput(**outputs)
        self.bodies: list[tuple[Tensor, Tensor]] = []

    def forward(self, image: Tensor, mask: Tensor, front: Tensor, back: Tensor) -> NormalsOutput:
        self.bodies.append((front, back))
        return self.answer


def the_truth(batch: Batch, angle: float = 0.01, depth: float = 0.01) -> dict[str, Tensor]:
    """What a perfect network would say, with scales for errors of these sizes."""
    one = torch.ones_like(batch["mask"])
    return {
        "front": batch["normal_front"].clone(),
        "back": batch["normal_back"].clone(),
        "log_scale_front": one * math.log(angle),
        "log_scale_back": one * math.log(angle),
        "mask_logit": 60 * (batch["visible"] * 2 - 1),
        "depth": true_depth(batch) + 0.3,
        "depth_log_scale": one * math.log(depth),
    }


def test_the_truth_costs_nothing_but_its_doubt() -> None:
    batch = made_up_batch()
    batch["weight"] = batch["mask"]
    angle, depth, params = 0.02, 0.05, Params()
    total, parts = normals_loss(Answer(**the_truth(batch, angle, depth)), batch, 0, params)
    assert parts["front"] == pytest.approx(1e-3)  # the rounded corner of the chord
    assert parts["back"] == pytest.approx(1e-3)
    assert parts["edges"] == pytest.approx(0, abs=1e-12)
    assert parts["mask"] == pytest.approx(0, abs=1e-12)
    assert parts["doubt"] == pytest.approx(1e-3 / angle + 2 * math.log(angle))
    assert parts["depth"] == pytest.approx(0.1 * math.log(depth))
    expected = 1e-3 * (1 + params.back) + params.doubt * 2 * parts["doubt"] + params.depth * parts["depth"]
    assert float(total) == pytest.approx(expected)


def test_every_part_counts_with_its_weight() -> None:
    batch = made_up_batch()
    answer = the_truth(batch) | {"front": units(7), "back": units(8), "depth": units(9)[:, :1], "mask_logit": units(10)[:, :1]}
    _, parts = normals_loss(Answer(**answer), batch, 0, Params())
    seen = batch["weight"] * batch["visible"]
    front, doubt, edges = normal_terms(answer["front"], answer["log_scale_front"], batch["normal_front"], seen)
    assert [parts[name] for name in ("front", "doubt", "edges")] == pytest.approx([float(front), float(doubt), float(edges)])
    cross = functional.binary_cross_entropy_with_logits(answer["mask_logit"], batch["visible"] * batch["weight"])
    assert parts["mask"] == pytest.approx(float(cross))
    nothing: dict[str, float] = {"gradient": 0.0, "back": 0.0, "doubt": 0.0, "mask": 0.0, "depth": 0.0, "relief": 0.0}
    base = float(normals_loss(Answer(**answer), batch, 0, Params(**nothing))[0])
    assert base == pytest.approx(parts["front"])
    for name, part in (("gradient", "edges"), ("relief", "relief"), ("back", "back"), ("mask", "mask"), ("depth", "depth")):
        total = float(normals_loss(Answer(**answer), batch, 0, Params(**(nothing | {name: 0.7})))[0])
        assert total == pytest.approx(base + 0.7 * parts[part]), name


def test_what_is_hidden_or_outside_costs_nothing_but_the_mask() -> None:
    batch = made_up_batch()
    outside = batch["visible"] == 0
    answer = the_truth(batch)
    before = normals_loss(Answer(**answer), batch, 0, Params())[0]
    for name, other in (("front", units(7)), ("back", units(8)), ("depth", units(9)[:, :1]), ("log_scale_front", units(7)[:, :1])):
        answer[name] = torch.where(outside, other, answer[name])
    torch.testing.assert_close(normals_loss(Answer(**answer), batch, 0, Params())[0], before)


def test_the_chord_is_the_mean_distance_over_the_weight() -> None:
    true, predicted = units(1), units(2)
    weight = torch.rand(COUNT, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    true[..., :4] = 0  # nothing is known there
    chord, _, edges = normal_terms(predicted, torch.zeros_like(weight), true, weight)
    known = weight.clone()
    known[..., :4] = 0
    expected = ((predicted - true).norm(dim=1, keepdim=True) * known).sum() / known.sum()
    assert float(chord) == pytest.approx(float(expected), abs=1e-5)
    sums = []
    for d in (1, 2, 4, 8):
        for dy, dx in ((d, 0), (0, d)):
            a = (slice(None), slice(None), slice(dy, None), slice(dx, None))
            b = (slice(None), slice(None), slice(None, SIZE - dy), slice(None, SIZE - dx))
            change = ((predicted[a] - predicted[b]) - (true[a] - true[b])).abs().sum(1, keepdim=True)
            sums.append((change * known[a] * known[b]).sum() / (known[a] * known[b]).sum())
    assert float(edges) == pytest.approx(float(torch.stack(sums).mean()))


def test_a_shift_of_all_normals_has_no_edges() -> None:
    true, one = units(1), torch.ones(COUNT, 1, SIZE, SIZE, dtype=torch.float64)
    _, _, edges = normal_terms(true + torch.tensor([0.3, -0.2, 0.1])[:, None, None], one, true, one)
    assert float(edges) == pytest.approx(0, abs=1e-12)


def test_doubt_is_least_at_half_the_chord_and_teaches_the_scale_alone() -> None:
    true = units(1)
    predicted = functional.normalize(true + 0.2 * units(2), dim=1).requires_grad_()
    chord = ((predicted - true).square().sum(1, keepdim=True) + 1e-6).sqrt().detach()
    best = (chord / 2).log().requires_grad_()
    weight = torch.ones_like(best)
    _, least, _ = normal_terms(predicted, best, true, weight)
    to_scale, to_normals = torch.autograd.grad(least, (best, predicted), allow_unused=True)
    assert to_scale.abs().max() < 1e-12
    assert to_normals is None
    assert float(least.detach()) == pytest.approx(float((2 + 2 * (chord / 2).log()).mean()))
    for change in (-0.1, 0.1):
        assert normal_terms(predicted, best + change, true, weight)[1] > least


def test_gradients_of_normals_agree_with_finite_differences() -> None:
    true, weight = units(1, 6, 1), torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    predicted, scale = units(2, 6, 1).requires_grad_(), (0.3 * units(3, 6, 1)[:, :1]).requires_grad_()
    assert torch.autograd.gradcheck(lambda n: normal_terms(n, scale.detach(), true, weight)[::2], (predicted,))
    assert torch.autograd.gradcheck(lambda s: normal_terms(predicted.detach(), s, true, weight)[1], (scale,))


def test_relief_counts_how_deep_folds_are_and_not_where_they_lie() -> None:
    """Waves of the same height, shifted by a whole window's share of their period, cost nothing; a flat answer costs their mean change."""
    x = torch.arange(65, dtype=torch.float64)[None, None, None].expand(1, 1, 65, 65)
    one = torch.ones_like(x)

    def waves(height: float, shift: float) -> Tensor:
        tilt = height * torch.sin(2 * torch.pi * (x - shift) / 8)
        return functional.normalize(torch.cat([tilt, torch.zeros_like(tilt), torch.ones_like(tilt)], 1), dim=1)

    true = waves(0.4, 0)
    assert float(relief_term(true, true, one)) == pytest.approx(0, abs=1e-12)
    flat = float(relief_term(waves(0, 0), true, one))
    assert float(relief_term(waves(0.4, 4), true, one)) < 0.02 * flat
    assert float(relief_term(waves(0.8, 0), true, one)) > 0.4 * flat
    changes = [(true[..., d:] - true[..., :-d])[..., : 16 * ((65 - d) // 16)].norm(dim=1).mean() for d in (1, 2, 4)]
    assert flat == pytest.approx(float(sum(changes)) / 6, rel=0.02)


def test_gradient_of_relief_agrees_with_finite_differences() -> None:
    true, weight = units(1, 6, 1), torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda n: relief_term(n, true, weight), (units(2, 6, 1).requires_grad_(),))


def depth_batch(depth: Tensor, focal: float) -> Batch:
    known = (depth > 0).double()
    return {"depth": depth, "mask": known, "camera": torch.tensor([[focal, 0, 0, 0, 0]] * len(depth), dtype=torch.float64)}


def test_true_depth_of_a_plane_in_closed_form() -> None:
    """A plane through the axis at distance D whose depth falls by `slope` metres a pixel: slope f / D pixels a pixel."""
    focal, slope, distance = 40.0, 0.02, 3.0
    columns = torch.arange(SIZE, dtype=torch.float64) - (SIZE - 1) / 2
    depth = (distance - slope * columns).expand(1, 1, SIZE, SIZE)
    found = true_depth(depth_batch(depth, focal)) * SIZE
    torch.testing.assert_close(found, (columns * slope * focal / distance).expand(1, 1, SIZE, SIZE))


def test_true_depth_of_a_ball_in_closed_form() -> None:
    """Far away, a ball of radius r pixels is sqrt(r^2 - d^2) pixels deep; nothing is said outside."""
    focal, distance, radius = 1000.0, 50.0, 6.5
    rows, columns = torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float64) - 7.5] * 2, indexing="ij")
    height = (radius**2 - rows**2 - columns**2).clamp(min=0).sqrt()
    inside = height > 0
    depth = torch.where(inside, distance - height * distance / focal, 0.0)[None, None]
    found = true_depth(depth_batch(depth, focal))[0, 0] * SIZE
    torch.testing.assert_close(found[inside], height[inside] - height[inside].mean(), rtol=0.02, atol=0.02)
    assert not found[~inside].any()
    assert float(found.sum()) == pytest.approx(0, abs=1e-9)


def depths_only(depth: Tensor, log_scale: Tensor) -> NormalsOutput:
    empty = torch.zeros(0)
    return NormalsOutput(empty, empty, empty, empty, empty, depth, log_scale)


def test_the_depth_term_ignores_a_constant_of_each_sample() -> None:
    batch = made_up_batch()
    weight, scale = batch["weight"] * batch["visible"], 0.1 * units(3)[:, :1]
    depth = true_depth(batch) + 0.05 * units(4)[:, :1]
    found = _depth_term(depths_only(depth, scale), batch, weight)
    shift = torch.tensor([0.7, -2.0, 30.0], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(_depth_term(depths_only(depth + shift, scale), batch, weight), found)
    assert _depth_term(depths_only(depth * 2, scale), batch, weight) > found


def test_the_depth_s_scale_is_best_at_the_mean_error() -> None:
    batch = made_up_batch()
    weight = batch["weight"] * batch["visible"]
    error = torch.where(torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5, 0.04, -0.04).double()
    error = error - (error * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True)
    scale = error.abs().clamp(min=1e-9).log().requires_grad_()
    depth = (true_depth(batch) + error).requires_grad_()
    value = _depth_term(depths_only(depth, scale), batch, weight)
    to_scale, to_depth = torch.autograd.grad(value, (scale, depth))
    assert to_scale.abs().max() < 1e-9
    # The depth's own gradient is that of 20 times the mean distance from the mean: doubt excuses nothing.
    again = depth.detach().requires_grad_()
    gap = again - true_depth(batch)
    gap = (gap - (gap * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True)).abs()
    (expected,) = torch.autograd.grad(20 * (gap * weight).sum() / weight.sum(), (again,))
    torch.testing.assert_close(to_depth, expected)


def test_gradients_of_the_depth_agree_with_finite_differences() -> None:
    batch = made_up_batch(1)
    weight, scale = batch["weight"] * batch["visible"], torch.full((1, 1, SIZE, SIZE), 40.0, dtype=torch.float64)
    depth = (true_depth(batch) + 0.1 * units(4, count=1)[:, :1]).requires_grad_()
    # With scales this large, errors do not move the likelihood.
    assert torch.autograd.gradcheck(lambda d: _depth_term(depths_only(d, scale), batch, weight), (depth,))


def test_which_body_is_given_is_drawn_by_shares() -> None:
    count, params = 200, Params(no_body=0.35, true_body=0.15)
    batch = made_up_batch(count)
    network = Answer(**the_truth(batch))
    torch.manual_seed(3)
    normals_loss(network, batch, 0, params)
    torch.manual_seed(3)
    draw = torch.rand(count, 1, 1, 1).ravel()
    for side, body in zip(("front", "back"), network.bodies[0], strict=True):
        assert body.shape[-2:] == (SIZE // 2, SIZE // 2)
        none, true = draw < 0.35, (draw >= 0.35) & (draw < 0.5)
        assert not body[none].any()
        assert torch.equal(body[true], functional.avg_pool2d(batch[f"body_normal_{side}"], 2)[true])
        assert torch.equal(body[~none & ~true], batch[f"fitted_normal_{side}"][~none & ~true])
        assert 50 < none.sum() < 90 and 18 < true.sum() < 45


def test_angles_are_exact_for_small_and_large_ones() -> None:
    a = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)[None, :, None]
    degrees = torch.tensor([0.0, 1e-4, 1.0, 90.0, 179.0, 180.0], dtype=torch.float64)
    b = torch.stack([degrees.deg2rad().sin(), 0 * degrees, degrees.deg2rad().cos()])[None]
    torch.testing.assert_close(angles(a, b)[0, 0], degrees, rtol=1e-6, atol=1e-6)


def figures_of(batch: Batch, **changes: Tensor) -> dict[str, float]:
    return evaluate_normals(Answer(**(the_truth(batch) | changes)), [batch], "cpu")  # type: ignore[arg-type]


def test_the_truth_has_no_error_in_the_figures() -> None:
    found = figures_of(made_up_batch())
    assert found.pop("mask_iou") == 1
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)


def turned(normals: Tensor, degrees: float | Tensor) -> Tensor:
    """Unit vectors turned by an angle about an axis of their own that is perpendicular."""
    axis = functional.normalize(torch.linalg.cross(normals, units(11, normals.shape[-1], len(normals)), dim=1), dim=1)
    angle = torch.as_tensor(degrees).deg2rad()
    return normals * angle.cos() + torch.linalg.cross(axis, normals, dim=1) * angle.sin()


def test_figures_are_the_angles_and_their_ratio_to_the_body_s() -> None:
    batch = made_up_batch()
    batch["fitted_normal_front"] = turned(functional.avg_pool2d(batch["normal_front"], 2), 0.0)  # of any length: compared as directions
    upper = torch.zeros_like(batch["mask"])
    upper[..., 4:8, 4:12] = 1
    batch["body_normal_front"], batch["body_normal_back"] = (turned(batch[f"normal_{s}"], 24.0) * upper for s in ("front", "back"))
    found = figures_of(batch, front=turned(batch["normal_front"], 6.0), back=turned(batch["normal_back"], 12.0))
    assert [found[f"front_{kind}"] for kind in ("fitted", "none")] == pytest.approx([6, 6])
    assert [found[f"back_{kind}"] for kind in ("fitted", "none")] == pytest.approx([12, 12])
    assert [found[f"{side}_ratio_true"] for side in ("front", "back")] == pytest.approx([6 / 24, 12 / 24])


def test_the_most_certain_tenth_is_compared_with_the_least() -> None:
    batch = made_up_batch()
    half = (torch.arange(SIZE) < SIZE // 2).double()[:, None].expand_as(batch["mask"])
    front = turned(batch["normal_front"], 2 + 8 * half)
    sure = {"front": front, "log_scale_front": half.clone()}
    assert figures_of(batch, **sure)["certain"] == pytest.approx(0.2)
    assert figures_of(batch, front=front, log_scale_front=-half)["certain"] == pytest.approx(5.0)


def test_depth_and_mask_figures() -> None:
    batch = made_up_batch()
    batch["weight"] = batch["visible"]
    sign = torch.where(torch.arange(SIZE) % 2 == 0, 0.03, -0.03).double().expand_as(batch["mask"])
    logit = 5 * (batch["visible"] * 2 - 1)
    logit[..., 3:8, :] = -5  # half of the rectangle's ten rows
    found = figures_of(batch, depth=true_depth(batch) + sign - 4, mask_logit=logit)
    middle = float((sign * batch["visible"]).sum() / batch["visible"].sum())
    expected = float(((sign - middle).abs() * batch["visible"]).sum() / batch["visible"].sum())
    assert found["depth_error_percent"] == pytest.approx(100 * expected)
    assert found["mask_iou"] == pytest.approx(0.5)


def test_evaluation_leaves_the_network_training() -> None:
    batch = {k: v.float() for k, v in made_up_batch().items()}
    for name in ("image", "rough_mask", "mask", "visible", "weight", "normal_front", "normal_back", "depth", "place"):
        batch[name] = functional.interpolate(batch[name], (32, 32))
    network = NormalsNet(TINY).train()
    for name in ("label_front", "label_back"):
        batch[name] = functional.interpolate(batch[name], (32, 32)).to(torch.uint8)
    found = evaluate_normals(network, [batch], "cpu")  # type: ignore[arg-type]
    assert network.training
    assert all(math.isfinite(value) for value in found.values())


def test_labels_and_places_cost_what_they_are_off() -> None:
    """A sure and right label costs nothing, one that is not told the logarithm of their number; a place its distance."""
    batch, count = made_up_batch(), len(LABELS)
    batch["weight"] = batch["mask"]
    right = {
        f"label_{side}": 60.0 * functional.one_hot(batch[f"label_{side}"][:, 0].long(), count).movedim(-1, 1) for side in ("front", "back")
    }
    one = torch.ones_like(batch["mask"])
    places = {"place": batch["place"] + torch.tensor([0.03, 0.0, 0.04])[:, None, None], "place_log_scale": one * math.log(0.02)}
    plain, _ = normals_loss(Answer(**the_truth(batch)), batch, 0, Params())
    total, parts = normals_loss(Answer(**the_truth(batch), **right, **places), batch, 0, Params())
    assert parts["label"] == pytest.approx(0, abs=1e-9) and parts["label_back"] == pytest.approx(0, abs=1e-9)
    assert parts["place"] == pytest.approx(0.05, rel=1e-3)
    doubt = 0.05 / 0.02 + 3 * math.log(0.02)
    assert float(total - plain) == pytest.approx(Params().place * 0.05 + Params().place_doubt * doubt, rel=1e-3)
    unsure = {name: torch.zeros_like(logits) for name, logits in right.items()}
    _, parts = normals_loss(Answer(**the_truth(batch), **unsure), batch, 0, Params())
    assert parts["label"] == pytest.approx(math.log(count))


def test_label_iou_is_the_mean_over_the_labels_that_occur() -> None:
    batch = made_up_batch()
    batch["label_front"] = (batch["mask"] * 3).to(torch.uint8)
    batch["label_front"][:, :, 6:] = (batch["mask"][:, :, 6:] * 7).to(torch.uint8)
    told = torch.full_like(batch["label_front"], 3)
    logits = functional.one_hot(told[:, 0].long(), len(LABELS)).movedim(-1, 1).double()
    found = figures_of(batch, label_front=logits, label_back=logits, place=batch["place"] + 0.01)
    where = batch["visible"] > 0
    third = float((batch["label_front"] == 3)[where].float().mean())
    assert found["label_iou_front"] == pytest.approx(third / 2)
    assert found["place_cm"] == pytest.approx(math.sqrt(3))


def test_phases_share_the_samples() -> None:
    assert phases(60000, 0.15, 8) == (Phase(256, 6375, 8), Phase(512, 2250, 4))
    assert phases(10, 1.0, 1) == (Phase(512, 10, 1),)
    assert phases(8, 0.01, 4) == (Phase(256, 2, 4),)
    for samples, finish, batch in ((1000, 0.3, 7), (64, 0.5, 16)):
        found = phases(samples, finish, batch)
        assert samples - 2 * batch < sum(phase.steps * phase.batch for phase in found) <= samples
        assert found[0].size == 256 and found[1].size == 512


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people to learn from and one to judge by, two small views each; assets beside."""
    folder = tmp_path_factory.mktemp("data")
    body = load_full_body()
    shaped = reference_body(body, female=False)
    people = {f"p{k}": ("val" if k == 2 else "train", known_person(body, shaped, k, size=128)) for k in range(3)}
    write_known(folder / "people", people)  # type: ignore[arg-type]
    small_assets(folder / "assets")
    return folder


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.train.running.log.draw_curves", lambda path, losses, found: None)


SCHEDULE = Schedule((Phase(64, 3, 2), Phase(96, 1, 1)), learning_rate=1e-3, warmup=2, seed=4)


def tiny_run(data: Path, folder: Path, schedule: Schedule = SCHEDULE, **options: Any) -> Any:
    defaults: dict[str, Any] = {"architecture": TINY, "validation": 2, "evaluate_every": 2, "workers": 0}
    return train_normals([data / "people"], data / "assets", folder, schedule, **(defaults | options))


@pytest.mark.usefixtures("no_picture")
def test_a_tiny_training_ends_with_weights_that_load(data: Path, tmp_path: Path) -> None:
    run = tiny_run(data, tmp_path)
    assert run.step == 4
    found = read_log(tmp_path / "evaluation.csv")
    assert [row["step"] for row in found] == [2, 4]
    assert set(found[0]) == {
        "step", "seconds", "front_fitted", "front_none", "back_fitted", "back_none", "depth_error_percent", "front_ratio_fitted",
        "front_ratio_true", "back_ratio_fitted", "back_ratio_true", "mask_iou", "certain", "label_iou_front", "label_iou_back", "place_cm",
    }  # fmt: skip
    # A network that has hardly begun says what the body says.
    assert found[1]["front_ratio_fitted"] == pytest.approx(1, abs=0.15)
    figures = {"front_fitted": found[1]["front_fitted"]}
    note = json.loads(json.dumps(card(run, [data / "people"], SCHEDULE, figures, "abc+")))
    write_weights(tmp_path, "normals", run.average, note)
    assert load_normals_net(tmp_path).architecture == TINY
    assert note["network"] == "normals"
    assert note["data"].pop("carve")
    assert note["data"] == {"fingerprint": "print", "seed": 0, "people": 3, "settings": {"distances": False}}
    assert (note["steps"], note["schedule"]["seed"], note["commit"]) == (4, 4, "abc+")
    assert note["figures"]["front_fitted"] == pytest.approx(figures["front_fitted"], abs=1e-4)
    assert note["licences"] == [{"asset": "none", "licence": "CC0-1.0"}]
    assert note["variance"].endswith(f"{VARIANCE_OF_SCALE:.4f}")


@pytest.mark.usefixtures("no_picture")
def test_a_stopped_training_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    """Through both phases, with photographs drawn from shards, in this process and in another."""
    whole = tiny_run(data, tmp_path / "whole", workers=1)
    for _ in range(4):
        parts = tiny_run(data, tmp_path / "parts", stop_after=0.0)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, parts.average.state_dict()[name]), name
    for log in ("loss.csv", "evaluation.csv"):
        rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in read_log(tmp_path / p / log)] for p in ("whole", "parts")]
        assert rows[0] == rows[1]


@pytest.mark.usefixtures("no_picture")
def test_a_share_of_the_people_is_the_first_of_them(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: set[str] = set()

    def watch(network: nn.Module, batch: Batch, step: int, params: Params) -> tuple[Tensor, dict[str, float]]:
        keys.update(batch["key"])
        return 0 * sum(p.sum() for p in network.parameters()), {}  # type: ignore[return-value]

    monkeypatch.setattr("carve.train.normals.normals_loss", watch)
    schedule = Schedule((Phase(64, 4, 2),))
    tiny_run(data, tmp_path / "half", schedule, share=0.5, evaluate_every=100, validation=1)
    assert keys == {"p0.v0", "p0.v1"}
    tiny_run(data, tmp_path / "all", schedule, evaluate_every=100, validation=1)
    assert keys == {f"p{k}.v{v}" for k in range(2) for v in range(2)}


@pytest.mark.usefixtures("no_picture")
def test_a_training_begins_with_given_weights_and_their_architecture(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    given = NormalsNet(TINY)
    torch.nn.init.normal_(given.head.weight, std=0.01)
    write_weights(tmp_path / "given", "normals", given, {"architecture": TINY.as_json(), "seed": 5, "licences": []})
    still = replace(SCHEDULE, learning_rate=0.0)
    run = tiny_run(data, tmp_path / "run", still, start=tmp_path / "given", architecture=None)
    own = {name: getattr(ARCHITECTURE, name) for name in ("blocks", "context", "decode", "fine")}
    assert run.network.architecture == replace(TINY, **own)
    for name, value in load_normals_net(tmp_path / "given").state_dict().items():
        assert torch.equal(value, run.network.state_dict()[name]), name
    note = card(run, [data / "people"], still, {}, "abc", tmp_path / "given")
    assert note["start"]["seed"] == 5 and note["start"]["sha256"] == read_card("normals", tmp_path / "given")["sha256"]
    with pytest.raises(CarveError, match="another settings"):
        tiny_run(data, tmp_path / "run", still)


@pytest.mark.usefixtures("no_picture")
def test_blocks_that_given_weights_lack_change_nothing_at_first(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    given = NormalsNet(replace(TINY, context=0))
    torch.nn.init.normal_(given.head.weight, std=0.1)
    write_weights(tmp_path / "given", "normals", given, {"architecture": given.architecture.as_json(), "licences": []})
    still = replace(SCHEDULE, learning_rate=0.0)
    network = tiny_run(data, tmp_path / "run", still, start=tmp_path / "given", architecture=TINY).average
    assert isinstance(network, NormalsNet) and network.architecture == TINY
    crop = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64), *torch.zeros(2, 1, 3, 32, 32)
    torch.testing.assert_close(network(*crop).front, load_normals_net(tmp_path / "given")(*crop).front)


@pytest.mark.usefixtures("no_picture")
def test_the_photos_features_change_nothing_at_first_and_stay_as_published(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    given, published = NormalsNet(TINY), PhotoFeatures()
    torch.nn.init.normal_(given.head.weight, std=0.1)
    write_weights(tmp_path / "given", "normals", given, {"architecture": TINY.as_json(), "licences": []})
    monkeypatch.setattr("carve.train.normals.read_photo_weights", lambda path: published.state_dict())
    options: dict[str, Any] = {"start": tmp_path / "given", "architecture": TINY, "photo_weights": tmp_path / "x.pth"}
    still = tiny_run(data, tmp_path / "still", replace(SCHEDULE, learning_rate=0.0), **options).average
    assert isinstance(still, NormalsNet) and still.architecture == replace(TINY, photo=True)
    crop = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64), *torch.zeros(2, 1, 3, 32, 32)
    torch.testing.assert_close(still(*crop).front, load_normals_net(tmp_path / "given")(*crop).front)
    run = tiny_run(data, tmp_path / "moved", SCHEDULE, **options)
    assert isinstance(run.network, NormalsNet) and run.network.photo is not None
    for name, value in run.network.photo.state_dict().items():
        assert torch.equal(value, published.state_dict()[name]), name
    assert all(bool(projection.weight.abs().max() > 0) for projection in run.network.from_photo)
    assert card(run, [data / "people"], SCHEDULE, {}, "abc")["licences"][-1]["licence"] == "Apache-2.0"


@pytest.mark.usefixtures("no_picture")
def test_other_options_in_the_same_folder_are_refused(data: Path, tmp_path: Path) -> None:
    tiny_run(data, tmp_path, stop_after=0.0)
    for changed in ({"params": Params(no_body=0.5)}, {"architecture": Architecture((8, 8, 16, 24, 24), (1, 1, 1, 1), 2)}, {"share": 0.5}):
        with pytest.raises(CarveError, match=tmp_path.name):
            tiny_run(data, tmp_path, **changed)


def test_data_without_anybody_to_judge_by_or_no_steps_are_told_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    body = load_full_body()
    one = known_person(body, reference_body(body, female=False), 0, views=1, size=128)
    for split, missing in (("train", "val"), ("val", "train")):
        write_known(tmp_path / split / "people", {"p0": (split, one)})  # type: ignore[dict-item]
        (tmp_path / split / "assets").symlink_to(data / "assets")
        with pytest.raises(CarveError, match=missing):
            tiny_run(tmp_path / split, tmp_path / "run")
    with pytest.raises(CarveError, match="samples"):
        tiny_run(data, tmp_path / "run", Schedule(phases(1, 0.1, 8)))
    assert not (tmp_path / "run").exists()


def test_the_card_needs_no_more_than_the_header(data: Path) -> None:
    run = SimpleNamespace(network=NormalsNet(TINY), step=7, seconds=12.6)
    note = card(run, [data / "people"], SCHEDULE, {"a": np.float64(1.23456)}, "unknown")  # type: ignore[arg-type, dict-item]
    assert (note["seconds"], note["figures"]) == (13, {"a": 1.2346})
