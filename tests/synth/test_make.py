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
from carve.io.archive import as_plain
from carve.synth.make import Plan, make_people, make_person, open_maker, split_of
from carve.synth.people.landmarks import landmark_names
from carve.synth.photo.augmentation import Motion, draw_motion
from carve.synth.records import PARTS, View
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.samples.fitted_body import FitErrors, FittedBodies
from carve.synth.store.shard_reader import open_shards

PLAN = Plan(people=2, seed=7, views=2, close=1, drapes=0, samples=(2000, 2000, 1000), block=1)


def make(assets: Path, out: Path, workers: int) -> Path:
    """The data set of PLAN, without what is bad."""
    return make_people(assets, out, None, PLAN, workers, True, lambda *_: None).parent


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


@pytest.fixture(scope="module")
def broken(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assets, one garment of which is damaged, and few motions, which take long to read."""
    folder = tmp_path_factory.mktemp("broken") / "assets"
    shutil.copytree(pack, folder, ignore=shutil.ignore_patterns("tools", "cmu_[1-9]*.bvh"))
    assert list(folder.rglob("*.bvh"))
    (folder / "garments" / "Coat" / "garment.npz").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def made(broken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in a block each, by one worker."""
    return make(broken, tmp_path_factory.mktemp("synth") / "data", 1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person made without any assets and without distances."""
    plan = Plan(people=1, seed=30, views=1, close=0, drapes=0, distances=False)
    return make_people(None, tmp_path_factory.mktemp("plain") / "data", None, plan, 1, False, lambda *_: None).parent


def test_the_data_set_is_complete(made: Path) -> None:
    header = json.loads((made / "dataset.json").read_text())
    assert header["people"] == 2
    assert header["settings"]["distances"] is True
    assert list(header["settings"]["refused"]) == ["Coat"]
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


def test_bytes_do_not_depend_on_workers_and_finished_shards_stay(made: Path, broken: Path, tmp_path: Path) -> None:
    """One shard is taken away; two workers make it again without touching the other, byte by byte the same."""
    copy = tmp_path / "data"
    shutil.copytree(made, copy)
    before = digests(copy)
    (copy / "train-00001.tar").unlink()
    (copy / "dataset.json").unlink()
    stamp = (copy / "train-00000.tar").stat().st_mtime_ns
    make(broken, copy, 2)
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
def test_a_person_made_alone_and_without_distances_is_otherwise_the_same(made: Path, broken: Path) -> None:
    """That the distances are the same too, the bytes say."""
    alone = make_person(open_maker(broken, replace(PLAN, distances=False), None, skip_bad=True), 1)
    shards = open_shards(made, "train")
    expected = shards.arrays(1)
    spaces = {f"{space}_{name}" for space in ("canonical", "posed") for name in ("surface", "normal", "points", "distance")}
    assert set(expected) - set(alone.arrays) == spaces | {"outer_vertices", "outer_faces", "outer_layer"}
    for name, values in alone.arrays.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    info, other = json.loads(json.dumps(as_plain(alone.info))), shards.person(1)
    assert info.pop("outer") == {}
    assert other.pop("outer")
    assert info == other
    for v, view in enumerate(alone.views):
        for name in ("albedo", "sun_free", "normal", "normal_back", "body_normal", "depth", "coverage"):
            np.testing.assert_array_equal(getattr(shards.view(1, v), name), getattr(view, name), err_msg=name)


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


def test_options_reach_the_maker(
    pack: Path, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a bad garment is refused by name, or left out on request, which is said."""
    asked: list[tuple[bool, bool]] = []

    def note(assets: Path, folder: Path, library: Path | None, plan: Plan, workers: int, skip_bad: bool, report: object) -> Path:
        asked.append((plan.distances, skip_bad))
        return folder / "dataset.json"

    monkeypatch.setattr("carve.synth.make.make_people", note)
    command = ["synth", "make", "--out", str(tmp_path / "data"), "--people", "1", "--drapes", "0", "--assets"]
    assert run([*command, str(pack), "--quiet"]) == run([*command, str(pack), "--no-distances", "--quiet"]) == 0
    capsys.readouterr()
    assert run([*command, str(broken), "--quiet"]) == UNUSABLE
    message = capsys.readouterr().err
    assert "Coat" in message
    assert "garment.npz" in message
    assert run([*command, str(broken), "--skip-bad"]) == 0
    assert "Coat is left out" in " ".join(capsys.readouterr().err.split())
    assert asked == [(True, False), (False, False), (True, True)]


@pytest.mark.parametrize("which", ["made", "plain"])
def test_sheets_are_written(
    which: str, request: pytest.FixtureRequest, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without distances, of the triangles that are shown."""
    out, people = tmp_path / "sheet.png", 2 if which == "made" else 1
    command = ["synth", "sheet", str(request.getfixturevalue(which)), "--assets", str(pack), "--out", str(out), "--size", "96"]
    assert run([*command, "--people", str(people)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "sheet_1.png")
    assert (tmp_path / "sheet_1.png").stat().st_size > 10_000 * people


def test_bad_input_is_one_line_and_leaves_nothing(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    assert run(["synth", "make", "--assets", str(tmp_path / "none"), "--out", str(out), "--people", "1"]) == UNUSABLE
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not out.exists()
    assert run(["synth", "sheet", str(tmp_path), "--assets", str(pack), "--out", str(tmp_path / "s.png")]) == UNUSABLE
    assert "dataset.json" in capsys.readouterr().err


def test_people_without_any_assets_wear_what_the_tailor_makes(plain: Path) -> None:
    shards = open_shards(plain, "train")
    names = [layer["name"] for layer in shards.person(0)["layers"]]
    assert "own-eyes" in names
    assert sum(name.startswith("tailor-") for name in names) >= 2
    view = shards.view(0, 0)
    cloth = np.isin(view.part, [PARTS.index(part) for part in ("top", "bottom", "dress", "coat", "suit", "shoes")])
    assert cloth.sum() > 0.5 * (view.coverage > 127).sum()
    header = json.loads((plain / "dataset.json").read_text())
    assert header["licences"] == []
    assert header["settings"]["distances"] is False
