"""Measures the server with the real pipeline: kills, hostile uploads, many clients, memory.

    python benchmarks/web.py kills --jobs 10 --preset fast --out out/kills      goes on with the same --out; --limit N: so many jobs a call
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
    """Kill the worker of every job twice and the server in every other job, each at a random share of the job's progress.

    What each job came to stands in OUT/kills.json; the same command again goes on with it, in the middle of a job too.
    """
    file = arguments.out / "kills.json"
    jobs: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    server = Server(arguments.out / "data", worker=ROOT / "tests" / "web" / "fake_worker.py" if arguments.rehearse else None)
    server.start()

    def save() -> None:
        file.write_text(json.dumps(jobs, indent=2) + "\n")

    begun = sum("state" in job for job in jobs)
    for number in range(begun, min(arguments.jobs, begun + arguments.limit)):
        if number == len(jobs):
            photo = {"photo": ("a.jpg", arguments.photo.read_bytes())}
            sent = server.client.post(f"{server.url}/v1/avatars", files=photo, data={"preset": arguments.preset})
            jobs.append({"job": sent.json()["id"], "kills": []})
            save()
        _one_killed(server, random.Random(1000 * arguments.seed + number), number % 2, jobs[number], save)
        save()
    server.kill(signal.SIGTERM)
    finished = sum(job["state"] == "done" for job in jobs)
    valid = sum(job["valid"] for job in jobs)
    killed = {what: sum(kind == what for job in jobs for kind, _ in job["kills"]) for what in ("worker", "server")}
    ok = finished == valid == arguments.jobs and killed["worker"] == 2 * arguments.jobs and killed["server"] == arguments.jobs // 2
    figures = {"worker_kills": killed["worker"], "server_kills": killed["server"], "ok": ok}
    return {"jobs": len(jobs), "done": finished, "valid": valid, **figures}


def _one_killed(server: Server, rng: random.Random, servers: int, job: dict[str, Any], save: Callable[[], None]) -> None:
    """Wait for a job and kill what works on it; `job` is told what was killed at which progress, and what came of it."""
    plan = ["worker"] * 2 + ["server"] * servers
    rng.shuffle(plan)
    moments = sorted(rng.uniform(0.0, 0.9) for _ in plan)
    for what, at in list(zip(plan, moments, strict=True))[len(job["kills"]) :]:
        state: dict[str, Any] = {}

        def is_there(at: float = at, state: dict[str, Any] = state) -> bool:
            state |= server.client.get(f"{server.url}/v1/avatars/{job['job']}").json()
            return state["state"] in ("done", "failed") or (state["state"] == "running" and state["progress"] >= at)

        server.until(is_there)
        if state["state"] != "running":
            break
        (worker,) = server.row("worker", job["job"])
        if what == "server":
            server.kill()
            server.start()
        else:
            with suppress(ProcessLookupError, TypeError):  # it was done just now
                os.kill(worker, signal.SIGKILL)
        job["kills"].append((what, round(state["progress"], 3)))
        save()
        server.until(lambda: server.row("worker", job["job"])[0] != worker)  # noqa: B023
    server.until(lambda: server.row("state", job["job"])[0] in ("done", "failed"))
    job["state"], job["runs"], job["message"] = server.row("state, runs, message", job["job"])
    job["valid"] = job["state"] == "done" and _valid(server.data / "avatars" / job["job"] / "run" / "avatar.glb")


def _valid(glb: Path) -> bool:
    """Whether an avatar can be read and has its skeleton; Khronos' validator too, where it is installed."""
    from carve.gltf.reader import read_glb

    validator = ROOT / "tests" / "validator"
    if (validator / "node_modules").is_dir():
        told = subprocess.run(["node", "validate.mjs", str(glb.resolve())], cwd=validator, capture_output=True, text=True, check=False)
        if next(iter(json.loads(told.stdout).values()))["issues"]["numErrors"]:
            return False
    return read_glb(glb).skeleton is not None


def hostile(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send uploads that nobody sends who means well, and slow and oversized heads among them."""
    uploads = import_module("uploads")  # of the tests

    server = Server(arguments.out)
    server.start()
    statuses: dict[int, int] = {}
    wrong = []
    port = int(server.url.rpartition(":")[2])
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
    with ThreadPoolExecutor(16) as pool:
        wire = list(uploads.WIRE) * (arguments.count // 10 // len(uploads.WIRE) + 1)
        for name, (status, body) in zip(wire, pool.map(lambda name: uploads.on_the_wire(port, name), wire), strict=True):
            statuses[status] = statuses.get(status, 0) + 1
            if status not in uploads.WIRE[name][2] or not isinstance(json.loads(body or b"{}").get("detail"), str):
                wrong.append(f"{name}: {status} {body[:100]!r}")
    up = server.client.get(f"{server.url}/healthz").status_code == 200
    left = [str(path) for path in (server.data / "avatars").rglob("*")]
    server.kill(signal.SIGTERM)
    return {
        "sent": arguments.count + len(wire),
        "statuses": statuses,
        "wrong": wrong[:20],
        "up": up,
        "left": left,
        "ok": up and not wrong and not left,
    }


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
    sent = {"photo": ("a.jpg", arguments.photo.read_bytes())}
    job = server.client.post(f"{server.url}/v1/avatars", files=sent, data={"preset": arguments.preset}).json()["id"]
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
        kind = "worker" if b"carve.web.jobs.worker" in words else "server" if pid == server.process.pid else "other"
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
    parser.add_argument("--rehearse", action="store_true", help="`kills` with the worker of the tests, whose stages only wait")
    parser.add_argument("--limit", type=int, default=1000, help="jobs of one call of `kills`")
    parser.add_argument("--preset", default="fast", choices=["fast", "standard", "best"], help="of the jobs of `kills` and `memory`")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends too
    figures = {"kills": kills, "hostile": hostile, "clients": clients, "memory": memory}[arguments.what](arguments)
    print(json.dumps(figures, indent=2))
    sys.exit(0 if figures["ok"] else 1)


if __name__ == "__main__":
    main()
