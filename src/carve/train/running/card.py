"""What is said of trained weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from carve.networks.weights import read_card
from carve.train.running.checkpoint import Run
from carve.train.running.schedule import Schedule


def card_of(
    name: str,
    run: Run,
    data: Path | Sequence[Path],
    schedule: Schedule,
    figures: Mapping[str, float],
    commit: str,
    start: Path | None,
    **more: Any,
) -> dict[str, Any]:
    """JSON-ready: data, seed, steps, commit, figures, licences, the same of what they started from, and `more`."""
    folders = [data] if isinstance(data, Path) else list(data)
    headers = [json.loads((folder / "dataset.json").read_text()) for folder in folders]
    told = [{key: header[key] for key in ("carve", "fingerprint", "seed", "people", "settings")} for header in headers]
    licences = {json.dumps(licence, sort_keys=True): licence for header in headers for licence in header["licences"]}
    return {
        "network": name,
        "architecture": run.network.architecture.as_json(),  # type: ignore[union-attr, operator]
        "data": told[0] if len(told) == 1 else told,
        "schedule": asdict(schedule),
        "steps": run.step,
        "seconds": round(run.seconds),
        "commit": commit,
        "figures": {key: round(float(value), 4) for key, value in figures.items()},
        **more,
        "licences": list(licences.values()),
        **({} if start is None else {"start": {k: v for k, v in read_card(name, start).items() if k != "licences"}}),
    }
