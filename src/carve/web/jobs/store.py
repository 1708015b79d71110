"""Jobs and their state: one table in an SQLite file that server and workers share. What waits stands in the queue (`web.jobs.queue`)."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

State = Literal["queued", "running", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)

RESTARTS = 2
"""A job whose worker died goes on so often without having finished a stage in between."""

_TABLE = """
create table if not exists jobs (
    id text primary key, client text not null, name text not null, state text not null, created real not null, started real,
    finished real, changed real not null, options text not null, start text, stage text, share real not null default 0,
    stages text not null default '[]', people text not null default '[]', person integer, message text not null default '',
    worker integer, deaths integer not null default 0, width integer not null, height integer not null, runs integer not null default 0
)"""
_JSON = ("options", "stages", "people")


@dataclass(frozen=True)
class Job:
    """One avatar: a photo, its options, and how far it is."""

    id: str
    client: str
    name: str
    """What the client calls the photo; shown, never a path."""
    state: State
    created: float
    """Seconds since 1970, as all times here."""
    started: float | None
    finished: float | None
    changed: float
    options: dict[str, Any]
    start: str | None
    """The stage that a rerun was asked to begin with."""
    stage: str | None
    """What runs now."""
    share: float
    """How much of that stage is done, 0..1."""
    stages: list[dict[str, Any]]
    """Those that are done in this run: `stage`, `seconds`, `kept`, `picture`."""
    people: list[dict[str, float]]
    """Boxes of everyone who was found, as shares of the photo's width and height."""
    person: int | None
    """Whose avatar it is."""
    message: str
    """What failed, one sentence."""
    worker: int | None
    """Process id of the worker that has it."""
    deaths: int
    """Of workers that had it, since it last finished a stage."""
    width: int
    height: int
    """Pixels of the upright photo."""
    runs: int
    """How often it was started from the queue."""


