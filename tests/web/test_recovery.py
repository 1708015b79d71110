"""A real server and real workers with a pipeline that takes no time: killed workers and killed servers lose nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from web.uploads import picture

FAKE = Path(__file__).with_name("fake_worker.py")
PATIENCE = 120.0
CLIENT = httpx.Client(
    verify=False, timeout=60, headers={"Connection": "close"}
)  # reading certificates for each request takes longer than all else
SERVER = """
import functools, sys
from carve.web import server
server.Limits = functools.partial(server.Limits, header_seconds=2.0, idle_seconds=4.0)  # nobody waits for long
make = server.make_services
def with_fake(*given):
    services = make(*given)
    services.supervisor.command = (sys.executable, {fake!r})
    return services
server.make_services = with_fake
from carve.app.cli import main
main()
"""


@dataclass
class Running:
    """A server in a process of its own."""

    data: Path
    seconds: float
    motions: bool = False
    """The worker draws them up too."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = [
            sys.executable,
            "-c",
            SERVER.format(fake=str(FAKE)),
            "serve",
            f"--data={self.data}",
            f"--port={self.port}",
            "--jobs-per-client=50",
        ]
        environment = {**os.environ, "CARVE_FAKE_SECONDS": str(self.seconds), "CARVE_FAKE_MOTIONS": str(int(self.motions))}
        self.process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
        self.until(lambda: CLIENT.get(f"{self.url}/healthz").json()["workers"] == 1)

    def kill(self, how: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                if true():
                    return
            time.sleep(0.05)
        raise AssertionError("it did not happen in time")

    def send(self) -> str:
        return str(CLIENT.post(f"{self.url}/v1/avatars", files={"photo": ("a.jpg", picture())}).json()["id"])

    def state(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = CLIENT.get(f"{self.url}/v1/avatars/{id_}").json()
        return found

    def worker(self) -> int | None:
        """Process id of the worker that has a job."""
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(self.data / "jobs.sqlite", timeout=20)) as db:
            row = db.execute("select worker from jobs where state = 'running'").fetchone()
        return row[0] if row else None


@contextmanager
def serving(data: Path, motions: bool = False) -> Iterator[Running]:
    """A server until the block ends, however often it was killed and started in it."""
    server = Running(data, 0.2, motions)
    server.start()
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.kill()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server of this test's own, which may be killed."""
    with serving(tmp_path / "data") as server:
        yield server


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for all that only ask it."""
    with serving(tmp_path_factory.mktemp("steady") / "data") as server:
        yield server


def test_killed_workers_and_servers_lose_no_job_and_go_on_where_they_were(running: Running) -> None:
    """A server that is told to end takes its workers with it."""
    ids = [running.send() for _ in range(2)]
    for done, how in ((3, signal.SIGKILL), (6, signal.SIGTERM)):
        running.until(lambda enough=done: len(running.state(ids[0])["stages"]) >= enough)  # type: ignore[misc]
        worker = running.worker()
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        running.until(lambda dead=worker: running.worker() not in (None, dead))  # type: ignore[misc]
        successor = running.worker()
        assert successor is not None
        running.kill(how)
        if how == signal.SIGTERM:
            with pytest.raises(ProcessLookupError):
                os.kill(successor, 0)
        running.start()
    running.until(lambda: all(running.state(id_)["state"] == "done" for id_ in ids))
    for id_ in ids:
        assert CLIENT.get(f"{running.url}/v1/avatars/{id_}/files/avatar.glb").content[:4] == b"glTF"
        log = (running.data / "avatars" / id_ / "run" / "stages" / "log.txt").read_text().split()
        assert len(log) == len(set(log)) == 10, "no finished stage ran twice"


def test_slow_and_oversized_heads_are_let_go(steady: Running) -> None:
    def answer(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", steady.port), timeout=30) as line:
            line.sendall(data)
            said = b""
            with suppress(ConnectionError):
                while part := line.recv(4096):
                    said += part
            return said

    assert b" 408 " in answer(b"POST /v1/avatars HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ").split(b"\r\n")[0]
    assert b" 400 " in answer(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n").split(b"\r\n")[0]
    many = b"".join(b"X-%d: y\r\n" % k for k in range(20_000))
    assert b" 400 " in answer(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + many + b"\r\n").split(b"\r\n")[0]
    assert CLIENT.get(f"{steady.url}/healthz").status_code == 200


def test_a_job_in_the_making_can_be_changed_and_deleted(steady: Running) -> None:
    id_ = steady.send()
    steady.until(lambda: steady.worker() is not None)
    assert CLIENT.post(f"{steady.url}/v1/avatars/{id_}/rerun", data={"preset": "fast"}).status_code == 202
    steady.until(lambda: steady.state(id_)["state"] == "done")
    assert steady.state(id_)["options"] == {"preset": "fast"}
    other = steady.send()
    steady.until(lambda: steady.worker() is not None)
    assert CLIENT.delete(f"{steady.url}/v1/avatars/{other}").status_code == 204
    assert not (steady.data / "avatars" / other).exists()
    steady.until(lambda: CLIENT.get(f"{steady.url}/healthz").json()["workers"] == 1)
    assert json.loads(CLIENT.get(f"{steady.url}/healthz").text)["running"] == 0
