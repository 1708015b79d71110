"""What many tests need and what takes seconds to make: the body model, and the example photo as the first stage sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from carve.body.anny import AnnyBody, load_anny
from carve.io.image import read_photo
from carve.records import Observation, Photo
from carve.stages import observe


@pytest.fixture(scope="session")
def anny_body() -> AnnyBody:
    """The body from the compact cache, which is built if there is none."""
    return load_anny()


@pytest.fixture(scope="session")
def example() -> Photo:
    """The example photo: one person, standing, all of them in the picture."""
    return read_photo(Path(__file__).parents[1] / "examples" / "person.jpg")


@pytest.fixture(scope="session")
def observed(example: Photo) -> Observation:
    """What the detectors make of the example photo."""
    return observe.observe(example, observe.Params())
