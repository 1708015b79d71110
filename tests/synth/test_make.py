"""A small data set from end to end: files, determinism, resumption, truth, sheets, errors of the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from carve.app.cli import UNUSABLE, run
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin
from carve.synth.make import Plan, make_people, make_person, open_maker, split_of
from carve.synth.people.landmarks import landmark_names
from carve.synth.photo.augmentation import Motion, draw_motion
from carve.synth.records import PARTS, View
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.samples.fitted_body import FitErrors, FittedBodies
from carve.synth.store.shard_reader import open_shards

PLAN = Plan(people=2, seed=5, views=2, close=1, drapes=0, samples=(2000, 2000, 1000), block=1)


def make(pack: Path, out: Path, workers: int) -> Path:
    """The data set of PLAN."""
    return make_people(pack, out, None, PLAN, workers, False, lambda *_: None).parent


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


@pytest.fixture(scope="module")
def made(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in a block each, by one worker."""
    return make(pack, tmp_path_factory.mktemp("synth") / "data", 1)


def test_the_data_set_is_complete(made: Path) -> None:
    header = json.loads((made / "dataset.json").read_text())
    assert header["people"] == 2
    assert header["licences"]
    assert not list(made.rglob("*.part"))
    shards = open_shards(made, "train")
    assert len(shards) == 6
    assert len(digests(made)) == 2
    for person in range(2):
        info = shards.person(person)
        assert info["inside"]["canonical"] < 0.03
        assert info["inside"]["posed"] < 0.01
        assert {layer["part"] for layer in info["layers"]} >= {"skin", "eyes"}


def test_every_tenth_person_is_for_validation() -> None:
    assert [i for i in range(40) if split_of(i) == "val"] == [9, 19, 29, 39]


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


def test_bytes_do_not_depend_on_workers_and_finished_shards_stay(made: Path, pack: Path, tmp_path: Path) -> None:
    """One shard is taken away; two workers make it again without touching the other, byte by byte the same."""
    copy = tmp_path / "data"
    shutil.copytree(made, copy)
    before = digests(copy)
    (copy / "train-00001.tar").unlink()
    (copy / "dataset.json").unlink()
    stamp = (copy / "train-00000.tar").stat().st_mtime_ns
    make(pack, copy, 2)
    assert digests(copy) == before
    assert (copy / "train-00000.tar").stat().st_mtime_ns == stamp


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the workers: sums of several threads may differ in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_person_made_alone_is_the_same(made: Path, pack: Path) -> None:
    alone = make_person(open_maker(pack, PLAN, None), 1)
    shards = open_shards(made, "train")
    for name, values in shards.arrays(1).items():
        np.testing.assert_array_equal(values, alone.arrays[name], err_msg=name)
    np.testing.assert_array_equal(shards.view(1, 1).albedo, alone.views[1].albedo)
    np.testing.assert_array_equal(shards.view(1, 1).sun_free, alone.views[1].sun_free)


