"""Same input, same avatar: the number of threads of torch, BLAS, OpenMP and OpenCV changes nothing that a stage gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from carve.body.anny import AnnyBody
from carve.networks.normals import NormalsNet, load_normals_net
from carve.records import BodyFit, NormalMaps, Observation, Photo, PosedSurface
from carve.runner import Deferred, StageRunner, one_thread
from carve.stages import fit_body, normals, observe, refine
from synthetic import Truth

THREADS = (1, 4)


@pytest.fixture(params=THREADS)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with threadpool_limits(request.param):
        torch.set_num_threads(request.param)
        cv2.setNumThreads(request.param)
        yield request.param
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def arrays(record: Any, path: str = "") -> dict[str, np.ndarray]:
    """All arrays of a record by their names."""
    found = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            found[path + field.name] = value
        elif is_dataclass(value):
            found |= arrays(value, f"{path}{field.name}.")
    return found


_FIRST: dict[str, dict[str, np.ndarray]] = {}


def same_as_before(name: str, record: Any) -> None:
    """Equal bit by bit to what the first number of threads gave."""
    found = arrays(record)
    for key, value in _FIRST.setdefault(name, found).items():
        np.testing.assert_array_equal(found[key], value, err_msg=f"{name}: {key}")


@pytest.fixture(scope="module")
def network() -> NormalsNet:
    return load_normals_net()


def test_person_normals_and_body(threads: int, example: Photo, network: NormalsNet, anny_body: AnnyBody) -> None:
    run = StageRunner(0)
    run.give("photo", example)
    model = Deferred("anny", lambda: anny_body)
    weights = Deferred("normals", lambda: network)
    seen = run("observe", Observation, observe.observe, example, observe.Params(scales=(1.0,), degrees=(0.0,)))
    first = run("fit_body", BodyFit, fit_body.fit_body, seen, model, fit_body.Params(start_steps=8, steps=8))
    maps = run("evidence", NormalMaps, normals.predict_evidence, seen, first, weights, normals.Params(size=256, mirror=False))
    body = run("refit_body", BodyFit, fit_body.refit_body, seen, first, maps, model, fit_body.Params(refit_steps=8))
    for name, record in (("observe", seen), ("fit_body", first), ("evidence", maps), ("refit_body", body)):
        same_as_before(name, record)


def test_the_refined_surface(threads: int, clothed: Truth, canonical: Any, true_maps: NormalMaps) -> None:
    run = StageRunner(0)
    inputs = (clothed.observation, clothed.body, canonical, true_maps, refine.Params(resolution=256, rounds=1))
    same_as_before("refine", run("refine", PosedSurface, refine.refine, *inputs))


def test_stages_run_on_one_thread_and_leave_the_number_as_it_was(threads: int) -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == threads
