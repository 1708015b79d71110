"""Measures the server with the real pipeline: kills, hostile uploads, many clients, memory.

    python benchmarks/web.py kills --jobs 10 --out out/kills      two kills of the worker a job, one of the server every other
    python benchmarks/web.py hostile --count 500 --out out/hostile
    python benchmarks/web.py clients --jobs 50 --clients 8 --out out/clients
    python benchmarks/web.py memory --out out/memory

Each prints its figures as JSON and ends with 1 if one that must be reached was not. `clients` uses the worker of the tests, which is quick.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
sys.path[0:0] = [str(ROOT / "tests" / "web"), str(ROOT / "tests")]
PATIENCE = 3600.0


class Server:
    """`carve serve` in a process of its own."""

    def __init__(self, data: Path, *words: str, worker: Path | None = None) -> None:
        self.data, self.words, self.worker_file = data, words, worker
        self.client = httpx.Client(verify=False, timeout=120)
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it and wait for its worker."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = ["serve", f"--data={self.data}", f"--port={port}", "--jobs-per-client=1000", *self.words]
        command = [sys.executable, "-m", "carve", *options]
        if self.worker_file is not None:
            code = (
                "import sys; from carve.web import server; make = server.make_services\n"
                "def faked(*given):\n    made = make(*given)\n"
                f"    made.supervisor.command = (sys.executable, {str(self.worker_file)!r})\n    return made\n"
                "server.make_services = faked\nfrom carve.app.cli import main\nmain()"
            )
            command = [sys.executable, "-c", code, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.until(lambda: self.client.get(f"{self.url}/healthz").json()["workers"] >= 1)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End it."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for something."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                if true():
                    return
            time.sleep(0.25)
        raise TimeoutError

    def row(self, columns: str, job: str) -> tuple[Any, ...]:
        """What the table says of a job."""
        with closing(sqlite3.connect(self.data / "jobs.sqlite", timeout=20)) as db:
            found = db.execute(f"select {columns} from jobs where id = ?", (job,)).fetchone()
        return tuple(found or ())


def kills(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill the worker twice a job at random moments, and the server at random between."""
    rng = random.Random(arguments.seed)
    server = Server(arguments.out)
    server.start()
    photo = arguments.photo.read_bytes()
    jobs = []
    for _ in range(arguments.jobs):
        sent = server.client.post(f"{server.url}/v1/avatars", files={"photo": ("a.jpg", photo)}, data={"preset": "fast"})
        jobs.append(sent.json()["id"])
    server_kills = set(rng.sample(range(arguments.jobs), arguments.jobs // 2))
    killed = 0
    for number, job in enumerate(jobs):
        for _ in range(2):
            at = rng.uniform(0, arguments.job_seconds)
            server.until(lambda: server.row("state", job)[0] in ("running", "done", "failed"))  # noqa: B023
            time.sleep(at)
            state, worker = server.row("state, worker", job)
            if state == "running" and worker:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    killed += 1
                server.until(lambda: server.row("worker", job)[0] != worker)  # noqa: B023
        if number in server_kills:
            server.kill()
            server.start()
        server.until(lambda: server.row("state", job)[0] in ("done", "failed"))  # noqa: B023
    states = [server.client.get(f"{server.url}/v1/avatars/{job}").json() for job in jobs]
    server.kill(signal.SIGTERM)
    valid = sum(_valid(server.data / "avatars" / job / "run" / "avatar.glb") for job in jobs)
    done = sum(state["state"] == "done" for state in states)
    return {
        "jobs": len(jobs),
        "done": done,
        "valid": valid,
        "worker_kills": killed,
        "server_kills": len(server_kills),
        "ok": done == valid == len(jobs),
    }


def _valid(glb: Path) -> bool:
    from carve.gltf.reader import read_glb

    return read_glb(glb).skeleton is not None


def hostile(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send uploads that nobody sends who means well, and slow and oversized heads among them."""
    uploads = import_module("uploads")  # of the tests

    server = Server(arguments.out)
    server.start()
    statuses: dict[int, int] = {}
    wrong = []
    for seed in range(arguments.count):
        body, headers = uploads.hostile(seed)
        try:
            answer = server.client.post(f"{server.url}/v1/avatars", content=body, headers=headers)
        except httpx.HTTPError as error:
            wrong.append(f"{seed}: {type(error).__name__}")
            continue
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        if not 400 <= answer.status_code < 500 or not uploads.one_sentence(answer):
            wrong.append(f"{seed}: {answer.status_code} {answer.text[:100]}")
    up = server.client.get(f"{server.url}/healthz").status_code == 200
    left = [str(path) for path in (server.data / "avatars").rglob("*")]
    server.kill(signal.SIGTERM)
    return {"sent": arguments.count, "statuses": statuses, "wrong": wrong[:20], "up": up, "left": left, "ok": up and not wrong and not left}


def clients(arguments: argparse.Namespace) -> dict[str, Any]:
    """Many jobs of several clients at once: none is lost, none is another's."""
    picture = import_module("uploads").picture  # of the tests
    arguments.out.mkdir(parents=True, exist_ok=True)
    keys = {f"client{k}": f"key-of-client-{k}-0123456789" for k in range(arguments.clients)}
    (arguments.out / "keys").write_text("".join(f"{name}:{key}\n" for name, key in keys.items()))
    os.environ |= {"CARVE_FAKE_SECONDS": "0.01", "CARVE_FAKE_MOTIONS": "0"}
    server = Server(arguments.out / "data", f"--api-keys={arguments.out / 'keys'}", worker=ROOT / "tests" / "web" / "fake_worker.py")
    server.start()
    names = [f"client{k % arguments.clients}" for k in range(arguments.jobs)]

    def send(name: str) -> tuple[str, str]:
        headers = {"Authorization": f"Bearer {keys[name]}"}
        answer = server.client.post(f"{server.url}/v1/avatars", files={"photo": (f"{name}.jpg", picture())}, headers=headers)
        return name, answer.json()["id"]

    with ThreadPoolExecutor(arguments.clients) as pool:
        sent = list(pool.map(send, names))
    server.until(lambda: all(server.row("state", job)[0] in ("done", "failed") for _, job in sent))
    lost = wrong = 0
    for name, key in keys.items():
        found = server.client.get(f"{server.url}/v1/avatars", headers={"Authorization": f"Bearer {key}"}).json()["avatars"]
        own = {job for owner, job in sent if owner == name}
        lost += len(own - {a["id"] for a in found if a["state"] == "done"})
        wrong += sum(a["id"] not in own or a["name"] != name for a in found)
    server.kill(signal.SIGTERM)
    return {"jobs": len(sent), "clients": len(keys), "lost": lost, "wrong_owner": wrong, "ok": lost == wrong == 0}


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Memory of server and worker at rest, before the first job and after it."""
    server = Server(arguments.out)
    server.start()
    time.sleep(20)
    before = _resident(server)
    answer = server.client.post(f"{server.url}/v1/avatars", files={"photo": ("a.jpg", arguments.photo.read_bytes())})
    job = answer.json()["id"]
    begin = time.monotonic()
    server.until(lambda: server.row("state", job)[0] in ("done", "failed"))
    seconds = round(time.monotonic() - begin)
    time.sleep(75)  # the process that looks at uploads has gone by then
    after = _resident(server)
    server.kill(signal.SIGTERM)
    return {"before_mib": before, "after_a_job_mib": after, "job_seconds": seconds, "ok": sum(after.values()) < 1536}


def _resident(server: Server) -> dict[str, int]:
    """MiB of the server and of the processes that it started."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [server.process.pid, *(int(pid) for file in children for pid in file.read_text().split())]
    found: dict[str, int] = {}
    for pid in pids:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        kind = "worker" if b"carve.web.worker" in words else "server" if pid == server.process.pid else "other"
        resident = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]
        found[kind] = found.get(kind, 0) + int(resident) // 1024
    return found


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "hostile", "clients", "memory"])
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "person.jpg")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--job-seconds", type=float, default=40.0, help="about how long a job takes; kills fall into that time")
    arguments = parser.parse_args()
    figures = {"kills": kills, "hostile": hostile, "clients": clients, "memory": memory}[arguments.what](arguments)
    print(json.dumps(figures, indent=2))
    sys.exit(0 if figures["ok"] else 1)


if __name__ == "__main__":
    main()
