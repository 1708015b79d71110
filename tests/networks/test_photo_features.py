"""The photo's features: sizes, widths, and a block against its closed form."""

from __future__ import annotations

import torch

from carve.networks.photo_features import WIDTHS, Inverted, PhotoFeatures


def test_features_come_at_a_half_to_a_sixteenth_of_the_resolution() -> None:
    network = PhotoFeatures()
    found = network(torch.rand(2, 3, 64, 96))
    sizes = [(2, width, 64 // side, 96 // side) for width, side in zip(WIDTHS, (2, 4, 8, 16), strict=True)]
    assert [tuple(f.shape) for f in found] == sizes
    assert not any(p.requires_grad for p in network.parameters())


def test_a_block_filters_each_channel_alone_and_adds_its_input_where_it_fits() -> None:
    block = Inverted(4, 4, 3, 1, 6)
    x = torch.randn(1, 4, 8, 8)
    wide = torch.einsum("oi,bihw->bohw", block.widen.weight[:, :, 0, 0], x) + block.widen.bias[:, None, None]  # type: ignore[union-attr]
    wide = torch.nn.functional.pad(wide.clamp(0, 6), (1, 1, 1, 1))
    parts = [wide[:, :, i : i + 8, j : j + 8] * block.filter.weight[:, 0, i, j][:, None, None] for i in range(3) for j in range(3)]
    filtered = (torch.stack(parts).sum(0) + block.filter.bias[:, None, None]).clamp(0, 6)  # type: ignore[index]
    narrow = torch.einsum("oi,bihw->bohw", block.narrow.weight[:, :, 0, 0], filtered) + block.narrow.bias[:, None, None]  # type: ignore[index]
    torch.testing.assert_close(block(x), x + narrow)
    assert not Inverted(4, 6, 3, 1, 6).adds
    assert not Inverted(4, 4, 3, 2, 6).adds
