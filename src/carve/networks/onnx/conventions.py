"""What every ONNX model of the user's own shares: how the photo goes into it, as the JSON file beside it says.

Models are opened and run in a process of their own (`onnx_process`). The crop is a square around the person; cutting
it out and pasting the answer back is the caller's work.

Notation: c a colour's value 0..255, v what the model gets.
    v = (c / 255 - mean) / std   or   (c - mean) / std
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from carve.files.fence import fence
from carve.files.text import read_json, readable
from carve.networks.onnx import process as onnx_process
from carve.records import CarveError

MAX_CONVENTIONS = 1 << 16
"""Bytes of a JSON file of conventions."""
_MAX_SIDE = 2048

Layout = Literal["NCHW", "NHWC"]
_Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
Colour = tuple[_Finite, _Finite, _Finite]
_Positive = Annotated[float, Field(gt=1e-9, le=1e6)]
_Side = Annotated[int, Field(gt=0, le=_MAX_SIDE)]

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PhotoConventions:
    """How a model takes the photo: the fields that every JSON file has (docs/own_normals.md)."""

    image_input: str
    """Name of the input that takes the photo."""
    mask_input: str | None = None
    """Name of an input that takes the person's coverage, one channel, 0..1."""
    input_layout: Layout = "NCHW"
    output_layout: Layout = "NCHW"
    size: _Side | tuple[_Side, _Side] | None = None
    """Pixels along a side, or [height, width], in which the square crop is centred; without it any side that `multiple` divides."""
    multiple: _Side = 1
    """What divides the side of the crop where `size` is not given."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order of the photo's channels, and of `mean` and `std`."""
    range: Literal["0..1", "0..255"] = "0..1"
    """The photo's values before `mean` and `std`, which are on the same scale."""
    mean: Colour = (0.0, 0.0, 0.0)
    std: tuple[_Positive, _Positive, _Positive] = (1.0, 1.0, 1.0)
    background: Literal["keep"] | Colour = "keep"
    """Colour (red, green, blue, 0..255) that the person is laid over, or the photo's own."""

    def side(self, wanted: int) -> int:
        """The side of the square crop that the model can take, pixels: the nearest to `wanted` if it has a choice."""
        if self.size is None:
            return max(round(wanted / self.multiple), 1) * self.multiple
        return self.size if isinstance(self.size, int) else min(self.size)


Conventions = TypeVar("Conventions", bound=PhotoConventions)


def load_model(path: Path, kind: TypeAdapter[Conventions], where: Path | None = None) -> tuple[Conventions, Mapping[str, Any]]:
    """Open a model and read its conventions, by default from the file of its name that ends in .json.

    Gives the conventions and what the process says of the model. Raises CarveError if a file is missing or broken.
    """
    with fence(f"The model {path}"):
        described = onnx_process.describe(path)
        conventions = _read_conventions(conventions_path(path, where), path, kind)
    return conventions, described


def conventions_path(path: Path, where: Path | None = None) -> Path:
    """The JSON file that goes with a model."""
    return where or path.with_suffix(".json")


def check_model(
    path: Path,
    where: Path,
    conventions: PhotoConventions,
    described: Mapping[str, Any],
    more_inputs: tuple[str | None, ...],
    wanted_outputs: tuple[str | None, ...],
) -> None:
    """Raise CarveError if the model at `path` has other inputs, outputs or sizes than the conventions from `where` say.

    `more_inputs` take three channels each, as the photo's does; None stands for one that the conventions do not name.
    """
    sources = (conventions.image_input, conventions.mask_input, *more_inputs)
    channels = dict(zip(sources, (3, 1, *(3 for _ in more_inputs)), strict=True))
    inputs = {info["name"]: info for info in described["inputs"]}
    outputs = {info["name"]: info for info in described["outputs"]}
    _check_names(where, "input", [name for name in sources if name], inputs)
    _check_names(where, "output", [name for name in wanted_outputs if name], outputs)
    for name, info in inputs.items():
        if name not in channels:
            raise CarveError(f"The model {path} has an input '{name}' for which {where} names nothing; export it with a constant there.")
        if info["type"] not in _TYPES:
            raise CarveError(f"The input '{name}' of {path} is of type {info['type']}; carve can give {', '.join(_TYPES)}.")
        taken = tuple(n if isinstance(n, int) else 0 for n in info["shape"])
        shape = _shape(conventions, channels[name])
        if len(taken) != 4 or any(a and a != b for a, b in zip(taken, shape, strict=True)):
            wanted = [n or "any" for n in shape]
            raise CarveError(f"The input '{name}' of {path} has the shape {info['shape']}, but {where} makes it {wanted}.")


