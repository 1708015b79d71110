"""The training loop that all networks share: Muon and AdamW on a cosine schedule, averaged weights, exact resumption, a loss curve.

Notation: step k of K; sample number n = 0, 1, ... over all steps, whose epoch and index follow from n and the seed alone, so that a run
that was stopped draws what it would have drawn.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from carve.files.fence import fence
from carve.files.text import check_file, read_json
from carve.files.whole import whole, write_whole
from carve.records import CarveError
from carve.train.optimiser import Optimiser

Batch = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """Consecutive steps with samples of one size."""

    size: int
    """Side of the samples, pixels."""
    steps: int
    batch: int


@dataclass(frozen=True)
class Schedule:
    """How a network is trained."""

    phases: tuple[Phase, ...]
    learning_rate: float = 1e-3
    """At its highest, after the warm-up; it falls to a hundredth along a cosine."""
    warmup: int = 100
    """Steps of linear growth."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.998
    """Decay of the moving average of the weights that is kept as the result; the first steps use less."""
    seed: int = 0

    @property
    def steps(self) -> int:
        """K."""
        return sum(phase.steps for phase in self.phases)

    def phase_of(self, step: int) -> tuple[Phase, range]:
        """The phase of a step and the numbers of the samples from that step to the end of the phase."""
        before = 0
        for phase in self.phases:
            if step < phase.steps:
                return phase, range(before + step * phase.batch, before + phase.steps * phase.batch)
            step -= phase.steps
            before += phase.steps * phase.batch
        raise IndexError("beyond the last step")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


class Drawable(Protocol):
    """A data set that draws item i anew in every epoch."""

    def __len__(self) -> int: ...

    def draw(self, i: int, epoch: int) -> Batch:
        """Item i of an epoch; the same whenever it is asked for."""
        ...


class _Numbered(Dataset[Batch]):
    """Sample number n of an endless, shuffled reading."""

    def __init__(self, source: Drawable, seed: int) -> None:
        self._source, self._seed = source, seed
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def __getitem__(self, n: int) -> Batch:
        epoch, place = divmod(n, len(self._source))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self._source)))
        return self._source.draw(int(self._order[1][place]), epoch)


@dataclass
class Run:
    """A training under way, or finished."""

    network: nn.Module
    average: nn.Module
    """The network with averaged weights: the result."""
    optimiser: Optimiser
    step: int = 0
    """Steps that are done."""
    seconds: float = 0.0
    """That they took."""


