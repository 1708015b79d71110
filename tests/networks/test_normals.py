"""The normals network: shapes, what a new one answers, what it looks at, its weights' folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from carve.networks.normals import DEPTH_UNIT, VARIANCE_OF_SCALE, Architecture, NormalsNet, NormalsOutput, load_normals_net
from carve.networks.weights import write_weights
from carve.records import CarveError

TINY = Architecture(widths=(8, 16, 16, 24, 24), blocks=(1, 1, 1, 1), heads=2, context=1, labels=12, places=True)
Input = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two cores may be shared by many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def crop(size: int, count: int = 2, seed: int = 0) -> Input:
    """A photo and mask of noise; a body that fills the middle half, of random unit normals, at half the size."""
    noise = torch.Generator().manual_seed(seed)
    image, mask = torch.rand(count, 3, size, size, generator=noise), torch.rand(count, 1, size, size, generator=noise).round()
    half = size // 2
    middle = torch.zeros(1, 1, half, half)
    middle[..., half // 4 : 3 * half // 4, half // 4 : 3 * half // 4] = 1
    # One direction each, so that stretching mixes none.
    front, back = (functional.normalize(torch.randn(count, 3, 1, 1, generator=noise), dim=1) * middle for _ in range(2))
    return image, mask, front, back


def shaken(network: NormalsNet, seed: int = 0) -> NormalsNet:
    """The network with random weights everywhere, also where a new one has zeros."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=noise))
    return network


@pytest.mark.parametrize("size", [64, 96])
def test_shapes_ranges_and_unit_normals(size: int) -> None:
    network = shaken(NormalsNet(TINY))
    told = network(*crop(size))
    out = network.eval()(*crop(size))
    for name in ("label_front", "label_back", "place"):
        whole = functional.interpolate(getattr(told, name), (size, size), mode="bilinear", align_corners=False)
        torch.testing.assert_close(whole, getattr(out, name), atol=1e-5, rtol=1e-4)
    for name in NormalsOutput.__dataclass_fields__:
        values = getattr(out, name)
        channels = {"front": 3, "back": 3, "place": 3, "label_front": TINY.labels, "label_back": TINY.labels}
        assert values.shape == (2, channels.get(name, 1), size, size), name
        assert values.dtype == torch.float32
        assert torch.isfinite(values).all()
    for normals in (out.front, out.back):
        torch.testing.assert_close(normals.norm(dim=1), torch.ones(2, size, size), atol=1e-4, rtol=0)


def test_a_new_network_says_what_it_is_given() -> None:
    """The body's normals where there is one, the viewing axis elsewhere, the given mask, no depth."""
    image, mask, front, back = crop(64)
    out = NormalsNet(TINY)(image, mask, front, back)
    inner = torch.zeros(64, 64, dtype=torch.bool)
    inner[18:46, 18:46] = True
    outer = torch.ones(64, 64, dtype=torch.bool)
    outer[14:50, 14:50] = False
    for found, body, axis in ((out.front, front, 1.0), (out.back, back, -1.0)):
        expected = body[:, :, 16:17, 16]
        torch.testing.assert_close(found[..., inner], expected.expand(-1, -1, int(inner.sum())), atol=1e-4, rtol=0)
        expected = torch.tensor([0.0, 0.0, axis])[:, None].expand(2, 3, int(outer.sum()))
        torch.testing.assert_close(found[..., outer], expected, atol=1e-6, rtol=0)
    assert torch.equal(out.mask_logit > 0, mask > 0.5)
    assert not out.depth.any()


def test_without_a_body_a_new_network_looks_along_the_axis() -> None:
    image, mask, front, back = crop(64)
    out = NormalsNet(TINY)(image, mask, 0 * front, 0 * back)
    torch.testing.assert_close(out.front, torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(2, 3, 64, 64), atol=1e-6, rtol=0)
    torch.testing.assert_close(out.back, -out.front, atol=0, rtol=0)


def test_a_body_of_any_size_is_stretched_to_the_crop() -> None:
    image, mask, front, back = crop(64)
    network = shaken(NormalsNet(TINY))
    large = [functional.interpolate(n, (64, 64), mode="bilinear", align_corners=False) for n in (front, back)]
    torch.testing.assert_close(network(image, mask, front, back).front, network(image, mask, *large).front)


def test_photo_mask_and_both_sides_of_the_body_are_looked_at() -> None:
    network, given = shaken(NormalsNet(TINY)), crop(64)
    before = network(*given)
    other = crop(64, seed=1)
    for k, name in enumerate(("image", "mask", "front", "back")):
        changed = [other[j] if j == k else given[j] for j in range(4)]
        after = network(*changed)
        for output in ("front", "back", "depth", "log_scale_front"):
            assert (getattr(after, output) - getattr(before, output)).abs().max() > 1e-4, (name, output)


