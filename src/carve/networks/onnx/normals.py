"""Normals from a network of the user's own: an ONNX file, and a JSON file beside it that says what goes in and what comes out.

Models are opened and run in a process of their own (`onnx_process`). The crop is a square around the person; cutting
it out and pasting the normals back is the caller's work.

Notation: c a colour's value 0..255, v what the model gets, n a normal in the camera frame, m the same in the model's channels.
    v = (c / 255 - mean) / std   or   (c - mean) / std;   n[i] = sign[i] m[channel[i]]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from carve.files.fence import fence
from carve.files.text import read_json, readable
from carve.networks.onnx import process as onnx_process
from carve.records import CarveError

MAX_CONVENTIONS = 1 << 16
"""Bytes of a JSON file of conventions."""
_MAX_SIDE = 2048

Axis = Literal["+x", "-x", "+y", "-y", "+z", "-z"]


def _permutation(axes: tuple[Axis, Axis, Axis]) -> tuple[Axis, Axis, Axis]:
    if sorted(axis[1] for axis in axes) != ["x", "y", "z"]:
        raise ValueError("x, y and z must each occur once")
    return axes


Axes = Annotated[tuple[Axis, Axis, Axis], AfterValidator(_permutation)]
Layout = Literal["NCHW", "NHWC"]
_Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
Colour = tuple[_Finite, _Finite, _Finite]
_Positive = Annotated[float, Field(gt=1e-9, le=1e6)]
_Side = Annotated[int, Field(gt=0, le=_MAX_SIDE)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class OnnxConventions:
    """What a model takes in and gives out: the fields of its JSON file (docs/own_normals.md)."""

    image_input: str
    """Name of the input that takes the photo."""
    front_output: str
    """Name of the output with the normals of the nearest surface; of its channels the first three count."""
    axes: Axes
    """Which of the model's channels, called x, y, z in their order, and with which sign, are carve's x (right), y (up) and z (to us)."""
    back_output: str | None = None
    """Name of the output with the normals of the farthest surface, pixel for pixel behind the front's."""
    back_axes: Axes | None = None
    """The back's axes where they are not `axes`."""
    mask_input: str | None = None
    """Name of an input that takes the person's coverage, one channel, 0..1."""
    body_front_input: str | None = None
    """Name of an input that takes the normals of the body without clothes, with `axes` and `encoding`; no normal is a zero vector."""
    body_back_input: str | None = None
    """The same for the body's farthest surface, with the back's axes."""
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
    encoding: Literal["unit", "rgb"] = "unit"
    """Whether a component of a normal lies in -1..1 or is coded as (n + 1) / 2 in 0..1."""
    normalised: bool = True
    """Whether the outputs have length 1, which is then checked; carve makes them so in any case."""

    def side(self, wanted: int) -> int:
        """The side of the square crop that the model can take, pixels: the nearest to `wanted` if it has a choice."""
        if self.size is None:
            return max(round(wanted / self.multiple), 1) * self.multiple
        return self.size if isinstance(self.size, int) else min(self.size)


_FILE = TypeAdapter(OnnxConventions)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}


def load_onnx(path: Path, conventions_path: Path | None = None) -> OnnxConventions:
    """Open a model, read its conventions (by default from the file of its name that ends in .json) and check that they fit each other.

    Raises CarveError if a file is missing or broken, or the model has other inputs, outputs or sizes than the conventions say.
    """
    with fence(f"The model {path}"):
        described = onnx_process.describe(path)
        where = conventions_path or path.with_suffix(".json")
        conventions = _read_conventions(where, path)
    sources = (conventions.image_input, conventions.mask_input, conventions.body_front_input, conventions.body_back_input)
    channels = dict(zip(sources, (3, 1, 3, 3), strict=True))
    inputs = {info["name"]: info for info in described["inputs"]}
    outputs = {info["name"]: info for info in described["outputs"]}
    _check_names(where, "input", [name for name in sources if name], inputs)
    _check_names(where, "output", [name for name in (conventions.front_output, conventions.back_output) if name], outputs)
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
    return conventions


