"""Measure a preset, `standard` if none is named, on the photos and evaluation cases of a shared folder.

    python benchmarks/fast.py [--preset PRESET] [--shared ../shared] [--scorer-python PYTHON] [--only NAME ...] [--keep OUTS]

README.md beside this file says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from carve.provenance import versions
from figures import markdown, summary
from measuring import Run, check_validator, help_seconds, missing_files, run_carve, run_scorer, validator_findings
from picture import error_against_case, error_against_landmarks, mask_iou
from sheets import write_sheets
from subjects import Subject, find_subjects

HERE = Path(__file__).parent
ROOT = HERE.parent
SCORES = {
    "silhouette_iou": "silhouette_iou",
    "joints_root_mm": "joints.root_aligned_mm",
    "joints_procrustes_mm": "joints.procrustes_mm",
    "chamfer_registered_cm": "registered.chamfer_cm",
    "chamfer_aligned_cm": "aligned.chamfer_cm",
    "front_normals_deg": "registered.front_normal_angle_deg",
    "clothed_over_body": "body.clothed_over_body.aligned.chamfer_cm",
    "side_iou": "aligned.side_iou",
}
"""Our name of a value -> where it stands in the scorer's answer."""


@dataclass
class Outcome:
    """What was found about one subject."""

    name: str
    kind: str
    """`case` or `photo`."""
    problems: list[str] = field(default_factory=list)
    """Why the output folder does not count as whole; empty if it does."""
    values: dict[str, float] = field(default_factory=dict)
    """Every number measured; one that does not exist for the subject is left out."""
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    """`seconds` and `peak_memory_mib` of each stage, as the report tells them."""


def record_of(outs: Path, subject: Subject) -> Path:
    """The file beside an output folder that says what making it took."""
    return outs / f"{subject.name}.run.json"


