"""Items of the data set: what they hold, and that they depend on seed, epoch and index alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from carve.body.anny import AnnyBody
from carve.records import CarveError
from carve.synth.dataset import DEFAULT_FIELDS, SyntheticPhotos
from carve.synth.shards import Person, finish, write_block
from synth.views import LANDMARKS, make_view, person_scene, some_suns


def write_people(folder: Path, body: AnnyBody, info: dict[str, Any]) -> Path:
    """A data set of two people with two views each and one for validation."""
    scenes = [person_scene(body, seed, 256) for seed in range(3)]
    views = [make_view(scene, some_suns(scene.up, seed, 2)) for seed, scene in enumerate(scenes)]
    folder.mkdir()
    people = [
        ("train", Person("anna", info, {}, [views[0], views[1]])),
        ("train", Person("bert", info, {}, [views[2], views[0]])),
        ("val", Person("cleo", info, {}, [views[1]])),
    ]
    records = write_block(folder, 0, people, "print")
    finish(folder, records, fingerprint="print", seed=0, settings={})
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, anny_body: AnnyBody) -> Path:
    return write_people(tmp_path_factory.mktemp("data") / "people", anny_body, {"landmarks": list(LANDMARKS)})


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    rng = np.random.default_rng(0)
    for name in ("hdri", "backgrounds"):
        (folder / name).mkdir()
    cv2.imwrite(str(folder / "hdri" / "field_512.hdr"), rng.uniform(0.2, 2, (32, 64, 3)).astype(np.float32))
    cv2.imwrite(str(folder / "backgrounds" / "field_0.jpg"), rng.integers(0, 255, (128, 128, 3), dtype=np.uint8))
    return folder


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a.keys() | b.keys())


def test_an_item_holds_what_it_says(people: Path, assets: Path) -> None:
    photos = SyntheticPhotos(people, "train", assets, size=256)
    assert len(photos) == 4
    for i in range(4):
        item = photos[i]
        shapes = {"image": 3, "mask": 1, "visible": 1, "weight": 1, "body_mask": 1} | {f: 3 if "normal" in f else 1 for f in DEFAULT_FIELDS}
        for name, channels in shapes.items():
            assert item[name].shape == (channels, 256, 256), name
            assert item[name].dtype == (torch.uint8 if name in ("part", "region") else torch.float32), name
        assert set(item) == {*shapes, "landmarks", "camera", "up", "key"}
        assert 0 <= item["image"].min() < item["image"].max() <= 1
        assert item["landmarks"].shape == (len(LANDMARKS), 4)
        assert item["up"].norm().item() == pytest.approx(1)
        assert item["camera"][3:].tolist() == [256, 256]
        mask = item["mask"][0] > 0
        assert mask.any()
        torch.testing.assert_close(item["normal_front"].norm(dim=0), mask.float())
        assert (item["weight"][0][mask] >= 0.5).all()
        assert not item["weight"][0][~mask].any()
        assert ((item["body_normal_front"] != 0).any(0) == (item["body_mask"][0] > 0)).all()
        assert (item["depth"][0][mask] > 1).all()
    assert [photos[i]["key"] for i in range(4)] == ["anna.v0", "anna.v1", "bert.v0", "bert.v1"]
    assert len(SyntheticPhotos(people, "val", assets)) == 1
    with pytest.raises(IndexError):
        photos[4]


def test_an_item_depends_on_seed_epoch_and_index_alone(people: Path, assets: Path) -> None:
    photos = SyntheticPhotos(people, "train", assets, size=256, seed=3)
    first = [photos[i] for i in (2, 0, 3, 1)]
    again = SyntheticPhotos(people, "train", assets, size=256, seed=3, verify=False)
    assert same(again[0], first[1])
    assert same(again[3], first[2])
    assert not torch.equal(SyntheticPhotos(people, "train", assets, size=256, seed=4)[0]["image"], first[1]["image"])
    again.set_epoch(1)
    other = again[0]
    assert not torch.equal(other["image"], first[1]["image"])
    again.set_epoch(0)
    assert same(again[0], first[1])


def test_workers_give_the_same_items_and_see_a_new_epoch(people: Path, assets: Path) -> None:
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.float32), (0, 0), 5)  # OpenCV's threads run before the workers start
    photos = SyntheticPhotos(people, "train", assets, size=256, fields=("normal_front", "part"))
    loader = DataLoader(photos, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context="fork", timeout=60)
    for epoch in (0, 1):
        photos.set_epoch(epoch)
        batches = list(loader)
        assert [b["key"] for b in batches] == [["anna.v0", "anna.v1"], ["bert.v0", "bert.v1"]]
        for i in range(4):
            item = {k: v[i % 2] for k, v in batches[i // 2].items()}
            assert same(item, photos[i])


def test_a_spawned_worker_gets_all_it_needs(people: Path, assets: Path) -> None:
    photos = SyntheticPhotos(people, "train", assets, size=256, seed=9)
    sent = pickle.dumps(photos)
    cv2.setNumThreads(2)
    received = pickle.loads(sent)
    assert cv2.getNumThreads() == 1
    assert same(received[1], photos[1])


def test_less_can_be_asked_for(people: Path, assets: Path) -> None:
    item = SyntheticPhotos(people, "val", assets, fields=("normal_left",), augmented=False)[0]
    assert set(item) == {"image", "mask", "visible", "weight", "normal_left", "landmarks", "camera", "up", "key"}
    assert item["image"].shape == (3, 512, 512)


def test_people_without_names_of_landmarks_are_told(tmp_path: Path, anny_body: AnnyBody, assets: Path) -> None:
    photos = SyntheticPhotos(write_people(tmp_path / "people", anny_body, {}), "train", assets)
    with pytest.raises(CarveError, match="anna does not name the landmarks"):
        photos[0]


def test_a_folder_that_is_no_data_set_is_told(tmp_path: Path, assets: Path) -> None:
    with pytest.raises(CarveError, match=r"dataset\.json"):
        SyntheticPhotos(tmp_path, "train", assets)
