"""Inputs that once ended in a traceback or a wrong result, one of each kind (tests/cases, CC0): read right or refused in one line."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from carve.app.cli import UNUSABLE, run
from carve.io.image import read_photo
from carve.io.run_folder import RunFolder
from carve.records import BodyFit
from carve.runner import StageRunner
from people import capsule_avatar

CASES = Path(__file__).parent / "cases"
NOTE = "The kept stage '{}' could not be read and was made again."


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command line says of input that it refuses: one line, exit code 2."""
    assert run([str(a) for a in arguments]) == UNUSABLE
    err = capsys.readouterr().err
    assert err.startswith("carve: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("deep_json.glb", "nested too deeply"),
        ("hips_without_leg.glb", "cannot use"),
        ("nan_uv.glb", "not finite"),
        ("draco_avatar.glb", "KHR_draco_mesh_compression"),
    ],
)
@pytest.mark.parametrize("command", ["animate", "preview"])
def test_avatars(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, says: str, command: str) -> None:
    err = told(capsys, command, CASES / name, "--out", tmp_path / f"out.{'glb' if command == 'animate' else 'png'}")
    assert name in err and says in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "says"), [("frame_time.bvh", "frame time"), ("not_finite.bvh", "has no OFFSET")])
def test_motions(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, says: str) -> None:
    from carve.export.glb import write_avatar_glb

    write_avatar_glb(tmp_path / "avatar.glb", capsule_avatar())
    err = told(capsys, "animate", tmp_path / "avatar.glb", "--motion", CASES / name, "--out", tmp_path / "out.glb")
    assert name in err and says in err
    assert {file.name for file in tmp_path.iterdir()} == {"avatar.glb"}


@pytest.mark.parametrize(("name", "says"), [("damaged.avif", "damaged or cut off"), ("dds_named.jpg", "not a picture that can be read")])
def test_pictures_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, says: str) -> None:
    assert says in told(capsys, "reconstruct", CASES / name, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["exif_transpose.webp", "exif_unit.jpg"])
def test_damaged_exif_stops_no_picture(name: str) -> None:
    assert np.ptp(read_photo(CASES / name).pixels) > 0


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Path(shutil.copy(CASES / "exif_unit.jpg", tmp_path / "photo.jpg"))


@pytest.mark.parametrize(
    ("option", "name"), [("--landmarks", "deep_landmarks.json"), ("--settings", "deep_settings.toml"), ("--body-model", "zip_method.npz")]
)
def test_files_beside_the_photo(capsys: pytest.CaptureFixture[str], photo: Path, option: str, name: str) -> None:
    err = told(capsys, "reconstruct", photo, option, CASES / name, "--out", photo.with_name("out"), "--quiet")
    assert name in err
    assert not photo.with_name("out").exists()


@pytest.mark.parametrize("name", ["stage_meta_keys.npz", "stage_npy_header.npz", "stage_zlib.npz"])
def test_a_damaged_stage_is_made_again(tmp_path: Path, name: str) -> None:
    body = capsule_avatar().body
    with RunFolder(tmp_path / "out") as folder:
        StageRunner(0, folder)("fit_body", BodyFit, lambda: body)
    shutil.copy(CASES / name, tmp_path / "out" / "stages" / "fit_body.npz")
    with RunFolder(tmp_path / "out", "resume") as folder:
        again = StageRunner(0, folder)
        assert again("fit_body", BodyFit, lambda: dataclasses.replace(body, height=1.5)).height == 1.5
        assert again.kept == []
        if name == "stage_meta_keys.npz":  # of the others nothing but the arrays is damaged, and they are of another run
            assert again.warnings == [NOTE.format("fit_body")]
    with RunFolder(tmp_path / "out", "resume") as folder:
        kept = StageRunner(0, folder)
        kept("fit_body", BodyFit, lambda: pytest.fail("made again"))
        assert kept.warnings == []


def test_a_stage_whose_arrays_are_damaged_is_made_again(tmp_path: Path) -> None:
    body = capsule_avatar().body
    with RunFolder(tmp_path / "out") as folder:
        StageRunner(0, folder)("fit_body", BodyFit, lambda: body)
    path = tmp_path / "out" / "stages" / "fit_body.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with RunFolder(tmp_path / "out", "resume") as folder:
        again = StageRunner(0, folder)
        assert again("fit_body", BodyFit, lambda: body) is body
        assert again.warnings == [NOTE.format("fit_body")]


def test_a_shard(tmp_path: Path) -> None:
    from carve.records import CarveError
    from carve.synth.store.shard_reader import open_shards
    from synth.noise_people import data_set

    data_set(tmp_path)
    shutil.copy(CASES / "bad_member.tar", tmp_path / "train-00000.tar")
    for verify in (True, False):
        with pytest.raises(CarveError, match=r"train-00000\.tar"):
            open_shards(tmp_path, "train", verify=verify)