def test_crops_of_a_batch_do_not_see_each_other() -> None:
    network, given = shaken(NormalsNet(TINY)), crop(64)
    together = network(*given)
    alone = network(*(x[1:] for x in given))
    torch.testing.assert_close(together.front[1:], alone.front, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.depth[1:], alone.depth, atol=1e-6, rtol=1e-4)


def test_far_corners_see_each_other() -> None:
    """By attention on the coarsest level."""
    network, (image, mask, front, back) = shaken(NormalsNet(TINY)), crop(96, 1)
    changed = image.clone()
    changed[..., :16, :16] = 1 - changed[..., :16, :16]
    difference = (network(changed, mask, front, back).front - network(image, mask, front, back).front).abs()
    assert difference[..., -16:, -16:].max() > 1e-6


def test_every_weight_learns() -> None:
    network = shaken(NormalsNet(TINY))
    out = network(*crop(64))
    maps = [getattr(out, name) for name in NormalsOutput.__dataclass_fields__]
    sum((m * torch.linspace(-1, 1, m.shape[-1])).square().sum() for m in maps).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


def test_scales_are_kept_within_bounds() -> None:
    """However sure or unsure the last layer is: half a degree to half a radian for angles, the mean of the plane's law for the variance."""
    network = NormalsNet(TINY)
    for value, (angle, depth) in ((100.0, (-0.5, 3 + math.log(0.02))), (-100.0, (-5.5, -4 + math.log(0.02)))):
        with torch.no_grad():
            network.head.bias.fill_(value)  # type: ignore[union-attr]
        out = network(*crop(64, 1))
        for scale in (out.log_scale_front, out.log_scale_back):
            assert scale.unique().tolist() == pytest.approx([angle])
        assert out.depth_log_scale.unique().tolist() == pytest.approx([depth])
        assert out.depth.unique().tolist() == pytest.approx([DEPTH_UNIT * value])


def test_the_variance_of_a_scale_is_that_of_its_law() -> None:
    """E[theta^2] of exp(-theta / b) over a plane's directions, by quadrature."""
    theta = torch.linspace(0, 12, 200_001, dtype=torch.float64)
    b = 0.3
    density = theta * (-theta / b).exp()
    assert float((theta**2 * density).sum() / density.sum()) == pytest.approx(math.exp(VARIANCE_OF_SCALE) * b**2, rel=1e-6)


def test_written_weights_are_read_again(tmp_path: Path) -> None:
    network = shaken(NormalsNet(TINY))
    write_weights(tmp_path, "normals", network, {"architecture": TINY.as_json()})
    again = load_normals_net(tmp_path)
    assert again.architecture == TINY
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    given = crop(64)
    a, b = network.eval()(*given), again(*given)
    assert torch.rad2deg(2 * ((a.front - b.front).norm(dim=1) / 2).asin()).max() < 0.5
    torch.testing.assert_close(a.depth, b.depth, atol=1e-3, rtol=1e-2)


FOREIGN: dict[str, dict[str, Any]] = {
    "none": {},
    "other widths": {"architecture": {"widths": [16, 16, 16, 24, 24], "blocks": [1, 1, 1, 1], "heads": 2}},
    "fewer levels": {"architecture": {"widths": [8, 16, 16], "blocks": [1, 1, 1, 1], "heads": 2}},
    "widths that cannot be": {"architecture": {"widths": [8, 15, 16, 24, 24], "blocks": [1, 1, 1, 1], "heads": 2}},
    "words": {"architecture": {**TINY.as_json(), "heads": "many"}},
    "no object": {"architecture": [1, 2]},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_card_of_another_architecture_is_refused(tmp_path: Path, name: str) -> None:
    write_weights(tmp_path, "normals", NormalsNet(TINY), FOREIGN[name])
    with pytest.raises(CarveError, match=tmp_path.name):
        load_normals_net(tmp_path)


def test_a_card_is_json_that_makes_the_architecture_again() -> None:
    assert Architecture(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(json.dumps(TINY.as_json())).items()}) == TINY


def test_weights_without_labels_tell_none(tmp_path: Path) -> None:
    """Those that were trained before there were any have an architecture without them on their card."""
    old = NormalsNet(replace(TINY, labels=0, places=False))
    card = {k: v for k, v in old.architecture.as_json().items() if k not in ("labels", "places")}
    write_weights(tmp_path, "normals", old, {"architecture": card})
    out = load_normals_net(tmp_path)(*crop(64))
    assert out.label_front is None and out.label_back is None and out.place is None and out.place_log_scale is None
    assert out.front.shape == (2, 3, 64, 64)
