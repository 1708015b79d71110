"""Many photos: what is found, what is done, what is kept, and what happens when some fail."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carve.app import cli
from carve.app.batching import pools
from carve.app.batching.command import workers_for
from carve.app.batching.jobs import OPTIONS, Job, command, find_jobs, lines_from
from carve.app.batching.pools import Worker
from carve.records import CarveError

MAKER = """
import json, os, pathlib, sys, time
from carve.app.batching import worker
done = 0

def run(words):
    global done
    photo, out = pathlib.Path(words[-1]), pathlib.Path(next(w for w in words if w.startswith("--out=")).removeprefix("--out="))
    word = photo.read_text()
    if word == "slow": time.sleep(60)
    if word == "bad": return 2, "nobody is in the picture"
    if word == "dead" or (word == "tired" and done): os.kill(os.getpid(), 9)
    done += 1
    (out / "stages").mkdir(parents=True, exist_ok=True)
    with (out / "runs").open("a") as log: log.write("x")
    (out / "pid").write_text(str(os.getpid()))
    (out / "stages" / "run.json").write_text("{}")
    (out / "stages" / "observe.npz").write_text("large")
    (out / "report.json").write_text(json.dumps({"warnings": ["one"]}))
    return 0, ""

worker.run_words = run
worker.main()
"""
"""A worker whose runs take no time: what it makes depends on the word in the photo."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "WORKER", (sys.executable, "-c", MAKER))


def photos(folder: Path, **words: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, word in words.items():
        (folder / f"{name}.jpg").write_text(word)
    return folder


def run(*words: object) -> int:
    return cli.run(["batch", *(str(word) for word in words), "--quiet"])


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "batch.csv").open(newline="") as file:
        return {Path(line["photo"]).stem: line for line in csv.DictReader(file)}


@pytest.mark.usefixtures("fake")
def test_failures_stand_in_the_table_and_take_nothing_with_them(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="good", b="bad", c="dead", d="good"), tmp_path / "out"
    assert run(folder, "--out", out, "--workers", 2) == 1
    lines = table(out)
    assert {name: line["state"] for name, line in lines.items()} == {"a": "done", "b": "failed", "c": "failed", "d": "done"}
    assert lines["b"]["message"] == "nobody is in the picture"
    assert lines["c"]["message"] == "the process was ended by signal 9"
    assert lines["a"]["warnings"] == "1"
    assert list(lines) == ["a", "b", "c", "d"]
    assert [line["photo"] for line in csv.DictReader((out / "failed.csv").open(newline=""))] == [lines["b"]["photo"], lines["c"]["photo"]]


