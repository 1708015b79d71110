"""Depth of the user's own: a picture whose red says how far away it is, models that read it, and what the evidence stage makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from onnx import helper

from carve.geometry.raster import rasterise
from carve.geometry.rotations import axis_rotation
from carve.networks.normals import Architecture, NormalsNet
from carve.own_normals import own_depth
from carve.records import BodyFit, CarveError, NormalMaps, Observation
from carve.stages.normals import Params, predict_evidence
from carve.stages.predicting.own_depth import OwnDepth, with_own_depth
from onnx_models import Constants, red, write
from people import capsule_avatar

NEAR, SPAN = 2.1, 0.7
"""Metres: red is 0 at NEAR and 255 at NEAR + SPAN."""

PARAMS = Params(size=256, mirror=False)

Layers = tuple[list[Any], Constants]


def layers(factor: float, constant: float, *, over: bool = False, then: tuple[float, float] = (1.0, 0.0)) -> Layers:
    """Of a model that says factor Z + constant, or with `over` one over it, and of that then[0] x + then[1]."""
    conv, weights = red(SPAN * factor, NEAR * factor + constant, "first")
    nodes = [conv, helper.make_node("Reciprocal" if over else "Identity", ["first"], ["second"])]
    nodes += [helper.make_node("Mul", ["second", "by"], ["third"]), helper.make_node("Add", ["third", "and"], ["depth"])]
    return nodes, weights | {"by": np.array([then[0]]), "and": np.array([then[1]])}


MODELS: dict[str, tuple[dict[str, Any], Layers]] = {
    "relative depth": ({"meaning": "depth"}, layers(37, -12)),
    "metric depth": ({"meaning": "depth", "metric": True}, layers(1, 0)),
    "metric depth, all of it farther": ({"meaning": "depth", "metric": True}, layers(1, 1.5)),
    "relative inverse": ({"meaning": "inverse"}, layers(1, 0, over=True, then=(600, -150))),
    "metric inverse": ({"meaning": "inverse", "metric": True}, layers(1, 0, over=True)),
}


def model(folder: Path, change: dict[str, Any], what: Layers) -> OwnDepth:
    """The model as the stage is given it."""
    conventions = {"image_input": "image", "depth_output": "depth", "multiple": 8} | change
    write(folder, what[0], conventions, outputs=("depth",), constants=what[1])
    deferred = own_depth(folder / "model.onnx")
    assert deferred is not None
    own: OwnDepth = deferred.make()
    return own


@pytest.fixture(scope="module")
def scene() -> tuple[Observation, BodyFit, np.ndarray]:
    """The capsule person in a picture whose red is the depth, their body, and that depth (H, W) in metres, 0 where nobody is."""
    made = capsule_avatar()
    raster = rasterise(made.body.posed, made.body.faces, made.body.camera)
    depth = np.where(raster.mask, raster.depth, 0).astype(float)
    value = np.where(raster.mask, np.rint((depth - NEAR) / SPAN * 255), 255)
    assert value.min() >= 0 and value.max() <= 255
    pixels = np.dstack([value, 0 * value + 90, 0 * value + 30]).astype(np.uint8)
    photo = replace(made.observation.photo, pixels=pixels)
    return replace(made.observation, photo=photo, mask=raster.mask.astype(np.float32), mask_source="file"), made.body, depth


@pytest.fixture(scope="module")
def network() -> NormalsNet:
    torch.manual_seed(1)
    return NormalsNet(Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2)).eval()


def inner(mask: np.ndarray) -> np.ndarray:
    """Pixels away from outlines, which a crop and its way back blur."""
    return cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def smooth(depth: np.ndarray) -> np.ndarray:
    """Where depth has no jump: those are blurred too."""
    filled = np.where(depth > 0, depth, np.median(depth[depth > 0])).astype(np.float32)
    return cv2.dilate(filled, np.ones((5, 5))) - cv2.erode(filled, np.ones((5, 5))) < 0.06


@pytest.mark.parametrize("kind", MODELS)
def test_the_models_depth_becomes_the_persons(
    scene: tuple[Observation, BodyFit, np.ndarray], network: NormalsNet, tmp_path: Path, kind: str
) -> None:
    """In sign, scale and unit, through the file, the crop, the model's process and the stage."""
    observation, body, depth = scene
    maps = predict_evidence(observation, body, network, PARAMS, model(tmp_path, *MODELS[kind]))
    assert (maps.depth_source, maps.notes) == ("model", ())
    assert maps.depth is not None and maps.depth_log_variance is not None
    assert maps.depth.dtype == maps.depth_log_variance.dtype == np.float32
    distance = -body.pose.root_position[2]
    per_metre = body.camera.focal / distance
    seen = inner(maps.mask) & smooth(depth)
    assert seen.sum() > 1500
    error = maps.depth[seen] / per_metre - (distance - depth[seen])
    assert np.ptp(depth[seen]) > 0.25
    assert abs(np.median(error)) < 0.004  # the first body stands where the person does
    assert np.percentile(np.abs(error), 95) < 0.012
    slope = np.polyfit(-depth[seen], maps.depth[seen] / per_metre, 1)[0]
    assert slope == pytest.approx(1, abs=0.03)
    assert not maps.depth[~maps.mask].any() and not maps.depth_log_variance[~maps.mask].any()
    # No better than a centimetre is believed.
    np.testing.assert_allclose(maps.depth_log_variance[maps.mask], 2 * np.log(0.01 * per_metre), atol=0.2)


