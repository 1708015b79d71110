"""The training loop: exact resumption, order of samples, schedules in closed form, logs, refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from carve.records import CarveError
from carve.train.running.checkpoint import Run
from carve.train.running.log import read_log
from carve.train.running.loop import Batch, Drawable, train
from carve.train.running.schedule import Phase, Schedule

PHASES = (Phase(8, 4, 3), Phase(16, 3, 2), Phase(8, 4, 3))
SCHEDULE = Schedule(PHASES, learning_rate=0.02, warmup=3, seed=5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def curves(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Pictures are not drawn but noted: each takes half a second."""
    drawn: list[Path] = []
    monkeypatch.setattr("carve.train.running.log.draw_curves", lambda path, losses, found: drawn.append(path))
    return drawn


class Noise:
    """Seven pictures of noise, others in every epoch."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return 7

    def draw(self, i: int, epoch: int) -> Batch:
        rng = np.random.default_rng((i, epoch))
        return {"image": torch.from_numpy(rng.normal(size=(3, self.size, self.size))).float(), "epoch": epoch, "item": i, "key": f"{i}"}


def network() -> nn.Module:
    """Convolutions, a norm and a buffer that counts."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 1, 3, padding=1))


def noisy_loss(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
    """Of a prediction whose input is disturbed, as dropout would."""
    image = batch["image"]
    error = network(image + 0.3 * torch.randn_like(image)) - image.mean(1, keepdim=True)
    return error.square().mean(), {"largest": float(error.detach().abs().max())}


def fit(folder: Path, **options: Any) -> Run:
    """`train` on noise, logging every third step."""
    defaults: dict[str, Any] = {"log_every": 3, "workers": 0, "evaluate_every": 4, "evaluate": figures}
    return train(network, Noise, noisy_loss, SCHEDULE, folder, **(defaults | options))


def figures(network: nn.Module) -> Mapping[str, float]:
    return {"weight": float(network.state_dict()["0.weight"].double().sum())}


def assert_same(a: Run, b: Run) -> None:
    """Weights, averages and moments, bit for bit."""
    assert a.step == b.step
    for one, other in ((a.network, b.network), (a.average, b.average)):
        for (name, x), y in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
            assert torch.equal(x, y), name
    moments = [run.optimiser.state() for run in (a, b)]
    assert moments[0].keys() == moments[1].keys()
    for name, x in moments[0].items():
        assert torch.equal(x, moments[1][name]), name


def rows(folder: Path, name: str) -> list[dict[str, float]]:
    """The log without the seconds."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(folder / name)]


def assert_same_logs(a: Path, b: Path) -> None:
    for name in ("loss.csv", "evaluation.csv"):
        assert rows(a, name) == rows(b, name)
        assert rows(a, name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """An uninterrupted run, with its picture."""
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    return folder, fit(folder)


def test_the_picture_of_the_loss_is_drawn(whole: tuple[Path, Run]) -> None:
    assert (whole[0] / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_stopped_after_every_step_and_resumed_is_one_run(whole: tuple[Path, Run], tmp_path: Path) -> None:
    for step in range(1, SCHEDULE.steps + 1):
        run = fit(tmp_path, stop_after=0.0)
        assert run.step == step
    assert_same(run, whole[1])
    assert_same_logs(tmp_path, whole[0])
    assert [file.name for file in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{SCHEDULE.steps}.safetensors"]
    assert not list(tmp_path.glob("*.part"))


def test_a_killed_run_goes_on_from_its_last_checkpoint(whole: tuple[Path, Run], tmp_path: Path) -> None:
    """Steps 6 to 8 were logged and are lost with the process: they are done and logged again."""

    class Killed(Exception):
        pass

    def kill(at: int) -> Callable[[int, int, str], None]:
        def report(done: int, total: int, line: str) -> None:
            if done == at:
                raise Killed

        return report

    with pytest.raises(Killed):
        fit(tmp_path, checkpoint_seconds=0.0, report=kill(6))
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 5
    with pytest.raises(Killed):
        fit(tmp_path, checkpoint_seconds=1e9, report=kill(9))
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 5
    assert_same(fit(tmp_path), whole[1])
    assert_same_logs(tmp_path, whole[0])


def test_a_finished_run_stays_as_it_is(whole: tuple[Path, Run], tmp_path: Path) -> None:
    before = (whole[0] / "loss.csv").read_bytes()
    assert_same(fit(whole[0]), whole[1])
    assert (whole[0] / "loss.csv").read_bytes() == before


def test_workers_change_nothing(whole: tuple[Path, Run], tmp_path: Path) -> None:
    assert_same(fit(tmp_path, workers=1), whole[1])
    assert_same_logs(tmp_path, whole[0])


def test_samples_come_in_the_order_of_seed_and_number_alone(tmp_path: Path) -> None:
    """Epoch after epoch, each a permutation of its own; phases and interruptions go on where the last one ended."""
    seen: list[tuple[int, int]] = []
    sizes: list[int] = []

    def watch(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        seen.extend(zip(batch["epoch"].tolist(), batch["item"].tolist(), strict=True))
        sizes.append(batch["image"].shape[-1])
        assert batch["key"] == [str(i) for i in batch["item"].tolist()]
        return noisy_loss(network, batch, step)

    while train(network, Noise, watch, SCHEDULE, tmp_path, workers=0, stop_after=0.0).step < SCHEDULE.steps:
        pass
    expected = [(epoch, int(i)) for epoch in range(5) for i in np.random.default_rng([SCHEDULE.seed, epoch]).permutation(7)]
    assert seen == expected[: 4 * 3 + 3 * 2 + 4 * 3]
    assert sizes == [8] * 4 + [16] * 3 + [8] * 4


def test_a_step_s_phase_and_the_samples_that_are_left_of_it() -> None:
    """The first and the last phase are equal, and are told apart."""
    assert [SCHEDULE.phase_of(step)[0] for step in range(SCHEDULE.steps)] == [PHASES[0]] * 4 + [PHASES[1]] * 3 + [PHASES[2]] * 4
    assert [SCHEDULE.phase_of(step)[1] for step in (0, 3, 4, 6, 7, 10)] == [
        range(12), range(9, 12), range(12, 18), range(16, 18), range(18, 30), range(27, 30)
    ]  # fmt: skip
    assert SCHEDULE.steps == 11
    with pytest.raises(IndexError):
        SCHEDULE.phase_of(11)


def test_the_rate_grows_linearly_and_falls_along_a_cosine() -> None:
    schedule = Schedule((Phase(8, 1100, 1),), learning_rate=2.0, warmup=100)
    assert [schedule.rate(step) for step in (0, 49, 99)] == pytest.approx([0.02, 1.0, 2.0])
    assert schedule.rate(100) == pytest.approx(2.0)
    assert schedule.rate(350) == pytest.approx(2.0 * (0.01 + 0.99 * (1 + math.sqrt(0.5)) / 2))
    assert schedule.rate(600) == pytest.approx(2.0 * 0.505)
    assert schedule.rate(1100) == pytest.approx(0.02)
    assert all(schedule.rate(k) > schedule.rate(k + 1) for k in range(100, 1099))
    assert Schedule((Phase(8, 10, 1),), learning_rate=2.0, warmup=0).rate(0) == pytest.approx(2.0)


def test_the_average_is_that_of_the_weights_of_all_steps(tmp_path: Path) -> None:
    made: list[nn.Module] = []

    def make() -> nn.Module:
        made.append(network())
        return made[-1]

    history: list[Tensor] = []
    watch = lambda done, total, line: history.append(made[0].state_dict()["0.weight"].clone())  # noqa: E731
    run = train(make, Noise, noisy_loss, SCHEDULE, tmp_path, workers=0, report=watch)
    torch.manual_seed(SCHEDULE.seed)
    mean = network().state_dict()["0.weight"]
    for k, now in enumerate(history, start=1):
        keep = min(SCHEDULE.average, (1 + k) / (10 + k))
        mean = keep * mean + (1 - keep) * now
    torch.testing.assert_close(run.average.state_dict()["0.weight"], mean)
    assert torch.equal(run.average.state_dict()["1.running_mean"], run.network.state_dict()["1.running_mean"])
    assert not any(p.requires_grad for p in run.average.parameters())
    assert not run.average.training


def test_a_linear_regression_ends_at_its_closed_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    y = x @ [[1.5], [-0.7], [0.2]] + 0.4 + 0.3 * noise
    closed = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), y, rcond=None)[0].ravel()

    class Points:
        def __len__(self) -> int:
            return 40

        def draw(self, i: int, epoch: int) -> Batch:
            return {"x": torch.from_numpy(x[i]).float(), "y": torch.from_numpy(y[i]).float()}

    def square(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        return (network(batch["x"]) - batch["y"]).square().mean(), {}

    schedule = Schedule((Phase(0, 350, 40),), learning_rate=0.05, warmup=10, weight_decay=0.0, average=0.9)
    run = train(lambda: nn.Linear(3, 1), lambda size: Points(), square, schedule, tmp_path, workers=0)
    for found in (run.network, run.average):
        values = torch.cat([found.weight.ravel(), found.bias]).tolist()  # type: ignore[union-attr, operator, list-item]
        assert values == pytest.approx(closed, abs=2e-3)
    best = float(((np.column_stack([x, np.ones(40)]) @ closed - y.ravel()) ** 2).mean())
    assert read_log(tmp_path / "loss.csv")[-1]["loss"] == pytest.approx(best, rel=1e-3)


def test_weights_decay_and_gains_do_not(tmp_path: Path) -> None:
    """With no gradient at all, AdamW takes rate * decay of every weight at every step."""
    nothing = lambda network, batch, step: (sum(0.0 * p.sum() for p in network.parameters()), {})  # noqa: E731
    schedule = Schedule((Phase(8, 5, 1),), learning_rate=0.1, warmup=2, weight_decay=0.5)
    run = train(network, Noise, nothing, schedule, tmp_path, workers=0)  # type: ignore[arg-type]
    torch.manual_seed(schedule.seed)
    fresh, state = network().state_dict(), run.network.state_dict()
    left = math.prod(1 - schedule.rate(step) * 0.5 for step in range(5))
    torch.testing.assert_close(state["0.weight"], left * fresh["0.weight"])
    for name in ("0.bias", "1.weight", "1.bias"):
        assert torch.equal(state[name], fresh[name])


def test_logs_hold_means_of_their_steps(tmp_path: Path, curves: list[Path]) -> None:
    value = lambda step: 10.0 + step**2  # noqa: E731

    def counted(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        return 0 * network(batch["image"]).sum() + value(step), {"step twice": 2.0 * step}

    lines: list[tuple[int, int, str]] = []
    found: list[int] = []

    def evaluate(network: nn.Module) -> Mapping[str, float]:
        assert not network.training
        found.append(len(found))
        return {"count": float(len(found))}

    keep = lambda done, total, line: lines.append((done, total, line))  # noqa: E731
    options: dict[str, Any] = {"evaluate": evaluate, "evaluate_every": 4, "log_every": 3, "workers": 0, "report": keep}
    train(network, Noise, counted, SCHEDULE, tmp_path, **options)
    losses = read_log(tmp_path / "loss.csv")
    assert [row["step"] for row in losses] == [3, 6, 9]
    assert [row["loss"] for row in losses] == pytest.approx([np.mean([value(k) for k in (s - 3, s - 2, s - 1)]) for s in (3, 6, 9)])
    assert [row["step twice"] for row in losses] == pytest.approx([2, 8, 14])
    assert [row["gradient"] for row in losses] == [0, 0, 0]
    assert [(row["step"], row["count"]) for row in read_log(tmp_path / "evaluation.csv")] == [(4, 1), (8, 2), (11, 3)]
    assert {done for done, _, _ in lines} == set(range(1, 12))
    assert {total for _, total, _ in lines} == {11}
    assert [line.split()[:2] for _, _, line in lines if line.startswith("step")] == [["step", "3"], ["step", "6"], ["step", "9"]]
    assert curves == [tmp_path / "loss.png"]


def test_a_loss_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    def burst(network: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, float]]:
        value, numbers = noisy_loss(network, batch, step)
        return value * (math.inf if step == 2 else 1), numbers

    with pytest.raises(CarveError, match="step 2 is not finite"):
        train(network, Noise, burst, SCHEDULE, tmp_path, workers=0, checkpoint_seconds=0.0)
    tensors = load_file(tmp_path / "checkpoint-2.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_other_settings_or_another_schedule_are_refused(tmp_path: Path) -> None:
    fit(tmp_path, settings={"people": 3, "share": (1, 2)}, stop_after=0.0)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(CarveError, match="another settings"):
        fit(tmp_path, settings={"people": 4, "share": (1, 2)})
    with pytest.raises(CarveError, match="another settings"):
        fit(tmp_path)
    other = Schedule(PHASES, learning_rate=0.03, warmup=3, seed=5)
    with pytest.raises(CarveError, match="another schedule"):
        train(network, Noise, noisy_loss, other, tmp_path, settings={"people": 3, "share": (1, 2)}, workers=0)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert fit(tmp_path, settings={"people": 3, "share": (1, 2)}, stop_after=0.0).step == 2


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "no JSON", "another network"])
def test_a_damaged_checkpoint_is_told(tmp_path: Path, damage: str) -> None:
    fit(tmp_path, stop_after=0.0)
    weights = tmp_path / "checkpoint-1.safetensors"
    make: Callable[[], nn.Module] = network
    if damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "no JSON":
        (tmp_path / "checkpoint.json").write_text("{")
    else:
        make = lambda: nn.Conv2d(3, 1, 1)  # noqa: E731
    with pytest.raises(CarveError, match=tmp_path.name):
        train(make, Noise, noisy_loss, SCHEDULE, tmp_path, workers=0)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CarveError, match="file"):
        fit(tmp_path / "file")


def test_the_sources_are_drawable() -> None:
    source: Drawable = Noise(8)
    assert len(source) == 7
