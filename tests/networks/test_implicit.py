"""The implicit model: it begins as the body; its gradients are those of the whole query; every choice of the ablation works."""

from __future__ import annotations

import itertools
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor

from carve.body.skin_field import SkinField
from carve.networks import implicit
from carve.networks.encoder import BODY, CHANNELS, FARTHEST, FILL, FRONT, MASK, NEAREST, SIZE, crop_maps
from carve.networks.implicit import (
    JOINTS,
    Architecture,
    ClothedField,
    ImplicitNet,
    Points,
    Seen,
    load_implicit_net,
)
from carve.networks.weights import write_weights
from carve.records import CarveError, NormalMaps
from carve.stages.normals import person_window
from synthetic import Truth

TINY = Architecture(widths=(8, 16, 16), features=8, hidden=24, layers=4)
PEOPLE, COUNT, SIDE = 2, 30, 32


def woken(architecture: Architecture = TINY) -> ImplicitNet:
    """A network whose last layer is not zero, in double precision."""
    torch.manual_seed(0)
    network = ImplicitNet(architecture)
    torch.nn.init.normal_(network.last.weight, std=0.3)
    return network.double()


def some_points(seed: int = 0) -> Points:
    noise = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(PEOPLE, COUNT, *shape, generator=noise, dtype=torch.float64)  # noqa: E731
    turn = torch.linalg.qr(draw(3, 3)).Q
    unit = lambda v: v / v.norm(dim=-1, keepdim=True)  # noqa: E731
    shift = torch.tensor([0, 0, -3.0], dtype=torch.float64) + 0.05 * draw(3)
    region = torch.randint(0, 14, (PEOPLE, COUNT), generator=noise)
    return Points(0.2 * draw(3), torch.cat([turn, shift[..., None]], -1), 0.1 * draw(), unit(draw(3)), unit(draw(3)), region)


