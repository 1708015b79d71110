"""People of rectangles: a border of labels goes to where the photo's colours change, and stays where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from carve.records import LABELS
from carve.stages.predicting.garment_borders import borders_of_the_photo
from rectangles import BLUE, RED, H, W, empty, photo

SKIN, TOP, OUTER, BOTTOM = (LABELS.index(name) for name in ("skin", "top", "outer", "bottom"))
TONE = (200, 150, 120)


def dressed(hem: int) -> np.ndarray:
    """Labels (H, W) of somebody in a top down to row `hem`, trousers below it, and a bare arm."""
    labels = empty()
    labels[110:hem, 100:200] = TOP
    labels[hem:560, 100:200] = BOTTOM
    labels[130:330, 70:100] = SKIN
    return labels


@pytest.mark.parametrize("off", [-14, 12])
def test_a_hem_goes_to_where_the_photo_has_it_on_both_sides(off: int) -> None:
    true, told = dressed(300), dressed(300 + off)
    picture = photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    front, back = borders_of_the_photo(picture, told, told)
    assert (told != true).sum() == 100 * abs(off)
    assert (front != true).sum() < 0.15 * (told != true).sum()
    np.testing.assert_array_equal(back, front)
    assert front.dtype == np.uint8


def test_a_hem_farther_off_than_it_may_move_stays_a_hem() -> None:
    """Half of the garment in another colour is a print, not another garment."""
    told = dressed(300)
    picture = photo(dressed(250), {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    front, _ = borders_of_the_photo(picture, told, told)
    assert (front[250:280, 100:200] == TOP).mean() > 0.95


def test_where_the_photo_shows_no_border_the_labels_stay() -> None:
    told = dressed(300)
    picture = photo(told, {TOP: BLUE, BOTTOM: BLUE, SKIN: TONE})
    front, back = borders_of_the_photo(picture, told, told)
    assert (front[260:340, 100:200] == told[260:340, 100:200]).mean() > 0.97
    assert (back == front).all()


def test_the_opening_of_a_coat_is_none_of_its_back() -> None:
    true = dressed(300)
    true[110:300, 100:200] = OUTER
    told, back = true.copy(), true.copy()
    true[110:300, 140:165], told[110:300, 148:157] = SKIN, SKIN
    front, behind = borders_of_the_photo(photo(true, {OUTER: RED, BOTTOM: BLUE, SKIN: TONE}), told, back)
    assert (front != true).sum() < 0.3 * (told != true).sum()
    np.testing.assert_array_equal(behind[140:290, 105:195], back[140:290, 105:195])


def test_a_hand_in_the_colour_of_the_sleeve_stays_a_hand() -> None:
    told = dressed(300)
    told[200:225, 130:155] = SKIN
    picture = photo(np.where(told == SKIN, TOP, told), {TOP: RED, BOTTOM: BLUE})
    picture[told == SKIN] = picture[told == TOP].mean(0).astype(np.uint8)
    picture[140:320, 75:95] = TONE
    front, _ = borders_of_the_photo(picture, told, told)
    assert (front[200:225, 130:155] == SKIN).mean() >= 0.6


def test_nobody_in_the_picture_is_no_error() -> None:
    nothing = np.zeros((20, 10), np.uint8)
    front, back = borders_of_the_photo(np.zeros((20, 10, 3), np.uint8), nothing, nothing)
    assert front is nothing and back is nothing


def test_the_size_of_the_photo_does_not_matter() -> None:
    true, told = dressed(300), dressed(312)
    picture = photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    front, _ = borders_of_the_photo(picture.repeat(3, 0).repeat(3, 1), told.repeat(3, 0).repeat(3, 1), told.repeat(3, 0).repeat(3, 1))
    assert front.shape == (3 * H, 3 * W)
    assert (front[1::3, 1::3] != true).sum() < 0.15 * (told != true).sum()
