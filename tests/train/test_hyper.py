"""The hypernetwork's training: inner steps are those of Adam, every weight learns, a stopped run ends alike, a card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from carve.networks.hyper import Architecture, HyperNet, load_hyper_net
from carve.networks.posed_field import Balance, Shape, Told, misfit, sphere_weights
from carve.networks.weights import write_weights
from carve.records import CarveError
from carve.synth.people.bodies import load_full_body
from carve.synth.wear.wardrobe import reference_body
from carve.train.hyper import Params, adapted, card, fit_mean_body, hyper_loss, train_hyper
from carve.train.running.log import read_log
from carve.train.running.loop import Batch
from carve.train.running.schedule import Phase, Schedule
from synth.known_people import known_person, write_known
from synth.samples.test_surface_points import with_distances

TINY = Architecture(places=24, hidden=16, code=8, rank=2, target=Shape(octaves=2, hidden=12, layers=3))
PARAMS = Params(on=24, off=24, body_steps=3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ball_batch(people: int = 2, count: int = 400) -> Batch:
    """People who are balls, each larger than the one before."""
    noise = torch.Generator().manual_seed(2)
    radius = torch.linspace(0.4, 0.6, people)[:, None]
    normal = torch.nn.functional.normalize(torch.randn(people, count, 3, generator=noise), dim=-1)
    off = torch.randn(people, count, 3, generator=noise) * 0.5
    return {
        "seen": torch.randn(people, 24, 6, generator=noise),
        "on": normal * radius[..., None],
        "normal": normal,
        "off": off,
        "distance": off.norm(dim=-1) - radius,
        "unit": torch.ones(people),
    }


def test_without_inner_steps_the_loss_is_that_of_the_weights() -> None:
    torch.manual_seed(0)
    network, batch = HyperNet(TINY), ball_batch()
    total, parts = hyper_loss(network, batch, PARAMS)
    told = Told(batch["on"], batch["normal"], torch.ones(2, 400), batch["off"], batch["distance"])
    expected, _ = misfit(network(batch["seen"]), told, PARAMS.balance)
    torch.testing.assert_close(total, expected.mean())
    assert set(parts) == {"surface", "normal", "eikonal", "off"}


def test_inner_steps_are_adams_person_by_person() -> None:
    batch = ball_batch()
    start = [torch.cat([w, w]) for w in sphere_weights(TINY.target, torch.Generator().manual_seed(0))]
    told = Told(batch["on"], batch["normal"], torch.ones(2, 400), batch["off"], batch["distance"])
    both = adapted(start, [told] * 3, PARAMS)
    for person in range(2):
        alone = [w[person : person + 1].clone().requires_grad_() for w in start]
        optimiser = torch.optim.Adam(alone, lr=PARAMS.inner_rate, betas=(0.9, 0.99))
        one = Told(*(getattr(told, name)[person : person + 1] for name in ("on", "normal", "trust", "off", "distance")))
        for _ in range(3):
            optimiser.zero_grad()
            misfit(alone, one, Balance())[0].sum().backward()
            optimiser.step()
        for a, b in zip(both, alone, strict=True):
            torch.testing.assert_close(a[person : person + 1], b.detach(), atol=1e-5, rtol=1e-4)
    before, after = misfit(start, told, Balance())[0], misfit(adapted(start, [told] * 30, PARAMS), told, Balance())[0]
    assert (after < 0.8 * before).all()


@pytest.mark.parametrize("inner", [0, 2])
def test_every_weight_learns(inner: int) -> None:
    torch.manual_seed(0)
    network = HyperNet(TINY)
    for head in (*network.gain, *network.left):
        torch.nn.init.normal_(head.weight, std=0.1)
    total, parts = hyper_loss(network, ball_batch(), Params(on=24, off=24, inner=inner))
    total.backward()
    assert ("normal_after" in parts) == (inner > 0)
    for name, value in network.named_parameters():
        assert value.grad is not None and float(value.grad.abs().sum()) > 0, name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`people`, a data set of three, one for validation; `few`, of one."""
    folder = tmp_path_factory.mktemp("train")
    body = load_full_body()
    shaped = reference_body(body, female=True)
    people = [with_distances(body, known_person(body, shaped, seed, views=1, size=64)) for seed in range(3)]
    write_known(folder / "people", {"a": ("train", people[0]), "b": ("train", people[1]), "c": ("val", people[2])})
    write_known(folder / "few", {"a": ("train", people[0])})
    return folder


def run(folder: Path, out: Path, **options: Any) -> Any:
    schedule = Schedule((Phase(0, 3, 2),), learning_rate=1e-3, warmup=1)
    settings: dict[str, Any] = {"params": PARAMS, "architecture": TINY, "validation": 1, "evaluate_every": 2, "workers": 0} | options
    return train_hyper(folder / "people", folder / "none", out, schedule, **settings), schedule


def test_a_stopped_run_ends_with_the_same_weights_and_a_card(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.train.running.log.draw_curves", lambda path, losses, found: None)
    whole, schedule = run(folder, tmp_path / "whole")
    for _ in range(3):
        parts, _ = run(folder, tmp_path / "parts", stop_after=0)
    for (name, a), b in zip(whole.average.state_dict().items(), parts.average.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert all(float(w.abs().sum()) > 0 for w in whole.average.mean_body)
    row = read_log(tmp_path / "whole" / "evaluation.csv")[-1]
    names = {f"{when}_{name}" for when in ("start", "after") for name in ("loss", "mm", "angle")}
    assert set(row) == {"step", "seconds", *names}
    note = card(whole, folder / "people", schedule, {name: row[name] for name in names}, "commit")
    write_weights(tmp_path / "whole", "hyper", whole.average, note)
    assert load_hyper_net(tmp_path / "whole").architecture == TINY
    read = json.loads((tmp_path / "whole" / "hyper.json").read_text())
    assert (read["network"], read["steps"], read["data"]["people"]) == ("hyper", 3, 3)
    # A training that starts from them goes on from there.
    done, schedule = run(folder, tmp_path / "more", start=tmp_path / "whole", evaluate_every=3)
    assert [w.shape for w in done.average.mean_body] == [w.shape for w in whole.average.mean_body]
    assert card(done, folder / "people", schedule, {}, "commit", tmp_path / "whole")["start"]["steps"] == 3


def test_the_mean_body_is_fitted(folder: Path) -> None:
    from carve.synth.samples.posed_subjects import PosedSubjects, mean_body

    people = PosedSubjects(folder / "people", "train", 24, (8, 8), augmented=False)
    samples = mean_body(people)
    told = Told(
        samples["on"][None], samples["normal"][None], torch.ones(1, len(samples["on"])), samples["off"][None], samples["distance"][None]
    )
    few, many = (fit_mean_body(people, TINY.target, Params(on=128, off=128, body_steps=n), 0) for n in (1, 80))
    assert float(misfit(many, told, Balance())[0]) < 0.6 * float(misfit(few, told, Balance())[0])


def test_unusable_data_is_named(folder: Path, tmp_path: Path) -> None:
    schedule = Schedule((Phase(0, 1, 1),))
    for data, says in ((folder / "none", "dataset.json"), (folder / "few", "nobody in its split val")):
        with pytest.raises(CarveError, match=says):
            train_hyper(data, folder / "assets", tmp_path / "run", schedule, params=PARAMS, architecture=TINY)
    with pytest.raises(CarveError, match="--samples"):
        train_hyper(folder / "people", folder / "assets", tmp_path / "run", Schedule((Phase(0, 0, 1),)))
