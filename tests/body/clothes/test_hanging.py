"""What hangs over the legs: hems that labels tell, and the solid between hips and hem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.clothes.hanging import Hanging, Hem, find_hems
from carve.body.clothes.limb_space import NOBODYS
from carve.body.model import REGIONS
from carve.body.skin_field import SkinField
from carve.body.zones import LEGS
from carve.records import LABELS, BodyFit, NormalMaps
from synthetic import Truth, synthetic_person


def joint(body: BodyFit, name: str) -> np.ndarray:
    """(3,) posed place of both sides' humanoid bone heads, their middle."""
    heads = body.pose.bones(body.skeleton)[1]
    return np.mean([heads[body.skeleton.names.index(body.skeleton.humanoid[f"{side}{name}"])] for side in ("left", "right")], axis=0)


def below_hips(body: BodyFit, metres: float) -> np.ndarray:
    """(3,) the place so far below the hip joints, against `up`."""
    return joint(body, "UpperLeg") - metres * body.up


def row_of(body: BodyFit, place: np.ndarray) -> int:
    """The picture's row of a place."""
    return int(body.camera.project(place[None])[0, 1])


def labelled(maps: NormalMaps, *parts: tuple[str, int]) -> NormalMaps:
    """Maps whose rows are labelled: each part down to its row."""
    label = np.zeros(maps.mask.shape, np.uint8)
    begin = 0
    for name, end in parts:
        label[begin:end] = LABELS.index(name)
        begin = end
    return replace(maps, label=label, label_back=label)


def level_of(body: BodyFit, place: np.ndarray) -> float:
    """Metres downward of a place."""
    return float(-place @ body.up)


@pytest.fixture(scope="module")
def field(clothed: Truth) -> SkinField:
    return SkinField.of(clothed.body)


@pytest.mark.parametrize("metres", [0.06, 0.15, 0.25])
def test_a_hem_lies_where_labels_change(clothed: Truth, true_maps: NormalMaps, metres: float) -> None:
    body, mask = clothed.body, clothed.observation.mask
    place = below_hips(body, metres)
    maps = labelled(true_maps, ("outer", row_of(body, place)), ("bottom", 10**6))
    (hem,) = find_hems(body, maps, mask)
    assert abs(hem.at(np.array([joint(body, "UpperLeg")[0]]))[0] - level_of(body, place)) < 0.03
    assert hem.wrong < 0.05


def test_nothing_hangs_above_the_hips_or_without_labels(clothed: Truth, true_maps: NormalMaps) -> None:
    body, mask = clothed.body, clothed.observation.mask
    short = labelled(true_maps, ("top", row_of(body, below_hips(body, -0.12))), ("bottom", 10**6))
    assert find_hems(body, short, mask) == ()
    assert find_hems(body, true_maps, mask) == ()


def test_nothing_hangs_from_legs_that_sit(anny_body: AnnyBody, clothed: Truth, true_maps: NormalMaps) -> None:
    body, mask = clothed.body, clothed.observation.mask
    maps = labelled(true_maps, ("outer", row_of(body, below_hips(body, 0.2))), ("bottom", 10**6))
    assert find_hems(body, maps, mask)
    seated = synthetic_person(anny_body, bend={"leftUpperLeg.0": -1.4, "rightUpperLeg.0": -1.4}).body
    assert find_hems(seated, maps, mask) == ()


def test_what_hangs_ends_where_one_sees_between_the_legs(clothed: Truth, true_maps: NormalMaps) -> None:
    body, mask = clothed.body, clothed.observation.mask
    maps = labelled(true_maps, ("outer", row_of(body, below_hips(body, 0.34))), ("bottom", 10**6))
    (seen,), (hidden,) = find_hems(body, maps, mask), find_hems(body, maps, np.ones_like(mask))
    assert seen.level < hidden.level - 0.02
    long = labelled(true_maps, ("outer", row_of(body, below_hips(body, 0.6))), ("bottom", 10**6))
    assert find_hems(body, long, mask) == ()


