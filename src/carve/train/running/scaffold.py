"""What every trainer does about its data: check them, hold some back to judge by, say what the result depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from carve.networks.weights import read_card
from carve.records import CarveError
from carve.train.running.loop import Batch
from carve.train.running.schedule import Schedule


def check_steps(schedule: Schedule) -> None:
    """Raise a CarveError if there is not one step to do."""
    if not schedule.steps:
        raise CarveError("There are fewer samples than a step needs; give more --samples or a smaller --batch.")


def check_people(data: Path, header: Mapping[str, Any]) -> None:
    """Raise a CarveError if nobody is there to learn from, or to judge by."""
    for split in ("train", "val"):
        if not header["splits"].get(split, {}).get("people"):
            raise CarveError(f"{data} has nobody in its split {split}; make ten people or more, every tenth is for validation.")


def judged(held: Dataset[Batch], length: int, count: int) -> DataLoader[Batch]:
    """At most `count` of the `length` items that are held back, evenly spread."""
    return DataLoader(Subset(held, evenly(length, count)), batch_size=4)


def evenly(length: int, count: int) -> list[int]:
    """At most `count` of the numbers 0 to `length` - 1, evenly spread."""
    chosen: list[int] = torch.linspace(0, length - 1, min(count, length)).round().int().tolist()
    return chosen


def settings_of(
    name: str, params: Any, architecture: Any, header: Mapping[str, Any] | Sequence[Mapping[str, Any]], start: Path | None, **more: Any
) -> dict[str, Any]:
    """JSON-ready: all but the schedule that the weights of the network `name` depend on; one header a data set."""

    def of_data(key: str) -> Any:
        return header[key] if isinstance(header, Mapping) else [one[key] for one in header]

    return {
        "params": asdict(params),
        "architecture": architecture.as_json(),
        "data": of_data("fingerprint"),
        "people": of_data("people"),
        "start": None if start is None else read_card(name, start)["sha256"],
        **more,
    }
