"""Items of the data set: what they hold, that they depend on seed, epoch and index alone, and that truth moves with the picture."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from carve.body.anny import AnnyBody
from carve.geometry.camera import Camera
from carve.geometry.relief.normal_maps import front_and_back
from carve.records import CarveError
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.photo.augmentation import Motion, draw_motion
from carve.synth.records import PARTS, View
from carve.synth.samples.dataset import DEFAULT_FIELDS, SyntheticPhotos
from carve.synth.samples.fitted_body import FitErrors, FittedBodies
from carve.synth.store.shards import Person, finish, write_block
from solids import sphere
from synth.known_people import KnownPerson, known_person, small_assets, write_known
from synth.views import LANDMARKS, Scene, make_view, person_scene, some_suns


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
    return small_assets(tmp_path_factory.mktemp("assets"))


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a.keys() | b.keys())


def test_an_item_holds_what_it_says(people: Path, assets: Path) -> None:
    photos = SyntheticPhotos(people, "train", assets, size=256)
    assert len(photos) == 4
    for i in range(4):
        item = photos[i]
        shapes = {"image": 3, "mask": 1, "visible": 1, "weight": 1, "body_mask": 1}
        shapes |= {f: 3 if "normal" in f or f == "place" else 1 for f in DEFAULT_FIELDS}
        for name, channels in shapes.items():
            assert item[name].shape == (channels, 256, 256), name
            assert item[name].dtype == (torch.uint8 if "label" in name else torch.float32), name
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
    photos = SyntheticPhotos(people, "train", assets, size=256, fields=("normal_front", "label_back"))
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
    item = SyntheticPhotos(people, "val", assets, fields=("albedo_back",), augmented=False)[0]
    assert set(item) == {"image", "mask", "visible", "weight", "albedo_back", "landmarks", "camera", "up", "key"}
    assert item["image"].shape == (3, 512, 512)


def test_people_without_names_of_landmarks_are_told(tmp_path: Path, anny_body: AnnyBody, assets: Path) -> None:
    photos = SyntheticPhotos(write_people(tmp_path / "people", anny_body, {}), "train", assets)
    with pytest.raises(CarveError, match="anna does not name the landmarks"):
        photos[0]


def test_a_folder_that_is_no_data_set_is_told(tmp_path: Path, assets: Path) -> None:
    with pytest.raises(CarveError, match=r"dataset\.json"):
        SyntheticPhotos(tmp_path, "train", assets)


RADIUS = 0.8
"""Of the ball; of the body in it 0.85 times as much."""


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one ball beside the picture's middle, whose centre is the landmark `nose`."""
    centre = np.array([0.3, -0.2, -4.0])
    vertices, faces = sphere(RADIUS, tuple(centre), splits=5)
    scene = Scene(
        vertices=vertices,
        body=centre + 0.85 * (vertices - centre),
        faces=faces,
        part=np.full(len(vertices), PARTS.index("skin")),
        region=np.zeros(len(vertices), int),
        albedo=np.full((len(vertices), 3), 128.0),
        landmarks=centre + np.array([[0, 0, 0], [0.2, 0, 0], [-0.2, 0, 0], [0.2, -0.3, 0], [-0.2, -0.3, 0]]),
        camera=Camera(256, 256, 380.0, 120.0, 140.0),
        up=np.array([0.0, 1.0, 0.0]),
    )
    folder = tmp_path_factory.mktemp("balls") / "data"
    folder.mkdir()
    records = write_block(folder, 0, [("train", Person("ball", {"landmarks": list(LANDMARKS)}, {}, [make_view(scene)]))], "print")
    finish(folder, records, fingerprint="print", seed=0, settings={})
    return folder


@pytest.fixture
def motions(monkeypatch: pytest.MonkeyPatch) -> list[Motion]:
    """How the drawn samples were moved, in their order."""
    drawn: list[Motion] = []

    def draw(view: View, rng: np.random.Generator, windows: float) -> Motion:
        drawn.append(draw_motion(view, rng, windows))
        return drawn[-1]

    monkeypatch.setattr("carve.synth.photo.photograph.draw_motion", draw)
    return drawn


