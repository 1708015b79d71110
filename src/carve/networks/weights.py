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
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from carve.records import CarveError

FOLDER = Path(__file__).parent / "weights"

Architecture = TypeVar("Architecture")
Network = TypeVar("Network", bound=nn.Module)


def write_weights(folder: Path, name: str, network: nn.Module, card: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors (half precision) and NAME.json, the card with the file's sha256; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    data = save(tensors)
    path = folder / f"{name}.safetensors"
    path.write_bytes(data)
    (folder / f"{name}.json").write_text(
        json.dumps({**card, "sha256": hashlib.sha256(data).hexdigest()}, indent=1) + "\n", encoding="utf-8"
    )
    return path


def read_card(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The card of some weights.

    Raises:
        CarveError: there are no such weights, or the card cannot be read.
    """
    path = folder / f"{name}.json"
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(card, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise CarveError(f"The weights' card {path} cannot be read ({error}); install carve again.") from error
    return card


def read_weights(name: str, folder: Path = FOLDER) -> dict[str, Tensor]:
    """The tensors of some weights, single precision.

    Raises:
        CarveError: the file is missing, or is not the one that the card names.
    """
    path = folder / f"{name}.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CarveError(f"The weights {path} cannot be read ({error.strerror}); install carve again.") from error
    if hashlib.sha256(data).hexdigest() != read_card(name, folder).get("sha256"):
        raise CarveError(f"The weights {path} are not those that their card names (wrong SHA-256); install carve again.")
    try:
        return {key: value.to(torch.float32) for key, value in load(data).items()}
    except SafetensorError as error:
        raise CarveError(f"The weights {path} are no safetensors file; install carve again.") from error


def load_network(name: str, folder: Path, kind: type[Architecture], make: Callable[[Architecture], Network]) -> Network:
    """The network of some weights, made from the architecture on their card, ready to be asked.

    Raises:
        CarveError: weights or card are missing or damaged, or do not fit each other.
    """
    card, tensors = read_card(name, folder), read_weights(name, folder)
    try:
        network = make(TypeAdapter(kind).validate_python(card["architecture"]))
        network.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CarveError(f"The weights {name} in {folder} do not fit this version of carve; install carve again.") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@cache
def identity(name: str) -> str:
    """Name and sha256 of the weights that ship, for the fingerprints of what is made with them."""
    return f"{name} {read_card(name).get('sha256')}"
