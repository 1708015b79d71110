"""A small data set from end to end: files, determinism, resumption, truth, sheets, errors of the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from carve.app.cli import UNUSABLE, run
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin
from carve.synth.dataset import SyntheticPhotos
from carve.synth.make import BLOCK, Plan, landmark_names, make_person, open_maker, split_of
from carve.synth.shard_reader import open_shards

SMALL = ["--views", "2", "--drapes", "0", "--quiet"]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


@pytest.fixture(scope="module")
def made(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block of people and one more, by two workers."""
    out = tmp_path_factory.mktemp("synth") / "data"
    command = ["synth", "make", "--assets", str(pack), "--out", str(out), "--people", str(BLOCK + 1), "--seed", "5", "--workers", "2"]
    assert run([*command, *SMALL]) == 0
    return out


def test_the_data_set_is_complete(made: Path) -> None:
    header = json.loads((made / "dataset.json").read_text())
    assert header["people"] == BLOCK + 1
    assert header["splits"]["val"]["people"] == sum(split_of(i) == "val" for i in range(BLOCK + 1))
    assert not list(made.rglob("*.part"))
    train, val = open_shards(made, "train"), open_shards(made, "val")
    assert len(train) == 2 * header["splits"]["train"]["people"]
    assert not set(train.people()) & set(val.people())


def test_canonical_skinned_is_posed(made: Path) -> None:
    shards = open_shards(made, "train")
    for person in range(2):
        arrays = shards.arrays(person)
        posed = skin(arrays["canonical"].astype(float), arrays["transforms"], arrays["bones"].astype(int), arrays["weights"].astype(float))
        assert np.abs(posed - arrays["posed"]).max() < 1e-5


def test_signed_samples_agree_with_the_stored_surface(made: Path) -> None:
    arrays = open_shards(made, "train").arrays(0)
    queries = MeshQueries(arrays["outer_vertices"], arrays["outer_faces"], winding=True)
    assert queries.nearest(arrays["canonical_surface"]).distance.max() < 1e-5
    distance = queries.signed_distance(arrays["canonical_points"])
    far = np.abs(arrays["canonical_distance"]) > 1e-4
    assert np.abs(distance - arrays["canonical_distance"])[far].max() < 1e-4


def test_the_loader_draws_from_it(made: Path, pack: Path) -> None:
    photos = SyntheticPhotos(made, "train", pack, size=256)
    item = photos[0]
    assert item["image"].shape == (3, 256, 256)
    inner = item["mask"][0] > 0
    length = item["normal_front"].norm(dim=0)
    assert (length[inner] - 1).abs().max() < 1e-3
    assert inner.float().mean() > 0.05
    assert item["landmarks"].shape[0] == len(landmark_names())


def test_a_person_does_not_depend_on_who_else_is_made(made: Path, pack: Path) -> None:
    """The last person, made alone in this process, is the one that a worker made after others."""
    plan = Plan(BLOCK + 1, seed=5, views=2, drapes=0)
    alone = make_person(open_maker(pack, plan, None), BLOCK)
    shards = open_shards(made, "train")
    there = shards.people().index(alone.key)
    for name, values in shards.arrays(there).items():
        np.testing.assert_array_equal(values, alone.arrays[name], err_msg=name)
    view = shards.view(there, 1)
    np.testing.assert_array_equal(view.albedo, alone.views[1].albedo)
    np.testing.assert_array_equal(view.sun_free, alone.views[1].sun_free)


def test_a_missing_shard_is_made_again_the_same(made: Path, pack: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(made, copy)
    before = digests(copy)
    last = sorted(copy.glob("*.tar"))[-1]
    stamps = {path.name: path.stat().st_mtime_ns for path in copy.glob("*.tar") if path != last}
    last.unlink()
    (copy / "dataset.json").unlink()
    command = ["synth", "make", "--assets", str(pack), "--out", str(copy), "--people", str(BLOCK + 1), "--seed", "5", "--workers", "1"]
    assert run([*command, *SMALL]) == 0
    assert digests(copy) == before
    assert all((copy / name).stat().st_mtime_ns == stamp for name, stamp in stamps.items())


def test_sheets_are_written(made: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert run(["synth", "sheet", str(made), "--assets", str(pack), "--out", str(out), "--people", "3", "--size", "96"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "sheet_1.png")
    assert (tmp_path / "sheet_1.png").stat().st_size > 20_000


def test_bad_input_is_one_line_and_leaves_nothing(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    assert run(["synth", "make", "--assets", str(tmp_path / "none"), "--out", str(out), "--people", "1"]) == UNUSABLE
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not out.exists()
    assert run(["synth", "sheet", str(tmp_path), "--assets", str(pack), "--out", str(tmp_path / "s.png")]) == UNUSABLE
    assert "dataset.json" in capsys.readouterr().err


def test_a_bad_garment_is_refused_by_name_or_left_out_on_request(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "assets"
    shutil.copytree(pack, broken, ignore=shutil.ignore_patterns("tools"))
    (broken / "garments" / "Coat" / "garment.npz").write_bytes(b"nothing")
    command = ["synth", "make", "--assets", str(broken), "--out", str(tmp_path / "data"), "--people", "1", "--workers", "1", *SMALL]
    assert run(command) == UNUSABLE
    message = capsys.readouterr().err
    assert "Coat" in message
    assert "garment.npz" in message
    assert run([*command, "--skip-bad"]) == 0
    header = json.loads((tmp_path / "data" / "dataset.json").read_text())
    assert list(header["settings"]["refused"]) == ["Coat"]