def test_a_fitted_body_without_errors_is_the_stored_one(made: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through mirroring and turning: a wrong sign anywhere between the shards and the sample would show."""
    motions: list[Motion] = []

    def draw(view: View, rng: np.random.Generator, windows: float) -> Motion:
        motions.append(draw_motion(view, rng, windows))
        return motions[-1]

    exact = FitErrors(tilt=0.0, turn=0.0, twist=0.0, shift=0.0, girth=0.0)
    monkeypatch.setattr("carve.synth.samples.dataset.FittedBodies", lambda body, anatomy: FittedBodies(body, exact))
    monkeypatch.setattr("carve.synth.photo.photograph.draw_motion", draw)
    photos = SyntheticPhotos(made, "train", pack, size=256, fields=("body_normal_front", "body_normal_back"), observed=True)
    pooled = lambda values: torch.nn.functional.avg_pool2d(values, 2)  # noqa: E731
    for i in range(8):
        item = photos.draw(i % 4, i)
        mask, known = pooled(item["mask"])[0] == 1, pooled(item["body_mask"])[0]
        for side in ("front", "back"):
            stored, found = pooled(item[f"body_normal_{side}"]), item[f"fitted_normal_{side}"]
            there = found.norm(dim=0) > 0
            # Stored normals are continued a few pixels beyond the body's outline, as far as the mask goes.
            assert (known > 0)[there & mask].float().mean() > 0.995
            near = torch.nn.functional.max_pool2d(there[None].float(), 5, 1, 2)[0] > 0
            assert near[known == 1].float().mean() > 0.99
            inner = (stored.norm(dim=0) > 0.97) & there
            assert inner.sum() > 0.6 * (known == 1).sum()
            angle = torch.rad2deg((found - stored / stored.norm(dim=0).clamp(min=1e-6)).norm(dim=0)[inner])
            assert angle.mean() < 3, (side, motions[-1])
    assert {m.flip for m in motions} == {True, False}
    assert any(m.angle for m in motions)


def test_without_distances_all_else_is_the_same(made: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And sheets are still drawn: of the triangles that are shown."""
    plan = replace(PLAN, people=1, distances=False)
    folder = make_people(pack, tmp_path / "data", None, plan, 1, False, lambda *_: None).parent
    assert json.loads((folder / "dataset.json").read_text())["settings"]["distances"] is False
    lean, full = open_shards(folder, "train"), open_shards(made, "train")
    found, expected = lean.arrays(0), full.arrays(0)
    spaces = {f"{space}_{name}" for space in ("canonical", "posed") for name in ("surface", "normal", "points", "distance")}
    assert set(expected) - set(found) == spaces | {"outer_vertices", "outer_faces", "outer_layer"}
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    info, other = lean.person(0), full.person(0)
    assert info.pop("outer") == {}
    assert other.pop("outer")
    assert info == other
    for v in range(2):
        for name in ("albedo", "normal", "normal_back", "body_normal", "depth", "coverage"):
            np.testing.assert_array_equal(getattr(lean.view(0, v), name), getattr(full.view(0, v), name), err_msg=name)
    out = tmp_path / "sheet.png"
    assert run(["synth", "sheet", str(folder), "--assets", str(pack), "--out", str(out), "--people", "1", "--size", "96"]) == 0
    capsys.readouterr()
    assert (tmp_path / "sheet_1.png").stat().st_size > 10_000


def test_the_option_no_distances_reaches_the_plan(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    def note(assets: Path, folder: Path, library: Path | None, plan: Plan, *_: object) -> Path:
        plans.append(plan)
        return folder / "dataset.json"

    monkeypatch.setattr("carve.synth.make.make_people", note)
    command = ["synth", "make", "--assets", str(pack), "--out", str(tmp_path / "data"), "--people", "1", "--drapes", "0", "--quiet"]
    assert run(command) == run([*command, "--no-distances"]) == 0
    assert [plan.distances for plan in plans] == [True, False]


def test_sheets_are_written(made: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert run(["synth", "sheet", str(made), "--assets", str(pack), "--out", str(out), "--people", "2", "--size", "96"]) == 0
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
    command = ["synth", "make", "--assets", str(broken), "--out", str(tmp_path / "data"), "--people", "1", "--workers", "1", "--views", "1"]
    command += ["--drapes", "0", "--quiet"]
    assert run(command) == UNUSABLE
    message = capsys.readouterr().err
    assert "Coat" in message
    assert "garment.npz" in message
    assert run([*command, "--skip-bad"]) == 0
    header = json.loads((tmp_path / "data" / "dataset.json").read_text())
    assert list(header["settings"]["refused"]) == ["Coat"]


def test_people_without_any_assets_wear_what_the_tailor_makes(tmp_path: Path) -> None:
    plan = Plan(people=1, seed=4, views=1, drapes=0, distances=False)
    folder = make_people(None, tmp_path / "data", None, plan, 1, False, lambda *_: None).parent
    shards = open_shards(folder, "train")
    names = [layer["name"] for layer in shards.person(0)["layers"]]
    assert "own-eyes" in names
    assert sum(name.startswith("tailor-") for name in names) >= 2
    view = shards.view(0, 0)
    cloth = np.isin(view.part, [PARTS.index(part) for part in ("top", "bottom", "dress", "coat", "suit", "shoes")])
    assert cloth.sum() > 0.5 * (view.coverage > 127).sum()
    assert json.loads((folder / "dataset.json").read_text())["licences"] == []
