"""A batch on a Ray cluster of two nodes on this machine, one of which dies in the middle."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carve.app import cli
from carve.app.batch import make_all
from carve.app.batch_jobs import Job, Line, find_jobs
from carve.app.batch_pools import RayPool

ray = pytest.importorskip("ray", reason="the tests of --ray need the extra `ray`")


def make(job: Job, threads: int) -> Line:
    """Stands for a run: takes a second and writes down where it was begun and where it was finished."""
    import os
    import time

    job.out.mkdir(parents=True, exist_ok=True)
    node = os.environ.get("RAY_NODE_ID", "") or str(__import__("ray").get_runtime_context().get_node_id())
    with (job.out / "begun").open("a") as log:
        log.write(node + "\n")
    time.sleep(1.0)
    with (job.out / "finished").open("a") as log:
        log.write(node + "\n")
    (job.out / "report.json").write_text('{"warnings": []}')
    return Line(str(job.photo), str(job.out), "done", 1.0, 0, "", job.digest)


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    node = {"num_cpus": 1, "memory": 4 << 30, "object_store_memory": 80 << 20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.second = made.add_node(**node)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_lost_node_loses_no_photo_and_nothing_finished_is_done_again(cluster: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(8):
        (folder / f"{k}.jpg").write_text(str(k))
    jobs = find_jobs([folder], tmp_path / "out", {})
    pool = RayPool(cluster.address, 1, make)
    doomed = cluster.second.node_id

    def lose_a_node() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not any(doomed in f.read_text() for f in (tmp_path / "out").glob("*/begun")):
            time.sleep(0.05)
        cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    try:
        lines = make_all(jobs, tmp_path / "out" / "batch.csv", pool, quiet=True)
    finally:
        killer.join()
        pool.close()
    assert [line.state for line in lines] == ["done"] * 8
    begun = {job.out.name: (job.out / "begun").read_text().split() for job in jobs}
    finished = {job.out.name: (job.out / "finished").read_text().split() for job in jobs}
    assert all(len(ends) == 1 for ends in finished.values()), "nothing that was finished was done again"
    assert any(len(starts) == 2 and doomed in starts for starts in begun.values()), "what the lost node had was begun again elsewhere"


def test_no_cluster_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_text("x")
    assert cli.run(["batch", str(tmp_path), "--out", str(tmp_path / "out"), "--ray", "nonsense://x", "--quiet"]) == cli.UNUSABLE
    assert capsys.readouterr().err.count("\n") == 1
