"""What kept stages are held to: the code and data that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from carve import runner
from carve.provenance import HOME, PACKAGES, made_with, source_hash, versions
from carve.runner import StageRunner


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in (
        "pipeline.py",
        "stages/observe.py",
        "networks/weights/normals.json",
        "networks/weights/normals.safetensors",
        "synth/make.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["pipeline.py", "stages/observe.py", "stages/new.py", "networks/weights/normals.json"])
def test_a_changed_or_new_file_of_the_product_shows(package: Path, name: str) -> None:
    before = source_hash(package)
    (package / name).write_text("changed")
    assert source_hash(package) != before


@pytest.mark.parametrize("name", ["synth/make.py", "app/cli.py", "stages/__pycache__/observe.pyc", "networks/weights/normals.safetensors"])
def test_what_no_stage_comes_from_does_not(package: Path, name: str) -> None:
    before = source_hash(package)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("changed")
    assert source_hash(package) == before


def test_every_package_that_makes_a_result_is_named() -> None:
    assert {"torch", "opencv-contrib-python", "manifold3d", "warp-lang", "mediapipe"} <= set(PACKAGES)
    assert all(f"{name} {versions()[name]}" in made_with() for name in PACKAGES)
    assert source_hash(HOME) in made_with()


def test_a_stage_of_other_sources_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for made in ("carve 1 aaa", "carve 1 bbb", "carve 1 aaa"):
        monkeypatch.setattr(runner, "made_with", lambda made=made: made)
        run = StageRunner(0)
        monkeypatch.setattr(StageRunner, "_run", lambda self, stage, function, inputs: function(*inputs))
        run.seconds["observe"] = run.memory["observe"] = 0.0
        run("observe", dict, dict)
        prints.append(run.prints["observe"])
    assert prints[0] == prints[2] != prints[1]