def run_onnx(
    path: Path,
    conventions: OnnxConventions,
    crop: np.ndarray,
    mask: np.ndarray,
    body_front: np.ndarray | None = None,
    body_back: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Front and, if the model gives them, back normals of the person in a square crop.

    `crop` is (S, S, 3) uint8 sRGB with S = conventions.side(...), `mask` (S, S) coverage 0..1, `body_front` and `body_back` (S, S, 3) unit
    normals of the body in the camera frame, zero where it is not; they may be missing if the conventions name no input for them.
    Returns (S, S, 3) float32 unit normals in the camera frame, zero where the mask is 0.

    Raises CarveError if the model fails or its outputs are not the normals that the conventions promise.
    """
    side = len(crop)
    if side != conventions.side(side):
        raise ValueError(f"the crop has {side} pixels a side, the model takes {conventions.side(side)}")
    height, width = _extent(conventions, side)
    top, left = (height - side) // 2, (width - side) // 2
    around = ((top, height - side - top), (left, width - side - left), (0, 0))
    coverage = np.pad(mask[..., None].astype(np.float32), around)
    values: dict[str | None, np.ndarray] = {
        conventions.image_input: _image(np.pad(crop, around, mode="edge").astype(np.float32), coverage, conventions),
        conventions.mask_input: coverage,
    }
    for name, body, axes in (
        (conventions.body_front_input, body_front, conventions.axes),
        (conventions.body_back_input, body_back, conventions.back_axes or conventions.axes),
    ):
        if name is not None:
            if body is None:
                raise ValueError(f"the model's input '{name}' needs the body's normals")
            values[name] = _encoded(np.pad(body.astype(np.float32), around), axes, conventions)
    inputs = onnx_process.describe(path)["inputs"]
    feeds = {info["name"]: _tensor(values[info["name"]], info["type"], conventions.input_layout) for info in inputs}
    names = [name for name in (conventions.front_output, conventions.back_output) if name is not None]
    results = onnx_process.run(path, names, feeds)
    inside = slice(top, top + side), slice(left, left + side)
    maps = []
    for name, result, axes in zip(names, results, (conventions.axes, conventions.back_axes or conventions.axes), strict=False):
        decoded = _decoded(result, (height, width), axes, conventions, f"The output '{name}' of {path}")
        maps.append(_unit(decoded[inside], mask, conventions, f"The output '{name}' of {path}"))
    return maps[0], maps[1] if len(maps) > 1 else None


def _extent(conventions: OnnxConventions, side: int) -> tuple[int, int]:
    """(height, width) of the model's input for a crop of `side` pixels."""
    size = side if conventions.size is None else conventions.size
    return (size, size) if isinstance(size, int) else size


def _shape(conventions: OnnxConventions, channels: int) -> tuple[int, ...]:
    """The shape of an input, 0 for a side that may vary."""
    extent = _extent(conventions, 0)
    return (1, channels, *extent) if conventions.input_layout == "NCHW" else (1, *extent, channels)


def _image(crop: np.ndarray, coverage: np.ndarray, conventions: OnnxConventions) -> np.ndarray:
    """(H, W, 3) values of the model's image from colours (H, W, 3) 0..255 and coverage (H, W, 1)."""
    if conventions.background != "keep":
        crop = crop * coverage + np.array(conventions.background, np.float32) * (1 - coverage)
    ordered = crop if conventions.channels == "rgb" else crop[..., ::-1]
    scaled = ordered / (255 if conventions.range == "0..1" else 1)
    return (scaled - np.array(conventions.mean, np.float32)) / np.array(conventions.std, np.float32)


def _channels(axes: tuple[Axis, Axis, Axis]) -> tuple[list[int], np.ndarray]:
    """(channel, sign) of the module's notation."""
    return ["xyz".index(axis[1]) for axis in axes], np.array([1 if axis[0] == "+" else -1 for axis in axes], np.float32)


def _encoded(normals: np.ndarray, axes: tuple[Axis, Axis, Axis], conventions: OnnxConventions) -> np.ndarray:
    channel, sign = _channels(axes)
    encoded = np.empty_like(normals)
    encoded[..., channel] = normals * sign
    return encoded if conventions.encoding == "unit" else (encoded + 1) / 2


def _decoded(
    result: np.ndarray, extent: tuple[int, int], axes: tuple[Axis, Axis, Axis], conventions: OnnxConventions, what: str
) -> np.ndarray:
    """(H, W, 3) float32 vectors in the camera frame, at the input's size, from a model's output."""
    image = np.moveaxis(result, 1, -1) if conventions.output_layout == "NCHW" and result.ndim == 4 else result
    height, width = extent
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[3] < 3 or image.shape[1] * width != image.shape[2] * height:
        raise CarveError(f"{what} has the shape {list(result.shape)}, which holds no normals of {height} x {width} pixels in its layout.")
    raw = np.ascontiguousarray(image[0, ..., :3], np.float32)
    if raw.shape[:2] != extent:
        raw = cv2.resize(raw, (width, height), interpolation=cv2.INTER_LINEAR)
    channel, sign = _channels(axes)
    return (raw if conventions.encoding == "unit" else 2 * raw - 1)[..., channel] * sign


def _unit(vectors: np.ndarray, mask: np.ndarray, conventions: OnnxConventions, what: str) -> np.ndarray:
    """The vectors (S, S, 3) with length 1 inside the mask and 0 outside it."""
    inside = mask > 0
    if not np.isfinite(vectors[inside]).all():
        raise CarveError(f"{what} holds values that are not finite numbers; export the model in float32.")
    vectors = np.where(inside[..., None], vectors, np.float32(0))
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if conventions.normalised and inside.any() and np.median(np.abs(length[inside] - 1)) > 0.1:
        typical = float(np.median(length[inside]))
        raise CarveError(f"{what} has vectors of length {typical:.2f}, not 1; correct 'encoding' or set 'normalised' to false.")
    return vectors / np.maximum(length, 1e-6)


def _tensor(values: np.ndarray, kind: str, layout: Layout) -> np.ndarray:
    """(1, ...) array in an input's type and layout from (H, W, C) values."""
    dtype = _TYPES[kind]
    whole = np.rint(values) if dtype is np.uint8 else values
    batch = whole[None] if layout == "NHWC" else whole.transpose(2, 0, 1)[None]
    return np.ascontiguousarray(batch, dtype)


def _read_conventions(where: Path, model: Path) -> OnnxConventions:
    if not where.exists():
        raise CarveError(f"There is no {where} to say what {model} takes in and gives out; docs/own_normals.md tells how to write it.")
    document = read_json(where, f"The conventions {where}", MAX_CONVENTIONS)
    try:
        return _FILE.validate_python(document)
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
