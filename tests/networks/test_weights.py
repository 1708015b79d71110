"""Weights with cards: half precision, checksums, errors that name the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from carve.networks.weights import identity, read_card, read_weights, write_weights
from carve.records import CarveError


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The folder of some weights."""
    write_weights(tmp_path / "weights", "small", network(), {"steps": 3, "figures": {"front": 12.5}})
    return tmp_path / "weights"


def test_a_round_trip_keeps_half_precision(written: Path) -> None:
    found, expected = read_weights("small", written), network().state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].half().float()), name
        torch.testing.assert_close(tensor, expected[name], rtol=2**-10, atol=1e-7)


def test_writing_what_was_read_changes_no_byte(written: Path, tmp_path: Path) -> None:
    again = network()
    again.load_state_dict(read_weights("small", written))
    path = write_weights(tmp_path / "again", "small", again, {"steps": 3})
    assert path == tmp_path / "again" / "small.safetensors"
    assert path.read_bytes() == (written / "small.safetensors").read_bytes()


def test_the_card_says_what_it_was_given_and_the_checksum(written: Path) -> None:
    card = read_card("small", written)
    digest = hashlib.sha256((written / "small.safetensors").read_bytes()).hexdigest()
    assert card == {"steps": 3, "figures": {"front": 12.5}, "sha256": digest}


@pytest.mark.parametrize("place", [0, 9, 60, -1])
def test_a_changed_byte_is_noticed(written: Path, place: int) -> None:
    path = written / "small.safetensors"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CarveError, match=r"small\.safetensors .*SHA-256"):
        read_weights("small", written)


def test_what_is_missing_is_named(written: Path) -> None:
    with pytest.raises(CarveError, match=r"other\.safetensors"):
        read_weights("other", written)
    with pytest.raises(CarveError, match=r"other\.json"):
        read_card("other", written)
    (written / "small.json").unlink()
    with pytest.raises(CarveError, match=r"small\.json"):
        read_weights("small", written)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_a_card_that_is_no_json_object_is_named(written: Path, text: str) -> None:
    (written / "small.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CarveError, match=r"small\.json"):
        read_card("small", written)


def test_no_safetensors_with_a_card_that_fits_is_named(written: Path) -> None:
    data = b"not a tensor in sight"
    (written / "small.safetensors").write_bytes(data)
    (written / "small.json").write_text(json.dumps({"sha256": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(CarveError, match=r"small\.safetensors"):
        read_weights("small", written)


def test_identity_is_name_and_checksum(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.networks.weights.read_card", lambda name: {"sha256": "abc"})
    identity.cache_clear()
    assert identity("small") == "small abc"
    identity.cache_clear()
