"""What the hypernetwork learns from: frames, mirrors and means agree with the stored truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from carve.networks.hyper import places
from carve.records import CarveError
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.samples.posed_subjects import PosedSubjects, mean_body
from synth.known_people import known_person, write_known
from synth.samples.test_surface_points import with_distances

COUNTS = (300, 240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, full_body: FullBody, woman: ShapedBody) -> Path:
    """`people` of two with distances, one for validation; `without`."""
    folder = tmp_path_factory.mktemp("subjects")
    people = [known_person(full_body, woman, seed, views=1, size=64) for seed in range(2)]
    known = [with_distances(full_body, person) for person in people]
    write_known(folder / "people", {"a": ("train", known[0]), "b": ("val", known[1])})
    write_known(folder / "without", {"a": ("train", people[0])})
    return folder


def test_an_item_depends_on_seed_epoch_and_number_alone(folder: Path) -> None:
    people, again = (PosedSubjects(folder / "people", "train", 50, COUNTS) for _ in range(2))
    assert len(people) == 1
    for name, value in people.draw(0, 3).items():
        assert torch.equal(value, again.draw(0, 3)[name]), name
        if name != "unit":
            assert not torch.equal(value, people.draw(0, 4)[name]), name
    with pytest.raises(IndexError):
        people.draw(1, 0)


@pytest.mark.parametrize("augmented", [False, True])
def test_points_normals_and_distances_belong_together(folder: Path, augmented: bool) -> None:
    people = PosedSubjects(folder / "people", "train", 50, COUNTS, augmented=augmented)
    subject = people._subjects[0]
    for epoch in range(4):
        item = {name: value.numpy().astype(float) for name, value in people.draw(0, epoch).items()}
        assert np.abs(item["on"]).max() < 1.15
        np.testing.assert_allclose(np.linalg.norm(item["normal"], axis=1), 1, atol=1e-4)
        # Distances to the drawn surface points bound the true ones, whatever the frame.
        gap = np.linalg.norm(item["off"][:, None] - item["on"], axis=2).min(1)
        assert (np.abs(item["distance"]) < gap + 0.01).all()
        # The way to a far point outside never leaves along the inward side.
        nearest = np.linalg.norm(item["off"][:, None] - item["on"], axis=2).argmin(1)
        out = ((item["off"] - item["on"][nearest]) * item["normal"][nearest]).sum(1)
        clear = (np.abs(item["distance"]) > 0.03) & (gap < 0.05)
        assert (np.sign(out[clear]) == np.sign(item["distance"][clear])).mean() > 0.95
        # What is described lies on the surface.
        place = item["seen"][:, :3] + places(50)
        assert np.median(np.linalg.norm(place[:, None] - item["on"], axis=2).min(1)) < 0.08
    assert subject.frame.unit == pytest.approx(float(item["unit"]), rel=0.05)


def test_they_look_forward(folder: Path) -> None:
    people = PosedSubjects(folder / "people", "train", 50, COUNTS, augmented=False)
    forward = people.shards.arrays(0, ("transforms",))["transforms"][0, :, 2]
    turned = people.frame(0).turned(forward[None])[0]
    assert abs(turned[0]) < 1e-6 and turned[2] > 0


def test_the_mean_of_one_body_is_that_body(folder: Path) -> None:
    people = PosedSubjects(folder / "people", "train", 50, COUNTS, augmented=False)
    samples = {name: value.numpy().astype(float) for name, value in mean_body(people, 500).items()}
    frame, surface = people.frame(0), people.shards.arrays(0, ("posed_surface",))["posed_surface"]
    gap = np.linalg.norm(samples["on"][:, None] - frame.into(surface), axis=2).min(1)
    assert np.median(gap) * frame.unit == pytest.approx(0.02, abs=0.01)  # the cloth
    assert (samples["distance"] < 0).any() and (samples["distance"] > 0.3).any()


def test_data_without_distances_is_named(folder: Path) -> None:
    with pytest.raises(CarveError, match="--no-distances"):
        PosedSubjects(folder / "without", "train", 50, COUNTS)
