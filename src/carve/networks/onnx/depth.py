"""Depth from a network of the user's own: an ONNX file, and a JSON file beside it that says what goes in and what the answer means.

How the photo goes in is in `conventions`. What comes out is left in the model's own unit;
`stages.predicting.own_depth` brings it to the person's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from carve.networks.onnx.conventions import Frame, PhotoConventions, ask, check_model, conventions_path, load_model
from carve.records import CarveError

MOST_NEGATIVE = 0.02
"""Share of the person's pixels that may hold no distance at all (zero or less) in an answer in metres: some models put it at edges."""

LARGEST = 1e30
"""What no value reaches: more would not survive a sum in single precision."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DepthConventions(PhotoConventions):
    """What a model of depth takes in and gives out: the fields of its JSON file (docs/own_normals.md)."""

    depth_output: str
    """Name of the output, of one channel or none: (1, 1, H, W), (1, H, W, 1) or (1, H, W)."""
    meaning: Literal["depth", "inverse"]
    """`depth` grows away from the viewer, along the viewing axis; `inverse` is disparity, one over it, and grows towards the viewer."""
    metric: bool = False
    """Whether the values are metres (of `inverse`: one over metres); else their scale and shift are unknown."""


_FILE = TypeAdapter(DepthConventions)


def load_depth(path: Path, where: Path | None = None) -> DepthConventions:
    """Open a model, read its conventions (by default from the file of its name that ends in .json) and check that they fit each other.

    Raises CarveError if a file is missing or broken, or the model has other inputs, outputs or sizes than the conventions say.
    """
    conventions, described = load_model(path, _FILE, where)
    check_model(path, conventions_path(path, where), conventions, described, (), (conventions.depth_output,))
    return conventions


def run_depth(path: Path, conventions: DepthConventions, crop: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the model says of a square crop (S, S, 3) uint8 sRGB, S = conventions.side(...), and coverage (S, S) 0..1: (S, S) float32.

    In the model's unit, finite everywhere.

    Raises CarveError if the model fails or its output is not the depth that the conventions promise.
    """
    frame = Frame(conventions, len(crop))
    result = ask(path, conventions, frame.photo(crop, mask), [conventions.depth_output])[0]
    what = f"The output '{conventions.depth_output}' of {path}"
    values = _image(result, frame.extent, conventions, what)[frame.inside]
    inside, sound = mask > 0, np.abs(values) < LARGEST
    if not sound[inside].all():
        raise CarveError(f"{what} holds values that are not finite numbers of any use; export the model in float32.")
    if conventions.metric and inside.any() and np.mean(values[inside] <= 0) > MOST_NEGATIVE:
        raise CarveError(f"{what} holds distances that are not above zero, so they are no metres; set 'metric' to false.")
    return np.where(sound, values, np.float32(0))


def _image(result: np.ndarray, extent: tuple[int, int], conventions: DepthConventions, what: str) -> np.ndarray:
    """(H, W) float32 at the input's size, from a model's output."""
    image = result[..., None] if result.ndim == 3 else result
    if conventions.output_layout == "NCHW" and result.ndim == 4:
        image = np.moveaxis(result, 1, -1)
    height, width = extent
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[3] != 1 or image.shape[1] * width != image.shape[2] * height or not image.size:
        raise CarveError(f"{what} has the shape {list(result.shape)}, which holds no depth of {height} x {width} pixels in its layout.")
    raw = np.ascontiguousarray(image[0, ..., 0], np.float32)
    return raw if raw.shape == extent else cv2.resize(raw, (width, height), interpolation=cv2.INTER_LINEAR)