def test_the_bottom_is_a_skirt_where_cloth_fills_the_gap_between_the_legs(clothed: Truth, true_maps: NormalMaps) -> None:
    """The same labels, trousers or a skirt: what tells is whether one sees through."""
    body, mask = clothed.body, clothed.observation.mask
    waist, knee = (row_of(body, below_hips(body, metres)) for metres in (-0.15, 0.5))
    maps = labelled(true_maps, ("top", waist), ("bottom", knee), ("skin", 10**6))
    assert find_hems(body, maps, mask) == ()
    filled = mask.copy()
    filled[waist:knee] = np.maximum.accumulate(mask[waist:knee], 1) * np.maximum.accumulate(mask[waist:knee, ::-1], 1)[:, ::-1]
    (skirt,) = find_hems(body, maps, filled)
    assert abs(skirt.at(np.array([joint(body, "UpperLeg")[0]]))[0] - level_of(body, below_hips(body, 0.5))) < 0.04


def test_a_shirt_over_a_dress_has_its_own_hem(clothed: Truth, true_maps: NormalMaps) -> None:
    body, mask = clothed.body, np.ones_like(clothed.observation.mask)
    rows = [row_of(body, below_hips(body, metres)) for metres in (0.08, 0.5)]
    hems = find_hems(body, labelled(true_maps, ("top", rows[0]), ("dress", rows[1]), ("skin", 10**6)), mask)
    assert len(hems) == 2
    assert 0.35 < hems[1].level - hems[0].level < 0.48


LENGTH = 0.3


@pytest.fixture(scope="module")
def hem(clothed: Truth) -> Hem:
    return Hem(level_of(clothed.body, below_hips(clothed.body, LENGTH)), 0.0)


@pytest.fixture(scope="module")
def hanging(clothed: Truth, field: SkinField, hem: Hem) -> Hanging:
    mask = np.ones_like(clothed.observation.mask)
    return Hanging(clothed.body, field, (hem,), np.full(len(clothed.body.canonical), 0.03), mask)


def between(clothed: Truth, below: float) -> np.ndarray:
    """(20, 3) canonical points from leg to leg, `below` the hip joints along the legs."""
    skeleton = clothed.body.skeleton
    ends = []
    for side in ("right", "left"):
        hip, knee = (skeleton.heads[skeleton.names.index(skeleton.humanoid[f"{side}{part}Leg"])] for part in ("Upper", "Lower"))
        ends.append(hip + below * (knee - hip) / np.linalg.norm(knee - hip))
    return ends[0] + np.linspace(0.3, 0.7, 20)[:, None] * (ends[1] - ends[0])


def test_the_gap_between_the_legs_is_filled_down_to_the_hem(clothed: Truth, field: SkinField, hanging: Hanging) -> None:
    for below, within in ((0.15, True), (0.24, True), (0.45, False)):
        points = between(clothed, below)
        near = field.near(points)
        found = hanging.united(near.distance, points, near, np.full(len(points), NOBODYS))
        assert ((found < 0) == (within | (near.distance < 0))).all(), below


def test_it_covers_what_the_legs_wear_and_leaves_what_is_below(clothed: Truth, field: SkinField, hanging: Hanging, hem: Hem) -> None:
    body = clothed.body
    legs = np.isin(body.region, LEGS)
    level = -body.posed @ body.up
    for part, covered in ((level < hem.level - 0.02, True), (level > hem.level + 0.08, False)):
        skin = body.canonical[legs & part & (level > hem.level - LENGTH)]
        near = field.near(skin)
        points = skin + 0.03 * near.normal
        near = field.near(points)
        f = near.distance - 0.03
        found = hanging.united(f, points, near, np.full(len(points), NOBODYS))
        assert (found <= f + 1e-6).all() or not covered
        assert (found < -0.003).mean() > 0.9 if covered else (found == f).mean() > 0.95