def train(
    make: Callable[[], nn.Module],
    source: Callable[[int], Drawable],
    loss: Callable[[nn.Module, Batch, int], tuple[Tensor, Mapping[str, float]]],
    schedule: Schedule,
    folder: Path,
    *,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    evaluate_every: int = 1000,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    workers: int = 1,
    checkpoint_seconds: float = 180.0,
    stop_after: float | None = None,
    log_every: int = 20,
    report: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> Run:
    """Train, or go on where the checkpoint in `folder` ends.

    Writes checkpoint.safetensors and checkpoint.json, loss.csv, loss.png, evaluation.csv.

    Args:
        make: a new network; called twice, with torch's generator seeded.
        source: size of the samples to the data set.
        loss: network, batch on the device and step to the loss and numbers for the log.
        schedule: how.
        folder: of the run.
        evaluate: averaged network to figures; called every `evaluate_every` steps and at the end.
        evaluate_every: steps.
        settings: JSON-ready, of everything else that the result depends on; a checkpoint of others is refused.
        device: torch's name.
        workers: processes that draw samples; 0 draws in this one.
        checkpoint_seconds: between checkpoints.
        stop_after: end after this many seconds with a checkpoint, to be gone on with.
        log_every: steps that one row of loss.csv is the mean of.
        report: called with steps done, steps in all and a line for the user (may be empty).

    Raises:
        CarveError: the folder cannot be made, or holds a checkpoint that is damaged or of another schedule or other settings; the loss is
            not finite.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CarveError(f"The folder {folder} cannot be made ({error.strerror}); give another one.") from error
    torch.manual_seed(schedule.seed)
    network = make().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = make().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average.load_state_dict(network.state_dict())
    optimiser = Optimiser(network, schedule.learning_rate, schedule.weight_decay)
    run = Run(network, average.eval().requires_grad_(False), optimiser)
    identity = json.loads(json.dumps({"schedule": asdict(schedule), "settings": settings or {}}))
    log = _Log(folder, log_every, _resume(run, folder, identity))
    begin, saved, before = time.monotonic(), time.monotonic(), run.seconds
    network.train()
    while run.step < schedule.steps:
        for batch in _batches(schedule, run.step, source, workers):
            phase, _ = schedule.phase_of(run.step)
            moved = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
            torch.manual_seed(schedule.seed * 1_000_003 + run.step)
            value, numbers = loss(network, moved, run.step)
            if not torch.isfinite(value):
                raise CarveError(f"The loss of step {run.step} is not finite; lower --learning-rate and start again in another folder.")
            optimiser.zero_grad()
            value.backward()
            norm = float(nn.utils.clip_grad_norm_(network.parameters(), schedule.clip))
            optimiser.step(schedule.rate(run.step))
            run.step += 1
            _follow(run, schedule)
            run.seconds = before + time.monotonic() - begin
            row = {"loss": float(value.detach()), "gradient": norm, **numbers}
            line = log.add(run.step, run.seconds, row)
            report(run.step, schedule.steps, line)
            if evaluate and (run.step % evaluate_every == 0 or run.step == schedule.steps):
                found = evaluate(run.average)
                log.evaluation(run.step, run.seconds, found)
                report(run.step, schedule.steps, "evaluation " + " ".join(f"{k} {v:.4g}" for k, v in found.items()))
            stop = stop_after is not None and time.monotonic() - begin > stop_after
            if stop or run.step == schedule.steps or time.monotonic() - saved > checkpoint_seconds:
                _save(run, folder, identity, log.pending)
                log.draw()
                saved = time.monotonic()
            if stop:
                return run
            if run.step == schedule.steps or schedule.phase_of(run.step)[0] is not phase:
                break
    return run


def _batches(schedule: Schedule, step: int, source: Callable[[int], Drawable], workers: int) -> Iterator[Batch]:
    """The batches from `step` to the end of its phase."""
    phase, numbers = schedule.phase_of(step)
    yield from DataLoader(
        _Numbered(source(phase.size), schedule.seed),
        batch_size=phase.batch,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        drop_last=True,
    )


def _follow(run: Run, schedule: Schedule) -> None:
    """Move the averaged weights towards the present ones."""
    keep = min(schedule.average, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for mean, now in zip(run.average.parameters(), run.network.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)
        for kept, present in zip(run.average.buffers(), run.network.buffers(), strict=True):
            kept.copy_(present)


def _save(run: Run, folder: Path, identity: Mapping[str, Any], pending: list[dict[str, float]]) -> None:
    """Weights, averaged weights and the optimiser's moments, then the JSON that names the step; both appear complete or not at all.

    `pending` are the log's steps that no row was written of.
    """
    tensors = {f"network.{k}": v for k, v in run.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in run.average.state_dict().items()}
    tensors |= {f"optimiser.{k}": v for k, v in run.optimiser.state().items()}
    name = f"checkpoint-{run.step}.safetensors"
    with whole(folder / name) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part)
    note = {"file": name, "step": run.step, "seconds": run.seconds, "pending": pending, **identity}
    write_whole(folder / "checkpoint.json", json.dumps(note, indent=1))
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != name:
            old.unlink()


def _resume(run: Run, folder: Path, identity: Mapping[str, Any]) -> list[dict[str, float]]:
    """Take in the checkpoint, if there is one; the log's steps that no row was written of."""
    path = folder / "checkpoint.json"
    if not path.is_file():
        return []
    with fence(f"The checkpoint {path}", f"delete {path.name} to start anew"):
        note = read_json(path, f"The checkpoint {path}")
        different = [what for what, wanted in identity.items() if note.get(what) != wanted]
        if different:
            raise CarveError(f"{folder} holds a training with another {different[0]}; give another folder or the same options as before.")
        file = folder / Path(note["file"]).name
        check_file(file)
        tensors = load_file(file)
        part = lambda name: {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}  # noqa: E731
        run.network.load_state_dict(part("network"))
        run.average.load_state_dict(part("average"))
        run.optimiser.load_state(part("optimiser"))
        run.step, run.seconds = int(note["step"]), float(note["seconds"])
        pending: list[dict[str, float]] = note.get("pending", [])
        return pending


class _Log:
    """loss.csv, evaluation.csv and loss.png of a run; rows after the checkpoint that a run goes on from are written again."""

    def __init__(self, folder: Path, every: int, pending: list[dict[str, float]]) -> None:
        self._folder, self._every = folder, every
        self.pending = pending
        """Steps since the last row."""

    def add(self, step: int, seconds: float, row: Mapping[str, float]) -> str:
        """Take in one step; a line for the user when a row was written, else nothing."""
        self.pending.append(dict(row))
        if step % self._every:
            return ""
        mean = {k: float(np.mean([r[k] for r in self.pending if k in r])) for k in self.pending[-1]}
        self.pending = []
        self._append("loss.csv", {"step": step, "seconds": round(seconds, 1), **mean})
        return f"step {step} " + " ".join(f"{k} {v:.4g}" for k, v in mean.items())

    def evaluation(self, step: int, seconds: float, found: Mapping[str, float]) -> None:
        """Write a row of evaluation.csv."""
        self._append("evaluation.csv", {"step": step, "seconds": round(seconds, 1), **found})

    def _append(self, name: str, row: Mapping[str, float]) -> None:
        path = self._folder / name
        rows = [r for r in read_log(path) if r["step"] < row["step"]] + [dict(row)]
        names = list(dict.fromkeys(k for r in rows for k in r))
        with whole(path) as pending, pending.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def draw(self) -> None:
        """loss.png: the loss and the figures of the evaluations against steps."""
        losses, found = read_log(self._folder / "loss.csv"), read_log(self._folder / "evaluation.csv")
        if losses:
            draw_curves(self._folder / "loss.png", losses, found)


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log, empty if there is none."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def draw_curves(path: Path, losses: list[dict[str, float]], found: list[dict[str, float]]) -> None:
    """A picture of the loss and of every evaluated figure, side by side."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(k for row in found for k in row if k not in ("step", "seconds")))
    figure = Figure(figsize=(4.2 * (1 + len(names)), 3.4), layout="constrained")
    plots = figure.subplots(1, 1 + len(names), squeeze=False)[0]
    plots[0].plot([r["step"] for r in losses], [r["loss"] for r in losses], lw=0.8)
    for plot, name in zip(plots, ["loss", *names], strict=True):
        plot.set_title(name)
        plot.set_xlabel("step")
        if name != "loss":
            plot.plot([r["step"] for r in found if name in r], [r[name] for r in found if name in r], marker=".")
    with whole(path) as pending:
        figure.savefig(pending, dpi=90)
