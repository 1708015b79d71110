"""The training loop that all networks share: Muon and AdamW on a cosine schedule, averaged weights, exact resumption, a loss curve.

Notation: step k of K; sample number n = 0, 1, ... over all steps, whose epoch and index follow from n and the seed alone, so that a run
that was stopped draws what it would have drawn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from carve.records import CarveError
from carve.train.running.checkpoint import Run, resume, save
from carve.train.running.log import Log
from carve.train.running.memory import keep_freed_memory
from carve.train.running.optimiser import Optimiser
from carve.train.running.schedule import Schedule

Batch = dict[str, Any]
Loss = Callable[[nn.Module, Batch, int], tuple[Tensor, Mapping[str, float]]]
"""Network, batch on the device and step to the loss and numbers for the log."""
Report = Callable[[int, int, str], None]
"""Told the steps done, the steps in all and a line for the user (may be empty)."""


def silent(done: int, total: int, line: str) -> None:
    """The report of callers that want none."""


class Options(TypedDict, total=False):
    """What is the same for every network; see `train`."""

    evaluate_every: int
    device: str
    workers: int
    stop_after: float | None
    report: Report


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


def train(
    make: Callable[[], nn.Module],
    source: Callable[[int], Drawable],
    loss: Loss,
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
    report: Report = silent,
) -> Run:
    """Train, or go on where the checkpoint in `folder` ends. Writes checkpoint files, loss.csv, loss.png and evaluation.csv.

    Args:
        make: a new network; called twice, with torch's generator seeded.
        source: size of the samples to the data set.
        loss: see `Loss`.
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
        report: see `Report`.

    Raises:
        CarveError: the folder cannot be made, or holds a checkpoint that is damaged or of another schedule or other settings; the loss is
            not finite.
    """
    _make_folder(folder)
    run = _begin(make, schedule, device)
    identity = json.loads(json.dumps({"schedule": asdict(schedule), "settings": settings or {}}))
    keeper = _Keeper(run, folder, identity, Log(folder, log_every, resume(run, folder, identity)), checkpoint_seconds)
    begin, before = time.monotonic(), run.seconds
    while run.step < schedule.steps:
        for batch in _batches(schedule, run.step, source, workers):
            phase, _ = schedule.phase_of(run.step)
            row = _learn(run, batch, loss, schedule, device)
            run.seconds = before + time.monotonic() - begin
            report(run.step, schedule.steps, keeper.log.add(run.step, run.seconds, row))
            done = run.step == schedule.steps
            if evaluate and (done or run.step % evaluate_every == 0):
                report(run.step, schedule.steps, keeper.evaluated(evaluate(run.average)))
            stop = stop_after is not None and time.monotonic() - begin > stop_after
            keeper.keep(now=stop or done)
            if stop:
                return run
            if done or schedule.phase_of(run.step)[0] is not phase:
                break
    return run


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CarveError(f"The folder {folder} cannot be made ({error.strerror}); give another one.") from error


def _begin(make: Callable[[], nn.Module], schedule: Schedule, device: str) -> Run:
    """A run before its first step."""
    keep_freed_memory()
    torch.manual_seed(schedule.seed)
    network = make().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = make().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average.load_state_dict(network.state_dict())
    optimiser = Optimiser(network, schedule.learning_rate, schedule.weight_decay)
    network.train()
    return Run(network, average.eval().requires_grad_(False), optimiser)


def _learn(run: Run, batch: Batch, loss: Loss, schedule: Schedule, device: str) -> dict[str, float]:
    """One step; its row of the log."""
    moved = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
    torch.manual_seed(schedule.seed * 1_000_003 + run.step)
    value, numbers = loss(run.network, moved, run.step)
    if not torch.isfinite(value):
        raise CarveError(f"The loss of step {run.step} is not finite; lower --learning-rate and start again in another folder.")
    run.optimiser.zero_grad()
    value.backward()
    norm = float(nn.utils.clip_grad_norm_(run.network.parameters(), schedule.clip))
    run.optimiser.step(schedule.rate(run.step))
    run.step += 1
    _follow(run, schedule)
    return {"loss": float(value.detach()), "gradient": norm, **numbers}


@dataclass
class _Keeper:
    """Writes checkpoints and logs of a run."""

    run: Run
    folder: Path
    identity: Mapping[str, Any]
    log: Log
    every: float
    """Seconds between checkpoints."""

    def __post_init__(self) -> None:
        self._saved = time.monotonic()

    def evaluated(self, found: Mapping[str, float]) -> str:
        """Log an evaluation; a line for the user."""
        self.log.evaluation(self.run.step, self.run.seconds, found)
        return "evaluation " + " ".join(f"{k} {v:.4g}" for k, v in found.items())

    def keep(self, now: bool) -> None:
        """Write a checkpoint and the picture, if it is time."""
        if now or time.monotonic() - self._saved > self.every:
            save(self.run, self.folder, self.identity, self.log.pending)
            self.log.draw()
            self._saved = time.monotonic()


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