def test_the_outline_bounds_it(clothed: Truth, field: SkinField, hem: Hem) -> None:
    body = clothed.body
    nowhere = Hanging(body, field, (hem,), np.full(len(body.canonical), 0.03), np.zeros_like(clothed.observation.mask))
    points = between(clothed, 0.2)
    near = field.near(points)
    assert (nowhere.united(near.distance - 0.03, points, near, np.full(len(points), NOBODYS)) > 0).any()


def test_without_a_hem_nothing_changes(clothed: Truth, field: SkinField) -> None:
    none = Hanging(clothed.body, field, (), np.zeros(len(clothed.body.canonical)), clothed.observation.mask)
    points = between(clothed, 0.2)
    near = field.near(points)
    f = near.distance - 0.03
    assert none.united(f, points, near, np.full(len(points), NOBODYS)) is f
    bones = len(clothed.body.skeleton.names)
    assert (none.weights(points, near, bones) == field.weights(points, near, bones)).all()


def test_its_weights_follow_both_legs_above_the_hem_alone(clothed: Truth, field: SkinField, hanging: Hanging) -> None:
    bones = len(clothed.body.skeleton.names)
    for below, changed in ((0.2, True), (0.45, False)):
        points = between(clothed, below)
        near = field.near(points)
        weights = hanging.weights(points, near, bones)
        assert np.abs(weights.sum(1) - 1).max() < 1e-5
        assert (np.abs(weights - field.weights(points, near, bones)).max() > 0.05) == changed


def test_what_another_limb_has_is_left_to_it(clothed: Truth, field: SkinField, hanging: Hanging) -> None:
    points = between(clothed, 0.15)
    near = field.near(points)
    assert (hanging.united(near.distance, points, near, np.full(len(points), 0.01)) >= np.minimum(near.distance, 0.01)).all()


def test_loose_cloth_falls_from_the_chest_and_tight_cloth_does_not(clothed: Truth, field: SkinField, hem: Hem) -> None:
    """Above the waist: what is loose bridges hollows between and below what stands out, what is tight follows the skin."""
    body, mask = clothed.body, np.ones_like(clothed.observation.mask)
    hips = body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid["leftUpperLeg"]), 1]
    trunk = (body.region == REGIONS.index("torso")) & (np.abs(body.canonical[:, 0]) < 0.12)
    trunk &= (body.canonical[:, 1] > hips + 0.2) & (body.canonical[:, 1] < hips + 0.34)
    skin = body.canonical[trunk]
    points = skin + 0.02 * field.near(skin).normal
    near = field.near(points)
    changed = []
    for thickness in (0.01, 0.004):
        hanging = Hanging(body, field, (hem,), np.full(len(body.canonical), thickness), mask)
        f = near.distance - thickness
        changed.append((hanging.united(f, points, near, np.full(len(points), NOBODYS)) < f - 0.001).mean())
    assert changed[0] > 0.2 and changed[1] == 0


def test_an_open_coat_hangs_behind_the_gap_between_the_legs(clothed: Truth, true_maps: NormalMaps) -> None:
    """What shows in its opening says nothing of its hem, and that one sees between the legs there does not make it trousers."""
    body, mask = clothed.body, clothed.observation.mask
    maps = labelled(true_maps, ("outer", row_of(body, below_hips(body, 0.5))), ("bottom", 10**6))
    assert find_hems(body, maps, mask) == ()
    assert maps.label is not None
    front, middle = maps.label.copy(), round(float(body.camera.project(joint(body, "UpperLeg")[None])[0, 0]))
    high, low = (row_of(body, below_hips(body, metres)) for metres in (-0.3, 0.5))
    width = round(0.06 * body.camera.focal / -float(joint(body, "UpperLeg")[2]))
    front[high:low, middle - width : middle + width] = LABELS.index("bottom")
    (coat,) = find_hems(body, replace(maps, label=front), mask)
    (closed,) = find_hems(body, maps, np.ones_like(mask))
    assert coat.level < closed.level
    assert coat.wrong < 0.02
