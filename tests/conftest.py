"""What many tests need and what takes seconds to make: the body model, a clothed person that is known, the example photo observed."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carve.body.anny import AnnyBody, load_anny
from carve.geometry.relief.normal_maps import front_and_back
from carve.io.image import read_photo
from carve.records import CanonicalSurface, NormalMaps, Observation, Photo, PosedSurface
from carve.stages import observe, refine
from carve.stages.canonical import Params as CanonicalParams
from carve.stages.canonical import build_canonical
from synthetic import Truth, synthetic_person

_frozen = 0
"""Modules that were imported when the collector was last told to look no more at what is there."""


@pytest.fixture(autouse=True)
def _modules_are_no_garbage() -> None:
    """Every run collects garbage between its stages: looking through all modules each time takes half of the pipeline's tests."""
    global _frozen
    if len(sys.modules) > _frozen:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


@pytest.fixture(scope="session")
def anny_body() -> AnnyBody:
    """The body from the compact cache, which is built if there is none."""
    return load_anny()


@pytest.fixture(scope="session")
def clothed(anny_body: AnnyBody) -> Truth:
    """A body that is known exactly, in clothes that stand 3 cm off."""
    return synthetic_person(anny_body, cloth=0.03)


@pytest.fixture(scope="session")
def true_maps(clothed: Truth) -> NormalMaps:
    """The normals that the clothed person really has."""
    front, back = front_and_back(clothed.clothed, clothed.body.faces, clothed.body.camera)
    mask = (front != 0).any(-1)
    variance = np.full(mask.shape, 2 * np.log(np.radians(3.0)), np.float16)
    return NormalMaps(front.astype(np.float16), back.astype(np.float16), variance, mask, log_variance_back=variance)


@pytest.fixture(scope="session")
def canonical(clothed: Truth) -> CanonicalSurface:
    """What the stage of that name makes of it."""
    return build_canonical(clothed.observation, clothed.body, CanonicalParams())


@pytest.fixture(scope="session")
def refined(clothed: Truth, canonical: CanonicalSurface, true_maps: NormalMaps) -> PosedSurface:
    """The same mesh, refined in the photo's pose."""
    return refine.refine(
        clothed.observation, clothed.body, canonical, true_maps, replace(refine.Params(), align=False, fine=0.0, settle=False)
    )


@pytest.fixture(scope="session")
def example() -> Photo:
    """The example photo: one person, standing, all of them in the picture."""
    return read_photo(Path(__file__).parents[1] / "examples" / "person.jpg")


@pytest.fixture(scope="session")
def observed(example: Photo) -> Observation:
    """What the detectors make of the example photo."""
    return observe.observe(example, observe.Params())
