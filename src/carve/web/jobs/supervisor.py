"""Keeps the workers alive, takes jobs away from those that are gone or too slow, and deletes what has been kept long enough."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from carve.web.guarding.limits import Limits
from carve.web.jobs.layout import ID, DataFolder
from carve.web.jobs.queue import Queue
from carve.web.jobs.store import Store

LOOK_SECONDS = 0.25
CLEAN_SECONDS = 30.0
LONGEST_PAUSE = 30.0
"""Before a worker is started again that keeps dying at once."""
YOUNG_SECONDS = 5.0


@dataclass
class _Place:
    """Room for one worker."""

    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    pause: float = 0.0
    """Seconds before the next start."""
    not_before: float = 0.0


@dataclass
class Supervisor:
    """A thread that looks after workers. `start` and `stop` it."""

    data: DataFolder
    store: Store
    queue: Queue
    limits: Limits
    workers: int = 1
    command: tuple[str, ...] = (sys.executable, "-m", "carve.web.jobs.worker")
    """What a worker is; it gets the data folder as its last word."""
    deaths: int = 0
    """Of workers, since the server was started."""
    _places: list[_Place] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _cleaned: float = 0.0

    def start(self) -> None:
        """Put what an earlier server left into order, and start the workers."""
        self.data.avatars.mkdir(parents=True, exist_ok=True)
        for job in self.store.in_state("running"):
            self.store.let_go(job.id, died=False)
        known = self.store.all_ids()
        for folder in self.data.avatars.iterdir():
            if ID.fullmatch(folder.name) and folder.name not in known:
                self.data.avatar(folder.name).remove()
        self._enqueue_missing()
        self._places = [_Place() for _ in range(self.workers)]
        self._thread = threading.Thread(target=self._look, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the workers; their jobs go on when the server is started again."""
        self._stopped.set()
        self._thread.join()
        for place in self._places:
            self._end(place)

    def alive(self) -> int:
        """Workers that run."""
        return sum(place.process is not None and place.process.poll() is None for place in self._places)

    def process_ids(self) -> list[int]:
        """Of the workers that run."""
        return [place.process.pid for place in self._places if place.process is not None and place.process.poll() is None]

    def take_back(self, job: str, forget: bool = False) -> None:
        """Make an unfinished job a failed one, or forget it; the worker that has it is replaced."""
        with self._lock:
            worker = self.store.fail(job, "Taken back.")
            if forget:
                self.store.remove(job)
            place = self._place_of(worker)
            if place is not None:
                self._end(place)

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            with self._lock:
                for place in self._places:
                    self._tend(place)
                self._stop_slow()
            if time.monotonic() - self._cleaned > CLEAN_SECONDS:
                self._cleaned = time.monotonic()
                self._clean()

    def _tend(self, place: _Place) -> None:
        """Start a worker where none is; take the job of one that died away from it."""
        now = time.monotonic()
        if place.process is not None and place.process.poll() is not None:
            self.deaths += 1
            place.pause = min(max(2 * place.pause, 0.5), LONGEST_PAUSE) if now - place.begun < YOUNG_SECONDS else 0.0
            place.not_before = now + place.pause
            self._let_go(place.process.pid, died=True)
            place.process = None
        if place.process is None and now >= place.not_before:
            place.begun = now
            place.process = subprocess.Popen(
                [*self.command, str(self.data.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )

    def _end(self, place: _Place) -> None:
        """Kill a worker that is not to blame."""
        if place.process is not None:
            place.process.kill()
            place.process.wait()
            self._let_go(place.process.pid, died=False)
            place.process = None

    def _let_go(self, worker: int, died: bool) -> None:
        for job in self.store.in_state("running"):
            if job.worker == worker:
                self.store.let_go(job.id, died)
        self._enqueue_missing()

    def _enqueue_missing(self) -> None:
        """Whatever waits by the table stands in the queue: a worker may have died with what it had just taken out."""
        there = self.queue.waiting()
        for job in self.store.in_state("queued"):
            if job.id not in there:
                self.queue.put(job.id)

    def _stop_slow(self) -> None:
        for job in self.store.in_state("running"):
            if job.started is not None and time.time() - job.started > self.limits.job_seconds:
                worker = self.store.fail(job.id, f"The run took longer than {self.limits.job_seconds:.0f} seconds and was stopped.")
                place = self._place_of(worker)
                if place is not None:
                    self._end(place)

    def _place_of(self, worker: int | None) -> _Place | None:
        return next((p for p in self._places if worker is not None and p.process is not None and p.process.pid == worker), None)

    def _clean(self) -> None:
        """Delete jobs that were kept long enough."""
        if self.limits.keep_seconds is not None:
            for job in self.store.expired(time.time() - self.limits.keep_seconds):
                self.store.remove(job)
                self.data.avatar(job).remove()
