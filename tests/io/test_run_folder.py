"""Records survive their files; output folders are refused, resumed, published at once or left alone."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carve.io.archive import fingerprint, load_meta, load_record, save_record
from carve.io.run_folder import OUTPUT_FILES, RunFolder, to_json, writing
from carve.records import Avatar, BodyFit, CarveError, Observation, PosedSurface, TexturedSurface
from people import capsule_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return capsule_avatar()


def assert_same(a: Any, b: Any) -> None:
    """Equal in type and content, through nested records."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("name", ["observation", "body", "normals", "textured"])
def test_records_come_back_equal(tmp_path: Path, avatar: Avatar, name: str) -> None:
    record = getattr(avatar, name)
    save_record(tmp_path / "a.npz", record, {"seconds": 1.5})
    assert_same(load_record(tmp_path / "a.npz", type(record)), record)
    assert load_meta(tmp_path / "a.npz") == {"seconds": 1.5}


def test_what_an_earlier_version_kept_too_is_left_aside(tmp_path: Path, avatar: Avatar) -> None:
    earlier = dataclasses.make_dataclass("Earlier", [("gone", Any), ("kind", str)], bases=(BodyFit,), frozen=True, kw_only=True)
    record = earlier(**vars(avatar.body), gone=np.ones((3, 2)), kind="old")
    save_record(tmp_path / "a.npz", record, {})
    assert_same(load_record(tmp_path / "a.npz", BodyFit), avatar.body)


def test_the_archive_is_an_npz_without_pickle(tmp_path: Path, avatar: Avatar) -> None:
    save_record(tmp_path / "a.npz", avatar.body, {})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["skeleton.heads"], avatar.body.skeleton.heads)


def test_equal_records_give_equal_files(tmp_path: Path, avatar: Avatar) -> None:
    for name in ("a.npz", "b.npz"):
        save_record(tmp_path / name, avatar.body, {})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_records_that_the_reader_holds_are_only_named(tmp_path: Path, avatar: Avatar) -> None:
    known = {"photo": avatar.observation.photo}
    save_record(tmp_path / "a.npz", avatar.observation, {}, known)
    with np.load(tmp_path / "a.npz") as arrays:
        assert "photo.pixels" not in arrays
    assert load_record(tmp_path / "a.npz", Observation, known).photo is known["photo"]


def test_fingerprints_follow_the_content(avatar: Avatar) -> None:
    body = avatar.body
    copy = dataclasses.replace(body, posed=body.posed.copy())
    moved = dataclasses.replace(body, posed=body.posed + 1e-9)
    renamed = dataclasses.replace(body, model="other")
    assert fingerprint(copy) == fingerprint(body)
    assert len({fingerprint(body), fingerprint(moved), fingerprint(renamed)}) == 3
    assert fingerprint(np.zeros(4, np.float32)) != fingerprint(np.zeros(2, np.float64))


def test_a_damaged_archive_counts_as_absent(tmp_path: Path, avatar: Avatar) -> None:
    with RunFolder(tmp_path / "out") as folder:
        folder.save("fit_body", avatar.body, {"seconds": 1}, {})
        file = folder.stages / "fit_body.npz"
        file.write_bytes(file.read_bytes()[:-300])
        assert folder.meta("fit_body") is None
        assert folder.load("fit_body", BodyFit, {}) is None
        folder.save("refine", avatar.surface, {}, {})
        assert folder.load("refine", TexturedSurface, {}) is None
        assert isinstance(folder.load("refine", PosedSurface, {}), PosedSurface)


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for existing in ("refuse", "resume"):
        with pytest.raises(CarveError, match="not empty"):
            RunFolder(tmp_path, existing)
    with RunFolder(tmp_path, "overwrite"):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_earlier_run_needs_a_word(tmp_path: Path, avatar: Avatar) -> None:
    with RunFolder(tmp_path) as folder:
        folder.save("fit_body", avatar.body, {}, {})
    with pytest.raises(CarveError, match="--resume"):
        RunFolder(tmp_path)
    RunFolder(tmp_path, "resume")
    RunFolder(tmp_path, "overwrite")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(CarveError, match="is a file"):
        RunFolder(tmp_path / "out", "overwrite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CarveError, match="not writable"), RunFolder(tmp_path / "out"):
        pass
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "not writable"), (errno.EIO, "cannot be written")],
)
def test_the_system_s_refusals_become_one_sentence(tmp_path: Path, number: int, says: str) -> None:
    with pytest.raises(CarveError, match=says) as error, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "\n" not in str(error.value)


def test_a_read_only_place_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(CarveError, match="not writable"), RunFolder(tmp_path / "new" / "out"):
        pass
    assert not list(tmp_path.iterdir())


def test_outputs_appear_together(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out") as folder:
        with folder.publishing() as files:
            for name in OUTPUT_FILES:
                (files / name).write_text("new")
            assert not (tmp_path / "out" / "avatar.glb").exists()
        assert {file.name for file in folder.path.iterdir()} == {*OUTPUT_FILES, "stages"}
        assert not (folder.stages / ".pending").exists()


def test_a_failure_while_writing_leaves_the_old_outputs(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out") as folder:
        for content in ("old", "new"):
            try:
                with folder.publishing() as files:
                    (files / "avatar.glb").write_text(content)
                    if content == "new":
                        raise OSError(errno.ENOSPC, "No space left on device")
                    (files / "report.json").write_text(content)
            except CarveError as error:
                assert "is full" in str(error)
        assert (folder.path / "avatar.glb").read_text() == "old"
        assert (folder.path / "report.json").read_text() == "old"
        assert not (folder.stages / ".pending").exists()


def test_outputs_of_an_earlier_run_do_not_stay_beside_new_ones(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out") as folder:
        for names in (["avatar.glb", "avatar.ply", "report.json"], ["avatar.glb", "report.json"]):
            with folder.publishing() as files:
                for name in names:
                    (files / name).write_text("")
        assert not (folder.path / "avatar.ply").exists()


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="no person"), RunFolder(tmp_path / "some" / "where"):
        raise CarveError("no person")
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_interrupted_later_keeps_its_stages(tmp_path: Path, avatar: Avatar) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "out") as folder:
        folder.save("fit_body", avatar.body, {"seconds": 1}, {})
        raise KeyboardInterrupt
    assert RunFolder(tmp_path / "out", "resume").meta("fit_body") == {"seconds": 1}


def test_a_disk_that_fills_up_leaves_no_half_stage(tmp_path: Path, avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFolder(tmp_path / "out") as folder:
        monkeypatch.setattr(np.lib.format, "write_array", full)
        with pytest.raises(CarveError, match="is full"):
            folder.save("fit_body", avatar.body, {}, {})
        assert {file.name for file in folder.stages.iterdir()} == {"run.json", ".lock"}


def test_json_is_readable_by_every_parser() -> None:
    text = to_json({"a": np.float64("nan"), "b": [np.inf, np.array([1.0, np.nan])], "c": np.int64(3), "d": Path("x")})
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {"a": None, "b": [None, [1.0, None]], "c": 3, "d": "x"}
