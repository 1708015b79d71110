"""`carve report`: what a run or a batch made and what speaks against it, as one HTML file that asks for nothing else."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from carve import __version__
from carve.files.fence import fence
from carve.files.text import read_json, read_text, readable
from carve.records import CarveError
from carve.report.pictures import AvatarPictures, picture_uri

MAX_TABLE = 16 << 20
"""Bytes of a batch.csv."""
MAX_REPORT_LINES = 5000
COLUMNS = ("photo", "out", "state", "seconds", "warnings", "message")
"""Of batch.csv, those that are shown."""
LONGEST = 1600
"""Pixels of the sheet."""
THUMBNAIL = 160
PARTS = {
    "Head": ("head", "neck"),
    "Trunk": ("hips", "spine", "chest", "upperChest"),
    "Left arm": ("leftUpperArm", "leftLowerArm"),
    "Right arm": ("rightUpperArm", "rightLowerArm"),
    "Left hand": ("leftHand",),
    "Right hand": ("rightHand",),
    "Left leg": ("leftUpperLeg", "leftLowerLeg"),
    "Right leg": ("rightUpperLeg", "rightLowerLeg"),
    "Left foot": ("leftFoot", "leftToes"),
    "Right foot": ("rightFoot", "rightToes"),
}
"""Parts of the body that people speak of, and the joints whose mean confidence is theirs."""


def report_page(folder: Path) -> str:
    """The page of an output folder, or of a batch's.

    Raises:
        CarveError: the folder is neither, or what lies in it is damaged.
    """
    with fence(f"The folder {folder}"):
        of_run, of_batch = ((folder / name).is_file() for name in ("report.json", "batch.csv"))
    if of_run:
        return run_page(folder)
    if of_batch:
        return batch_page(folder)
    raise CarveError(f"{folder} holds neither report.json nor batch.csv; give an output folder of `carve reconstruct` or `carve batch`.")


def run_page(folder: Path) -> str:
    """The page of one finished run."""
    report = _run_report(folder)
    avatar = AvatarPictures(folder / "avatar.glb")
    strip, width, height = avatar.turntable()
    return (
        _environment()
        .get_template("run.html")
        .render(
            name=readable(str(_at(report, "photo", "name", default=folder.name))),
            version=__version__,
            report=report,
            facts=_facts(report),
            warnings=[readable(str(line)) for line in _at(report, "warnings", default=[])],
            stages=_stages(report),
            parts=_parts(_at(report, "confidence", "joints", default={})),
            sheet=picture_uri(folder / "preview.png", LONGEST),
            turntable={"strip": strip, "width": width, "height": height},
            confidence=avatar.confidence(),
            seen=avatar.seen(folder / "seen.png", folder / "seen_back.png"),
            licences=_at(report, "licences", default={}),
        )
    )


def batch_page(folder: Path) -> str:
    """The page of a batch: a line a photo, with a picture of those that are done."""
    path = folder / "batch.csv"
    with fence(f"The table {path}"):
        lines = list(csv.DictReader(read_text(path, MAX_TABLE).splitlines()))
    if not lines or not {"photo", "out", "state", "seconds", "message"} <= set(lines[0]):
        raise CarveError(f"The table {path} is none of `carve batch`'s, or it is empty.")
    rows = []
    for line in lines[:MAX_REPORT_LINES]:
        values: dict[str, str | None] = {key: readable(str(line.get(key) or "")) for key in COLUMNS}
        out = _inside(folder, str(line.get("out") or ""))
        values["name"] = Path(values["photo"] or "").name
        values["picture"] = None if out is None else picture_uri(out / "thumbnail.png", THUMBNAIL) or picture_uri(out / "preview.png", 640)
        rows.append(values)
    seconds = sorted(_number(row["seconds"]) for row in rows if row["state"] != "failed")
    return (
        _environment()
        .get_template("batch.html")
        .render(
            name=readable(folder.resolve().name),
            version=__version__,
            rows=rows,
            left_out=len(lines) - len(rows),
            failed=sum(row["state"] == "failed" for row in rows),
            median=seconds[len(seconds) // 2] if seconds else None,
            longest=max((_number(row["seconds"]) for row in rows), default=0.0) or 1.0,
        )
    )


def _environment() -> Environment:
    return Environment(loader=PackageLoader("carve.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _run_report(folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    report = read_json(path, f"The report {path}")
    if not isinstance(report, dict):
        raise CarveError(f"The report {path} is none of carve's; run `carve reconstruct` again.")
    return report


def _at(value: Any, *keys: str, default: Any) -> Any:
    """What lies in nested objects under `keys`, if it is there and of the default's type."""
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    kinds = (int, float) if isinstance(default, float) else type(default)  # a whole number is a number too
    return value if default is None or isinstance(value, kinds) else default


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is said first, name and value."""
    height = _number(_at(report, "body", "height", default=0.0))
    source = {"argument": "as given", "prior": "estimated"}.get(_at(report, "body", "height_source", default=""), "")
    photo = _at(report, "photo", default={})
    facts = [
        ("Trust", f"{_number(_at(report, 'confidence', 'trust', default=0.0)):.0%}"),
        ("Surface confidence", f"{_number(_at(report, 'confidence', 'surface', default=0.0)):.0%}"),
        (f"Height {source}".strip(), f"{height:.2f} m"),
        ("Photo", f"{_number(photo.get('width')):.0f} × {_number(photo.get('height')):.0f}"),  # noqa: RUF001
        ("Preset", str(_at(report, "settings", "preset", default=""))),
        ("Time", f"{sum(_number(s) for s in _at(report, 'seconds', default={}).values()):.0f} s"),
        ("Peak memory", f"{max([_number(m) for m in _at(report, 'peak_memory_mib', default={}).values()], default=0.0):.0f} MiB"),
    ]
    return [(name, readable(value)) for name, value in facts]


def _stages(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Seconds and memory a stage, with their share of the largest."""
    seconds = {str(k): _number(v) for k, v in _at(report, "seconds", default={}).items()}
    memory = {str(k): _number(v) for k, v in _at(report, "peak_memory_mib", default={}).items()}
    kept = _at(report, "kept_stages", default=[])
    longest, largest = max(seconds.values(), default=0) or 1, max(memory.values(), default=0) or 1
    return [
        {
            "name": readable(name.replace("_", " ")),
            "seconds": value,
            "share": value / longest,
            "memory": memory.get(name),
            "memory_share": memory.get(name, 0) / largest,
            "kept": name in kept,
        }
        for name, value in seconds.items()
    ]


def _parts(joints: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Parts of the body with the mean confidence of their joints, 0..1."""
    found = []
    for part, names in PARTS.items():
        values = [min(_number(joints[name]), 1.0) for name in names if name in joints]
        if values:
            found.append((part, sum(values) / len(values)))
    return found


def _inside(folder: Path, out: str) -> Path | None:
    """The output folder of a line: as it is written there, or by its last name below `folder`; None if it is not there."""
    for path in (Path(out), folder / Path(out).name):
        if out and path.is_dir() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None
