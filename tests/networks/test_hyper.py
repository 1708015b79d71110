"""The hypernetwork: it begins with the shared weights, its description turns with the person, its weights come back from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from carve.networks.hyper import Architecture, Describer, HyperNet, load_hyper_net, places
from carve.networks.posed_field import Frame, Shape
from carve.networks.weights import write_weights
from carve.records import CarveError

TINY = Architecture(places=24, hidden=16, code=8, rank=2, target=Shape(octaves=2, hidden=12, layers=3))


def ball(count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals of a ball of radius 0.4 m at (1, 2, 3)."""
    normal = np.random.default_rng(0).normal(size=(count, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return 0.4 * normal + [1, 2, 3], normal


FRAME = Frame(np.array([1.0, 2.0, 3.0]), 0.5, np.eye(3))


def test_it_begins_with_the_shared_weights_for_everybody() -> None:
    torch.manual_seed(0)
    network = HyperNet(TINY)
    weights = network(torch.randn(3, 24, 6))
    assert [tuple(w.shape[1:]) for w in weights] == TINY.target.layer_shapes
    for made, base in zip(weights, network.base, strict=True):
        torch.testing.assert_close(made, base.expand_as(made))


def test_every_weight_learns_once_it_has_begun() -> None:
    torch.manual_seed(0)
    network = HyperNet(TINY)
    for head in (*network.gain, *network.left):
        torch.nn.init.normal_(head.weight, std=0.1)
    sum(w.square().sum() for w in network(torch.randn(2, 24, 6))).backward()  # type: ignore[union-attr]
    for name, value in network.named_parameters():
        assert value.grad is not None and float(value.grad.abs().sum()) > 0, name


def test_the_default_is_small() -> None:
    assert 2 * sum(p.numel() for p in HyperNet().state_dict().values()) < 4_200_000


def test_a_ball_is_described_by_its_distance() -> None:
    seen = Describer(*ball(), neighbours=1)(FRAME, 200)
    at = places(200)
    length = np.linalg.norm(at, axis=1)
    np.testing.assert_allclose(np.linalg.norm(seen[:, :3], axis=1), np.abs(length - 0.8), atol=0.03)
    clear = length > 0.2
    assert ((seen[clear, 3:] * at[clear]).sum(1) / length[clear]).min() > 0.95
    blurred = Describer(*ball(), neighbours=12)(FRAME, 200)
    assert 0 < np.abs(blurred - seen)[:, :3].mean() < 0.03
    np.testing.assert_array_equal(Describer(*ball(), neighbours=12)(FRAME, 200, 1), seen)


def test_who_turns_with_their_frame_is_described_alike() -> None:
    points, normals = ball()
    points = points * [1, 1.2, 0.7]
    turn = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    frame = Frame.around(points, np.array([0, 0, 1.0]))
    moved = Frame.around(points @ turn.T + [0, 0, -5], turn @ [0, 0, 1.0])
    # The box around a turned person is another one.
    moved = replace(moved, centre=turn @ frame.centre + [0, 0, -5], unit=frame.unit)
    one, other = Describer(points, normals)(frame, 100), Describer(points @ turn.T + [0, 0, -5], normals @ turn.T)(moved, 100)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_thin_plate_keeps_its_thickness_under_means() -> None:
    x, y = np.meshgrid(np.linspace(-0.3, 0.3, 40), np.linspace(-0.3, 0.3, 40))
    points = np.concatenate([np.column_stack([x.ravel(), y.ravel(), np.full(x.size, z)]) for z in (-0.005, 0.005)])
    normals = np.repeat([[0, 0, -1.0], [0, 0, 1.0]], x.size, 0)
    frame = Frame(np.zeros(3), 1.0, np.eye(3))
    seen = Describer(points, normals, 12)(frame, 300)
    place = seen[:, :3] + places(300)
    np.testing.assert_allclose(np.abs(place[:, 2]), 0.005, atol=1e-4)


def test_weights_come_back_from_their_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = HyperNet(TINY)
    torch.nn.init.normal_(network.body_0)
    write_weights(tmp_path, "hyper", network, {"architecture": TINY.as_json()})
    again = load_hyper_net(tmp_path)
    assert again.architecture == TINY
    for (name, a), b in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-3, msg=name)
    assert [tuple(w.shape) for w in again.mean_body] == [(1, *shape) for shape in TINY.target.layer_shapes]
    write_weights(tmp_path, "hyper", network, {"architecture": replace(TINY, hidden=20).as_json()})
    with pytest.raises(CarveError, match="do not fit"):
        load_hyper_net(tmp_path)