def judge(subject: Subject, outs: Path, reuse: bool, shared: Path, scorer_python: str, preset: str) -> Outcome:
    """Reconstruct one subject, unless its finished output may be reused, and measure the result."""
    out, record = outs / subject.name, record_of(outs, subject)
    outcome = Outcome(subject.name, "case" if subject.case else "photo")
    if reuse and record.is_file() and not missing_files(out):
        run = Run(**json.loads(record.read_text(encoding="utf-8")))
    else:
        record.unlink(missing_ok=True)
        run = run_carve(subject.photo, out, preset)
        record.write_text(json.dumps(asdict(run)), encoding="utf-8")
    outcome.values |= {"seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "peak_gib": run.peak_mib / 1024}
    if run.exit_code != 0:
        outcome.problems.append(f"exit code {run.exit_code}: {run.message}")
    if missing := missing_files(out):
        outcome.problems.append(f"missing: {', '.join(missing)}")
    if not outcome.problems:
        outcome.problems += validator_findings(out)
        _read_report(out, outcome)
        _compare(subject, out, outcome)
        _score(subject, out, outcome, shared / "bench" / "score.py", scorer_python)
    outcome.values = {key: round(value, 6) for key, value in outcome.values.items() if math.isfinite(value)}
    return outcome


def _read_report(out: Path, outcome: Outcome) -> None:
    """What carve says of itself."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    outcome.stages = {key: report[key] for key in ("seconds", "peak_memory_mib")}
    outcome.values["stages_seconds"] = sum(report["seconds"].values())
    outcome.values["bind_pose_mm"] = report["rig"]["bind_pose_mean_mm"]
    outcome.values["photo_pose_mm"] = report["rig"]["photo_pose_mean_mm"]


def _compare(subject: Subject, out: Path, outcome: Outcome) -> None:
    """Errors in the picture."""
    if subject.mask:
        outcome.values["mask_iou"] = mask_iou(out / "mask.png", subject.mask)
    if subject.case:
        outcome.values["joints_2d_percent"] = error_against_case(out, subject.case)
    outcome.values["landmarks_2d_percent"] = error_against_landmarks(out)


def _score(subject: Subject, out: Path, outcome: Outcome, script: Path, python: str) -> None:
    """The scorer's figures."""
    truth = subject.case or subject.mask
    if truth is None:
        return
    scores = run_scorer(python, script, truth, out, mask_only=subject.case is None)
    if "error" in scores:
        outcome.problems.append(f"not scored: {scores['error']}")
    for name, place in SCORES.items():
        value: Any = scores
        for key in place.split("."):
            value = value.get(key, {})
        if value != {}:
            outcome.values[name] = float(value)


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        "unknown",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": cpu, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory, 1), "system": platform.system()}


def commit() -> dict[str, str | bool]:
    """The revision of the code, and whether what is installed differs from it."""
    ask = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: E731
    return {"commit": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain", "--", "src"))}


def show(outcomes: Sequence[Outcome], lines: Sequence[dict[str, Any]]) -> str:
    """The table and what belongs below it."""

    def spread(key: str, kind: str = "") -> str:
        values = [o.values[key] for o in outcomes if key in o.values and kind in o.kind]
        return f"{median(values):.1f} / {max(values):.1f}" if values else "-"

    short = [line["what"] for line in lines if line["reached"] == "neither"]
    aim, must = (sum(line["reached"] in names for line in lines) for names in (("aim",), ("aim", "must")))
    text = [
        markdown(lines),
        "",
        "Below, as where the table has two numbers for seconds: median / worst.",
        f"Seconds are the whole process's. Its stages and outputs alone: {spread('stages_seconds')} s.",
        f"Processors were busy for {spread('cpu_seconds')} s.",
        f"Photos, fitted limbs against the detector's landmarks: {spread('landmarks_2d_percent', 'photo')} % of the height.",
        f"Of {len(lines)} lines {aim} reach the aim and {must} what must be.",
    ]
    text += [f"Below must: {what}" for what in short]
    text += [f"{outcome.name}: {problem}" for outcome in outcomes for problem in outcome.problems]
    return "\n".join(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--preset", choices=("fast", "standard", "best"), default="standard", help="what is measured (default: standard)")
    add("--shared", type=Path, default=ROOT.parent / "shared", help="folder with photos/ and bench/ (default: shared, beside the project)")
    add("--scorer-python", default="python3", metavar="PYTHON", help="the Python with the scorer's packages (default: python3)")
    add("--only", nargs="+", default=[], metavar="NAME", help="these cases and photos alone; PRESET.json is left as it is")
    add(
        "--keep",
        type=Path,
        metavar="OUTS",
        help="work in this folder; only score what is finished in it (default: out/PRESET, afresh)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="how many at a time (default: 1; with more, the seconds mean nothing)")
    add("--json", type=Path, metavar="FILE", help="where to write the results (default: PRESET.json beside this file, if all were run)")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write."""
    arguments = _arguments()
    check_validator()
    subjects = find_subjects(arguments.shared, arguments.only)
    outs: Path = arguments.keep or ROOT / "out" / arguments.preset
    outs.mkdir(parents=True, exist_ok=True)
    if arguments.keep is None or not all(record_of(outs, subject).is_file() for subject in subjects):
        run_carve(subjects[0].photo, outs / "warm-up", arguments.preset)  # prepares the body model and compiles what is compiled once
        shutil.rmtree(outs / "warm-up", ignore_errors=True)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        kept = arguments.keep is not None
        for outcome in pool.map(lambda s: judge(s, outs, kept, arguments.shared, arguments.scorer_python, arguments.preset), subjects):
            outcomes.append(outcome)
            said = [outcome.name, *(f"{key} {value:.4g}" for key, value in outcome.values.items()), *outcome.problems]
            print("  ".join(said), flush=True)
    samples = {key: [o.values[key] for o in outcomes if key in o.values] for key in {key for o in outcomes for key in o.values}}
    samples["help_seconds"] = [help_seconds()]
    lines = summary(samples, sum(not o.problems for o in outcomes), len(outcomes))
    print("\n" + show(outcomes, lines))
    result: dict[str, Any] = {**commit(), "machine": machine(), "versions": {k: v for k, v in versions().items() if k != "platform"}}
    result |= {"figures": lines, "subjects": [asdict(outcome) for outcome in outcomes]}
    target = arguments.json or (None if arguments.only else HERE / f"{arguments.preset}.json")
    if target:
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for file in write_sheets(HERE / "sheets", [(subject.name, outs / subject.name / "preview.png") for subject in subjects]):
        print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