def camera_of(item: dict[str, Any]) -> Camera:
    focal, cx, cy, width, height = item["camera"].tolist()
    return Camera(int(width), int(height), focal, cx, cy)


def image_of(item: dict[str, Any], field: str) -> np.ndarray:
    """(H, W, C)"""
    return item[field].permute(1, 2, 0).double().numpy()


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) angles between unit vectors (N, 3)."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1)))


def eroded(mask: np.ndarray, by: int = 5) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), np.ones((by, by), np.uint8)) > 0


def test_a_ball_keeps_its_closed_form_however_it_is_moved(balls: Path, assets: Path, motions: list[Motion]) -> None:
    photos = SyntheticPhotos(balls, "train", assets, size=256)
    for epoch in range(12):
        item = photos.draw(0, epoch)
        camera = camera_of(item)
        u, v, distance, _ = item["landmarks"][0].double().numpy()
        centre = camera.rays(np.array([u, v])) * distance
        rays = camera.rays(np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1) + 0.5)
        square, along = (rays**2).sum(-1), rays @ centre
        for field, radius, sign in (
            ("normal_front", RADIUS, -1),
            ("normal_back", RADIUS, 1),
            ("body_normal_front", 0.85 * RADIUS, -1),
            ("body_normal_back", 0.85 * RADIUS, 1),
        ):
            root = np.sqrt(np.maximum(along**2 - square * (centre @ centre - radius**2), 0))
            expected = (rays * ((along + sign * root) / square)[..., None] - centre) / radius
            found = image_of(item, field)
            inner = eroded(found.any(-1)) & (root > 0.15 * along)
            assert inner.sum() > 1000
            assert degrees_between(found[inner], expected[inner]).max() < 2.0, (field, motions[-1])
            if field == "normal_front":
                depth = ((along - root) / square)[inner]
                assert np.abs(image_of(item, "depth")[inner, 0] - depth).max() < 0.01
    assert {m.flip for m in motions} == {True, False}
    assert any(m.angle > 0 for m in motions) and any(m.angle < 0 for m in motions)
    assert any(m.scale > 1.2 for m in motions)


@pytest.fixture(scope="module")
def known(full_body: FullBody, woman: ShapedBody, man: ShapedBody) -> dict[str, KnownPerson]:
    return {"anna": known_person(full_body, woman, 1), "bert": known_person(full_body, man, 2)}


@pytest.fixture(scope="module")
def known_data(tmp_path_factory: pytest.TempPathFactory, known: dict[str, KnownPerson]) -> Path:
    """Their data set."""
    people = {"anna": ("train", known["anna"]), "bert": ("train", known["bert"])}
    return write_known(tmp_path_factory.mktemp("known") / "data", people)  # type: ignore[arg-type]


