"""What waits to be done: huey's queue in an SQLite file, which outlives the server and its workers. Messages are JSON, not pickles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

TASK = "make_avatar"


class _Json(Serializer):
    """huey's messages as JSON: nothing that lies in the file can run code."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(list(data)).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(bytes(data)))


class Queue:
    """Ids of jobs, first in, first out."""

    def __init__(self, path: Path, make: Callable[[str], None] | None = None) -> None:
        """`make` is what a worker does with a job; the server needs none."""
        self._huey = SqliteHuey("carve", filename=str(path), results=False, serializer=_Json(), strict_fifo=True, fsync=True)

        def make_avatar(job: str) -> None:
            assert make is not None
            make(job)

        self._task = self._huey.task(name=TASK)(make_avatar)

    def put(self, job: str) -> None:
        """Let a job wait."""
        self._huey.enqueue(self._task.s(job))

    def waiting(self) -> set[str]:
        """Jobs that are in the queue."""
        return {str(task.args[0]) for task in self._huey.pending()}

    def work(self) -> bool:
        """Do the first one; False if none waits."""
        task = self._huey.dequeue()
        if task is None:
            return False
        self._huey.execute(task)
        return True
