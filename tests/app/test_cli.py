"""The command line: exit codes and one-line errors for everything that can be wrong with the input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from carve.app import cli
from carve.export.glb import write_avatar_glb
from carve.io.image import write_png
from carve.records import CarveError, StageError
from people import capsule_avatar


def carve(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `carve ARGUMENTS`, run in this process."""
    try:
        code = cli.run([str(a) for a in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def one_line(error: str) -> bool:
    return error.startswith("carve: ") and error.count("\n") == 1


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture without anybody in it."""
    write_png(tmp_path / "grey.png", np.full((96, 64, 3), 120, np.uint8))
    return tmp_path / "grey.png"


def test_closed_choices_are_those_of_the_settings() -> None:
    from carve.settings import STAGES, Preset
    from carve.stages.worn import Params as Worn

    assert get_args(Preset) == cli.PRESETS
    assert STAGES == cli.STAGES
    assert tuple(field.name for field in fields(Worn)) == cli.WORN


@pytest.mark.parametrize("command", [[], ["reconstruct"], ["preview"], ["animate"], ["doctor"], ["settings"]])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    code, out, _ = carve(capsys, *command, "--help")
    assert code == 0
    assert "usage: carve" in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["reconstruct"],
        ["reconstruct", "a.jpg"],
        ["reconstruct", "a.jpg", "--out", "o", "--preset", "slow"],
        ["reconstruct", "a.jpg", "--out", "o", "--from", "nowhere"],
        ["reconstruct", "a.jpg", "--out", "o", "--resume", "--overwrite"],
        ["reconstruct", "a.jpg", "--out", "o", "--height", "12"],
        ["reconstruct", "a.jpg", "--out", "o", "--person", "first"],
        ["fly"],
    ],
)
def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, _, err = carve(capsys, *arguments)
    assert code == 2
    assert one_line(err)
    assert "--help" in err


@pytest.mark.parametrize(("text", "expected"), [("1.75", 1.75), ("175", 1.75), ("98", 0.98)])
def test_heights_in_metres_and_centimetres(text: str, expected: float) -> None:
    assert cli.metres(text) == pytest.approx(expected)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0 cut off"])
def test_a_bad_photo(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    code, _, err = carve(capsys, "reconstruct", tmp_path / "photo.jpg", "--out", tmp_path / "out")
    assert code == 2
    assert one_line(err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mask", "MASK"], "48 x 48 pixels but the photo is 64 x 96"),
        (["--mask", "missing.png"], "does not exist"),
        (["--landmarks", "missing.json"], "does not exist"),
        (["--back-photo", "missing.jpg"], "does not exist"),
        (["--body-model", "missing.npz"], "does not exist"),
        (["--depth-model", "missing.onnx"], "cannot be read: No such file"),
        (["--depth-model", "MASK"], "is not an ONNX file that can be opened"),
        (["--settings", "missing.toml"], "does not exist"),
        (["--set", "texture.colour=blue"], "no setting 'texture.colour'"),
        (["--set", "seed=x"], "'seed' cannot be 'x'"),
        (["--from", "refine"], "no finished stage 'observe'"),
        (["--from", "refine", "--mask", "FITS"], "--from observe"),
    ],
)
def test_bad_options(capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path, options: list[str], says: str) -> None:
    write_png(tmp_path / "mask.png", np.full((48, 48), 255, np.uint8))
    write_png(tmp_path / "fits.png", np.full((96, 64), 255, np.uint8))
    files = {"MASK": str(tmp_path / "mask.png"), "FITS": str(tmp_path / "fits.png")}
    options = [files.get(option, option) for option in options]
    code, _, err = carve(capsys, "reconstruct", photo, "--out", tmp_path / "out", "--quiet", *options)
    assert (code, one_line(err)) == (2, True), err
    assert says in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "content"), [("--mask", b"no picture"), ("--landmarks", b'{"nose": 1}')])
def test_what_lies_beside_the_photo_is_read_before_the_stages_are_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, option: str, content: bytes
) -> None:
    monkeypatch.setitem(sys.modules, "carve.pipeline", None)
    (tmp_path / "given").write_bytes(content)
    code, _, err = carve(capsys, "reconstruct", photo, "--out", tmp_path / "out", "--quiet", option, tmp_path / "given")
    assert (code, one_line(err)) == (2, True)
    assert str(tmp_path / "given") in err


def test_output_folders_that_may_not_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    for out, says in ((tmp_path / "full", "not empty"), (photo, "is a file"), (photo / "below", "cannot be made")):
        code, _, err = carve(capsys, "reconstruct", photo, "--out", out)
        assert code == 2
        assert one_line(err)
        assert says in err
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_output_folders_behind_links_that_lead_nowhere(capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "lost").symlink_to(tmp_path / "nothing")
    for out in (tmp_path / "ring" / "out", tmp_path / "lost", tmp_path / "lost" / "out"):
        code, _, err = carve(capsys, "reconstruct", photo, "--out", out)
        assert (code, one_line(err)) == (2, True) and "leads nowhere" in err


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = "import os, sys; os.rmdir(os.getcwd()); from carve.app.cli import main; sys.argv = ['carve', 'settings']; main()"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "gone", capture_output=True, text=True, check=False)
    assert (result.returncode, one_line(result.stderr)) == (2, True), result.stderr
    assert "current folder" in result.stderr


def test_options_reach_the_pipeline(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def reconstruct(picture: Any, settings: Any, **options: Any) -> Any:
        seen.update(options, photo=picture, settings=settings)
        return capsule_avatar_with_report()

    monkeypatch.setattr("carve.pipeline.reconstruct", reconstruct)
    options = ["--person", "1", "--height", "182", "--focal", "900", "--seed", "4", "--obj", "--set", "observe.focal=1", "--overwrite"]
    options += ["--normals-model", "n.onnx", "--depth-model", "d.onnx", "--back-photo", str(photo)]
    code, _, err = carve(capsys, "reconstruct", photo, "--out", tmp_path / "out", *options)
    assert code == 0
    assert "a note to the user" in err
    settings = seen["settings"]
    assert (settings.observe.person, settings.observe.focal, settings.fit_body.height, settings.seed) == (1, 900.0, 1.82, 4)
    assert (seen["normals_model"], seen["depth_model"]) == (Path("n.onnx"), Path("d.onnx"))
    assert seen["back_photo"].name == "grey"
    assert (seen["extras"], seen["existing"], seen["photo"].name) == (["obj"], "overwrite", "grey")


def capsule_avatar_with_report() -> Any:
    import dataclasses

    return dataclasses.replace(capsule_avatar(), report={"warnings": ["a note to the user"]})


@pytest.mark.parametrize(("error", "code"), [(CarveError("The photo is odd."), 2), (StageError("The stage 'refine' failed."), 1)])
def test_errors_become_exit_codes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("carve.pipeline.reconstruct", fail)
    assert carve(capsys, "reconstruct", photo, "--out", tmp_path / "out", "--quiet") == (code, "", f"carve: {error}\n")


def test_doctor_reports(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = carve(capsys, "doctor")
    assert code == 0
    for word in ("python", "torch", "detector models", "body model", "learned weights", "gltf-validator"):
        assert word in out


def test_doctor_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.app.doctor.DETECTOR_MODELS", ("pose/gone.tflite",))
    code, out, _ = carve(capsys, "doctor")
    assert code == 1
    assert "pose/gone.tflite; install mediapipe 0.10.14" in out


@pytest.mark.parametrize("name", ["x" * 300, "grey.png"])
def test_doctor_says_where_nothing_can_be_kept(photo: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from carve.app.doctor import examine

    monkeypatch.setenv("CARVE_CACHE", str(photo.with_name(name)))
    told = {finding.what: finding.detail for finding in examine()}
    assert "cannot be written" in told["body model"]


def test_preview_of_a_folder_and_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_avatar_glb(tmp_path / "avatar.glb", capsule_avatar())
    code, out, _ = carve(capsys, "preview", tmp_path)
    assert (code, out.strip()) == (0, str(tmp_path / "avatar_views.png"))
    assert (tmp_path / "avatar_views.png").stat().st_size > 1000
    for command in (["preview", tmp_path / "no.glb"], ["animate", tmp_path / "no.glb", "--out", tmp_path / "a.glb"]):
        code, _, err = carve(capsys, *command)
        assert (code, one_line(err)) == (2, True)


def test_animate_writes_the_built_in_walk(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_avatar_glb(tmp_path / "avatar.glb", capsule_avatar())
    code, out, _ = carve(capsys, "animate", tmp_path / "avatar.glb", "--walk", "--out", tmp_path / "walk.glb")
    assert (code, out.strip()) == (0, str(tmp_path / "walk.glb"))
    assert (tmp_path / "walk.glb").stat().st_size > (tmp_path / "avatar.glb").stat().st_size


SLOW_RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits that it is ignored
sys.path.insert(0, {tests!r})
from people import capsule_avatar
from carve import pipeline
made = capsule_avatar()
def observe(photo, *_):
    import dataclasses
    return dataclasses.replace(made.observation, photo=photo)
def fit_body(*_):
    print("fitting", flush=True)
    time.sleep(60)
pipeline.observe, pipeline.fit_body, pipeline.load_anny = observe, fit_body, lambda progress, anatomy: None
from carve.app.cli import main
sys.argv = ["carve", "reconstruct", {photo!r}, "--out", {out!r}, "--quiet"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_with_130_and_keeps_finished_stages(tmp_path: Path, photo: Path) -> None:
    script = SLOW_RUN.format(tests=str(Path(__file__).parents[1]), photo=str(photo), out=str(tmp_path / "out"))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fitting\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert one_line(err)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"stages"}
    assert (tmp_path / "out" / "stages" / "observe.npz").exists()


def test_a_reader_who_goes_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "carve.app.entry", "settings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""


def test_closed_streams_are_no_error() -> None:
    script = "import os; os.close(1); os.close(2); from carve.app.cli import main; import sys; sys.argv = ['carve', 'settings']; main()"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("begin", ["from carve.app.entry import main; main()", "import runpy; runpy.run_module('carve')"])
def test_an_interrupt_while_importing_is_one_line(begin: str) -> None:
    script = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'argparse': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        f"{begin}\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 130
    assert result.stderr == "carve: interrupted before anything was done\n"


@pytest.mark.parametrize("name", [b"a\xff.jpg", b"a\nb.jpg", b"[red]a.jpg", b"\x1b[31m.jpg", b"x" * 300, b"-x.jpg" * 3])
def test_odd_names_stand_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: bytes) -> None:
    for path in (tmp_path / os.fsdecode(name), tmp_path / "none" / os.fsdecode(name)):
        assert cli.run(["reconstruct", str(path), "--out", str(tmp_path / "out")]) == cli.UNUSABLE
        err = capsys.readouterr().err
        assert err.startswith("carve: The photo ") and err.count("\n") == 1 and err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "words", [["report"], ["evaluate", "--out", "o"], ["models", "--from"], ["preview"], ["export", "--to", "glb"], ["batch", "--out", "o"]]
)
def test_names_that_the_system_does_not_take_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, _, err = carve(capsys, words[0], *words[1:], "x" * 300)
    assert (code, one_line(err)) == (2, True)
    assert "rename it" in err


def test_refusals_outside_of_any_fence_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> int:
        raise PermissionError(13, "Permission denied", "a.jpg")

    monkeypatch.setitem(cli._COMMANDS, "doctor", refuse)
    assert carve(capsys, "doctor") == (2, "", "carve: a.jpg cannot be used: Permission denied.\n")


def test_what_is_refused_after_loading_is_told_alone(capsys: pytest.CaptureFixture[str]) -> None:
    from carve.app.progress import StageLines

    with pytest.raises(CarveError), StageLines() as lines:
        lines.progress("loading", 1.0)
        raise CarveError("No.")
    assert capsys.readouterr().err == ""
    with StageLines() as lines:
        lines.progress("loading", 1.0)
        lines.progress("observe", 1.0)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["loading", "observe"]


def test_notes_and_names_are_not_taken_for_markup(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from carve.app.progress import StageLines

    out = tmp_path / "[bold]o[/red]"
    with StageLines() as lines:
        lines.progress("fit_body", 1.0)
        lines.summary(out, {"warnings": ["[/link] of [red]a\nb"]})
    err = " ".join(capsys.readouterr().err.split())
    assert "note: [/link] of [red]a\\nb" in err
    assert "[bold]o[/red]" in err.replace(" ", "")
