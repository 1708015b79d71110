"""Normals from a network of the user's own: an ONNX file, and a JSON file beside it that says what goes in and what comes out.

How the photo goes in is in `conventions`.

Notation: n a normal in the camera frame, m the same in the model's channels.
    n[i] = sign[i] m[channel[i]]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import AfterValidator, ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from carve.networks.onnx.conventions import Frame, PhotoConventions, ask, check_model, conventions_path, load_model
from carve.records import CarveError

Axis = Literal["+x", "-x", "+y", "-y", "+z", "-z"]


def _permutation(axes: tuple[Axis, Axis, Axis]) -> tuple[Axis, Axis, Axis]:
    if sorted(axis[1] for axis in axes) != ["x", "y", "z"]:
        raise ValueError("x, y and z must each occur once")
    return axes


Axes = Annotated[tuple[Axis, Axis, Axis], AfterValidator(_permutation)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class OnnxConventions(PhotoConventions):
    """What a model of normals takes in and gives out: the fields of its JSON file (docs/own_normals.md)."""

    front_output: str
    """Name of the output with the normals of the nearest surface; of its channels the first three count."""
    axes: Axes
    """Which of the model's channels, called x, y, z in their order, and with which sign, are carve's x (right), y (up) and z (to us)."""
    back_output: str | None = None
    """Name of the output with the normals of the farthest surface, pixel for pixel behind the front's."""
    back_axes: Axes | None = None
    """The back's axes where they are not `axes`."""
    body_front_input: str | None = None
    """Name of an input that takes the normals of the body without clothes, with `axes` and `encoding`; no normal is a zero vector."""
    body_back_input: str | None = None
    """The same for the body's farthest surface, with the back's axes."""
    encoding: Literal["unit", "rgb"] = "unit"
    """Whether a component of a normal lies in -1..1 or is coded as (n + 1) / 2 in 0..1."""
    normalised: bool = True
    """Whether the outputs have length 1, which is then checked; carve makes them so in any case."""


_FILE = TypeAdapter(OnnxConventions)


def load_onnx(path: Path, where: Path | None = None) -> OnnxConventions:
    """Open a model, read its conventions (by default from the file of its name that ends in .json) and check that they fit each other.

    Raises CarveError if a file is missing or broken, or the model has other inputs, outputs or sizes than the conventions say.
    """
    conventions, described = load_model(path, _FILE, where)
    bodies, outputs = (conventions.body_front_input, conventions.body_back_input), (conventions.front_output, conventions.back_output)
    check_model(path, conventions_path(path, where), conventions, described, bodies, outputs)
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
    frame = Frame(conventions, len(crop))
    values = frame.photo(crop, mask)
    for name, body, axes in (
        (conventions.body_front_input, body_front, conventions.axes),
        (conventions.body_back_input, body_back, conventions.back_axes or conventions.axes),
    ):
        if name is not None:
            if body is None:
                raise ValueError(f"the model's input '{name}' needs the body's normals")
            values[name] = _encoded(frame.padded(body), axes, conventions)
    names = [name for name in (conventions.front_output, conventions.back_output) if name is not None]
    results = ask(path, conventions, values, names)
    maps = []
    for name, result, axes in zip(names, results, (conventions.axes, conventions.back_axes or conventions.axes), strict=False):
        decoded = _decoded(result, frame.extent, axes, conventions, f"The output '{name}' of {path}")
        maps.append(_unit(decoded[frame.inside], mask, conventions, f"The output '{name}' of {path}"))
    return maps[0], maps[1] if len(maps) > 1 else None


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
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[3] < 3 or image.shape[1] * width != image.shape[2] * height or not image.size:
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
