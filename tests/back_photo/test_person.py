"""Who a back photo may show: what is refused, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

from carve.back_photo import person
from carve.back_photo.person import FROM_FRONT, FROM_SIDE, LOOKS_BACK, check_from_behind, observe_back
from carve.records import CarveError, Landmarks, Photo
from carve.stages.observe import Params

TRUNK = {"left_shoulder": (40.0, 100.0), "right_shoulder": (-40.0, 100.0), "left_hip": (30.0, 250.0), "right_hip": (-30.0, 250.0)}
"""Of somebody who faces the camera: their left is on the picture's right."""


def marks(turn: float, *more: str) -> Landmarks:
    """Landmarks of a trunk whose width in the picture is `turn` times that from the front."""
    names = (*TRUNK, *more)
    pixels = np.array([*([u * turn, v] for u, v in TRUNK.values()), *([0.0, 50.0] for _ in more)])
    return Landmarks(names, pixels, np.ones(len(names)), np.zeros((len(names), 3)), np.zeros((len(names), 3)))


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (marks(1.0), FROM_FRONT),
        (marks(0.5, "face_0"), FROM_FRONT),
        (marks(0.1), FROM_SIDE),
        (marks(-0.2), FROM_SIDE),
        (marks(-1, "face_0"), LOOKS_BACK),
    ],
)
def test_who_is_not_seen_from_behind_is_refused_in_one_sentence(seen: Landmarks, says: str) -> None:
    with pytest.raises(CarveError) as refused:
        check_from_behind(seen)
    assert str(refused.value) == says and "back photo" in says and "\n" not in says


def test_who_is_seen_from_behind_is_taken() -> None:
    check_from_behind(marks(-1.0))
    check_from_behind(marks(-0.5))


def test_a_back_photo_without_anybody_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(photo: Photo, params: Params) -> None:
        assert params.person is None and params.focal is None and params.smallest_person == 77
        raise CarveError("No person was found in the photo: use a photo that shows one person clearly.")

    monkeypatch.setattr(person, "observe", nobody)
    photo = Photo(np.zeros((8, 8, 3), np.uint8), None, None, "empty")
    with pytest.raises(CarveError) as refused:
        observe_back(photo, Params(person=3, focal=700.0, smallest_person=77))
    assert str(refused.value) == (
        "The back photo cannot be used (no person was found in the photo: use a photo that shows one person clearly)."
    )
