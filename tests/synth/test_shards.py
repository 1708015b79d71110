"""The container: what goes in comes out, the same people give the same bytes, and what is broken is refused by name."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import multiprocessing
import os
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from carve.geometry.camera import Camera
from carve.records import CarveError
from carve.synth import shards
from carve.synth.records import View
from carve.synth.shards import (
    FIELDS,
    Person,
    decode_view,
    encode_png,
    encode_view,
    finish,
    members_of,
    open_shards,
    pack_arrays,
    resume,
    unpack_arrays,
    write_block,
    write_shard,
)

NUMBERS = ("up", "depth_range", "sun_directions", "landmarks")


def view(seed: int = 0, suns: int = 1, size: tuple[int, int] = (20, 13)) -> View:
    """A view of noise, which no lossy step survives."""
    rng, (h, w) = np.random.default_rng(seed), size
    shapes = dict.fromkeys(("coverage", "occlusion", "part", "region", "depth"), (h, w)) | {"sun_free": (h, w, suns)}
    pictures = {
        name: rng.integers(0, 65536 if name == "depth" else 256, shapes.get(name, (h, w, 3))).astype(
            np.uint16 if name == "depth" else np.uint8
        )
        for name in FIELDS
    }
    return View(
        camera=Camera(w, h, 1 / 3, 0.1, 1e-7),
        up=rng.normal(size=3),
        depth_range=(1 / 3, np.pi),
        sun_directions=rng.normal(size=(suns, 3)),
        landmarks=rng.normal(size=(5, 4)),
        **pictures,
    )


def assert_equal(found: View, wanted: View, names: tuple[str, ...] = (*FIELDS, *NUMBERS)) -> None:
    """Bit for bit, with the types."""
    assert found.camera == wanted.camera
    for name in names:
        a, b = np.asarray(getattr(found, name)), np.asarray(getattr(wanted, name))
        assert a.dtype == b.dtype and a.flags.c_contiguous, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def person(index: int, views: int = 2) -> Person:
    """A person whose content follows from the index."""
    rng = np.random.default_rng(index)
    arrays = {"points": rng.normal(size=(7, 3)).astype(np.float32), "faces": rng.integers(0, 7, (4, 3))}
    return Person(
        f"person-{index:06d}", {"index": index, "age": 0.5, "worn": ("coat",)}, arrays, [view(10 * index + v) for v in range(views)]
    )


def block(number: int) -> Iterator[tuple[shards.Split, Person]]:
    """Three people a block; the second of every odd block is for validation."""
    for i in range(3 * number, 3 * number + 3):
        yield ("val" if number % 2 and i % 3 == 1 else "train"), person(i, views=1 + i % 2)


def data_set(folder: Path, blocks: int = 3) -> Path:
    """A finished data set."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [r for b in range(blocks) for r in write_block(folder, b, block(b), "print")]
    finish(folder, records, fingerprint="print", seed=7, settings={"views": 2}, licences=[{"asset": "a"}], credits=["c"])
    return folder


def test_fields_are_all_pictures_of_a_view() -> None:
    assert {*FIELDS, *NUMBERS, "camera"} == {f.name for f in fields(View)}


@pytest.mark.parametrize("suns", [0, 1, 2, 5])
def test_a_view_comes_back_bit_for_bit(suns: int) -> None:
    wanted = view(suns=suns)
    assert_equal(decode_view(encode_view(wanted)), wanted)


@pytest.mark.parametrize("name", FIELDS)
def test_one_field_needs_its_member_only(name: str) -> None:
    wanted, members = view(suns=2), encode_view(view(suns=2))
    needed = members_of([name])
    assert len(needed) == 2
    found = decode_view({m: members[m] for m in needed}, [name])
    assert_equal(found, wanted, (name, *NUMBERS))
    for other in set(FIELDS) - {name}:
        empty = getattr(found, other)
        assert empty.size == 0 and empty.ndim == getattr(wanted, other).ndim and empty.dtype == getattr(wanted, other).dtype


def test_unknown_fields_and_wrong_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="albdeo"):
        decode_view(encode_view(view()), ["albdeo"])
    with pytest.raises(ValueError, match="normal is"):
        encode_view(replace(view(), normal=np.zeros((20, 12, 3), np.uint8)))
    with pytest.raises(ValueError, match="depth is"):
        encode_view(replace(view(), depth=np.zeros((20, 13), np.float32)))
    with pytest.raises(ValueError, match="3 directions for 1 suns"):
        encode_view(replace(view(), sun_directions=np.eye(3)))


