"""Looks at what clients send in a process of its own, so that a decoder that crashes or eats all memory takes nothing with it.

The process is started when something comes and let go when nothing has come for a while.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from carve.records import CarveError

Result = TypeVar("Result")

SECONDS = 60.0
"""A file that takes longer to be looked at is refused."""
IDLE_SECONDS = 60.0
PROCESSES = 1


class Doorman:
    """The process and what asks it."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()
        self._asked = 0
        self._last = 0.0

    async def ask(self, question: Callable[..., Result], *values: Any) -> Result:
        """What a function of `web.guarding.checks` says of values.

        Raises:
            CarveError: what it raised, or that it took too long or ended the process.
        """
        with self._lock:
            self._asked += 1
            patience = SECONDS * self._asked  # those before it may take their time
        try:
            try:
                return await self._asked_once(question, values, patience)
            except BrokenExecutor:
                return await self._asked_alone(question, values)  # it may have been another's file that ended the process
        except TimeoutError as error:
            raise CarveError("The file takes too long to be read; save it anew as a plain JPEG or PNG.") from error
        except BrokenExecutor as error:
            raise CarveError("The file cannot be read: its decoder gave up; save it anew as a plain JPEG or PNG.") from error
        finally:
            with self._lock:
                self._asked -= 1
                self._last = time.monotonic()

    async def _asked_once(self, question: Callable[..., Result], values: tuple[Any, ...], patience: float) -> Result:
        with self._lock:
            pool = self._pool = self._pool or ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"))
        try:
            async with asyncio.timeout(patience):
                return await asyncio.wrap_future(pool.submit(question, *values))
        except (TimeoutError, BrokenExecutor):
            self._drop(pool)
            raise

    async def _asked_alone(self, question: Callable[..., Result], values: tuple[Any, ...]) -> Result:
        """Ask in a process that nobody else's file can end."""
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.wrap_future(pool.submit(question, *values))
        finally:
            self._kill(pool)

    def rest(self) -> None:
        """Let the process go if it has had nothing to do for a while; called now and then."""
        with self._lock:
            pool = self._pool
            if pool is None or self._asked or time.monotonic() - self._last < IDLE_SECONDS:
                return
            self._pool = None
        pool.shutdown(wait=False)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            self._kill(pool)

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        self._kill(pool)

    @staticmethod
    def _kill(pool: ProcessPoolExecutor) -> None:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def photo_checked(path: Path, shown: Path, pixels: int) -> tuple[int, int]:
    """Decode a photo as a run will, and write the picture that the page shows. Its upright size."""
    from carve.web.guarding.checks import check_photo

    return check_photo(path, shown, pixels)


def mask_checked(path: Path, size: tuple[int, int]) -> None:
    """Decode a mask as a run will."""
    from carve.web.guarding.checks import sized_mask

    sized_mask(path, size)


def landmarks_checked(path: Path) -> None:
    """Read landmarks as a run will."""
    from carve.io.landmark_file import read_landmarks
    from carve.web.guarding.checks import told_as

    with told_as(path, "The landmarks file"):
        read_landmarks(path)


def settings_checked(options: dict[str, Any]) -> None:
    """Hold options against the stages' bounds."""
    from carve.web.options import planned

    planned(options).settings()