class Frame:
    """Where a square crop lies in what a model takes, which may be a taller or wider picture around it."""

    def __init__(self, conventions: PhotoConventions, side: int) -> None:
        """Of a crop of `side` pixels."""
        if side != conventions.side(side):
            raise ValueError(f"the crop has {side} pixels a side, the model takes {conventions.side(side)}")
        self.conventions = conventions
        self.extent = _extent(conventions, side)
        """(height, width) of the model's input."""
        height, width = self.extent
        top, left = (height - side) // 2, (width - side) // 2
        self._around = ((top, height - side - top), (left, width - side - left), (0, 0))
        self.inside = slice(top, top + side), slice(left, left + side)
        """The crop's pixels in the model's picture."""

    def padded(self, values: np.ndarray) -> np.ndarray:
        """(S, S, C) values of the crop in the model's picture, float32, zero around it."""
        return np.pad(values.astype(np.float32), self._around)

    def photo(self, crop: np.ndarray, mask: np.ndarray) -> dict[str | None, np.ndarray]:
        """Values (H, W, C) of the inputs that take the photo and the coverage, from a crop (S, S, 3) 0..255 and coverage (S, S) 0..1."""
        coverage = self.padded(mask[..., None])
        image = _image(np.pad(crop, self._around, mode="edge").astype(np.float32), coverage, self.conventions)
        return {self.conventions.image_input: image, self.conventions.mask_input: coverage}


def ask(path: Path, conventions: PhotoConventions, values: Mapping[str | None, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    """The model's outputs for the values (H, W, C) of all its inputs. Raises CarveError if it fails or takes too long."""
    inputs = onnx_process.describe(path)["inputs"]
    feeds = {info["name"]: _tensor(values[info["name"]], info["type"], conventions.input_layout) for info in inputs}
    return onnx_process.run(path, outputs, feeds)


def _extent(conventions: PhotoConventions, side: int) -> tuple[int, int]:
    """(height, width) of the model's input for a crop of `side` pixels."""
    size = side if conventions.size is None else conventions.size
    return (size, size) if isinstance(size, int) else size


def _shape(conventions: PhotoConventions, channels: int) -> tuple[int, ...]:
    """The shape of an input, 0 for a side that may vary."""
    extent = _extent(conventions, 0)
    return (1, channels, *extent) if conventions.input_layout == "NCHW" else (1, *extent, channels)


def _image(crop: np.ndarray, coverage: np.ndarray, conventions: PhotoConventions) -> np.ndarray:
    """(H, W, 3) values of the model's image from colours (H, W, 3) 0..255 and coverage (H, W, 1)."""
    if conventions.background != "keep":
        crop = crop * coverage + np.array(conventions.background, np.float32) * (1 - coverage)
    ordered = crop if conventions.channels == "rgb" else crop[..., ::-1]
    scaled = ordered / (255 if conventions.range == "0..1" else 1)
    return (scaled - np.array(conventions.mean, np.float32)) / np.array(conventions.std, np.float32)


def _tensor(values: np.ndarray, kind: str, layout: Layout) -> np.ndarray:
    """(1, ...) array in an input's type and layout from (H, W, C) values."""
    dtype = _TYPES[kind]
    whole = np.rint(values) if dtype is np.uint8 else values
    batch = whole[None] if layout == "NHWC" else whole.transpose(2, 0, 1)[None]
    return np.ascontiguousarray(batch, dtype)


def _read_conventions(where: Path, model: Path, kind: TypeAdapter[Conventions]) -> Conventions:
    if not where.exists():
        raise CarveError(f"There is no {where} to say what {model} takes in and gives out; docs/own_normals.md tells how to write it.")
    document = read_json(where, f"The conventions {where}", MAX_CONVENTIONS)
    try:
        return kind.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = readable(".".join(str(part) for part in first["loc"]))[:80] or "the top"
        raise CarveError(
            f"The conventions {where} are wrong at '{place}': {first['msg'].removeprefix('Value error, ').lower()}."
        ) from error


def _check_names(where: Path, kind: str, names: list[str], found: dict[str, Any]) -> None:
    for name in names:
        if name not in found:
            there = ", ".join(f"'{n}'" for n in found)
            raise CarveError(f"The conventions {where} name an {kind} '{name}' that the model lacks; its {kind}s are {there}.")
