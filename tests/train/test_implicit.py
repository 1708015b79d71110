"""Losses and figures of the implicit model against closed forms, and a tiny training from shards to a card."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from carve.networks.encoder import CHANNELS
from carve.networks.implicit import JOINTS, UNIT, Architecture, ImplicitNet, Points, load_implicit_net
from carve.networks.weights import write_weights
from carve.records import CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.wear.wardrobe import reference_body
from carve.train.implicit import REACH, Params, _beyond, _likelihood, card, evaluate_implicit, implicit_loss, train_implicit
from carve.train.running.log import read_log
from carve.train.running.loop import Batch
from carve.train.running.schedule import Phase, Schedule
from synth.known_people import known_person, small_assets, write_known
from synth.samples.test_surface_points import with_distances

TINY = Architecture(widths=(8, 16), features=8, hidden=16, layers=3)
PARAMS = Params(on=24, off=40, eikonal_off=8)
SIDE = 16


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ball_batch(radius: float = 0.3, body: float = 0.25) -> Batch:
    """Somebody who is a ball, over a body that is a smaller one."""
    noise = torch.Generator().manual_seed(2)
    on, off = PARAMS.on, PARAMS.off
    away = torch.nn.functional.normalize(torch.randn(2, on + off, 3, generator=noise), dim=-1)
    length = torch.cat([torch.full((2, on), radius), radius + 0.2 * (torch.rand(2, off, generator=noise) - 0.5)], 1)
    shift = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -3]]).expand(2, on + off, 3, 4)
    target = length - radius
    target[:, :on] = 0
    return {
        "maps": torch.randn(2, CHANNELS, SIDE, SIDE, generator=noise),
        "camera": torch.tensor([[40.0, SIDE / 2, SIDE / 2]] * 2),
        "reference": torch.full((2,), -3.0),
        "joints": torch.zeros(2, len(JOINTS), 3),
        "position": away * length[..., None],
        "transform": shift,
        "distance": length - body,
        "gradient": away,
        "normal": away,
        "region": torch.zeros(2, on + off, dtype=torch.int64),
        "surface_normal": away[:, :on],
        "target": target,
    }


def constant(offset: float, scale: float = 0.01, architecture: Architecture = TINY) -> ImplicitNet:
    """The body's distance plus an offset, metres, with an error of that scale."""
    network = ImplicitNet(architecture)
    with torch.no_grad():
        network.last.bias.copy_(torch.tensor([offset / UNIT, math.log(scale / 0.01)]))
    return network


def test_the_naked_body_costs_what_the_clothes_are_thick() -> None:
    batch = ball_batch()
    total, parts = implicit_loss(constant(0.0), batch, PARAMS)
    assert parts["surface_mm"] == pytest.approx(50, rel=1e-3)
    assert parts["distance_mm"] == pytest.approx(float(1000 * _beyond(batch["distance"], batch["target"])[:, PARAMS.on :].mean()), rel=1e-3)
    assert parts["normal"] == pytest.approx(1e-3, abs=1e-4)  # the rounded corner
    assert parts["eikonal"] == pytest.approx(0, abs=1e-6)
    weighed = PARAMS.surface * parts["surface_mm"] / 1000 + PARAMS.distance * parts["distance_mm"] / 1000
    assert float(total) == pytest.approx(weighed + PARAMS.normal * parts["normal"] + PARAMS.doubt * parts["doubt"], rel=1e-3)


def test_the_truth_costs_nothing_but_its_doubt() -> None:
    total, parts = implicit_loss(constant(-0.05, 0.002), ball_batch(), PARAMS)
    assert parts["surface_mm"] == pytest.approx(0, abs=0.05)
    assert parts["distance_mm"] == pytest.approx(0, abs=0.05)
    assert parts["doubt"] == pytest.approx(math.log(0.002), abs=0.05)
    assert float(total) == pytest.approx(PARAMS.doubt * math.log(0.002), abs=0.01)


def test_beyond_reach_only_the_side_counts() -> None:
    target = torch.tensor([0.02, 0.3, 0.3, 0.3, -0.3, -0.3, 0.3])
    value = torch.tensor([0.05, 0.2, 0.4, 0.04, -0.2, 0.05, -0.1])
    expected = torch.tensor([0.03, 0, 0, REACH - 0.04, 0, REACH + 0.05, REACH + 0.1])
    torch.testing.assert_close(_beyond(value, target), expected)


def test_the_likelihood_is_least_where_the_scale_is_the_error_and_moves_it_alone() -> None:
    error = torch.full((50,), 0.03, requires_grad=True)
    log_scale = torch.full((50,), math.log(0.03), requires_grad=True)
    _likelihood(error, log_scale).backward()
    assert error.grad is None
    torch.testing.assert_close(log_scale.grad, torch.zeros(50), atol=1e-6, rtol=0)


def test_an_occupancy_is_cheap_where_the_sides_are_right() -> None:
    architecture = replace(TINY, representation="occupancy")
    right, parts = implicit_loss(constant(-0.05, architecture=architecture), ball_batch(), PARAMS)
    wrong, _ = implicit_loss(constant(0.3, architecture=architecture), ball_batch(), PARAMS)
    assert set(parts) == {"occupied", "doubt"}
    assert float(right) < float(wrong)


