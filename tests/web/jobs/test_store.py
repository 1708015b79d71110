"""Jobs and their states: each step is taken by one only, and a job whose workers die is given up in time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("huey", reason="the web tests need the extra `web`")

from carve.web.jobs.queue import Queue
from carve.web.jobs.store import RESTARTS, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "jobs.sqlite")
    assert made.add("a", "ann", "photo", {"set": ["x=1"]}, (80, 120), 9, 9)
    return made


def test_one_of_many_workers_gets_a_job(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = [job for job in pool.map(lambda worker: store.claim("a", worker), range(1, 17)) if job]
    assert len(got) == 1 and got[0].options == {"set": ["x=1"]} and got[0].runs == 1


def test_only_the_worker_that_has_a_job_changes_it(store: Store) -> None:
    store.claim("a", 7)
    assert not store.change("a", 8, share=0.5) and store.change("a", 7, share=0.5, stages=[{"stage": "observe"}])
    found = store.get("a")
    assert found is not None and found.share == 0.5 and found.stages == [{"stage": "observe"}]
    assert store.finish("a", 7) and not store.finish("a", 7)


def test_a_job_goes_on_after_deaths_as_long_as_it_gets_further(store: Store) -> None:
    for _ in range(3 * RESTARTS):
        store.claim("a", 7)
        store.change("a", 7, deaths=0)  # a stage was finished
        assert store.let_go("a", died=True) == "queued"


def test_a_job_that_kills_its_workers_is_given_up(store: Store) -> None:
    states = []
    for _ in range(RESTARTS + 1):
        store.claim("a", 7)
        states.append(store.let_go("a", died=True))
    assert states == ["queued"] * RESTARTS + ["failed"]
    found = store.get("a")
    assert found is not None and "memory" in found.message


def test_a_server_that_ends_is_nobodys_fault(store: Store) -> None:
    for _ in range(3 * RESTARTS):
        store.claim("a", 7)
        assert store.let_go("a", died=False) == "queued"


def test_limits_hold_for_clients_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "j.sqlite")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda k: store.add(str(k), f"c{k % 2}", "p", {}, (1, 1), 3, 100), range(20)))
    assert sum(taken) == 6 and store.counts()["queued"] == 6


def test_what_was_kept_long_enough_is_found(store: Store) -> None:
    store.claim("a", 7)
    store.finish("a", 7)
    assert store.expired(time.time() - 60) == [] and store.expired(time.time() + 1) == ["a"]


def test_the_queue_gives_each_job_once_in_order_and_outlives_its_process(tmp_path: Path) -> None:
    made: list[str] = []
    for name in "abc":
        Queue(tmp_path / "q.sqlite").put(name)
    again = Queue(tmp_path / "q.sqlite", made.append)
    assert again.waiting() == {"a", "b", "c"}
    while again.work():
        pass
    assert made == ["a", "b", "c"]
    assert b"pickle" not in (tmp_path / "q.sqlite").read_bytes()
