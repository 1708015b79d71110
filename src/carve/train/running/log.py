"""The logs of a training: loss.csv, evaluation.csv, and a picture of both."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from carve.files.whole import whole


class Log:
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