class Store:
    """The table. Every method is one transaction, and any process may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as db:
            db.execute("pragma journal_mode=wal")  # readers do not wait for writers; the file remembers it
        with self._open() as db:
            db.execute(_TABLE)
            db.execute("create index if not exists jobs_client on jobs (client, created)")

    @contextmanager
    def _open(self, read: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction; those that only read wait for nobody."""
        db = sqlite3.connect(self._path, timeout=20, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("pragma synchronous=full")
            db.execute("begin" if read else "begin immediate")
            yield db
            db.execute("commit")
        finally:
            db.close()

    def _rows(self, where: str, *values: Any) -> list[Job]:
        with self._open(read=True) as db:
            return [_job(row) for row in db.execute(f"select * from jobs {where}", values)]

    def add(self, job: str, client: str, name: str, options: Mapping[str, Any], size: tuple[int, int], most: int, waiting: int) -> bool:
        """A new job that waits; False if the client has `most` unfinished ones already, or `waiting` of all clients wait."""
        now = time.time()
        with self._open() as db:
            if _count(db, "client = ? and state in ('queued', 'running')", client) >= most or _count(db, "state = 'queued'") >= waiting:
                return False
            columns = "id, client, name, state, created, changed, options, width, height"
            values = (job, client, name, "queued", now, now, json.dumps(options), *size)
            db.execute(f"insert into jobs ({columns}) values ({','.join('?' * len(values))})", values)
        return True

    def get(self, job: str, client: str | None = None) -> Job | None:
        """A job, if it is there and the client's; None asks for anybody's."""
        found = self._rows("where id = ?", job)
        return found[0] if found and client in (None, found[0].client) else None

    def of_client(self, client: str, limit: int) -> list[Job]:
        """A client's jobs, the newest first."""
        return self._rows("where client = ? order by created desc, id limit ?", client, limit)

    def in_state(self, *states: State) -> list[Job]:
        """Jobs in these states, the oldest first."""
        marks = ",".join("?" * len(states))
        return self._rows(f"where state in ({marks}) order by created, id", *states)

    def all_ids(self) -> set[str]:
        """Of every job that is there."""
        with self._open(read=True) as db:
            return {row["id"] for row in db.execute("select id from jobs")}

    def counts(self) -> dict[State, int]:
        """Jobs in each state."""
        with self._open(read=True) as db:
            found = dict(db.execute("select state, count(*) from jobs group by state").fetchall())
        return {state: found.get(state, 0) for state in STATES}

    def count_of(self, client: str) -> tuple[int, int]:
        """A client's unfinished jobs, and all of them."""
        with self._open(read=True) as db:
            return _count(db, "client = ? and state in ('queued', 'running')", client), _count(db, "client = ?", client)

    def place(self, job: Job) -> int:
        """How many jobs wait before it."""
        with self._open(read=True) as db:
            return _count(db, "state = 'queued' and (changed, id) < (?, ?)", job.changed, job.id)

    def claim(self, job: str, worker: int) -> Job | None:
        """The job, now the worker's; None if it does not wait any more."""
        now = time.time()
        with self._open() as db:
            taken = db.execute(
                "update jobs set state = 'running', worker = ?, started = ?, changed = ?, stage = null, share = 0, stages = '[]',"
                " message = '', runs = runs + 1 where id = ? and state = 'queued'",
                (worker, now, now, job),
            )
            if taken.rowcount != 1:
                return None
            return _job(db.execute("select * from jobs where id = ?", (job,)).fetchone())

    def change(self, job: str, by: int, /, **values: Any) -> bool:
        """Put values into a job that the worker `by` has; False if it has it no longer."""
        names = ", ".join(f"{name} = ?" for name in values)
        given = [json.dumps(value) if name in _JSON else value for name, value in values.items()]
        with self._open() as db:
            own = "where id = ? and worker = ? and state = 'running'"
            done = db.execute(f"update jobs set {names}, changed = ? {own}", (*given, time.time(), job, by))
        return done.rowcount == 1

    def finish(self, job: str, worker: int, message: str = "") -> bool:
        """The worker's job is done, or has failed with a message."""
        state = "failed" if message else "done"
        return self.change(
            job, worker, state=state, message=message, finished=time.time(), stage=None, share=0, worker=None, start=None, deaths=0
        )

    def again(self, job: str, options: Mapping[str, Any], start: str | None) -> bool:
        """Let a finished job wait again with these options; False if it is not finished."""
        with self._open() as db:
            done = db.execute(
                "update jobs set state = 'queued', options = ?, start = ?, changed = ?, finished = null, stages = '[]', message = '',"
                " deaths = 0 where id = ? and state in ('done', 'failed')",
                (json.dumps(options), start, time.time(), job),
            )
        return done.rowcount == 1

    def fail(self, job: str, message: str) -> int | None:
        """An unfinished job has failed; the worker that had it."""
        now = time.time()
        with self._open() as db:
            row = db.execute("select worker from jobs where id = ?", (job,)).fetchone()
            db.execute(
                "update jobs set state = 'failed', message = ?, finished = ?, changed = ?, worker = null, stage = null"
                " where id = ? and state in ('queued', 'running')",
                (message, now, now, job),
            )
        return row["worker"] if row else None

    def let_go(self, job: str, died: bool) -> State:
        """A running job's worker is gone: it waits again, or has failed if its workers died too often. What it became."""
        with self._open() as db:
            row = db.execute("select deaths from jobs where id = ?", (job,)).fetchone()
            deaths = (row["deaths"] if row else 0) + died
            given_up = deaths > RESTARTS
            said = f"The process ended {deaths} times at the same stage, probably for lack of memory; try a smaller photo."
            message = said if given_up else ""
            state: State = "failed" if given_up else "queued"
            now = time.time()
            db.execute(
                "update jobs set state = ?, deaths = ?, message = ?, finished = ?, changed = ?, worker = null, start = null, stage = null,"
                " share = 0"
                " where id = ? and state = 'running'",
                (state, deaths, message, now if given_up else None, now, job),
            )
        return state

    def remove(self, job: str) -> None:
        """Forget a job."""
        with self._open() as db:
            db.execute("delete from jobs where id = ?", (job,))

    def expired(self, before: float) -> list[str]:
        """Jobs that were finished before a time."""
        return [job.id for job in self._rows("where finished < ? and state in ('done', 'failed')", before)]


def _count(db: sqlite3.Connection, where: str, *values: Any) -> int:
    return int(db.execute(f"select count(*) from jobs where {where}", values).fetchone()[0])


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    return Job(**{name: json.loads(value) if name in _JSON else value for name, value in values.items()})
