"""A person's standing height as people write it: metres, centimetres, feet and inches."""

from __future__ import annotations

import re

SHORTEST, TALLEST = 0.4, 2.6
"""Metres: a toddler, and more than anybody has measured in the last eighty years."""

_INCH = 0.0254
_WAYS = "give metres (1.75 or 1,75), centimetres (175), feet and inches (5'9) or inches (69in)"
_NUMBER = r"(\d{1,4}(?:[.,]\d{1,4})?)"
_METRIC = re.compile(_NUMBER + r"\s*(m|cm|mm|(?:centi|milli)?met(?:re|er)s?)?")
_METRES_CENTIMETRES = re.compile(r"([12])\s*m\s*(\d{2})")
_FEET = re.compile(_NUMBER + r"\s*(?:'|ft\.?|feet|foot)\s*(?:" + _NUMBER + r"\s*(?:\"|''|in\.?|inches)?)?")
_INCHES = re.compile(_NUMBER + r"\s*(?:\"|''|in\.?|inch(?:es)?)")
_PRIMES = str.maketrans({"\u2032": "'", "\u2019": "'", "\u2033": '"', "\u201d": '"'})
"""Primes and curly quotes to the plain ones."""


def standing_height(value: object) -> float:
    """Metres from a number or from text such as 1.75, 1,75, 1m75, 175, 175 cm, 5'9, 5 ft 9 in, 69in.

    A bare number up to 3 is metres, from 40 on centimetres. Raises ValueError, in words for the user, for anything else and for what is
    not between `SHORTEST` and `TALLEST`.
    """
    metres = _from_text(value.strip().lower().translate(_PRIMES)) if isinstance(value, str) else _from_number(value)
    if metres is None or not SHORTEST <= metres <= TALLEST:
        raise ValueError(f"that is no person's height; {_WAYS}")
    return metres


def height_doubt(metres: float) -> str | None:
    """What to ask the user who gave an adult this height, if anything."""
    if 1.0 <= metres <= 2.3:
        return None
    size = "short" if metres < 1.0 else "tall"
    return f"A height of {metres:.2f} m was given, very {size} for an adult: is it right? If not, correct --height."


def _from_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if value <= 3 else float(value) / 100 if 40 <= value <= 300 else None


def _from_text(text: str) -> float | None:
    number = lambda digits: float(digits.replace(",", ".")) if digits else 0.0  # noqa: E731
    if both := _METRES_CENTIMETRES.fullmatch(text):
        return float(both[1]) + float(both[2]) / 100
    if feet := _FEET.fullmatch(text):
        return (12 * number(feet[1]) + number(feet[2])) * _INCH if number(feet[2]) < 12 else None
    if inches := _INCHES.fullmatch(text):
        return number(inches[1]) * _INCH
    if (metric := _METRIC.fullmatch(text)) is None:
        return None
    unit = {"m": 1.0, "cm": 0.01, "ce": 0.01, "mm": 0.001, "mi": 0.001, "me": 1.0}.get((metric[2] or "")[:2])
    return _from_number(number(metric[1])) if unit is None else number(metric[1]) * unit