def smooth_seen(network: ImplicitNet) -> Seen:
    """Maps that are linear across the picture, so that bilinear samples have no kinks."""
    noise = torch.Generator().manual_seed(1)

    def planes(channels: int, size: int) -> Tensor:
        at = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
        a, b, c = torch.randn(3, PEOPLE, channels, 1, 1, generator=noise, dtype=torch.float64)
        return a + 2 * b * at[:, None] + 2 * c * at

    maps = planes(CHANNELS, SIDE)
    maps[:, NEAREST], maps[:, FARTHEST] = 0.1, -0.1
    camera = torch.tensor([[2.0 * SIDE, SIDE / 2, SIDE / 2]] * PEOPLE, dtype=torch.float64)
    joints = torch.randn(PEOPLE, len(JOINTS), 3, generator=noise, dtype=torch.float64)
    return Seen(planes(network.architecture.features, SIDE // 2), maps, camera, torch.full((PEOPLE,), -3.0, dtype=torch.float64), joints)


def test_it_begins_as_the_body() -> None:
    network = ImplicitNet(TINY).double()
    seen, points = smooth_seen(network), some_points()
    value, _ = network.query(seen, points)
    torch.testing.assert_close(value, points.distance)
    value, gradient, _, _ = network.with_gradient(seen, points)
    torch.testing.assert_close(value, points.distance)
    torch.testing.assert_close(gradient, points.gradient)


@pytest.mark.parametrize("geometry", get_args(get_type_hints(Architecture)["geometry"]))
def test_gradients_go_through_everything_that_a_point_sees(geometry: str) -> None:
    """Against automatic differentiation of the query with the points moved, on maps without kinks."""
    network = woken(replace(TINY, geometry=geometry))  # type: ignore[arg-type]
    seen, points = smooth_seen(network), some_points()
    offset = torch.zeros(PEOPLE, COUNT, 3, dtype=torch.float64, requires_grad=True)
    moved = replace(points, position=points.position + offset, distance=points.distance + (points.gradient * offset).sum(-1))
    with pytest.MonkeyPatch.context() as patch:
        # The maps' samples have no slope in training, where differences give it; here they need one.
        patch.setattr(implicit.torch, "no_grad", torch.enable_grad)
        exact, _ = network.query(seen, moved)
        (expected,) = torch.autograd.grad(exact.sum(), offset)
    value, gradient, _, _ = network.with_gradient(seen, points)
    torch.testing.assert_close(value, exact, atol=2e-4, rtol=0)
    error = (gradient - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=0.1)
    assert float(error.detach().median()) < 0.005
    assert float(error.detach().max()) < 0.05


def test_weights_learn_from_the_gradient() -> None:
    """Second derivatives: the loss of a gradient against differences of that loss."""
    network = woken()
    seen, points = smooth_seen(network), some_points()

    def loss() -> Tensor:
        gradient = network.with_gradient(seen, points)[1]
        return (gradient - points.normal).square().sum()

    weight = network.inner[0].weight
    (found,) = torch.autograd.grad(loss(), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    with torch.no_grad():
        step, values = 1e-5, []
        for sign in (1, -1):
            weight += sign * step * direction
            values.append(float(loss()))
            weight -= sign * step * direction
    assert float((found * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_others_are_answered_as_alone() -> None:
    network = woken()
    seen, points, others = smooth_seen(network), some_points(), some_points(7)
    value, gradient, log_scale, rest = network.with_gradient(seen, points, others)
    alone = network.with_gradient(seen, points)
    for a, b in zip((value, gradient, log_scale), alone, strict=False):
        assert b is not None
        torch.testing.assert_close(a, b)
    assert rest is not None
    torch.testing.assert_close(rest, torch.stack(network.query(seen, others), -1))


def test_the_normal_comes_from_the_side_that_the_point_is_on() -> None:
    """And is turned back: with the front of a map facing along x in canonical space, a point on the front is told x."""
    network = woken(replace(TINY, geometry="canonical_normal"))
    seen = smooth_seen(network)
    seen.maps[:, FRONT] = torch.tensor([0.0, 0, 1], dtype=torch.float64)[:, None, None]
    seen.maps[:, 3:6] = torch.tensor([0.0, 0, -1], dtype=torch.float64)[:, None, None]
    turn = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=torch.float64)  # canonical x faces the viewer
    transform = torch.cat([turn, torch.tensor([[0.0], [0], [-3]], dtype=torch.float64)], 1).expand(PEOPLE, COUNT, 3, 4)
    for sign in (1.0, -1.0):
        away = torch.tensor([sign, 0.0, 0.0], dtype=torch.float64).expand(PEOPLE, COUNT, 3)
        points = replace(some_points(), position=0.1 * away, transform=transform, normal=away)
        told = network._describe(seen, points, *implicit._projected(seen, points))
        before = network.architecture.features + 3 + 6 * network.architecture.octaves + 2
        torch.testing.assert_close(told[..., before : before + 3], away, atol=0.06, rtol=0)


@pytest.mark.parametrize(
    ("representation", "geometry", "image", "space"),
    list(itertools.product(*(get_args(get_type_hints(Architecture)[name]) for name in ("representation", "geometry", "image", "space"))))[
        ::3
    ],
)
def test_every_choice_answers(representation: str, geometry: str, image: str, space: str) -> None:
    architecture = replace(TINY, representation=representation, geometry=geometry, image=image, space=space)  # type: ignore[arg-type]
    network = ImplicitNet(architecture).double()
    maps = smooth_seen(network).maps
    seen = network(maps, *(getattr(smooth_seen(network), name) for name in ("camera", "reference", "joints")))
    assert seen.features.dtype == torch.float32
    seen = replace(seen, features=seen.features.double())
    value, log_scale = network.query(seen, some_points())
    assert value.shape == log_scale.shape == (PEOPLE, COUNT)
    assert architecture.on_body == (geometry in ("body_sdf", "all"))
    assert (BODY in architecture.channels) == architecture.on_body
    assert (FRONT.start in architecture.channels) == (image != "photo")
    assert (17 in architecture.channels) == (image != "normals")
    assert MASK in architecture.channels


def encoded(network: ImplicitNet, maps: Tensor) -> Seen:
    """What the network sees in maps, in double precision."""
    plain = smooth_seen(network)
    seen = network(maps, plain.camera, plain.reference, plain.joints)
    return replace(seen, features=seen.features.double(), fine=None if seen.fine is None else seen.fine.double())


def test_two_levels_see_the_maps_coarse_and_fine() -> None:
    """The coarse level does not know what differs only within squares of two pixels; the fine one does."""
    network = woken(replace(TINY, levels=2, fine_features=8))
    maps, points = smooth_seen(network).maps, some_points()
    checks = torch.ones(SIDE, SIDE, dtype=torch.float64)
    checks[::2, 1::2] = checks[1::2, ::2] = -1
    fine = maps.clone()
    fine[:, FRONT] += checks
    a, b = encoded(network, maps), encoded(network, fine)
    assert a.features.shape[-1] == SIDE // 4
    assert a.fine is not None and a.fine.shape == (PEOPLE, 8, SIDE, SIDE)
    torch.testing.assert_close(a.features, b.features)
    assert float((network.query(a, points)[0] - network.query(b, points)[0]).detach().abs().max()) > 1e-5


def test_two_levels_begin_as_the_body_and_both_learn() -> None:
    network = ImplicitNet(replace(TINY, levels=2, fine_features=8)).double()
    seen, points = encoded(network, smooth_seen(network).maps), some_points()
    torch.testing.assert_close(network.query(seen, points)[0], points.distance)
    network = woken(network.architecture)
    network.query(encoded(network, smooth_seen(network).maps), points)[0].square().sum().backward()
    for part in (network.encoder.stem, network.first, network.fine.stem, network.fine.first):
        assert part.weight.grad is not None and float(part.weight.grad.abs().max()) > 0


def test_the_surface_code_is_that_of_the_nearest_point() -> None:
    """Points one behind the other on a normal of the body differ in their own place alone."""
    network = woken(replace(TINY, geometry="surface"))
    seen, points = smooth_seen(network), some_points()
    along = replace(points, position=points.position + 0.01 * points.gradient, distance=points.distance + 0.01)
    start = network.architecture.features + 3 + 6 * network.architecture.octaves + 2
    told = [network._describe(seen, p, *implicit._projected(seen, p))[..., start:] for p in (points, along)]
    assert told[0].shape[-1] == implicit.SURFACE_CODE
    torch.testing.assert_close(*told)
    elsewhere = replace(points, normal=-points.normal)
    assert not torch.allclose(network._describe(seen, elsewhere, *implicit._projected(seen, elsewhere))[..., start:], told[0])


@pytest.fixture(scope="module")
def normals(clothed: Truth) -> NormalMaps:
    """Of somebody flat."""
    mask = clothed.observation.mask > 0.5
    front = np.where(mask[..., None], np.float16([0, 0, 1]), np.float16(0))
    return NormalMaps(front, -front, np.zeros(mask.shape, np.float16), mask)


def test_the_clothed_field_begins_as_the_body_and_chunks_agree(
    clothed: Truth, normals: NormalMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = SkinField.of(clothed.body)
    rng = np.random.default_rng(0)
    points = clothed.body.canonical[rng.integers(len(clothed.body.canonical), size=900)] + rng.normal(0, 0.05, (900, 3))
    photo = clothed.observation.photo.pixels
    start = ClothedField(ImplicitNet(TINY).eval(), field, clothed.body, normals, clothed.observation.mask, photo)
    distance, log_scale = start(points)
    assert (distance.dtype, log_scale.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(distance, field.near(points).distance, atol=1e-6)
    network = woken().float().eval()
    whole = ClothedField(network, field, clothed.body, normals, clothed.observation.mask, photo)(points)
    monkeypatch.setattr(implicit, "_CHUNK", 256)
    parts = ClothedField(network, field, clothed.body, normals, clothed.observation.mask, photo)
    for found in (parts(points), parts.evaluate(points, field.near(points))):
        np.testing.assert_allclose(found[0], whole[0], atol=1e-5)
        np.testing.assert_allclose(found[1], whole[1], atol=1e-4)
    assert np.abs(whole[0] - distance).max() > 1e-3


def test_the_crop_is_that_of_the_normals_stage(clothed: Truth, normals: NormalMaps) -> None:
    maps = crop_maps(clothed.body, normals, clothed.observation.mask, clothed.observation.photo.pixels)
    window = person_window(clothed.observation.mask, FILL, SIZE)
    expected = clothed.body.camera.cropped(window.left, window.top, SIZE, SIZE, window.scale)
    assert maps.camera == expected
    body, mask = maps.channels[BODY] > 0, maps.channels[MASK] > 0.5
    assert (body & ~mask).sum() < 0.02 * body.sum()  # the clothes are wider than the body
    np.testing.assert_allclose(np.linalg.norm(maps.channels[FRONT], axis=0)[mask], 1, atol=1e-5)


def test_an_empty_mask_is_named(clothed: Truth, normals: NormalMaps) -> None:
    with pytest.raises(CarveError, match="mask"):
        crop_maps(clothed.body, normals, np.zeros_like(clothed.observation.mask), clothed.observation.photo.pixels)


def test_weights_come_back_and_others_are_refused(tmp_path: Path) -> None:
    network = ImplicitNet(TINY)
    write_weights(tmp_path, "implicit", network, {"architecture": TINY.as_json()})
    loaded = load_implicit_net(tmp_path)
    assert loaded.architecture == TINY
    assert not loaded.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    path = tmp_path / "implicit.json"
    card = json.loads(path.read_text())
    for wrong in ({**TINY.as_json(), "hidden": 20}, {"space": "nowhere"}):
        path.write_text(json.dumps({**card, "architecture": wrong}))
        with pytest.raises(CarveError, match="install carve again"):
            load_implicit_net(tmp_path)


def test_the_default_weights_are_small() -> None:
    size = sum(p.numel() for p in ImplicitNet().parameters()) * 2
    assert size < 8 * 2**20
    assert {f.name for f in fields(Architecture)} >= {"representation", "geometry", "image", "space"}
