"""A training under way, kept so that it can go on: weights, averaged weights, the optimiser's moments, the step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from carve.files.fence import fence
from carve.files.text import check_file, read_json
from carve.files.whole import whole, write_whole
from carve.records import CarveError
from carve.train.running.optimiser import Optimiser


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


def save(run: Run, folder: Path, identity: Mapping[str, Any], pending: list[dict[str, float]]) -> None:
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


def resume(run: Run, folder: Path, identity: Mapping[str, Any]) -> list[dict[str, float]]:
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