def test_without_a_model_the_network_tells_the_depth(scene: tuple[Observation, BodyFit, np.ndarray], network: NormalsNet) -> None:
    maps = predict_evidence(*scene[:2], network, PARAMS)
    assert (maps.depth_source, maps.notes) == ("network", ())


def maps_for(mask: np.ndarray) -> NormalMaps:
    """Of a network that says that all lies in one plane."""
    none = np.zeros((*mask.shape, 3), np.float16)
    flat = np.zeros(mask.shape, np.float32)
    return NormalMaps(none, none, none[..., 0], mask, depth=flat, depth_log_variance=flat, depth_source="network")


def own(meaning: str = "depth", metric: bool = False) -> OwnDepth:
    return OwnDepth(lambda crop, mask: crop[..., 0], meaning, metric, "mine.onnx")  # type: ignore[arg-type]


def test_a_first_body_that_leans_does_not_bend_the_answer(scene: tuple[Observation, BodyFit, np.ndarray]) -> None:
    """The answer keeps its own tilt and roughly its scale; the doubt does not take the body's lean for the model's error."""
    _, body, depth = scene
    root = body.pose.root_position
    leaning = replace(body, posed=(body.posed - root) @ axis_rotation(0, np.radians(12)).T + root)
    maps = with_own_depth(maps_for(depth > 0), 5 * depth, leaning, own())
    assert maps.depth is not None and maps.depth_log_variance is not None
    per_metre = body.camera.focal / -root[2]
    seen = inner(depth > 0)
    slope = np.polyfit(-depth[seen], maps.depth[seen] / per_metre, 1)[0]
    assert slope == pytest.approx(1, abs=0.15)
    assert np.exp(maps.depth_log_variance[seen].mean() / 2) / per_metre < 0.05


def test_a_wider_doubt_where_body_and_answer_differ(scene: tuple[Observation, BodyFit, np.ndarray]) -> None:
    _, body, depth = scene
    waves = 0.05 * np.sin(np.arange(depth.shape[0]) / 9)[:, None]
    maps = with_own_depth(maps_for(depth > 0), depth + waves, body, own(metric=True))
    assert maps.depth_log_variance is not None
    sigma = np.exp(maps.depth_log_variance[depth > 0] / 2) / (body.camera.focal / -body.pose.root_position[2])
    assert np.ptp(sigma) < 1e-4
    assert 0.02 < sigma[0] < 0.07