@pytest.mark.usefixtures("fake")
def test_a_process_makes_one_after_the_other_and_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="good", b="good", c="tired", d="good"), tmp_path / "out"
    assert run(folder, "--out", out, "--workers", 1) == 0
    pids = [(out / name / "pid").read_text() for name in "abcd"]
    assert pids[0] == pids[1] != pids[2] == pids[3], "what earlier runs left in a process is not the photo's fault"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_results_at_an_address(tmp_path: Path, kind: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    folder = photos(tmp_path / "in", a="good", b="bad")
    url = f"memory://{tmp_path.name}/batch" if kind == "memory" else (tmp_path / "out").as_uri()
    files, path = fsspec.core.url_to_fs(url)
    assert run(folder, "--out", url) == 1
    assert files.cat_file(f"{path}/a/runs") == b"x" and not files.exists(f"{path}/a/stages/observe.npz")
    states = {line.out: line.state for line in lines_from(files.cat_file(f"{path}/batch.csv").decode())}
    assert states == {f"{url}/a": "done", f"{url}/b": "failed"}
    photos(folder, b="good")
    files.rm_file(f"{path}/batch.csv")
    assert run(folder, "--out", url) == 0, "what was finished is known without its line"
    assert files.cat_file(f"{path}/a/runs") == b"x" and files.cat_file(f"{path}/b/runs") == b"x"
    assert [line.state for line in lines_from(files.cat_file(f"{path}/batch.csv").decode())] == ["kept", "done"]
    assert files.cat_file(f"{path}/failed.csv").count(b"\n") == 1
    files.makedirs(f"{path}/c", exist_ok=True)
    files.pipe_file(f"{path}/c/letter.txt", b"mine")
    assert run(photos(tmp_path / "more", c="good"), "--out", url) == 1
    assert files.cat_file(f"{path}/c/letter.txt") == b"mine" and not files.exists(f"{path}/c/report.json")


@pytest.mark.parametrize("url", ["nonsense://x/y", "ftp://127.0.0.1:1/x", "http://127.0.0.1:1/x"])
def test_an_address_that_cannot_be_written_to_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert run(photos(tmp_path / "in", a="good"), "--out", url) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and url in told


def test_as_many_at_a_time_as_there_are_cores_and_memory() -> None:
    assert [workers_for(2, 20 << 30), workers_for(8, 10 << 30), workers_for(4, 1 << 30), workers_for(3, None)] == [2, 3, 1, 3]


def test_the_real_worker_answers_each_run(tmp_path: Path) -> None:
    worker = Worker(1)
    try:
        code, said = worker.run(["reconstruct", str(tmp_path / "none.jpg"), f"--out={tmp_path / 'out'}"])
        assert code == 2 and "none.jpg does not exist" in said
        assert worker.run(["no-command"])[0] == 2 and worker.lives
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(20) == 0, "it ends with whoever sends it work"
    finally:
        worker.end()


@pytest.mark.usefixtures("fake")
def test_a_second_call_does_only_what_is_not_done_or_has_changed(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="good", b="bad", c="good"), tmp_path / "out"
    assert run(folder, "--out", out) == 1
    photos(folder, b="good", c="good again")
    assert run(folder, "--out", out) == 0
    assert {name: line["state"] for name, line in table(out).items()} == {"a": "kept", "b": "done", "c": "done"}
    assert [(out / name / "runs").read_text() for name in "abc"] == ["x", "x", "xx"]
    assert run(folder, "--out", out) == 0
    assert {line["state"] for line in table(out).values()} == {"kept"}
    assert run(folder, "--out", out, "--preset", "fast") == 0
    assert {line["state"] for line in table(out).values()} == {"done"}


@pytest.mark.usefixtures("fake")
def test_a_damaged_table_is_made_again(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="good"), tmp_path / "out"
    assert run(folder, "--out", out) == 0
    (out / "batch.csv").write_text("photo,out\nx")
    assert run(folder, "--out", out) == 0
    assert (out / "a" / "runs").read_text() == "x" and table(out)["a"]["state"] == "kept"


def test_a_list_names_folders_and_options(tmp_path: Path) -> None:
    photos(tmp_path, a="1", b="2")
    (tmp_path / "list.csv").write_text("\ufeffphoto,out,height,mask\na.jpg,first,1.75,m.png\nb.jpg,,,\n", encoding="utf-8")
    jobs = find_jobs([tmp_path / "list.csv"], tmp_path / "out", {"preset": "fast"})
    assert jobs == [
        Job(tmp_path / "a.jpg", tmp_path / "out" / "first", {"preset": "fast", "height": "1.75", "mask": str(tmp_path / "m.png")}),
        Job(tmp_path / "b.jpg", tmp_path / "out" / "b", {"preset": "fast"}),
    ]


def test_every_option_of_a_list_is_one_of_the_command(tmp_path: Path) -> None:
    values = dict.fromkeys(OPTIONS, "1") | {"preset": "fast", "height": "1.75"}
    words = command(Job(tmp_path / "-odd.jpg", tmp_path / "out", values))
    parsed = cli._parser().parse_args(words)
    assert parsed.photo == tmp_path / "-odd.jpg"
    assert (parsed.preset, parsed.person, parsed.resume) == ("fast", 1, False)
    (tmp_path / "out").mkdir()
    assert cli._parser().parse_args(command(Job(tmp_path / "a.jpg", tmp_path / "out"))).resume


def test_models_for_all_reach_every_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def nothing_to_do(found: list[Job], *rest: object) -> list[object]:
        jobs.extend(found)
        return []

    monkeypatch.setattr("carve.app.batching.command.make_all", nothing_to_do)
    assert run(photos(tmp_path / "in", a="good"), "--out", tmp_path / "out", "--depth-model", "d.onnx", "--normals-model", "n.onnx") == 0
    parsed = cli._parser().parse_args(command(jobs[0]))
    assert (parsed.depth_model, parsed.normals_model, parsed.preset) == (Path("d.onnx"), Path("n.onnx"), None)


def test_what_cannot_be_done_is_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    photos(tmp_path / "x", a="1")
    photos(tmp_path / "y", a="1")
    (tmp_path / "odd.csv").write_text("photo,colour\n")
    (tmp_path / "none.csv").write_text("height\n1.8\n")
    (tmp_path / "hole.csv").write_text("photo,height\n,1.8\n")
    for inputs, said in (
        (["empty"], "holds no photos"),
        (["missing.jpg"], "does not exist"),
        (["x", "y"], "Two photos"),
        (["odd.csv"], "colour"),
        (["none.csv"], "no column 'photo'"),
        (["hole.csv"], "names no photo"),
    ):
        with pytest.raises(CarveError, match=said):
            find_jobs([tmp_path / name for name in inputs], tmp_path / "out", {})
    assert run(tmp_path / "x", "--out", tmp_path / "out", "--workers", 0) == 2
    assert not (tmp_path / "out").exists()


def test_interrupted_it_stops_its_processes_and_keeps_what_is_finished(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "in", a="good", b="slow", c="slow"), tmp_path / "out"
    script = f"""
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
from carve.app import cli
from carve.app.batching import pools
pools.WORKER = (sys.executable, "-c", {MAKER!r})
sys.exit(cli.run(["batch", {str(folder)!r}, "--out", {str(out)!r}, "--workers", "2", "--quiet"]))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "batch.csv").exists() or not lines_from((out / "batch.csv").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert {line.state for line in lines_from((out / "batch.csv").read_text())} == {"done"}
    assert not (out / "b").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.csv", b"photo,height\n\x00", "CSV"),
        ("list.csv", b"photo\n\xff\xfe\xfa.jpg", "list.csv"),
        ("list.csv", b"", "photo"),
        ("pipe", None, "no ordinary file"),
        ("missing.jpg", ..., "does not exist"),
    ],
)
def test_inputs_that_cannot_be_read_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: object, says: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is None:
        os.mkfifo(tmp_path / name)
    assert run(tmp_path / name, "--out", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_an_output_folder_that_cannot_be_made_is_told_before_any_photo_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(tmp_path / "in", a="good")
    (tmp_path / "file").write_text("")
    assert run(folder, "--out", tmp_path / "file" / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
