"""The command `carve batch`: avatars from many photos, several at a time."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carve.app.batching.jobs import Job, Line
    from carve.app.batching.places import Place
    from carve.app.batching.pools import Pool

TABLE, FAILED = "batch.csv", "failed.csv"
"""A line a photo; those that failed once more, apart."""


def add_batch(parser: argparse.ArgumentParser, presets: tuple[str, ...]) -> None:
    """The arguments of `carve batch`."""
    parser.add_argument("photos", nargs="+", type=Path, help="photos, folders of photos, or lists (.csv with the column photo)")
    parser.add_argument("--out", required=True, metavar="DIR", help="gets an output folder a photo, and batch.csv; or an address: s3://...")
    parser.add_argument("--workers", type=int, metavar="N", help="photos at a time (default: one a processor core that has 3 GiB)")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster (auto, host:port); its machines share photos and DIR")
    parser.add_argument("--preset", choices=presets, help="speed against quality")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a settings file for all")
    parser.add_argument("--normals-model", type=Path, metavar="FILE", help="an ONNX model of normals for all (docs/own_normals.md)")
    parser.add_argument("--depth-model", type=Path, metavar="FILE", help="an ONNX model of depth for all")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run_batch(arguments: argparse.Namespace) -> int:
    """Make all avatars; exit code 1 if any failed."""
    from carve.app.batching.jobs import find_jobs
    from carve.app.batching.places import Place
    from carve.app.batching.pools import make_pool
    from carve.records import CarveError

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = arguments.workers if arguments.workers is not None else workers_for(cores, _free_memory())
    if not 1 <= workers <= 256:
        raise CarveError("--workers must be between 1 and 256.")
    given = {name: getattr(arguments, name.replace("-", "_")) for name in ("preset", "settings", "normals-model", "depth-model")}
    jobs = find_jobs(arguments.photos, arguments.out, {name: str(value) for name, value in given.items() if value is not None})
    out = Place(arguments.out)
    out.begin()
    workers = min(workers, len(jobs))
    pool = make_pool(arguments.ray, workers, max(1, cores // workers))
    try:
        lines = make_all(jobs, out, pool, arguments.quiet)
    finally:
        pool.close()
    return 1 if any(line.state == "failed" for line in lines) else 0


def workers_for(cores: int, memory: int | None) -> int:
    """Photos at a time: one a core, each with one thread, as far as memory (bytes, None if unknown) goes.

    On two cores two of one thread make more an hour than one of two: few stages keep a second thread busy.
    """
    from carve.app.batching.pools import MEMORY_BYTES

    return max(1, cores if memory is None else min(cores, memory // MEMORY_BYTES))


def _free_memory() -> int | None:
    """Bytes that processes may still take, where the system says it (Linux)."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(text.split("MemAvailable:")[1].split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return None


def make_all(jobs: Sequence[Job], out: Place, pool: Pool, quiet: bool) -> list[Line]:
    """Run what is not done; the table is written after each photo. Interrupted, it stops the running ones and keeps what is finished."""
    from concurrent.futures import FIRST_COMPLETED, wait

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from carve.files.text import readable

    lines = _kept(jobs, out)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    errors = Console(stderr=True, highlight=False) if quiet else console
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
    _write(jobs, lines, out)
    with bar:
        task = bar.add_task("photos", total=len(jobs), completed=len(lines))
        pending = {pool.submit(job) for job in jobs if job.place not in lines}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for line in (future.result() for future in finished):
                    lines[line.out] = line
                    if line.state == "failed":
                        errors.print(readable(f"{line.photo}: {line.message}"), markup=False, soft_wrap=True)
                _write(jobs, lines, out)
                bar.update(task, completed=len(lines))
        except BaseException:
            for future in pending:
                future.cancel()
            pool.stop()
            raise
    failed = sum(line.state == "failed" for line in lines.values())
    console.print(f"{len(lines) - failed} of {len(lines)} avatars; {out.name.rstrip('/')}/{TABLE}", markup=False)
    return [lines[job.place] for job in jobs]


def _kept(jobs: Sequence[Job], out: Place) -> dict[str, Line]:
    """The lines of an earlier table that still hold, by output folder."""
    from carve.app.batching.jobs import lines_from
    from carve.app.batching.places import Place

    before = {line.out: line for line in lines_from(out.read(TABLE)) if line.state != "failed"}
    kept = {}
    for job in jobs:
        old = before.get(job.place)
        if old and old.digest == job.digest and Place(job.url or job.out).has("report.json"):
            kept[job.place] = replace(old, state="kept")
    return kept


def _write(jobs: Sequence[Job], lines: Mapping[str, Line], out: Place) -> None:
    """Write the table, and beside it the lines of those that failed, if any did."""
    from carve.app.batching.jobs import text_of

    known = [lines[job.place] for job in jobs if job.place in lines]
    failed = [line for line in known if line.state == "failed"]
    out.write(TABLE, text_of(known))
    if failed or out.has(FAILED):
        out.write(FAILED, text_of(failed))
