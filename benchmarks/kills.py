"""Kills a reconstruction at random moments and resumes it: the outputs must be those of a run that nobody disturbed, byte for byte.

    python benchmarks/kills.py PHOTO --out out/kills [--preset standard] [--count 20] [--set STAGE.FIELD=VALUE ...]

Signals take turns: INT, TERM, KILL. Of the outputs report.json is compared without seconds, memory and what was kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
VARYING = ("seconds", "peak_memory_mib", "kept_stages")
"""What report.json may tell otherwise."""


def outputs(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every output of a run."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "report.json":
                report: dict[str, Any] = json.loads(content)
                content = json.dumps({key: value for key, value in report.items() if key not in VARYING}, sort_keys=True).encode()
            found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def start(arguments: argparse.Namespace, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """A reconstruction as a process of its own."""
    command = [sys.executable, "-m", "carve.app.entry", "reconstruct", str(arguments.photo), "--out", str(out), "--quiet", *more]
    command += ["--preset", arguments.preset, *(word for setting in arguments.set for word in ("--set", setting))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=_heed_interrupts)


def _heed_interrupts() -> None:
    """What is started in the background inherits that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Print one line a kill; 0 if all resumed to the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first kill, to go on from")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    whole = arguments.out / "whole"
    begin = time.perf_counter()
    if not (whole / "report.json").exists() and start(arguments, whole, "--overwrite").wait() != 0:
        print("the undisturbed run failed")
        return 1
    seconds = json.loads((whole / "report.json").read_text())["seconds"]
    length = max(sum(seconds.values()), time.perf_counter() - begin)
    expected, same = outputs(whole), 0
    for number in range(arguments.first, arguments.first + arguments.count):
        rng = random.Random(number)
        out = arguments.out / f"killed_{number}"
        shutil.rmtree(out, ignore_errors=True)
        process, moment, how = start(arguments, out), rng.uniform(0.05, 1.0) * length, SIGNALS[number % 3]
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(how)
        code = process.wait()
        kept = sorted(path.stem for path in (out / "stages").glob("*.npz"))
        again = start(arguments, out, *(["--resume"] if out.exists() else []))
        _, said = again.communicate()
        equal = again.returncode == 0 and outputs(out) == expected
        same += equal
        result = "the same" if equal else "DIFFERS"
        line = f"{number:>3} {how.name:<8} after {moment:6.1f} s, code {code:>4}, {len(kept)} stages kept: {result}"
        print(line, said.decode("utf-8", "replace")[-200:].strip(), flush=True)
        if equal:
            shutil.rmtree(out)
    print(f"{same} of {arguments.count} the same")
    return int(same < arguments.count)


if __name__ == "__main__":
    sys.exit(main())
