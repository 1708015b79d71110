from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from carve.app.cli import run
from carve.app.export import FORMATS
from carve.export.folder import STAGE_RECORDS, read_avatar
from carve.export.options import Format
from carve.gltf.reader import read_glb
from carve.io.archive import save_record
from carve.io.run_folder import to_json
from carve.records import CarveError
from carve.settings import STAGES
from naked_bodies import naked_avatar
from optional import needs


@pytest.fixture(scope="module")
def folder(anny_body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves: the stages' records that an export needs, and the report."""
    avatar = naked_avatar(anny_body)
    path = tmp_path_factory.mktemp("run") / "out"
    stages = path / "stages"
    stages.mkdir(parents=True)
    surface = avatar.textured.surface
    known = {"photo": avatar.observation.photo}
    records = {
        "observe": avatar.observation,
        "fit_face": avatar.body,
        "normals": avatar.normals,
        "canonical": surface.canonical,
        "refine": surface,
        "texture": avatar.textured,
        "rig": avatar,
    }
    for name, record in records.items():
        save_record(stages / f"{name}.npz", record, {"stage": name}, known)
        known[name] = record
    (path / "report.json").write_text(to_json({**avatar.report, "photo": {"name": "naked"}}))
    return path


def test_formats_are_those_of_the_options() -> None:
    assert get_args(Format) == FORMATS


def test_a_finished_folder_is_read_back(folder: Path, anny_body) -> None:
    avatar, made = read_avatar(folder), naked_avatar(anny_body)
    np.testing.assert_array_equal(avatar.surface.vertices, made.surface.vertices)
    np.testing.assert_array_equal(avatar.body.canonical, made.body.canonical)
    assert avatar.observation.photo.name == "naked" and avatar.report["licences"]


def test_export_writes_what_is_asked_for(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.glb"
    assert (
        run(
            ["export", str(folder), "--to", "glb", "--skeleton", "mixamo", "--blendshapes", "none", "--copyright", "Ann", "--out", str(out)]
        )
        == 0
    )
    assert capsys.readouterr().out.strip() == str(out)
    scene = read_glb(out)
    assert "LeftArm" in scene.skeleton.names and scene.document.asset.copyright == "Ann"
    assert run(["export", str(folder), "--to", "vrm", "--vrm-author", "A", "--vrm-licence", "https://vrm.dev/licenses/1.0/"]) == 0
    assert read_glb(folder / "avatar.vrm").document.extensions["VRMC_vrm"]["meta"]["name"] == "naked"


def test_levels_of_detail_come_as_three_files(folder: Path, tmp_path: Path) -> None:
    needs("meshoptimizer")
    assert run(["export", str(folder), "--to", "lod", "--blendshapes", "none", "--out", str(tmp_path / "a.glb")]) == 0
    counts = [len(read_glb(tmp_path / f"a_lod{level}.glb").faces) for level in range(3)]
    assert counts[0] > counts[1] > counts[2] and counts[1] <= 20_000 and counts[2] <= 8_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "obj"], "--to cannot be"),
        (["--to", "glb", "--triangles", "10"], "--triangles 10"),
        (["--to", "glb", "--skeleton", "ghost"], "vrm, mixamo, unreal"),
        (["--to", "glb", "--rest", "star"], "--rest cannot be"),
        (["--to", "glb", "--blendshapes", "all"], "arkit, none"),
        (["--to", "glb", "--compress", "zip"], "none, meshopt, draco"),
        (["--to", "glb", "--texture-size", "1"], "--texture-size 1"),
        (["--to", "vrm"], "--vrm-author"),
        (["--to", "vrm", "--vrm-author", "A"], "--vrm-licence"),
    ],
)
def test_bad_options_get_one_line(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert run(["export", str(folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == before


def test_reconstruct_refuses_them_before_it_reads_the_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--triangles", "10"], ["--skeleton", "ghost"], ["--vrm"], ["--vrm", "--vrm-author", "A"]):
        assert run(["reconstruct", str(tmp_path / "no.jpg"), "--out", str(tmp_path / "out"), *option]) == 2
        assert "no.jpg" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CarveError, match="no finished output folder"):
        read_avatar(tmp_path)
    broken = tmp_path / "broken"
    (broken / "stages").mkdir(parents=True)
    (broken / "stages" / "rig.npz").write_bytes(b"no")
    (broken / "report.json").write_text(json.dumps({"photo": {"name": "x"}}))
    with pytest.raises(CarveError, match="damaged"):
        read_avatar(broken)


def test_every_stage_with_a_record_that_an_export_needs_is_known() -> None:
    assert set(STAGE_RECORDS) == set(STAGES) - {"evidence", "normals", "rig"}
