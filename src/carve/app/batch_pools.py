"""Where the photos of a batch are worked on: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from carve.app.batch_jobs import Job, Line, command, failed_line, finished_line, run_job
from carve.records import CarveError

MEMORY_BYTES = 3 << 30
"""What a run may take, by which Ray places runs on machines."""
RETRIES = 3
"""A run whose machine is lost goes on elsewhere so often."""


class Pool(Protocol):
    """Takes jobs and gives their lines."""

    def submit(self, job: Job) -> Future[Line]:
        """Begin a job as soon as there is room."""

    def stop(self) -> None:
        """End what runs."""

    def close(self) -> None:
        """Let everything go."""


class LocalPool:
    """So many processes at a time, each with so many threads."""

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(workers)
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = threading.Event()

    def submit(self, job: Job) -> Future[Line]:
        """Begin a job as soon as a process is free."""
        return self._pool.submit(run_job, job, self._threads, self._running, self._stopped)

    def stop(self) -> None:
        """End what runs."""
        self._stopped.set()
        for process in tuple(self._running):
            process.terminate()

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(cancel_futures=True)


class RayPool:
    """Tasks of a Ray cluster, one a photo, in a process that ends with it. All machines see photos and folders under the same names."""

    def __init__(self, address: str, threads: int, make: Callable[[Job, int], Line] | None = None) -> None:
        """Connect to the cluster at `address` (`auto`, host:port, ray://...). `make` stands for what a task does.

        Raises:
            CarveError: Ray is not installed, or no cluster answers.
        """
        try:
            import ray
        except ImportError as error:
            raise CarveError("--ray needs Ray; install it with: pip install 'carve[ray]', here and on every machine.") from error
        self._ray = ray
        self._threads = threads
        self._references: dict[Future[Line], Any] = {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", configure_logging=True)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise CarveError(f"No Ray cluster answers at '{address}': {str(error).splitlines()[0]}.") from error
        options = {"num_cpus": threads, "memory": MEMORY_BYTES, "max_retries": RETRIES, "max_calls": 1}
        self._task = ray.remote(**options)(make or make_here)

    def submit(self, job: Job) -> Future[Line]:
        """Give a job to the cluster. A task that cannot be saved is a failed line."""
        reference = self._task.remote(absolute(job), self._threads)
        told: Future[Line] = Future()
        given: Future[Line] = reference.future()
        self._references[told] = reference

        def hear(done: Future[Line]) -> None:
            self._references.pop(told, None)
            error = done.exception()
            line = done.result() if error is None else failed_line(job, 0.0, f"the cluster gave up: {type(error).__name__}")
            told.set_result(Line(**{**vars(line), "photo": str(job.photo), "out": str(job.out)}))

        given.add_done_callback(hear)
        return told

    def stop(self) -> None:
        """End what runs."""
        for reference in list(self._references.values()):
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def absolute(job: Job) -> Job:
    """The job under names that mean the same in another process's folder."""
    return Job(job.photo.absolute(), job.out.absolute(), job.options)


def make_here(job: Job, threads: int) -> Line:
    """Make one avatar in this process, which a Ray task has to itself: what a lost machine began is gone on with."""
    os.environ.update(OMP_NUM_THREADS=str(threads), NUMBA_NUM_THREADS=str(threads))
    from carve.app.cli import run

    digest, begin, told = job.digest, time.perf_counter(), io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            code = run(command(job)[3:])
        except SystemExit as end:
            code = int(end.code) if isinstance(end.code, int) else 1
    seconds = round(time.perf_counter() - begin, 1)
    lines = told.getvalue().strip().splitlines()
    if code == 0:
        return finished_line(job, seconds, digest)
    return failed_line(job, seconds, lines[-1].removeprefix("carve: ") if lines else f"exit code {code}", digest)


def make_pool(address: str | None, workers: int, threads: int, out: Path) -> Pool:
    """The pool that the command line asks for."""
    if address is None:
        return LocalPool(workers, threads)
    out.mkdir(parents=True, exist_ok=True)
    return RayPool(address, 1)
