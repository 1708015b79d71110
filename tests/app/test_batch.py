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

from carve.app import batch_jobs, cli
from carve.app.batch_jobs import OPTIONS, Job, command, find_jobs, read_lines
from carve.records import CarveError

MAKER = """
import json, os, pathlib, sys, time
photo, out = map(pathlib.Path, sys.argv[1:])
word = photo.read_text()
if word == "slow": time.sleep(60)
if word == "bad": sys.exit("carve: nobody is in the picture")
if word == "dead": os.kill(os.getpid(), 9)
out.mkdir(parents=True, exist_ok=True)
with (out / "runs").open("a") as log: log.write("x")
(out / "report.json").write_text(json.dumps({"warnings": ["one"]}))
"""
"""Stands for the command, which takes half a minute: what it makes depends on the word in the photo."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_jobs, "command", lambda job: [sys.executable, "-c", MAKER, str(job.photo), str(job.out)])


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
    assert (out / "a" / "runs").read_text() == "xx"


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
    assert words[:3] == [sys.executable, "-m", "carve"]
    parsed = cli._parser().parse_args(words[3:])
    assert parsed.photo == tmp_path / "-odd.jpg"
    assert (parsed.preset, parsed.person, parsed.resume) == ("fast", 1, False)
    (tmp_path / "out").mkdir()
    assert cli._parser().parse_args(command(Job(tmp_path / "a.jpg", tmp_path / "out"))[3:]).resume


def test_models_for_all_reach_every_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def nothing_to_do(found: list[Job], *rest: object) -> list[object]:
        jobs.extend(found)
        return []

    monkeypatch.setattr("carve.app.batch.make_all", nothing_to_do)
    assert run(photos(tmp_path / "in", a="good"), "--out", tmp_path / "out", "--depth-model", "d.onnx", "--normals-model", "n.onnx") == 0
    parsed = cli._parser().parse_args(command(jobs[0])[3:])
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
from carve.app import batch_jobs, cli
batch_jobs.command = lambda job: [sys.executable, "-c", {MAKER!r}, str(job.photo), str(job.out)]
sys.exit(cli.run(["batch", {str(folder)!r}, "--out", {str(out)!r}, "--workers", "2", "--quiet"]))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not read_lines(out / "batch.csv") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert {line.state for line in read_lines(out / "batch.csv").values()} == {"done"}
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
