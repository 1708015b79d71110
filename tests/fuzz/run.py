"""The long runs: `python -m fuzz.run READER ...` from the folder tests (`make fuzz` does it for all).

Without --minutes a reader is given COUNT files that are damaged by seed, in processes of their own that are watched: what raises anything
but a CarveError, hangs for over ten seconds or takes over a gibibyte is listed with its seed. With --minutes atheris guides the damage by
the code that it reaches (pip install 'carve[fuzz]').
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from fuzz.targets import TARGETS, attempt

HANG_SECONDS = 10.0
PEAK_MIB = 1024.0
CHUNK = 250
FOUND = Path(__file__).parents[2] / "out" / "fuzz"
"""What atheris finds is kept here: the file's number among the seeds as one byte, then its bytes."""


def _memory(key: str) -> float:
    """VmHWM or VmRSS of this process, MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(key))


def child(reader: str, first: int, count: int) -> None:
    """Try seeds one after the other and say of each what happened, a line of JSON."""
    target = TARGETS[reader]
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in target.seeds().items():  # what is imported for the first file is no file's fault
            attempt(target, file, data, folder)
        for seed in range(first, first + count):
            print(json.dumps({"begin": seed}), flush=True)
            file, data = target.sample(seed)
            Path("/proc/self/clear_refs").write_text("5")
            before, begin = _memory("VmRSS"), time.perf_counter()
            found = attempt(target, file, data, folder)
            took, peak = time.perf_counter() - begin, _memory("VmHWM") - before
            print(json.dumps({"seed": seed, "file": file, "found": found, "seconds": took, "peak": peak}), flush=True)


def watch(reader: str, first: int, count: int) -> list[str]:
    """Findings of one child; one that hangs or dies is a finding, and the seeds after it are tried in another."""
    findings, seed = [], first
    while seed < first + count:
        command = [sys.executable, "-m", "fuzz.run", reader, "--child", str(seed), str(first + count - seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        current, ended = seed, True
        try:
            while True:
                signal.alarm(int(HANG_SECONDS * 12))  # the first line waits for imports
                line = process.stdout.readline()
                signal.alarm(0)
                if not line:
                    break
                told = json.loads(line)
                if "begin" in told:
                    current = told["begin"]
                    continue
                if told["found"]:
                    findings.append(f"{reader} seed {told['seed']} {told['file']}: {told['found']}")
                if told["seconds"] > HANG_SECONDS:
                    findings.append(f"{reader} seed {told['seed']} {told['file']}: took {told['seconds']:.1f} s")
                if told["peak"] > PEAK_MIB:
                    findings.append(f"{reader} seed {told['seed']} {told['file']}: took {told['peak']:.0f} MiB")
                current = told["seed"] + 1
        except TimeoutError:
            process.kill()
            ended = False
        code = process.wait()
        if current < first + count:
            findings.append(f"{reader} seed {current}: {'the process ended with ' + str(code) if ended else 'hangs'}")
        seed = current + 1
    return findings


def guided(reader: str, minutes: float) -> NoReturn:
    """Let atheris damage the seeds; it ends with the first finding, or when the time is over."""
    import atheris

    with atheris.instrument_imports(include=["carve", "PIL", "pygltflib"]):
        target = TARGETS[reader]
        files = sorted(target.seeds().items())
        folder = TemporaryDirectory()
        for name, data in files:
            attempt(target, name, data, Path(folder.name))
    corpus = TemporaryDirectory()
    for number, (_, data) in enumerate(files):
        (Path(corpus.name) / str(number)).write_bytes(bytes([number]) + data)

    def once(data: bytes) -> None:
        name = files[data[0] % len(files)][0] if data else files[0][0]
        found = attempt(target, name, data[1:], Path(folder.name))
        if found:
            raise AssertionError(found)

    bounds = [f"-max_total_time={int(60 * minutes)}", f"-timeout={HANG_SECONDS:.0f}", f"-rss_limit_mb={_memory('VmRSS') + PEAK_MIB:.0f}"]
    FOUND.mkdir(parents=True, exist_ok=True)
    told = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={FOUND / reader}-"]
    atheris.Setup([sys.argv[0], corpus.name, *bounds, "-max_len=100000", *told], once)
    atheris.Fuzz()
    sys.exit(0)


def main() -> None:
    """Run the readers that are asked for; exit code 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.readers[0], *arguments.child)
        return
    if arguments.minutes and len(arguments.readers) == 1:
        guided(arguments.readers[0], arguments.minutes)
    readers = arguments.readers or list(TARGETS)
    if arguments.minutes:
        commands = [[sys.executable, "-m", "fuzz.run", reader, "--minutes", str(arguments.minutes)] for reader in readers]
        codes = {command[3]: subprocess.run(command, check=False).returncode for command in commands}
        sys.exit(int(any(codes.values())))

    def late(*_: object) -> NoReturn:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    total = 0
    for reader in readers:
        begin, findings = time.perf_counter(), []
        for first in range(arguments.first, arguments.first + arguments.count, CHUNK):
            findings += watch(reader, first, min(CHUNK, arguments.first + arguments.count - first))
        print(f"{reader:<12} {arguments.count} files, {len(findings)} findings, {time.perf_counter() - begin:.0f} s", flush=True)
        print("".join(f"  {finding}\n" for finding in findings), end="", flush=True)
        total += len(findings)
    sys.exit(int(total > 0))


if __name__ == "__main__":
    os.environ.setdefault("GLOG_minloglevel", "2")
    main()
