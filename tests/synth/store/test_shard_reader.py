"""What was written is read, and what is broken is refused by name."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.store.shard_reader import open_shards
from carve.synth.store.shards import finish, write_block
from synth.noise_people import assert_equal, data_set, person, view


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
        (whole[: len(whole) // 2], "is cut off"),
        (b"no tar at all" * 100, "cannot be read"),
        ((tmp_path / "train-00000.tar").read_bytes(), r"lacks the member 'person-000003\.json'"),
    ):
        (tmp_path / "train-00001.tar").write_bytes(content)
        with pytest.raises(CarveError, match=rf"train-00001\.tar {why}"):
            open_shards(tmp_path, "train", verify=False)
    (tmp_path / "train-00001.tar").unlink()
    for verify in (True, False):
        with pytest.raises(CarveError, match=r"train-00001\.tar (cannot be read|does not exist)"):
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