@pytest.mark.parametrize("damage", [b"", b"no png"])
def test_a_damaged_picture_is_refused_by_name(damage: bytes) -> None:
    with pytest.raises(CarveError, match=r"bent\.png"):
        decode_view(encode_view(view()) | {"bent.png": damage})
    with pytest.raises(CarveError, match=r"depth\.png"):
        decode_view(encode_view(view()) | {"depth.png": encode_png(np.zeros((3, 3), np.uint16))})


@pytest.mark.parametrize(
    ("shape", "kind"), [((9, 5), np.uint8), ((9, 5, 3), np.uint8), ((9, 5, 4), np.uint8), ((9, 5), np.uint16), ((1, 1), np.uint8)]
)
def test_other_readers_understand_the_pngs(shape: tuple[int, ...], kind: type) -> None:
    picture = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape).astype(kind)
    found = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_UNCHANGED)
    if len(shape) == 3:
        found = found[..., [2, 1, 0, 3][: shape[2]]]
    np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(encode_png(np.asfortranarray(picture)), encode_png(picture))


def test_arrays_come_back_without_pickle() -> None:
    wanted = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "empty": np.zeros((0, 3)), "flag": np.array(True)}
    found = unpack_arrays(pack_arrays(wanted))
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert list(unpack_arrays(pack_arrays(wanted), ["empty"])) == ["empty"]
    np.testing.assert_array_equal(np.load(io.BytesIO(pack_arrays(wanted)), allow_pickle=False)["a"], wanted["a"])
    with pytest.raises(KeyError):
        unpack_arrays(pack_arrays(wanted), ["b"])
    with pytest.raises(ValueError, match="Object arrays"):
        pack_arrays({"o": np.array([None])})
    with pytest.raises(CarveError, match="damaged"):
        unpack_arrays(pack_arrays(wanted)[:-30])


def test_a_data_set_comes_back(tmp_path: Path) -> None:
    data_set(tmp_path)
    train, val = open_shards(tmp_path, "train"), open_shards(tmp_path, "val")
    assert train.people() == tuple(f"person-{i:06d}" for i in (0, 1, 2, 3, 5, 6, 7, 8)) and val.people() == ("person-000004",)
    pairs = [train.pair(i) for i in range(len(train))]
    assert pairs == [(p, v) for p, i in enumerate((0, 1, 2, 3, 5, 6, 7, 8)) for v in range(1 + i % 2)]
    for p, v in pairs:
        index = int(train.people()[p][-6:])
        assert train.person(p) == {"index": index, "age": 0.5, "worn": ["coat"]} and train.views(p) == 1 + index % 2
        assert_equal(train.view(p, v), view(10 * index + v))
        np.testing.assert_array_equal(train.arrays(p)["points"], person(index).arrays["points"])
    assert list(val.arrays(0, ["faces"])) == ["faces"]
    assert_equal(val.view(0, 0, ["depth"]), view(40), ("depth",))
    for wrong in (-1, len(train)):
        with pytest.raises(IndexError):
            train.pair(wrong)
    assert train.header["splits"]["train"] == {"people": 8, "views": len(train), "shards": 3}
    assert (train.header["seed"], train.header["settings"], train.header["people"], train.header["credits"]) == (7, {"views": 2}, 9, ["c"])


def test_a_split_without_people_is_empty(tmp_path: Path) -> None:
    data_set(tmp_path, blocks=1)
    val = open_shards(tmp_path, "val")
    assert len(val) == 0 and val.people() == ()
    with pytest.raises(IndexError):
        val.pair(0)


def test_a_person_without_views_has_no_pairs(tmp_path: Path) -> None:
    records = write_block(tmp_path, 0, (("train", person(i, views)) for i, views in enumerate((1, 0, 2))), "print")
    finish(tmp_path, records, fingerprint="print", seed=0, settings={})
    found = open_shards(tmp_path, "train")
    assert [found.pair(i) for i in range(len(found))] == [(0, 0), (2, 0), (2, 1)]


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
    def stopped() -> Iterator[tuple[shards.Split, Person]]:
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


