"""Where the photos of a batch are worked on: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from carve.app.batching.jobs import Job, Line, command, failed_line, finished_line
from carve.app.batching.places import NOTE, Place
from carve.app.batching.worker import run_words
from carve.files.fence import fence
from carve.files.text import MAX_JSON, parse_json, read_text
from carve.records import CarveError

MEMORY_BYTES = 3 << 30
"""What a run may take: so many fit on this machine at a time, and by it Ray places runs on machines."""
RETRIES = 3
"""A run whose machine is lost goes on elsewhere so often."""
WORKER = (sys.executable, "-m", "carve.app.batching.worker")
Run = Callable[[list[str]], tuple[int, str]]
"""Makes an avatar by a command line: exit code and message."""


class Pool(Protocol):
    """Takes jobs and gives their lines."""

    def submit(self, job: Job) -> Future[Line]:
        """Begin a job as soon as there is room."""

    def stop(self) -> None:
        """End what runs."""

    def close(self) -> None:
        """Let everything go."""


def make_one(job: Job, run: Run) -> Line:
    """Make one avatar and put it where it belongs, unless it is there already: who noted that may have been lost."""
    digest, begin = job.digest, time.perf_counter()
    try:
        place = Place(job.url or job.out)
        if before := _noted(job, place, digest):
            return before
        if job.url:
            place.check_free()
        with _at_home(job) as own:
            code, message = run(command(own))
            seconds = round(time.perf_counter() - begin, 1)
            if code:
                return failed_line(job, seconds, message or f"exit code {code}", digest)
            line = finished_line(job, seconds, _warnings(own.out), digest)
            if job.url:
                place.take(own.out)
            place.write(NOTE, json.dumps(asdict(line)))
            return line
    except CarveError as error:
        return failed_line(job, round(time.perf_counter() - begin, 1), str(error), digest)


def _noted(job: Job, place: Place, digest: str) -> Line | None:
    """The line of a job that was finished before."""
    note = place.note()
    if not digest or note.get("digest") != digest:
        return None
    with suppress(TypeError):
        return replace(Line(**note), photo=str(job.photo), out=job.place, state="kept")
    return None


@contextmanager
def _at_home(job: Job) -> Iterator[Job]:
    """The job with an output folder on this machine."""
    if not job.url:
        yield job
        return
    with TemporaryDirectory(prefix="carve-") as folder:
        yield replace(job, out=Path(folder) / "run")


def _warnings(out: Path) -> int:
    """How many warnings a finished run gave."""
    try:
        with fence(str(out)):
            return len(parse_json(read_text(out / "report.json", MAX_JSON))["warnings"])
    except CarveError:
        return 0


class Worker:
    """A process that makes one avatar after the other (`app.batching.worker`)."""

    def __init__(self, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
        self.runs = 0

    def run(self, words: list[str]) -> tuple[int, str]:
        """Run a command line: exit code and message; a process that dies has minus the signal's number."""
        self.runs += 1
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer.endswith("\n"):
            told = json.loads(answer)
            return int(told["code"]), str(told["message"])
        code = self.process.wait()
        return code or 1, f"the process was ended by signal {-code}" if code < 0 else f"the process ended with exit code {code}"

    def end(self) -> None:
        """End the process, in the middle of a run too."""
        self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()

    @property
    def lives(self) -> bool:
        """Whether it can take another run."""
        return self.process.poll() is None


class LocalPool:
    """So many processes at a time, each with so many threads. A photo that ends its process takes no other with it."""

    def __init__(self, workers: int, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(workers)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._stopped = False

    def submit(self, job: Job) -> Future[Line]:
        """Begin a job as soon as a process is free."""
        return self._pool.submit(make_one, job, self._run)

    def _run(self, words: list[str]) -> tuple[int, str]:
        """Run a command line in a process; once more in a new one if an old one was killed, perhaps for what earlier runs left in it."""
        while True:
            with self._lock:
                if self._stopped:
                    return 1, "the batch was stopped"
                worker = self._idle.pop() if self._idle else Worker(self._threads)
                self._busy.add(worker)
            code, message = worker.run(words)
            with self._lock:
                self._busy.discard(worker)
                if worker.lives:
                    self._idle.append(worker)
            if code >= 0 or worker.runs == 1:
                return code, message

    def stop(self) -> None:
        """End what runs."""
        with self._lock:
            self._stopped = True
            for worker in self._busy:
                worker.process.terminate()

    def close(self) -> None:
        """Wait for what runs and let the processes go."""
        self._pool.shutdown(cancel_futures=True)
        for worker in self._idle:
            worker.end()


class RayPool:
    """Tasks of a Ray cluster, one a photo; processes that are done with one take the next. Photos, and folders that are no addresses, have
    the same names on all machines."""

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
        self._task = ray.remote(num_cpus=threads, memory=MEMORY_BYTES, max_retries=RETRIES)(make or make_here)

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
            told.set_result(replace(line, photo=str(job.photo), out=job.place))

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
    return replace(job, photo=job.photo.absolute(), out=job.out.absolute())


def make_here(job: Job, threads: int) -> Line:
    """Make one avatar in this process; what a lost machine began in a shared folder is gone on with."""
    os.environ.update(OMP_NUM_THREADS=str(threads), NUMBA_NUM_THREADS=str(threads))
    return make_one(job, run_words)


def make_pool(address: str | None, workers: int, threads: int) -> Pool:
    """The pool that the command line asks for."""
    return LocalPool(workers, threads) if address is None else RayPool(address, 1)
