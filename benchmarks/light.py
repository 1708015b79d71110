"""How much of the photo's light is taken out: held-out synthetic photographs, whose albedo is known.

    PYTHONPATH=src python benchmarks/light.py DATA [DATA ...] --assets ASSETS [--photos 42]

DATA are folders of `carve synth make`; photographs of whole people of their split val, in the stored framing. Normals and labels are those
that the network that ships sees with a body as a fit gives it. `error`: mean |log albedo - log truth| over the person less its median, of
the picture without light over that of the photo; `true`: the same with true normals and labels. Writes light.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from carve.geometry.pictures.colour import linear
from carve.networks.normals import NormalsNet, load_normals_net
from carve.stages.texturing.light import delighted
from carve.synth.photo.augmentation import Field
from carve.synth.samples.dataset import SyntheticPhotos

FIELDS: tuple[Field, ...] = ("normal_front", "label_front", "albedo_front")
DARKEST = 0.003
LEAST = 2000
"""Pixels of a person that is counted."""


def error(picture: np.ndarray, albedo: np.ndarray, where: np.ndarray) -> float:
    """Mean difference of logs of two sRGB pictures (H, W, 3) 0..1 but for a constant a channel."""
    apart = np.log(np.maximum(linear(picture[where]), DARKEST)) - np.log(np.maximum(linear(albedo[where]), DARKEST))
    return float(np.abs(apart - np.median(apart, axis=0)).mean())


def image(values: torch.Tensor) -> np.ndarray:
    """(C, H, W) as (H, W, C)."""
    return values.numpy().transpose(1, 2, 0)


def ratios(sample: dict[str, torch.Tensor], network: NormalsNet) -> tuple[float, float] | None:
    """`error` and `true` of one photograph, or None if too little of the person is seen."""
    photo, albedo = image(sample["image"]), image(sample["albedo_front"])
    inside = sample["visible"][0].numpy() * sample["mask"][0].numpy() > 0.9
    inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3))) > 0
    counted = inside & (albedo.sum(-1) > 0)
    if counted.sum() < LEAST:
        return None
    with torch.inference_mode():
        asked = [sample[name].float()[None] for name in ("image", "rough_mask", "fitted_normal_front", "fitted_normal_back")]
        out = network(*asked)
    assert out.label_front is not None
    seen = (1 + out.label_front[0, 1:].argmax(0)).numpy().astype(np.uint8)
    before, found = error(photo, albedo, counted), []
    for normals, labels in ((image(out.front[0]), seen), (image(sample["normal_front"]), sample["label_front"][0].numpy())):
        picture, _ = delighted((255 * photo).astype(np.float32), normals, labels, inside)
        found.append(error(picture / 255, albedo, counted) / before)
    return found[0], found[1]


def main() -> None:
    """The medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=42)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, found = load_normals_net(), []
    for folder in arguments.data:
        photos = SyntheticPhotos(
            folder, "val", arguments.assets, fields=FIELDS, augmented=False, observed=True, windows=0.0, seed=3, verify=False
        )
        count = max(1, arguments.photos // len(arguments.data))
        for i in np.unique(np.linspace(0, len(photos) - 1, count).astype(int)):
            one = ratios(photos[int(i)], network)
            if one is not None:
                found.append(one)
    table = np.array(found)
    result = {
        "photos": len(table),
        "error": round(float(np.median(table[:, 0])), 3),
        "true": round(float(np.median(table[:, 1])), 3),
        "worse": round(float((table[:, 0] > 1).mean()), 3),
    }
    print(result)
    (Path(__file__).parent / "light.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
