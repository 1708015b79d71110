"""Whole photographs: equal generators, exposure, what is hidden, which members of a view they need."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.synth.photo.augmentation import FIELDS, Field
from carve.synth.photo.lighting import environment_of
from carve.synth.photo.photograph import photograph, view_fields
from carve.synth.photo.scenery import Scenery
from carve.synth.records import View
from synth.views import LANDMARKS, make_view, person_scene, some_suns


@pytest.fixture(scope="module")
def somebodys_view(anny_body: AnnyBody) -> View:
    scene = person_scene(anny_body, 3)
    return make_view(scene, some_suns(scene.up, 1, 2), rays=4)


@pytest.fixture(scope="module")
def scenery() -> Scenery:
    """Two small panoramas, one with a sun, and a few pictures, one of the same place."""
    rng = np.random.default_rng(0)
    sunny = rng.uniform(0.2, 0.6, (64, 128, 3)).astype(np.float32)
    sunny[20:22, 40:42] = 900
    pictures = tuple(cv2.GaussianBlur(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8), (0, 0), 6) for _ in range(3))
    environments = (environment_of("field_512", sunny), environment_of("hall_512", np.full((64, 128, 3), 0.7, np.float32)))
    return Scenery(environments, pictures, ("field_0", "field_1", "street_0"))


def test_equal_generators_give_equal_photographs(somebodys_view: View, scenery: Scenery) -> None:
    a, b, c = (photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(s), 256, ("normal_front",)) for s in (5, 5, 6))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.truth.normals["normal_front"], b.truth.normals["normal_front"])
    assert (a.image != c.image).any()


def test_photographs_are_well_exposed_and_sometimes_occluded(somebodys_view: View, scenery: Scenery) -> None:
    grey = replace(somebodys_view, albedo=np.full_like(somebodys_view.albedo, 148))  # reflects 0.3
    means, clipped, occluded = [], [], 0
    for seed in range(80):
        drawn = photograph(grey, LANDMARKS, scenery, np.random.default_rng(seed), 256, ())
        assert drawn.image.shape == (256, 256, 3)
        assert drawn.image.dtype == np.uint8
        assert not (drawn.visible & ~drawn.truth.mask).any()
        occluded += bool((drawn.visible != drawn.truth.mask).any())
        person = drawn.image[drawn.visible]
        means.append(person.mean())
        clipped.append((person == 255).mean())
    assert 2 <= occluded <= 18
    assert 105 < np.median(means) < 155
    assert np.mean(np.array(means) < 50) < 0.1
    assert np.mean(clipped) < 0.03


def test_what_is_hidden_is_not_seen(somebodys_view: View, scenery: Scenery) -> None:
    lost = 0
    for seed in range(70):
        drawn = photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(seed), 128, ())
        for u, v, _, seen in drawn.truth.landmarks:
            inside = 0 <= u < 128 and 0 <= v < 128
            if not inside:
                assert seen == 0
            elif drawn.truth.mask[int(v), int(u)]:
                assert seen == drawn.visible[int(v), int(u)]
                lost += seen == 0
    assert lost > 0


def test_the_stored_framing_is_kept_without_augmentation(somebodys_view: View, scenery: Scenery) -> None:
    drawn = photograph(somebodys_view, LANDMARKS, scenery, np.random.default_rng(0), 512, ("depth",), augmented=False)
    assert drawn.truth.camera == somebodys_view.camera
    np.testing.assert_allclose(drawn.truth.coverage, somebodys_view.coverage / 255, atol=1e-6)
    np.testing.assert_array_equal(drawn.visible, drawn.truth.mask)


def test_only_what_is_needed_is_read(somebodys_view: View, scenery: Scenery) -> None:
    fields: tuple[Field, ...] = ("normal_front", "albedo_back")
    needed = view_fields(fields)
    assert {"normal", "albedo", "albedo_back", "part_back", "fabric_back"} <= set(needed)
    assert not {"normal_back", "body_normal", "body_normal_back", "region"} & set(needed)
    empty = {name: np.zeros((0, 0, 3), np.uint8) for name in ("normal_back", "body_normal", "body_normal_back")}
    partial = replace(somebodys_view, **empty, region=np.zeros((0, 0), np.uint8))
    for seed in range(4):
        full, lean = (photograph(v, LANDMARKS, scenery, np.random.default_rng(seed), 256, fields) for v in (somebodys_view, partial))
        np.testing.assert_array_equal(full.image, lean.image)
        assert set(lean.truth.normals) == {"normal_front"} and set(lean.truth.albedo) == {"albedo_back"}
        assert lean.truth.labels == {} and lean.truth.place is None
    assert set(view_fields(FIELDS)) > set(needed)
