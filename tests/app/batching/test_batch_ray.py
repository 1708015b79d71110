"""A batch on a real Ray cluster of two nodes, each begun by `ray start`, one of which is killed in the middle."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from carve.app import cli
from carve.app.batching.command import make_all
from carve.app.batching.jobs import Job, Line, find_jobs
from carve.app.batching.places import Place
from carve.app.batching.pools import RayPool, make_one

os.environ["RAY_AUTH_MODE"] = "disabled"  # a token that another cluster of this user left is none of these nodes'
ray = pytest.importorskip("ray", reason="the tests of --ray need the extra `ray`")

NODE = "CARVE_TEST_NODE"
"""In the environment of everything that one `ray start` begins."""


def make(job: Job, threads: int) -> Line:
    """Stands for a run, which takes a second: writes down on which node it was begun and finished."""
    log = job.photo.parent.parent / "log" / job.photo.stem

    def run(words: list[str]) -> tuple[int, str]:
        out = Path(next(word for word in words if word.startswith("--out=")).removeprefix("--out="))
        with Path(f"{log}.begun").open("a") as file:
            file.write(os.environ[NODE] + "\n")
        time.sleep(1.0)
        (out / "stages").mkdir(parents=True, exist_ok=True)
        (out / "stages" / "run.json").write_text("{}")
        (out / "avatar.glb").write_text("avatar")
        (out / "report.json").write_text('{"warnings": []}')
        with Path(f"{log}.finished").open("a") as file:
            file.write(os.environ[NODE] + "\n")
        return 0, ""

    return make_one(job, run)


@dataclass
class Node:
    """What one `ray start` began."""

    name: str

    def kill(self) -> None:
        """All its processes, at once and without a word, as if its machine had lost power."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"{NODE}={self.name}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)


def started(folder: Path, *words: str) -> tuple[Node, str]:
    """A node, and what `ray start` printed."""
    name = uuid4().hex
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--num-cpus=1", f"--memory={4 << 30}"]
    command += [f"--object-store-memory={80 << 20}", "--disable-usage-stats"]
    environment = {**os.environ, NODE: name, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_health_check_period_ms": "1000"}
    with (folder / name).open("w+") as log:  # its children keep the file: a pipe would not end
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=120, check=False)
        log.seek(0)
        told = log.read()
    assert done.returncode == 0, told
    return Node(name), told


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, Node, Node]]:
    """Address, the node that others are joined to, and the other one."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("a node is killed by what /proc says of its processes")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    scratch = Path(f"/tmp/carve-ray-{os.getpid()}")  # names of sockets in it may have 107 characters
    nodes: list[Node] = []
    try:
        head, told = started(tmp_path, "--head", "--port=0", "--include-dashboard=false", f"--temp-dir={scratch}")
        nodes.append(head)
        address = re.search(r"--address='([^']+)'", told)
        assert address is not None, told
        second, _ = started(tmp_path, f"--address={address[1]}")
        nodes.append(second)
        yield address[1], head, second
    finally:
        ray.shutdown()
        for node in nodes:
            node.kill()
        shutil.rmtree(scratch, ignore_errors=True)


def warmed(nodes: int) -> None:
    """Let each node begin the process that will take its photos: on a busy machine that may take longer than all photos do on one."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    assert len(alive) == nodes
    task = ray.remote(num_cpus=1)(lambda: None)
    ray.get([task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in alive], timeout=120)


def test_a_lost_node_loses_no_photo_and_nothing_finished_is_done_again(cluster: tuple[str, Node, Node], tmp_path: Path) -> None:
    photos, log = tmp_path / "in", tmp_path / "log"
    photos.mkdir()
    log.mkdir()
    for k in range(8):
        (photos / f"{k}.jpg").write_text(str(k))
    out = Place((tmp_path / "out").as_uri())
    out.begin()
    jobs = find_jobs([photos], out.name, {})
    address, head, doomed = cluster
    pool = RayPool(address, 1, make)
    warmed(2)

    def lose_a_node() -> None:
        """When it has finished a photo and begun another."""
        end = time.monotonic() + 60
        while time.monotonic() < end and not (finished_by(log, doomed) and begun_by(log, doomed) - finished_by(log, doomed)):
            time.sleep(0.02)
        doomed.kill()

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    try:
        lines = make_all(jobs, out, pool, quiet=True)
    finally:
        killer.join()
        pool.close()
    assert {line.state for line in lines} <= {"done", "kept"} and [Path(line.photo).stem for line in lines] == list("01234567")
    assert all((tmp_path / "out" / str(k) / "avatar.glb").read_text() == "avatar" for k in range(8))
    assert finished_by(log, head) | finished_by(log, doomed) == set("01234567")
    assert all(len(file.read_text().split()) == 1 for file in log.glob("*.finished")), "nothing that was finished was done again"
    lost = begun_by(log, doomed) - finished_by(log, doomed)
    assert len(lost) == 1 and lost <= finished_by(log, head), "what the lost node had begun was begun again elsewhere"
    assert finished_by(log, doomed), "both nodes took part"


def begun_by(log: Path, node: Node) -> set[str]:
    """Photos that were begun on a node."""
    return {file.stem for file in log.glob("*.begun") if node.name in file.read_text()}


def finished_by(log: Path, node: Node) -> set[str]:
    """Photos that were finished on a node."""
    return {file.stem for file in log.glob("*.finished") if node.name in file.read_text()}


def test_no_cluster_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_text("x")
    assert cli.run(["batch", str(tmp_path), "--out", str(tmp_path / "out"), "--ray", "nonsense://x", "--quiet"]) == cli.UNUSABLE
    assert capsys.readouterr().err.count("\n") == 1
