"""The command `carve batch`: avatars from many photos, several at a time."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carve.app.batch_jobs import Job, Line
    from carve.app.batch_pools import Pool


def add_batch(parser: argparse.ArgumentParser, presets: tuple[str, ...]) -> None:
    """The arguments of `carve batch`."""
    parser.add_argument("photos", nargs="+", type=Path, help="photos, folders of photos, or lists (.csv with the column photo)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an output folder a photo, and batch.csv")
    parser.add_argument("--workers", type=int, metavar="N", help="photos at a time (default: one a processor core)")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster (auto, host:port); its machines share the folders")
    parser.add_argument("--preset", choices=presets, help="speed against quality")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a settings file for all")
    parser.add_argument("--normals-model", type=Path, metavar="FILE", help="an ONNX model of normals for all (docs/own_normals.md)")
    parser.add_argument("--depth-model", type=Path, metavar="FILE", help="an ONNX model of depth for all")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run_batch(arguments: argparse.Namespace) -> int:
    """Make all avatars; exit code 1 if any failed."""
    from carve.app.batch_jobs import find_jobs
    from carve.app.batch_pools import make_pool
    from carve.files.whole import writing
    from carve.records import CarveError

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = arguments.workers if arguments.workers is not None else cores
    if not 1 <= workers <= 256:
        raise CarveError("--workers must be between 1 and 256.")
    given = {name: getattr(arguments, name.replace("-", "_")) for name in ("preset", "settings", "normals-model", "depth-model")}
    jobs = find_jobs(arguments.photos, arguments.out, {name: str(value) for name, value in given.items() if value is not None})
    with writing(arguments.out):
        arguments.out.mkdir(parents=True, exist_ok=True)
    pool = make_pool(arguments.ray, min(workers, len(jobs)), max(1, cores // workers), arguments.out)
    try:
        lines = make_all(jobs, arguments.out / "batch.csv", pool, arguments.quiet)
    finally:
        pool.close()
    return 1 if any(line.state == "failed" for line in lines) else 0


def make_all(jobs: Sequence[Job], table: Path, pool: Pool, quiet: bool) -> list[Line]:
    """Run what is not done; the table is written after each photo. Interrupted, it stops the running ones and keeps what is finished."""
    from concurrent.futures import FIRST_COMPLETED, wait

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from carve.app.batch_jobs import Line, read_lines, write_lines
    from carve.files.text import readable

    before = read_lines(table)
    lines: dict[str, Line] = {}
    todo: list[Job] = []
    for job in jobs:
        old = before.get(str(job.out))
        if old and old.state in ("done", "kept") and old.digest == job.digest and (job.out / "report.json").is_file():
            lines[str(job.out)] = Line(old.photo, old.out, "kept", old.seconds, old.warnings, old.message, old.digest)
        else:
            todo.append(job)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    errors = Console(stderr=True, highlight=False) if quiet else console
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
    with bar:
        task = bar.add_task("photos", total=len(jobs), completed=len(lines))
        pending = {pool.submit(job) for job in todo}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for line in (future.result() for future in finished):
                    lines[line.out] = line
                    if line.state == "failed":
                        errors.print(readable(f"{line.photo}: {line.message}"), markup=False, soft_wrap=True)
                write_lines(table, (lines[str(job.out)] for job in jobs if str(job.out) in lines))
                bar.update(task, completed=len(lines))
        except BaseException:
            for future in pending:
                future.cancel()
            pool.stop()
            raise
    write_lines(table, (lines[str(job.out)] for job in jobs))
    failed = sum(line.state == "failed" for line in lines.values())
    console.print(f"{len(lines) - failed} of {len(lines)} avatars; {table}", markup=False)
    return [lines[str(job.out)] for job in jobs]