def test_a_full_disk_ends_in_one_sentence_and_leaves_what_was_finished(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    data_set(tmp_path, blocks=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    (tmp_path / "val-00001.tar.part").symlink_to("/dev/full")
    with pytest.raises(CarveError, match=r"^The disk of .* is full; make room and start again, the finished shards are kept\.$"):
        write_block(tmp_path, 1, block(1), "print")
    (tmp_path / "progress" / "00001.json.part").symlink_to("/dev/full")
    with pytest.raises(CarveError, match="is full"):
        write_block(tmp_path, 1, block(1), "print")
    (tmp_path / "dataset.json.part").symlink_to("/dev/full")
    with pytest.raises(CarveError, match="is full"):
        finish(tmp_path, [], fingerprint="print", seed=0, settings={})
    (tmp_path / "alone.tar.part").symlink_to("/dev/full")
    with pytest.raises(CarveError, match="is full"):
        write_shard(tmp_path / "alone.tar", [person(1)])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert not list(tmp_path.rglob("*.part")) and list(resume(tmp_path, "print")) == [0]


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


@pytest.mark.parametrize("name", ["train-00001.tar", "train-00000.tar"])
def test_a_changed_shard_is_refused_by_name(tmp_path: Path, name: str) -> None:
    data_set(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CarveError, match=rf"{name} is not the shard"):
        open_shards(tmp_path, "train")
    assert len(open_shards(tmp_path, "val")) == 1  # the other split is whole
    assert len(open_shards(tmp_path, "train", verify=False)) > 0


def test_missing_torn_and_exchanged_shards_are_refused_by_name_without_reading_them(tmp_path: Path) -> None:
    data_set(tmp_path)
    whole = (tmp_path / "train-00001.tar").read_bytes()
    for content, why in (
        (whole[: len(whole) // 2], "is no tar file"),
        (b"no tar at all" * 100, "is no tar file"),
        ((tmp_path / "train-00000.tar").read_bytes(), r"lacks the member 'person-000003\.json'"),
    ):
        (tmp_path / "train-00001.tar").write_bytes(content)
        with pytest.raises(CarveError, match=rf"train-00001\.tar {why}"):
            open_shards(tmp_path, "train", verify=False)
    (tmp_path / "train-00001.tar").unlink()
    for verify in (True, False):
        with pytest.raises(CarveError, match=r"train-00001\.tar cannot be read \(No such file"):
            open_shards(tmp_path, "train", verify=verify)


def test_a_shard_that_vanishes_or_shrinks_later_is_named(tmp_path: Path) -> None:
    found = open_shards(data_set(tmp_path), "val")
    (tmp_path / "val-00001.tar").write_bytes(b"")
    with pytest.raises(CarveError, match=r"val-00001\.tar is shorter"):
        found.view(0, 0)
    (tmp_path / "val-00001.tar").unlink()
    with pytest.raises(CarveError, match=r"val-00001\.tar cannot be read"):
        found.person(0)


def test_headers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match=r"has no dataset\.json"):
        open_shards(tmp_path, "train")
    header = json.loads((data_set(tmp_path) / "dataset.json").read_text())
    shard = header["shards"][0]
    for wrong, why in (
        ("{", "not a JSON object"),
        ([], "not a JSON object"),
        (header | {"format": 2}, "has format 2"),
        ({k: v for k, v in header.items() if k != "format"}, "has format None"),
        (header | {"shards": None}, "malformed list"),
        (header | {"shards": [shard | {"file": "../train-00000.tar"}]}, "malformed list"),
        (header | {"shards": [shard | {"views": [1]}]}, "malformed list"),
        (header | {"shards": [shard | {"more": 1}]}, "malformed list"),
        (header | {"shards": [{k: v for k, v in shard.items() if k != "keys"}]}, "malformed list"),
    ):
        (tmp_path / "dataset.json").write_text(wrong if isinstance(wrong, str) else json.dumps(wrong))
        with pytest.raises(CarveError, match=rf"dataset\.json .*{why}"):
            open_shards(tmp_path, "train")


def test_a_set_may_be_pickled_and_read_elsewhere(tmp_path: Path) -> None:
    found = open_shards(data_set(tmp_path), "train")
    found.view(0, 0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.starmap(found.view, [(1, 1), (2, 0)])
    assert_equal(there[0], view(11))
    assert_equal(pickle.loads(pickle.dumps(found)).view(2, 0), view(20))


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
