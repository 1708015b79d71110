"""People of rectangles: a small piece of a garment in the wrong place is what it looks like."""

from __future__ import annotations

import numpy as np

from carve.records import LABELS
from carve.stages.predicting.stray_pieces import strays_renamed
from rectangles import BLUE, RED, H, W, empty, photo

SKIN, TOP, BOTTOM = (LABELS.index(name) for name in ("skin", "top", "bottom"))
TONE = (200, 150, 120)


def in_a_skirt() -> np.ndarray:
    """Labels (H, W) of somebody in a top and a skirt, with bare legs."""
    labels = empty()
    labels[110:250, 100:200] = TOP
    labels[250:380, 95:205] = BOTTOM
    labels[380:560, 105:140] = SKIN
    labels[380:560, 160:195] = SKIN
    return labels


def test_a_bare_shin_that_is_called_a_skirt_is_skin_on_both_sides() -> None:
    true = in_a_skirt()
    told = true.copy()
    told[470:530, 105:140] = BOTTOM
    told[480:520, 160:195] = TOP
    front, back = strays_renamed(photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE}), told, told)
    np.testing.assert_array_equal(front, true)
    np.testing.assert_array_equal(back, true)


def test_a_knee_that_is_called_a_top_is_trousers_even_beside_a_hand() -> None:
    true = in_a_skirt()
    true[380:560, 105:140] = BOTTOM
    true[470:530, 140:160] = SKIN
    told = true.copy()
    told[470:530, 105:140] = TOP
    front, back = strays_renamed(photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE}), told, told)
    assert (front[475:525, 110:135] == BOTTOM).all() and (back[475:525, 110:135] == BOTTOM).all()


def test_a_sock_in_the_cloth_of_the_skirt_stays() -> None:
    told = in_a_skirt()
    told[470:530, 105:140] = BOTTOM
    front, back = strays_renamed(photo(told, {TOP: RED, BOTTOM: BLUE, SKIN: TONE}), told, told)
    assert front is told and back is told


def test_what_looks_like_nothing_around_it_keeps_its_name() -> None:
    """A yellow garter, whatever it is called."""
    told = in_a_skirt()
    told[400:440, 105:140] = TOP
    picture = photo(told, {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    picture[400:440, 105:140] = (210, 200, 40)
    assert strays_renamed(picture, told, told)[0] is told


def test_large_pieces_are_garments() -> None:
    told = in_a_skirt()
    told[380:560, 105:140] = BOTTOM  # one leg, half as large as the skirt
    told[378:380] = np.where(told[378:380] == BOTTOM, SKIN, told[378:380])
    picture = photo(in_a_skirt(), {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    front, _ = strays_renamed(picture, told, told)
    assert (front[390:550, 110:135] == BOTTOM).all()


def test_a_bare_shoulder_that_hangs_together_with_the_top_is_skin() -> None:
    true = in_a_skirt()
    true[80:110, 100:200] = SKIN
    told = true.copy()
    told[80:112, 100:140] = TOP
    front, back = strays_renamed(photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE}), told, told)
    assert (front == true).mean() > 0.998 and (back == true).mean() > 0.998


def test_a_dark_part_of_a_top_is_no_skirt() -> None:
    """A shadow has the colours of another cloth, at times."""
    told = in_a_skirt()
    picture = photo(told, {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    picture[200:250, 120:180] = BLUE
    assert strays_renamed(picture, told, told)[0] is told


def test_shirts_in_the_colour_of_skin_stay_shirts() -> None:
    """Striped, with a yoke, with a print beside a bare arm."""
    told = in_a_skirt()
    told[110:250, 80:100] = SKIN
    picture = photo(told, {TOP: RED, BOTTOM: BLUE, SKIN: TONE})
    for rows, columns in (
        ([slice(k, k + 20) for k in range(120, 250, 40)], slice(100, 200)),
        ([slice(110, 150)], slice(100, 200)),
        ([slice(150, 190)], slice(100, 130)),
    ):
        shown = picture.copy()
        for stripe in rows:
            shown[stripe, columns] = TONE
        assert strays_renamed(shown, told, told)[0] is told


def test_a_scrap_of_cloth_on_the_back_is_skin_where_the_front_is_bare() -> None:
    true = in_a_skirt()
    true[60:110, 100:200] = SKIN
    back = true.copy()
    back[70:80, 110:190] = TOP
    front, found = strays_renamed(photo(true, {TOP: RED, BOTTOM: BLUE, SKIN: TONE}), true, back)
    assert front is true
    np.testing.assert_array_equal(found, true)


def test_nobody_in_the_picture_is_no_error() -> None:
    nothing = np.zeros((H, W), np.uint8)
    front, _ = strays_renamed(np.zeros((H, W, 3), np.uint8), nothing, nothing)
    assert front is nothing
