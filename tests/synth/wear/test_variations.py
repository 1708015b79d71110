"""Each change of a garment does what its name says and leaves the rest."""

from __future__ import annotations

import numpy as np
import pytest

from carve.synth.records import PARTS
from carve.synth.wear.variations import (
    cut_hem,
    cut_sleeves,
    frame_of,
    lengthened,
    loosened,
    open_front,
    widened_legs,
    widened_skirt,
    widened_sleeves,
)
from carve.synth.wear.wardrobe import Item, Wardrobe


def item(wardrobe: Wardrobe, name: str, kind: str) -> Item:
    return wardrobe.items(name, 0.04)[kind]


def test_hems_end_where_they_are_cut(wardrobe: Wardrobe) -> None:
    trousers = item(wardrobe, "male_casualsuit03", "bottom")
    level = trousers.frame.hip - 0.4
    shorts = wardrobe.item(cut_hem(trousers.pattern, trousers.frame, level), "bottom", "shorts")
    assert shorts.frame.where[:, 1].min() == pytest.approx(level, abs=1e-3)
    assert shorts.frame.where[:, 1].max() == pytest.approx(trousers.frame.where[:, 1].max(), abs=1e-3)


def test_a_shirts_hem_cut_spares_its_sleeves(wardrobe: Wardrobe) -> None:
    shirt = item(wardrobe, "male_casualsuit03", "top")
    cut = wardrobe.item(cut_hem(shirt.pattern, shirt.frame, shirt.frame.waist), "top", "cut")
    assert cut.frame.along_arm.max() == pytest.approx(shirt.frame.along_arm.max(), abs=1e-3)
    trunk = cut.frame.arm < 0.2
    assert cut.frame.where[trunk, 1].min() > shirt.frame.waist - 1e-3


def test_sleeves_end_where_they_are_cut(wardrobe: Wardrobe) -> None:
    shirt = item(wardrobe, "male_casualsuit03", "top")
    short = wardrobe.item(cut_sleeves(shirt.pattern, shirt.frame, 0.4), "top", "short")
    assert short.frame.along_arm.max() == pytest.approx(0.4, abs=0.03)
    assert short.frame.where[:, 1].min() == pytest.approx(shirt.frame.where[:, 1].min(), abs=1e-3)


def test_skirts_lengthen_downwards_but_not_into_the_ground(wardrobe: Wardrobe) -> None:
    skirt = item(wardrobe, "miniskirt", "bottom")
    reference = wardrobe.reference(True)
    longer = wardrobe.item(lengthened(skirt.pattern, skirt.frame, 1.5, reference), "bottom", "longer")
    hip = skirt.frame.hip
    assert hip - longer.frame.where[:, 1].min() == pytest.approx(1.5 * (hip - skirt.frame.where[:, 1].min()), rel=0.02)
    huge = wardrobe.item(lengthened(skirt.pattern, skirt.frame, 20.0, reference), "bottom", "huge")
    assert huge.frame.where[:, 1].min() > skirt.frame.ground + 0.03


def test_flared_legs_are_wide_at_the_ankle_and_unchanged_at_the_waist(wardrobe: Wardrobe) -> None:
    trousers = item(wardrobe, "male_casualsuit03", "bottom")
    wide = widened_legs(trousers.pattern, trousers.frame, 0.05, 1.0, wardrobe.reference(False))
    moved = np.linalg.norm(frame_of(wardrobe.body, wide, wardrobe.reference(False)).where - trousers.frame.where, axis=1)
    low = trousers.frame.where[:, 1] < trousers.frame.ankle + 0.05
    assert np.median(moved[low]) == pytest.approx(0.05, abs=0.01)
    assert moved[trousers.frame.where[:, 1] > trousers.frame.hip].max() < 0.002


def test_wide_skirts_and_sleeves_go_outward(wardrobe: Wardrobe) -> None:
    skirt, shirt = item(wardrobe, "miniskirt", "bottom"), item(wardrobe, "male_casualsuit03", "top")
    radius = lambda f: np.linalg.norm(f.where[:, [0, 2]], axis=1)  # noqa: E731
    wide = frame_of(wardrobe.body, widened_skirt(skirt.pattern, skirt.frame, 0.1, wardrobe.reference(True)), wardrobe.reference(True))
    hem = skirt.frame.where[:, 1] < skirt.frame.where[:, 1].min() + 0.03
    assert np.median(radius(wide)[hem] - radius(skirt.frame)[hem]) == pytest.approx(0.1, abs=0.02)
    flared = widened_sleeves(shirt.pattern, shirt.frame, 0.04, wardrobe.reference(False))
    after = frame_of(wardrobe.body, flared, wardrobe.reference(False))
    cuff = shirt.frame.along_arm > 0.95
    distance = lambda f: np.linalg.norm(f.where - f.arm_axis, axis=1)  # noqa: E731
    assert np.median(distance(after)[cuff] - distance(shirt.frame)[cuff]) == pytest.approx(0.04, abs=0.01)


def test_looser_cloth_stands_off_the_trunk(wardrobe: Wardrobe) -> None:
    shirt = item(wardrobe, "male_casualsuit04", "top")
    loose = frame_of(wardrobe.body, loosened(shirt.pattern, shirt.frame, 0.02, wardrobe.reference(False)), wardrobe.reference(False))
    along = np.einsum("vd,vd->v", loose.where - shirt.frame.where, shirt.frame.normals)
    belly = (shirt.frame.arm < 0.05) & (shirt.frame.where[:, 1] < shirt.frame.waist)
    assert np.median(along[belly]) == pytest.approx(0.02, abs=0.004)
    assert along.min() > -1e-6


def test_an_open_coat_has_a_gap_at_the_front_only(wardrobe: Wardrobe) -> None:
    coat = item(wardrobe, "Coat", "coat")
    opened = wardrobe.item(open_front(coat.pattern, coat.frame, 0.2, coat.frame.waist), "coat", "open")
    frame = opened.frame
    low = frame.where[:, 1] < coat.frame.hip - 0.3
    front, back = low & (frame.where[:, 2] > 0.05), low & (frame.where[:, 2] < -0.05)
    assert np.abs(frame.where[front, 0]).min() > 0.03
    assert np.abs(frame.where[back, 0]).min() < 0.02


def test_suits_come_apart_into_top_and_bottom(wardrobe: Wardrobe) -> None:
    halves = wardrobe.items("male_elegantsuit01", 0.04)
    assert set(halves) == {"top", "bottom"}
    assert halves["top"].pattern.part == PARTS.index("top")
    assert halves["bottom"].frame.where[:, 1].mean() < halves["top"].frame.where[:, 1].mean()
    assert len(wardrobe.items("male_casualsuit01", 0.04)) == 1


@pytest.mark.parametrize(
    ("name", "kind", "skirt"),
    [
        ("miniskirt", "bottom", True),
        ("JeansSkirt", "bottom", True),
        ("Skirt_Full_Long", "bottom", True),
        ("F_Dress_01", "dress", True),
        ("Tightjeans", "bottom", False),
        ("ShortJeans", "bottom", False),
        ("Asymmetric_Tunic_and_Sash", "dress", False),
    ],
)
def test_skirts_are_told_from_trousers(wardrobe: Wardrobe, name: str, kind: str, skirt: bool) -> None:
    assert item(wardrobe, name, kind).skirt is skirt