def test_a_person_moves_with_the_picture_and_so_does_the_fitted_body(
    known: dict[str, KnownPerson], known_data: Path, assets: Path, motions: list[Motion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moved meshes, rendered again, give the item's normals; a body without fit errors is the true one, pixel by pixel."""
    exact = FitErrors(tilt=0.0, turn=0.0, twist=0.0, shift=0.0, girth=0.0)
    monkeypatch.setattr("carve.synth.samples.dataset.FittedBodies", lambda body, anatomy: FittedBodies(body, exact))
    photos = SyntheticPhotos(known_data, "train", assets, size=256, observed=True)
    for i, epoch in ((0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 2), (2, 3), (3, 4)):
        item = photos.draw(i, epoch)
        motion, camera = motions[-1], camera_of(item)
        scene = known[item["key"][:4]].scenes[i % 2]
        faces = scene.faces[:, ::-1] if motion.flip else scene.faces
        mask = item["mask"][0].numpy() > 0
        for what, vertices, limit in (("", scene.vertices, 4.0), ("body_", scene.body, 4.0)):
            for side, true in zip(("front", "back"), front_and_back(vertices @ motion.turn.T, faces, camera), strict=True):
                found = image_of(item, f"{what}normal_{side}")
                both = eroded(found.any(-1) & true.any(-1) & mask, 3)
                assert both.sum() > 0.5 * mask.sum()
                assert degrees_between(found[both], true[both]).mean() < limit, (what, side, motion)
        half = camera.cropped(0, 0, 128, 128, 0.5)
        for side, true in zip(("front", "back"), front_and_back(scene.body @ motion.turn.T, faces, half), strict=True):
            found = image_of(item, f"fitted_normal_{side}")
            assert (found.any(-1) != true.any(-1)).mean() < 1e-3
            both = found.any(-1) & true.any(-1)
            assert degrees_between(found[both], true[both]).mean() < 0.05, (side, motion)
            stored = image_of(item, f"body_normal_{side}").reshape(128, 2, 128, 2, 3).mean((1, 3))
            length = np.linalg.norm(stored, axis=-1)
            inner = eroded(both & (length > 0.5), 3)
            assert degrees_between(found[inner], stored[inner] / length[inner][:, None]).mean() < 4.0, (side, motion)
    assert {m.flip for m in motions} == {True, False}
    assert {bool(m.angle) for m in motions} == {True, False}


def test_the_comparison_notices_a_wrong_sign(known: dict[str, KnownPerson], known_data: Path, assets: Path, motions: list[Motion]) -> None:
    photos = SyntheticPhotos(known_data, "train", assets, size=256, fields=("body_normal_front",))
    item = photos.draw(0, 0)
    right = motions[-1]
    for wrong in (replace(right, flip=not right.flip), replace(right, angle=right.angle + 0.3)):
        scene = known["anna"].scenes[0]
        faces = scene.faces[:, ::-1] if wrong.flip else scene.faces
        true = front_and_back(scene.body @ wrong.turn.T, faces, camera_of(item))[0]
        found = image_of(item, "body_normal_front")
        both = eroded(found.any(-1) & true.any(-1), 3)
        assert not both.any() or degrees_between(found[both], true[both]).mean() > 10


def test_an_observed_item_holds_what_the_first_stages_would_say(known_data: Path, assets: Path) -> None:
    photos = SyntheticPhotos(known_data, "train", assets, size=256, observed=True)
    plain = SyntheticPhotos(known_data, "train", assets, size=256)
    errors = []
    for i in range(4):
        item = photos.draw(i, 1)
        extra = {"rough_mask": (1, 256, 256), "fitted_normal_front": (3, 128, 128), "fitted_normal_back": (3, 128, 128)}
        for name, shape in extra.items():
            assert item[name].shape == shape
            assert item[name].dtype == torch.float32
        assert same({k: v for k, v in item.items() if k not in extra}, plain.draw(i, 1))
        length = item["fitted_normal_front"].norm(dim=0)
        assert bool(((length - 1).abs() < 1e-4).logical_or(length == 0).all())
        assert torch.equal(length > 0, item["fitted_normal_back"].norm(dim=0) > 0)
        rough, visible = item["rough_mask"] > 0.5, item["visible"] > 0.5
        assert (rough & visible).sum() / (rough | visible).sum() > 0.6
        stored = torch.nn.functional.avg_pool2d(item["body_normal_front"], 2)
        both = (stored.norm(dim=0) > 0.9) & (length > 0)
        errors.append((item["fitted_normal_front"] - stored).norm(dim=0)[both].mean().item())
    assert max(errors) > 0.1
    assert max(errors) < 0.8


def test_an_observed_item_depends_on_seed_epoch_and_index_alone(known_data: Path, assets: Path) -> None:
    photos = SyntheticPhotos(known_data, "train", assets, size=256, observed=True, seed=3)
    first = [photos.draw(i, epoch) for i, epoch in ((1, 5), (0, 5), (1, 6))]
    again = SyntheticPhotos(known_data, "train", assets, size=256, observed=True, seed=3, verify=False)
    assert same(again.draw(1, 5), first[0])
    again.set_epoch(5)
    assert same(again[0], first[1])
    for name in ("rough_mask", "fitted_normal_front", "image"):
        assert not torch.equal(first[0][name], first[2][name])
