"""People of rectangles: labels part them where the photo shows a border, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from carve.records import LABELS, Landmarks
from carve.stages.predicting.garment_pieces import Trunk, _apart, alike, one_label_each
from rectangles import BLUE, GREY, RED, H, empty, photo

SKIN, TOP, OUTER, BOTTOM, DRESS, OTHER = (LABELS.index(name) for name in ("skin", "top", "outer", "bottom", "dress", "other"))
MARKS = Landmarks(
    ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    np.array([[170.0, 300], [130, 300], [180, 130], [120, 130]]),
    np.ones(4),
    np.zeros((4, 3)),
    np.zeros((4, 3)),
)


def trousers(high: int) -> np.ndarray:
    """Labels of someone whose trousers go from row `high` down, with a gap between the legs from row 330 on."""
    labels = empty()
    labels[110:high, 100:200] = TOP
    labels[high:560, 100:200] = BOTTOM
    labels[330:560, 140:160] = 0
    return labels


@pytest.mark.parametrize("contrast", [3.0, 9.0])
def test_trousers_that_are_called_a_dress_down_to_the_knees_are_trousers(contrast: float) -> None:
    true = trousers(250)
    told = true.copy()
    told[(true == BOTTOM) & (np.arange(H) < 420)[:, None]] = DRESS
    told[440:470, 105:120] = DRESS
    front, back = one_label_each(photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: (200, 150, 120)}, contrast), told, told, MARKS)
    np.testing.assert_array_equal(front, true)
    np.testing.assert_array_equal(back, true)


def test_a_coverall_is_parted_at_the_waist() -> None:
    told = trousers(110)
    told[(told == BOTTOM) & (np.arange(H) < 400)[:, None]] = DRESS
    front, _ = one_label_each(photo(trousers(110), {BOTTOM: BLUE}), told, told, MARKS)
    waist = 300 - 0.35 * 170
    rows = np.flatnonzero((front == TOP).any(1))
    assert rows.max() == pytest.approx(waist, abs=3)
    assert set(np.unique(front)) == {0, SKIN, TOP, BOTTOM}


def test_a_coat_that_is_a_dress_in_its_middle_is_a_coat_and_the_back_follows() -> None:
    told = empty()
    told[110:430, 90:210] = OUTER
    told[250:350, 130:170] = DRESS
    back = told.copy()
    back[350:400, 120:180] = DRESS
    picture = photo(told, {OUTER: RED, DRESS: RED})
    found = one_label_each(picture, told, back, MARKS)
    for side in found:
        assert set(np.unique(side)) == {0, SKIN, OUTER}


def test_what_the_photo_parts_stays_apart() -> None:
    told = empty()
    told[110:430, 90:210] = OUTER
    told[110:430, 130:170] = TOP
    told[430:560, 100:200] = BOTTOM
    for cloth in ({OUTER: RED, TOP: BLUE, BOTTOM: GREY}, {OUTER: RED, TOP: (215, 190, 80), BOTTOM: RED}):
        front, back = one_label_each(photo(told, cloth), told, told, MARKS)
        assert front is told and back is told


def test_a_line_along_the_border_is_a_hem() -> None:
    told = empty()
    told[110:330, 90:210] = OUTER
    told[330:430, 90:210] = DRESS
    picture = photo(told, {OUTER: RED, DRESS: RED})
    assert (one_label_each(picture, told, told, MARKS)[0] != told).any()
    picture[329:332, 90:210] = (40, 10, 10)
    assert one_label_each(picture, told, told, MARKS)[0] is told


def test_a_suit_is_a_jacket_and_trousers_and_the_dark_tells_nothing() -> None:
    told = empty()
    told[110:330, 90:210] = OUTER
    told[330:560, 100:200] = BOTTOM
    assert one_label_each(photo(told, {OUTER: BLUE, BOTTOM: BLUE}), told, told, MARKS)[0] is told
    told[110:330, 130:170] = TOP
    assert one_label_each(photo(told, {OUTER: (4, 4, 4), TOP: (6, 5, 4)}, 1.0), told, told, MARKS)[0] is told


def test_a_dress_with_legs_is_trousers_whatever_its_colours() -> None:
    told = trousers(250)
    told[told == BOTTOM] = DRESS
    told[400:440, 170:200] = BOTTOM
    picture = photo(told, {TOP: RED, DRESS: BLUE, BOTTOM: GREY})
    front, back = one_label_each(picture, told, told, MARKS)
    np.testing.assert_array_equal(front, np.where(told == DRESS, BOTTOM, told))
    np.testing.assert_array_equal(back, front)
    skirt = empty()
    skirt[110:250, 100:200], skirt[250:430, 90:210] = TOP, DRESS
    assert one_label_each(photo(skirt, {TOP: RED, DRESS: BLUE}), skirt, skirt, MARKS)[0] is skirt


def test_nobody_and_no_trunk() -> None:
    nothing = np.zeros((20, 10), np.uint8)
    front, back = one_label_each(np.zeros((20, 10, 3), np.uint8), nothing, nothing, MARKS)
    assert front is nothing and back is nothing
    assert Trunk.of(Landmarks(("left_hip",), np.zeros((1, 2)), np.ones(1), np.zeros((1, 3)), np.zeros((1, 3)))) is None
    told = trousers(110)
    told[(told == BOTTOM) & (np.arange(H) < 200)[:, None]] = DRESS
    unknown = Landmarks((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))
    front, _ = one_label_each(photo(trousers(110), {BOTTOM: BLUE}), told, told, unknown)
    assert set(np.unique(front)) == {0, SKIN, BOTTOM}


def test_borders_and_legs() -> None:
    labels = np.full((60, 60), TOP, np.uint8)
    labels[:, 30:] = OTHER
    colours = np.zeros((60, 60, 3), np.float32)
    colours[..., 0] = 40
    assert alike(labels, colours, TOP, OTHER)
    colours[:, 30:, 1] = 30
    assert not alike(labels, colours, TOP, OTHER)
    assert not alike(labels, colours, TOP, DRESS)
    legs = trousers(250) == BOTTOM
    assert _apart(legs, trousers(250) == 0)
    legs[330:, 140:160] = True
    assert not _apart(legs, ~legs)