def test_every_weight_learns() -> None:
    network = constant(0.0)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    total, _ = implicit_loss(network, ball_batch(), PARAMS)
    total.backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        if "second.bias" not in name:
            assert float(value.grad.abs().sum()) > 0 or "first" in name or "norm" in name, name


class _One(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The people of a batch one by one."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {name: value[i] for name, value in self.batch.items()}


def test_figures_compare_with_the_naked_body() -> None:
    batch = ball_batch()
    found = evaluate_implicit(constant(-0.02), {"true": DataLoader(_One(batch), batch_size=1)}, "cpu")
    assert found["true_mm"] == pytest.approx(30, rel=0.01)
    assert found["true_ratio"] == pytest.approx(0.6, rel=0.01)
    assert found["true_angle"] == pytest.approx(0, abs=0.1)
    d, body, inside = batch["distance"] - 0.02, batch["distance"], batch["target"] < 0
    for name, value in (("iou", d), ("body_iou", body)):
        guess, truth = value[:, PARAMS.on :] < 0, inside[:, PARAMS.on :]
        assert found[f"true_{name}"] == pytest.approx(float((guess & truth).sum() / (guess | truth).sum()), abs=1e-6)
    assert evaluate_implicit(constant(-0.05), {"true": DataLoader(_One(batch))}, "cpu")["true_mm"] == pytest.approx(0, abs=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`people`, a data set of three, one for validation; `few`, of one; `assets`."""
    folder = tmp_path_factory.mktemp("train")
    body = load_full_body()
    shaped = reference_body(body, female=True)
    people = [with_distances(body, known_person(body, shaped, seed, views=1, size=128)) for seed in range(3)]
    write_known(folder / "people", {"a": ("train", people[0]), "b": ("train", people[1]), "c": ("val", people[2])})
    write_known(folder / "few", {"a": ("train", people[0])})
    small_assets(folder / "assets")
    return folder


def run(folder: Path, out: Path, **options: Any) -> Any:
    schedule = Schedule((Phase(256, 3, 2),), learning_rate=1e-3, warmup=1)
    settings: dict[str, Any] = {"params": PARAMS, "architecture": TINY, "validation": 1, "evaluate_every": 2, "workers": 0} | options
    return train_implicit(folder / "people", folder / "assets", out, schedule, **settings), schedule


def test_a_stopped_run_ends_with_the_same_weights_and_a_card(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.train.running.log.draw_curves", lambda path, losses, found: None)
    whole, schedule = run(folder, tmp_path / "whole")
    for _ in range(3):
        parts, _ = run(folder, tmp_path / "parts", stop_after=0)
    for (name, a), b in zip(whole.average.state_dict().items(), parts.average.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    row = read_log(tmp_path / "whole" / "evaluation.csv")[-1]
    names = {f"{track}_{name}" for track in ("true", "fitted") for name in ("mm", "ratio", "iou", "body_iou", "angle", "certain")}
    assert set(row) == {"step", "seconds", *names}
    note = card(whole, folder / "people", schedule, {name: row[name] for name in names}, "commit")
    write_weights(tmp_path / "whole", "implicit", whole.average, note)
    assert load_implicit_net(tmp_path / "whole").architecture == TINY
    read = json.loads((tmp_path / "whole" / "implicit.json").read_text())
    assert (read["network"], read["steps"], read["data"]["people"]) == ("implicit", 3, 3)
    assert read["normals"].startswith("normals ")


def test_a_training_may_start_from_weights(folder: Path, tmp_path: Path) -> None:
    other = replace(TINY, hidden=24)
    torch.manual_seed(3)
    begun = ImplicitNet(other)
    write_weights(tmp_path / "start", "implicit", begun, {"architecture": other.as_json(), "steps": 7, "licences": []})
    schedule = Schedule((Phase(256, 1, 1),), learning_rate=0.0)
    start = tmp_path / "start"
    done = train_implicit(
        folder / "people", folder / "assets", tmp_path / "run", schedule, params=PARAMS, start=start, validation=1, workers=0
    )
    for (name, found), given in zip(done.average.state_dict().items(), begun.state_dict().values(), strict=True):
        assert torch.equal(found, given.half().float()), name
    note = card(done, folder / "people", schedule, {}, "commit", start)
    assert (note["start"]["steps"], "licences" in note["start"]) == (7, False)


def test_unusable_data_is_named(folder: Path, tmp_path: Path) -> None:
    schedule = Schedule((Phase(256, 1, 1),))
    for data, says in ((folder / "none", "dataset.json"), (folder / "few", "nobody in its split val")):
        with pytest.raises(CarveError, match=says):
            train_implicit(data, folder / "assets", tmp_path / "run", schedule, params=PARAMS, architecture=TINY)
    with pytest.raises(CarveError, match="--samples"):
        train_implicit(folder / "people", folder / "assets", tmp_path / "run", Schedule((Phase(256, 0, 1),)))


def test_batches_hold_what_points_need() -> None:
    assert {f.name for f in fields(Points)} <= set(ball_batch())
