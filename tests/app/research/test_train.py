"""The command `carve train`: unusable input in one line, and a run that is stopped and gone on with until weights lie there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from carve.app import cli
from carve.networks import hyper, implicit
from carve.networks.normals import Architecture, load_normals_net
from carve.networks.posed_field import Shape
from carve.networks.weights import read_card
from carve.synth.people.bodies import load_full_body
from carve.synth.wear.wardrobe import reference_body
from carve.train.hyper import Params
from carve.train.running.log import read_log
from synth.known_people import known_person, small_assets, write_known
from synth.samples.test_surface_points import with_distances

TINY = Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`people`, a data set of three, one for validation; `few`, of one; `assets`."""
    folder = tmp_path_factory.mktemp("train")
    body = load_full_body()
    shaped = reference_body(body, female=True)
    people = [known_person(body, shaped, seed, views=1, size=128) for seed in range(3)]
    write_known(folder / "people", {"a": ("train", people[0]), "b": ("train", people[1]), "c": ("val", people[2])})
    write_known(folder / "few", {"a": ("train", people[0])})
    small_assets(folder / "assets")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network, no pictures of curves."""
    monkeypatch.setattr("carve.train.normals.ARCHITECTURE", TINY)
    monkeypatch.setattr("carve.train.running.log.draw_curves", lambda path, losses, found: path.write_bytes(b"drawn"))


def carve(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `carve train normals ARGUMENTS`, run in this process."""
    try:
        code = cli.run(["train", "normals", *(str(a) for a in arguments)])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def one_line(error: str) -> bool:
    return error.startswith("carve: ") and error.count("\n") == 1


def options(folder: Path, out: Path) -> list[object]:
    """Of a run of three steps at 256 pixels."""
    given = ["--assets", folder / "assets", "--out", out, "--samples", 3, "--batch", 1, "--finish", 0.01, "--workers", 0]
    return [folder / "people", *given, "--validation", 1, "--evaluate-every", 2]


def test_a_stopped_run_goes_on_until_weights_and_card_lie_there(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for step in (1, 2):
        code, printed, err = carve(capsys, *options(folder, out), "--minutes", 0)
        assert (code, printed) == (0, "")
        assert f"stopped after step {step} of 3" in " ".join(err.split())
        assert not (out / "normals.safetensors").exists()
    code, printed, err = carve(capsys, *options(folder, out), "--minutes", 0, "--quiet")
    assert (code, printed.strip(), err) == (0, str(out / "normals.safetensors"), "")
    assert load_normals_net(out).architecture == TINY
    note, last = read_card("normals", out), read_log(out / "evaluation.csv")[-1]
    assert (note["steps"], note["data"]["people"], note["schedule"]["phases"]) == (3, 3, [{"size": 256, "steps": 3, "batch": 1}])
    assert note["figures"] == pytest.approx({k: v for k, v in last.items() if k not in ("step", "seconds")}, abs=1e-4)
    assert note["commit"]
    assert set(note) >= {"network", "architecture", "seconds", "licences", "variance", "sha256"}
    assert {file.name for file in out.iterdir()} == {
        "checkpoint-3.safetensors", "checkpoint.json", "evaluation.csv", "normals.safetensors", "normals.json",
    }  # fmt: skip
    before = (out / "normals.safetensors").read_bytes()
    assert carve(capsys, *options(folder, out), "--quiet")[0] == 0
    assert (out / "normals.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (["--assets", "none"], "none"),
        (["--device", "cuda"], "--device cpu"),
        (["--batch", 8], "--samples"),
        (["--out", "FILE"], "file"),
        (["--out", "FILE/below"], "below"),
        (["--seed", 5, "--out", "RUN"], "another schedule"),
        (["--people", 0.5, "--out", "RUN"], "another settings"),
    ],
)
def test_unusable_options_are_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, changed: list[object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "file").write_text("")
    if "RUN" in changed:
        assert carve(capsys, *options(folder, tmp_path / "run"), "--minutes", 0)[0] == 0
    before = sorted(tmp_path.rglob("*"))
    places = {"RUN": tmp_path / "run", "FILE": tmp_path / "file", "FILE/below": tmp_path / "file" / "below"}
    code, printed, err = carve(capsys, *options(folder, tmp_path / "new"), *(places.get(str(c), c) for c in changed))
    assert (code, printed, one_line(err)) == (2, "", True), err
    assert says in err
    assert sorted(tmp_path.rglob("*")) == before


