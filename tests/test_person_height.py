"""Heights as people write them."""

from __future__ import annotations

import pytest

from carve.person_height import height_doubt, standing_height


@pytest.mark.parametrize(
    ("written", "metres"),
    [
        (1.75, 1.75),
        (175, 1.75),
        ("1.75", 1.75),
        ("1,75", 1.75),
        ("1.75 metres", 1.75),
        ("175 centimeters", 1.75),
        ("1,75 m", 1.75),
        ("1m75", 1.75),
        ("175", 1.75),
        ("175cm", 1.75),
        ("175,5 CM", 1.755),
        ("1750 mm", 1.75),
        ("5'9", 1.7526),
        ("5'9\"", 1.7526),
        ("5\u20329\u2033", 1.7526),
        ("5 ft 9 in", 1.7526),
        ("6 feet", 1.8288),
        ("69in", 1.7526),
        ('69"', 1.7526),
        (" 0.9 ", 0.9),
    ],
)
def test_what_people_type(written: object, metres: float) -> None:
    assert standing_height(written) == pytest.approx(metres, abs=1e-9)


@pytest.mark.parametrize(
    "written",
    [
        17.5,
        "17.5",
        "",
        "tall",
        "5'13",
        "-1.75",
        "nan",
        "inf",
        float("nan"),
        True,
        None,
        0,
        0.2,
        3,
        301,
        10**400,
        "1.7.5",
        "9ft",
        "1e2",
        [1.7],
    ],
)
def test_what_is_no_height_says_how_to_write_one(written: object) -> None:
    with pytest.raises(ValueError, match="give metres"):
        standing_height(written)


def test_adults_of_unlikely_height_are_asked_about() -> None:
    assert height_doubt(1.0) is None and height_doubt(2.3) is None
    assert "0.95 m" in str(height_doubt(0.95)) and "short" in str(height_doubt(0.95))
    assert "2.40 m" in str(height_doubt(2.4)) and "tall" in str(height_doubt(2.4))
