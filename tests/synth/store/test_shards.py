"""Writing: the same people give the same bytes, a stopped run goes on, a full disk leaves what was finished."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carve.records import CarveError
from carve.synth.store.shard_reader import open_shards
from carve.synth.store.shards import Person, Split, finish, resume, write_block, write_shard
from synth.noise_people import block, data_set, person


def test_the_tar_is_plain_and_says_nothing_of_when_and_who(tmp_path: Path) -> None:
    record = write_shard(tmp_path / "a.tar", [person(3, 1)])
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    assert [m.name for m in members[:3]] == ["person-000003.json", "person-000003.geometry.npz", "person-000003.v0.view.npz"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    data = (tmp_path / "a.tar").read_bytes()
    assert (record.sha256, record.bytes, record.keys, record.views) == (
        hashlib.sha256(data).hexdigest(),
        len(data),
        ("person-000003",),
        (1,),
    )


def make_block(folder: Path, number: int) -> Any:
    """What a worker does."""
    return write_block(folder, number, block(number), "print")


def test_bytes_do_not_depend_on_workers_and_order(tmp_path: Path) -> None:
    one, many = data_set(tmp_path / "one", blocks=4), tmp_path / "many"
    many.mkdir()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        records = pool.starmap(make_block, [(many, b) for b in (3, 1, 0, 2)])
    finish(
        many,
        [r for rs in records for r in rs],
        fingerprint="print",
        seed=7,
        settings={"views": 2},
        licences=[{"asset": "a"}],
        credits=["c"],
    )
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(many) for p in many.rglob("*") if p.is_file()) and len(names) == 4 + 2 + 1 + 4
    assert all((one / n).read_bytes() == (many / n).read_bytes() for n in names)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[Split, Person]]:
        yield "train", person(3)
        yield "val", person(4)
        raise KeyboardInterrupt

    assert resume(tmp_path / "new", "print") == {}
    folder = tmp_path / "new"
    first = write_block(folder, 0, block(0), "print")
    with pytest.raises(KeyboardInterrupt):
        write_block(folder, 1, stopped(), "print")
    assert sorted(p.name for p in folder.iterdir()) == ["progress", "train-00000.tar"]
    (folder / "train-00001.tar.part").write_bytes(b"of a killed run")
    (folder / "progress" / "00001.json.part").write_bytes(b"{")
    assert resume(folder, "print") == {0: first}
    assert not list(folder.rglob("*.part"))
    records = [*first, *write_block(folder, 1, block(1), "print")]
    finish(folder, records, fingerprint="print", seed=7, settings={})
    assert open_shards(folder, "val").people() == ("person-000004",)


def test_blocks_that_are_gone_torn_or_of_other_settings_are_made_anew(tmp_path: Path) -> None:
    data_set(tmp_path, blocks=4)
    assert sorted(resume(tmp_path, "print")) == [0, 1, 2, 3] and (tmp_path / "dataset.json").is_file()
    (tmp_path / "val-00001.tar").unlink()
    (tmp_path / "train-00002.tar").write_bytes(b"short")
    (tmp_path / "progress" / "00003.json").write_text('{"fingerprint": "print", "shards": [{}]}')
    assert sorted(resume(tmp_path, "print")) == [0]
    (tmp_path / "progress" / "00000.json").write_text("{")
    assert resume(tmp_path, "print") == {}
    data_set(tmp_path, blocks=4)
    assert resume(tmp_path, "other") == {} and not (tmp_path / "dataset.json").exists()
    write_block(tmp_path, 1, block(0), "other")  # no validation people now
    assert not (tmp_path / "val-00001.tar").exists() and list(resume(tmp_path, "other")) == [1]


def test_a_full_disk_ends_in_one_sentence_and_leaves_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    data_set(tmp_path, blocks=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    plain, full = Path.open, {"val-00001.tar.part"}

    def opened(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return (
            plain(Path("/dev/full"), mode.replace("x", "w"), *rest, **options) if path.name in full else plain(path, mode, *rest, **options)
        )

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(CarveError, match=r"^The disk of .* is full; make room and start again, the finished shards are kept\.$"):
        write_block(tmp_path, 1, block(1), "print")
    full |= {"00001.json.part"}
    with pytest.raises(CarveError, match="is full"):
        write_block(tmp_path, 1, block(1), "print")
    full |= {"dataset.json.part", "alone.tar.part"}
    with pytest.raises(CarveError, match="is full"):
        finish(tmp_path, [], fingerprint="print", seed=0, settings={})
    with pytest.raises(CarveError, match="is full"):
        write_shard(tmp_path / "alone.tar", [person(1)])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert not list(tmp_path.rglob("*.part")) and list(resume(tmp_path, "print")) == [0]


def test_links_that_lie_where_files_are_made_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("dear")
    (tmp_path / "progress").mkdir()
    for name in ("val-00001.tar.part", "progress/00001.json.part"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    write_block(tmp_path, 1, block(1), "print")
    assert (tmp_path / "victim").read_text() == "dear"


def test_a_disk_that_fills_at_the_last_step_leaves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CarveError, match="is full"):
        write_block(tmp_path, 0, block(1), "print")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "train-00000.tar.part").mkdir()
    with pytest.raises(IsADirectoryError):
        write_block(tmp_path, 0, block(0), "print")


def test_keys_must_be_usable_and_unique(tmp_path: Path) -> None:
    for people in ([replace(person(0), key="a.b")], [replace(person(0), key="../a")], [person(0), person(0)]):
        with pytest.raises(ValueError, match="usable key"):
            write_shard(tmp_path / "a.tar", people)
    records = [*write_block(tmp_path, 0, block(0), "print"), *write_block(tmp_path, 1, block(0), "print")]
    with pytest.raises(ValueError, match="same key"):
        finish(tmp_path, records, fingerprint="print", seed=0, settings={})
    with pytest.raises(ValueError, match="different settings"):
        finish(tmp_path, records[:1], fingerprint="other", seed=0, settings={})
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "a.tar").exists()
