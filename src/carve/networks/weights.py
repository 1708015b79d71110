"""The weights that ship: safetensors beside a JSON card that says what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from carve.files.fence import fence
from carve.files.text import check_depth, read_bytes, read_json
from carve.files.whole import write_whole
from carve.records import CarveError

MAX_BYTES = 512 << 20
"""Of a file of weights; the largest that ships has a thirtieth."""
MAX_SIZE = 1 << 16
"""No size in an architecture is larger."""
_AGAIN = "install carve again"

FOLDER = Path(__file__).parent / "weights"

Architecture = TypeVar("Architecture")
Network = TypeVar("Network", bound=nn.Module)


def write_weights(folder: Path, name: str, network: nn.Module, card: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors (half precision) and NAME.json, the card with the file's sha256; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    data = save(tensors)
    path = folder / f"{name}.safetensors"
    write_whole(path, data)
    write_whole(folder / f"{name}.json", json.dumps({**card, "sha256": hashlib.sha256(data).hexdigest()}, indent=1) + "\n")
    return path


def read_card(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The card of some weights.

    Raises:
        CarveError: there are no such weights, or the card cannot be read.
    """
    path = folder / f"{name}.json"
    with fence(f"The weights' card {path}", _AGAIN):
        card = read_json(path, f"The weights' card {path}")
        if not isinstance(card, dict):
            raise ValueError("no JSON object")
        return card


def read_weights(name: str, folder: Path = FOLDER) -> dict[str, Tensor]:
    """The tensors of some weights, single precision.

    Raises:
        CarveError: the file is missing, or is not the one that the card names.
    """
    path = folder / f"{name}.safetensors"
    with fence(f"The weights {path}", _AGAIN):
        data = read_bytes(path, MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != read_card(name, folder).get("sha256"):
        raise CarveError(f"The weights {path} are not those that their card names (wrong SHA-256); install carve again.")
    with fence(f"The weights {path}", _AGAIN):
        return {key: value.to(torch.float32) for key, value in load(data).items()}


def load_network(name: str, folder: Path, kind: type[Architecture], make: Callable[[Architecture], Network]) -> Network:
    """The network of some weights, made from the architecture on their card, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    card, tensors = read_card(name, folder), read_weights(name, folder)
    try:
        with fence(f"The card {name}", _AGAIN):
            _check_sizes(card["architecture"])
            architecture = TypeAdapter(kind).validate_python(card["architecture"])
            with torch.device("meta"):
                declared = {key: value.shape for key, value in make(architecture).state_dict().items()}
            if declared != {key: value.shape for key, value in tensors.items()}:
                raise ValueError("the architecture is not that of the weights")
            network = make(architecture)
            network.load_state_dict(tensors)
    except CarveError as error:
        raise CarveError(f"The weights {name} in {folder} do not fit this version of carve; install carve again.") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _check_sizes(architecture: Any) -> None:
    """Raise ValueError if a number of an architecture is beyond what any network has: a network of that size would take all memory."""
    check_depth(architecture, 4)
    numbers = [architecture]
    while numbers:
        value = numbers.pop()
        if isinstance(value, (dict, list)):
            numbers.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, (int, float)) and not 0 <= value <= MAX_SIZE:
            raise ValueError(f"a size of {value} is out of range")


def ships(name: str) -> bool:
    """Whether there are weights of this name in the package: a network that is not trained far enough yet is left out."""
    return (FOLDER / f"{name}.json").is_file()


@cache
def identity(name: str) -> str:
    """Name and sha256 of the weights that ship, for the fingerprints of what is made with them."""
    return f"{name} {read_card(name).get('sha256')}"