def test_unusable_data_is_one_line(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    for data, says in ((tmp_path / "nothing", "dataset.json"), (folder / "few", "nobody in its split val")):
        code, printed, err = carve(capsys, data, *options(folder, tmp_path / "new")[1:])
        assert (code, printed, one_line(err)) == (2, "", True), err
        assert says in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--samples", 0],
        ["--finish", 1.5],
        ["--people", 0],
        ["--batch", "few"],
        ["--learning-rate", "fast"],
        ["--learning-rate", "inf"],
        ["--learning-rate", "nan"],
        ["--workers", -1],
        ["--minutes", -1],
        ["--seed", -1],
    ],
)
def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, wrong: list[object]) -> None:
    code, _, err = carve(capsys, *options(folder, tmp_path / "new"), *wrong)
    assert (code, one_line(err)) == (2, True), err
    assert not (tmp_path / "new").exists()


def test_without_matplotlib_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = carve(capsys, *options(folder, tmp_path / "new"))
    assert (code, one_line(err)) == (2, True)
    assert "carve[train]" in err


def test_the_implicit_model_is_trained_with_the_same_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = implicit.Architecture(widths=(8, 16), features=8, hidden=16, layers=3)
    monkeypatch.setattr("carve.train.implicit.Architecture", lambda: tiny)
    body = load_full_body()
    shaped = reference_body(body, female=True)
    people = [with_distances(body, known_person(body, shaped, seed, views=1, size=128)) for seed in range(2)]
    write_known(tmp_path / "people", {"a": ("train", people[0]), "b": ("val", people[1])})
    small_assets(tmp_path / "assets")
    out = tmp_path / "run"
    arguments = [tmp_path / "people", "--assets", tmp_path / "assets", "--out", out, "--samples", 2, "--batch", 1, "--validation", 1]
    arguments += ["--workers", 0, "--quiet"]
    command = ["train", "implicit", *(str(a) for a in arguments)]
    assert cli.run([*command, "--minutes", "0"]) == 0
    assert not (out / "implicit.safetensors").exists()
    assert cli.run(command) == 0
    assert capsys.readouterr().out.strip() == str(out / "implicit.safetensors")
    assert implicit.load_implicit_net(out).architecture == tiny
    assert read_card("implicit", out)["steps"] == 2
    with pytest.raises(SystemExit):
        cli.run([*command, "--finish", "0.5"])


def test_the_hypernetwork_is_trained_with_the_same_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = hyper.Architecture(places=24, hidden=16, code=8, rank=2, target=Shape(octaves=2, hidden=12, layers=3))
    monkeypatch.setattr("carve.train.hyper.Architecture", lambda: tiny)
    monkeypatch.setattr("carve.train.hyper.Params", partial(Params, body_steps=2))
    body = load_full_body()
    shaped = reference_body(body, female=True)
    people = [with_distances(body, known_person(body, shaped, seed, views=1, size=64)) for seed in range(2)]
    write_known(tmp_path / "people", {"a": ("train", people[0]), "b": ("val", people[1])})
    out = tmp_path / "run"
    arguments = [tmp_path / "people", "--assets", tmp_path / "assets", "--out", out, "--samples", 2, "--batch", 1, "--validation", 1]
    command = ["train", "hyper", *(str(a) for a in arguments), "--inner", "1", "--workers", "0", "--quiet"]
    assert cli.run([*command, "--minutes", "0"]) == 0
    assert not (out / "hyper.safetensors").exists()
    assert cli.run(command) == 0
    assert capsys.readouterr().out.strip() == str(out / "hyper.safetensors")
    assert hyper.load_hyper_net(out).architecture == tiny
    assert read_card("hyper", out)["steps"] == 2
