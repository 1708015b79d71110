"""The bounds of settings: annotated types that say which values a field takes, checked by `carve.settings`.

A field of a stage's `Params` is a `bool`, a `Literal` or one of these, or has its own ``Annotated[float, Field(ge=..., le=...)]``.
`is_bounded` says whether a type is closed at both ends, which a test asks of every field. Lengths are metres.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo

from carve.person_height import SHORTEST, TALLEST, standing_height

Share = Annotated[float, Field(ge=0, le=1)]
"""Of a whole."""
Length = Annotated[float, Field(ge=0, le=1)]
"""Metres, from nothing to half a person."""
Scale = Annotated[float, Field(ge=1e-4, le=1)]
"""Metres that something is divided by: never zero."""
Factor = Annotated[float, Field(ge=0, le=100)]
"""A multiplier, or a number of expected errors."""
Weight = Annotated[float, Field(ge=0, le=1000)]
"""Of a term against others."""
Degrees = Annotated[float, Field(gt=0, le=180)]
"""An angle, or the spread of one."""
Rounds = Annotated[int, Field(ge=0, le=100)]
"""Repetitions of something that costs a good part of a second."""
Steps = Annotated[int, Field(ge=1, le=10000)]
"""Of an optimiser."""
Pixels = Annotated[int, Field(ge=64, le=4096)]
"""Side of an image that is worked on."""
Height = Annotated[float, BeforeValidator(standing_height), Field(ge=SHORTEST, le=TALLEST)]
"""A person's, metres; also read from what people write (`carve.person_height`)."""


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("the first value must be below the second")
    return pair


Value = TypeVar("Value")
Rising = Annotated[tuple[Value, Value], AfterValidator(_rising)]
"""Where something begins and where it is complete, such as ``Rising[Length]``."""


_ENDS = ("ge", "gt", "le", "lt", "max_length")
"""Names under which a field's metadata hold its limits."""


def is_bounded(hint: Any) -> bool:
    """Whether a type is a closed choice, or a number, text or list with a least and a largest value or length all through."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint in (bool, NoneType) or kind is Literal:
        return True
    if kind in (Union, UnionType):
        return all(is_bounded(option) for option in inner)
    if kind is tuple:
        return Ellipsis not in inner and all(is_bounded(item) for item in inner)
    if kind is not Annotated:
        return False
    limits = {end for note in inner[1:] if isinstance(note, FieldInfo) for limit in note.metadata for end in _ENDS if hasattr(limit, end)}
    if get_origin(inner[0]) is tuple:
        items = get_args(inner[0])
        return all(is_bounded(item) for item in items if item is not Ellipsis) and (Ellipsis not in items or "max_length" in limits)
    return bool(limits & {"ge", "gt"}) and bool(limits & {"le", "lt"})
