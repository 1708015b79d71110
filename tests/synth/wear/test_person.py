"""A dressed person: exact correspondence, cloth outside the body and outside the cloth below."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import skin
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.poses import Pose, sample_pose
from carve.synth.records import PARTS
from carve.synth.wear.garments import coarse_pattern
from carve.synth.wear.outfits import Outfit
from carve.synth.wear.person import Drape, Dressed, dress, skin_layer
from carve.synth.wear.wardrobe import Wardrobe


@pytest.fixture(scope="module")
def pose(full_body: FullBody, man: ShapedBody) -> Pose:
    return sample_pose(full_body, man, (), np.random.default_rng(4))


@pytest.fixture(scope="module")
def outfit(wardrobe: Wardrobe) -> Outfit:
    halves, shoes = wardrobe.items("male_casualsuit03", 0.025), wardrobe.items("shoes02", 0.025)
    return Outfit((shoes["shoes"], halves["bottom"], halves["top"]), None, None, None, None, {})


@pytest.fixture(scope="module")
def dressed(full_body: FullBody, man: ShapedBody, pose: Pose, outfit: Outfit, wardrobe: Wardrobe) -> Dressed:
    eyes = coarse_pattern(full_body, wardrobe.assets.garments["eyes_low_poly"])
    return dress(full_body, man, pose, outfit, eyes, None, None, (), np.random.default_rng(0))


def test_posed_is_canonical_skinned_to_a_hundredth_of_a_millimetre(dressed: Dressed, pose: Pose) -> None:
    for layer in dressed.layers:
        again = skin(layer.canonical.astype(np.float32).astype(float), pose.transforms, layer.bones, layer.weights)
        assert np.abs(again - layer.posed).max() < 1e-5


def test_cloth_lies_outside_the_body(dressed: Dressed, full_body: FullBody, man: ShapedBody, pose: Pose) -> None:
    naked = skin_layer(full_body, man, pose).layer
    for space in ("canonical", "posed"):
        queries = MeshQueries(getattr(naked, space), naked.faces, winding=True)
        cloth = np.concatenate([getattr(layer, space) for layer in dressed.layers[1:4]])
        inside = queries.inside(cloth).mean()
        assert inside < 0.004
        assert getattr(dressed, f"inside_{space}") == pytest.approx(inside, abs=1e-3)


def test_the_skin_below_cloth_is_hidden_and_hands_and_head_are_not(dressed: Dressed, full_body: FullBody, man: ShapedBody) -> None:
    layer = dressed.layers[0]
    height = man.canonical[layer.faces].mean(1)
    head = height[:, 1] > man.stature * 0.9
    assert layer.shown[head].all()
    shins = (height[:, 1] > 0.2) & (height[:, 1] < 0.4)
    assert layer.shown[shins].mean() < 0.2
    hands = np.abs(height[:, 0]) > np.abs(man.heads[:, 0]).max() - 0.1
    assert layer.shown[hands].all()


def test_eyes_replace_the_models_own(dressed: Dressed, full_body: FullBody) -> None:
    assert PARTS[dressed.layers[4].part] == "eyes"
    assert len(dressed.layers[0].faces) < len(full_body.faces)


def test_folds_are_there_and_the_same_for_the_same_generator(
    full_body: FullBody, man: ShapedBody, pose: Pose, outfit: Outfit, dressed: Dressed
) -> None:
    again = dress(full_body, man, pose, outfit, None, None, None, (), np.random.default_rng(0))
    other = dress(full_body, man, pose, outfit, None, None, None, (), np.random.default_rng(1))
    np.testing.assert_array_equal(again.layers[3].posed, dressed.layers[3].posed)
    assert np.linalg.norm(other.layers[3].posed - again.layers[3].posed, axis=1).max() > 0.002


def test_a_drape_replaces_folds_by_what_the_simulation_said(full_body: FullBody, man: ShapedBody, pose: Pose, outfit: Outfit) -> None:
    top = outfit.pieces[2]
    moved = np.zeros((len(top.pattern.offsets), 3))
    moved[:, 2] = 0.2
    worn = dress(full_body, man, pose, outfit, None, None, None, (Drape(top, moved),), np.random.default_rng(0))
    plain = dress(full_body, man, pose, outfit, None, None, None, (Drape(top, 0 * moved),), np.random.default_rng(0))
    difference = worn.layers[3].canonical - plain.layers[3].canonical
    front = plain.layers[3].canonical[:, 2] > 0.1
    assert np.median(difference[front, 2]) == pytest.approx(0.2, abs=0.01)
