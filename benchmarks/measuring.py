"""What one reconstruction costs, and whether its output folder is whole: everything is measured from outside, in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARVE = Path(sys.executable).with_name("carve")
VALIDATOR = Path(__file__).parents[1] / "tests" / "validator"
MESHES = ("avatar.glb", "posed.glb", "body.glb")
CONTRACT = (*MESHES, "pose.json", "camera.json", "normals_front.png", "normals_back.png", "mask.png", "preview.png", "report.json")
"""The files that every output folder holds."""


@dataclass(frozen=True)
class Run:
    """What a command did."""

    exit_code: int
    message: str
    """The last line it wrote to stderr."""
    seconds: float
    """Wall time from its start to its end."""
    cpu_seconds: float
    """Time that it kept processors busy: what it would take alone on one."""
    peak_mib: float
    """Largest resident memory."""


def run_measured(command: Sequence[str | Path]) -> Run:
    """Run a command in a fresh process. Linux."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        peak, ended = 0.0, 0
        while not ended:
            # carve resets the system's high-water mark before every stage, so the mark at the end is the last stage's alone.
            peak = max(peak, _high_water(process.pid))
            time.sleep(0.01)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        lines = log.read().strip().splitlines()
    return Run(
        exit_code=process.returncode,
        message=lines[-1] if lines else "",
        seconds=round(seconds, 3),
        cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
        peak_mib=round(max(peak, usage.ru_maxrss / 1024), 1),
    )


def _high_water(pid: int) -> float:
    """Largest resident memory of a process since the mark was last reset, MiB; 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def run_carve(photo: Path, out: Path, preset: str) -> Run:
    """`carve reconstruct` as a user starts it."""
    return run_measured([CARVE, "reconstruct", photo, "--out", out, "--preset", preset, "--overwrite", "--quiet"])


def help_seconds(rounds: int = 5) -> float:
    """Seconds until `carve --help` has answered, the best of some rounds."""
    runs = [run_measured([CARVE, "--help"]) for _ in range(rounds)]
    if any(run.exit_code for run in runs):
        raise SystemExit(f"`carve --help` failed: {runs[0].message}")
    return min(run.seconds for run in runs)


def missing_files(out: Path) -> list[str]:
    """Files of the contract that are not there or empty."""
    return [name for name in CONTRACT if not (out / name).is_file() or (out / name).stat().st_size == 0]


def check_validator() -> None:
    """Stop unless Khronos' glTF validator can be run."""
    if shutil.which("node") is None or not (VALIDATOR / "node_modules" / "gltf-validator").is_dir():
        raise SystemExit("The glTF validator is missing: install node and run `make setup`.")


def validator_findings(out: Path) -> list[str]:
    """Errors and warnings of Khronos' glTF validator on the folder's GLB files, a line each."""
    files = [str((out / name).resolve()) for name in MESHES]
    done = subprocess.run(["node", "validate.mjs", *files], cwd=VALIDATOR, capture_output=True, text=True, check=True)
    findings = []
    for file, report in json.loads(done.stdout).items():
        serious = [message for message in report["issues"]["messages"] if message["severity"] < 2]
        findings += [f"{Path(file).name}: {message['code']} at {message.get('pointer', 'the file')}" for message in serious]
    return findings


def run_scorer(python: str, script: Path, truth: Path, out: Path, mask_only: bool) -> dict[str, Any]:
    """The scorer's figures for one output; `{"error": ...}` where it could not score it."""
    command = [python, str(script), *(["--mask-only"] if mask_only else []), str(truth), str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        scores: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"error": (done.stderr.strip().splitlines() or ["it said nothing"])[-1]}
    return scores
