"""The optimiser: which weights Muon moves, its step in closed form, both memory formats, its state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from carve.train.running.optimiser import Optimiser, kernels_of


class Net(nn.Module):
    """Two kernels that are large enough, one with too few outputs, a norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.norm, self.second, self.last = nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 9), nn.Linear(9, 2)


def network() -> Net:
    return Net()


def test_muon_moves_kernels_and_adam_the_rest() -> None:
    net = network()
    assert [id(k) for k in kernels_of(net)] == [id(net.first.weight), id(net.second.weight)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_kernels_first_step_is_its_orthogonalised_gradient(memory_format: torch.memory_format) -> None:
    net = network().to(memory_format=memory_format)  # type: ignore[call-overload]
    before = net.first.weight.detach().clone()
    optimiser = Optimiser(net, 0.01, 0.0)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    gradient = net.first.weight.grad
    assert isinstance(gradient, torch.Tensor)
    optimiser.step(0.01)
    moved = (net.first.weight.detach() - before).flatten(1) / (-0.01 * 0.2 * math.sqrt(36))
    u, _, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    # Five Newton-Schulz steps leave singular values between about 0.7 and 1.2, in the gradient's own directions.
    core = u.T @ moved @ v.T
    assert ((core.diagonal() > 0.6) & (core.diagonal() < 1.3)).all()
    assert (core - core.diagonal().diag()).abs().max() < 0.1


def test_adams_first_step_is_the_rate_against_the_gradients_sign() -> None:
    net = network()
    optimiser = Optimiser(net, 1.0, 0.0)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    bias, before = net.norm.bias, net.norm.bias.detach().clone()
    optimiser.step(0.003)
    assert bias.grad is not None
    torch.testing.assert_close(bias.detach() - before, -0.003 * bias.grad.sign(), rtol=1e-4, atol=1e-6)
    optimiser.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_the_state_goes_on_in_another_one() -> None:
    one, other = network(), network()
    optimisers = Optimiser(one, 0.01, 0.1), Optimiser(other, 0.01, 0.1)

    def move(k: int, seed: int) -> None:
        torch.manual_seed(seed)
        for p in (one, other)[k].parameters():
            p.grad = torch.randn_like(p)
        optimisers[k].step(0.01)

    move(0, 3)
    other.load_state_dict(one.state_dict())
    optimisers[1].load_state({name: x.clone() for name, x in optimisers[0].state().items()})
    move(0, 4)
    move(1, 4)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