def test_what_leaks_in_from_behind_stays_within_reach(scene: tuple[Observation, BodyFit, np.ndarray]) -> None:
    _, body, depth = scene
    leaking = np.where(depth > 0, depth, 40.0)
    rim = (depth > 0) & ~inner(depth > 0) & (np.arange(depth.shape[1]) % 9 == 0)
    leaking[rim] = 40
    maps = with_own_depth(maps_for(depth > 0), 3 * leaking + 8, body, own())
    clean = with_own_depth(maps_for(depth > 0), 3 * depth + 8, body, own())
    assert maps.depth is not None and clean.depth is not None
    rest = (depth > 0) & ~rim
    per_metre = body.camera.focal / -body.pose.root_position[2]
    assert np.abs(maps.depth - clean.depth)[rest].max() / per_metre < 0.03
    assert np.abs(maps.depth).max() / per_metre < 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda depth: np.random.default_rng(0).normal(size=depth.shape), "does not go with the body"),
        (lambda depth: np.full(depth.shape, 3.0), "is flat"),
        (lambda depth: np.round(depth / 0.4), "is flat"),
        (lambda depth: np.arange(depth.shape[0])[:, None] + 0 * depth, "does not go with the body"),
    ],
    ids=["noise", "a wall", "steps", "a floor"],
)
def test_an_answer_that_says_nothing_of_the_body_leaves_the_networks_depth(
    scene: tuple[Observation, BodyFit, np.ndarray], answer: Callable[[np.ndarray], np.ndarray], why: str
) -> None:
    _, body, depth = scene
    before = maps_for(depth > 0)
    after = with_own_depth(before, answer(depth), body, own())
    assert len(after.notes) == 1 and why in after.notes[0] and "carve's own depth was used" in after.notes[0]
    assert after.depth is before.depth and after.depth_log_variance is before.depth_log_variance
    assert after.depth_source == "network"


def test_a_body_beside_the_person_says_nothing(scene: tuple[Observation, BodyFit, np.ndarray]) -> None:
    _, body, depth = scene
    after = with_own_depth(maps_for(depth > 0), depth, replace(body, posed=body.posed + np.array([5.0, 0, 0])), own())
    assert "too little of the body" in after.notes[0]


@pytest.mark.parametrize(("meaning", "other"), [("depth", "inverse"), ("inverse", "depth")])
def test_near_and_far_exchanged_are_told(scene: tuple[Observation, BodyFit, np.ndarray], meaning: str, other: str) -> None:
    _, body, depth = scene
    answer = 1 / np.maximum(depth, 1) if meaning == "depth" else depth
    with pytest.raises(CarveError, match=rf'mine\.onnx gives runs against the person.* \'meaning\' should be "{other}"'):
        with_own_depth(maps_for(depth > 0), answer, body, own(meaning))


def test_metres_that_are_none_are_told(scene: tuple[Observation, BodyFit, np.ndarray]) -> None:
    _, body, depth = scene
    with pytest.raises(CarveError, match=r"mine\.onnx gives is not in metres: the body's relief is 0\.00\d+ times as large"):
        with_own_depth(maps_for(depth > 0), 100 * depth, body, own(metric=True))


def test_another_file_or_another_json_is_another_input(tmp_path: Path) -> None:
    identities = []
    for kind in ("relative depth", "metric depth", "relative depth"):
        model(tmp_path, *MODELS[kind])
        deferred = own_depth(tmp_path / "model.onnx")
        assert deferred is not None
        identities.append(deferred.identity)
    json = tmp_path / "model.json"
    json.write_text(json.read_text().replace('"multiple": 8', '"multiple": 16'))
    again = own_depth(tmp_path / "model.onnx")
    assert again is not None
    assert identities[0] == identities[2] and len({*identities, again.identity}) == 3
    assert own_depth(None) is None
