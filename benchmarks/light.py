"""How much of the photo's light is taken out: held-out synthetic photographs, whose albedo is known.

    PYTHONPATH=src python benchmarks/light.py DATA [DATA ...] --assets ASSETS [--photos 42] [--weights DIR]

DATA are folders of `carve synth make`; photographs of whole people of their split val, in the stored framing. Normals and labels are those
that the network that ships sees with a body as a fit gives it. `error`: median over photographs of the mean |log albedo - log truth| over
the person less its median, of the picture without light over that of the photo; `harmonics`: the same with `texture.delight=harmonics`;
`true_normals`: with true normals; `worse`: share of photographs that are farther from the truth than they were. `face`: the same view
photographed twice in other light: difference of what is left of the light on the skin of the head, over that of the photos.
Writes light.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from carve.body.zones import HEAD
from carve.geometry.pictures.colour import linear
from carve.networks.normals import NormalsNet, load_normals_net
from carve.networks.shading import ShadingNet, load_shading_net
from carve.networks.weights import FOLDER
from carve.records import LABELS
from carve.stages.texturing.light import delighted
from carve.stages.texturing.shading import unshaded
from carve.synth.photo.augmentation import Field
from carve.synth.samples.dataset import SyntheticPhotos

FIELDS: tuple[Field, ...] = ("normal_front", "label_front", "albedo_front", "region")
DARKEST = 0.003
LEAST, LEAST_FACE = 2000, 120
"""Pixels of a person, and of a face, that is counted."""


def light_left(picture: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """(H, W, 3) log of what light is in a picture (H, W, 3) sRGB 0..1 of a known albedo."""
    found: np.ndarray = np.log(np.maximum(linear(picture), DARKEST)) - np.log(np.maximum(linear(albedo), DARKEST))
    return found


def spread(light: np.ndarray, where: np.ndarray) -> float:
    """Mean distance of the light from its median, each channel for itself."""
    return float(np.abs(light[where] - np.median(light[where], axis=0)).mean())


def image(values: torch.Tensor) -> np.ndarray:
    """(C, H, W) as (H, W, C)."""
    return values.numpy().transpose(1, 2, 0)


def looked_at(sample: dict[str, Any], network: NormalsNet, shading: ShadingNet, both: bool = True) -> dict[str, Any] | None:
    """Of one photograph, or None if too little of the person is seen: `lights` before and after, `where` (H, W), `face` (H, W)."""
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
    shown = sample["mask"][0].numpy() > 0.5
    seen = np.where(shown, 1 + out.label_front[0, 1:].argmax(0).numpy(), 0).astype(np.uint8)
    normals = np.where(shown[..., None], image(out.front[0]), 0)
    picture, skin = (255 * photo).astype(np.float32), seen == LABELS.index("skin")
    lights = {
        "photo": light_left(photo, albedo),
        "error": light_left(unshaded(picture, normals, inside, shading, skin=skin)[0] / 255, albedo),
    }
    if both:
        told = unshaded(picture, image(sample["normal_front"]), inside, shading, skin=skin)[0]
        lights["true_normals"] = light_left(told / 255, albedo)
        lights["harmonics"] = light_left(delighted(picture, normals, seen, inside)[0] / 255, albedo)
    face = counted & (sample["region"][0].numpy() == 1 + HEAD) & (sample["label_front"][0].numpy() == LABELS.index("skin"))
    return {"lights": lights, "where": counted, "face": face}


def main() -> None:
    """The medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=42)
    parser.add_argument("--weights", type=Path, default=FOLDER, help="folder of the shading network (default: the one that ships)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, shading = load_normals_net(), load_shading_net(arguments.weights)
    found: list[dict[str, float]] = []
    faces: list[float] = []
    for folder in arguments.data:
        photos = SyntheticPhotos(
            folder, "val", arguments.assets, fields=FIELDS, augmented=False, observed=True, windows=0.0, seed=3, verify=False
        )
        count = max(1, arguments.photos // len(arguments.data))
        for i in np.unique(np.linspace(0, len(photos) - 1, count).astype(int)):
            one = looked_at(photos.draw(int(i), 0), network, shading)
            if one is None:
                continue
            before = spread(one["lights"]["photo"], one["where"])
            found.append({name: spread(light, one["where"]) / before for name, light in one["lights"].items()})
            other = looked_at(photos.draw(int(i), 1), network, shading, both=False)
            if other is not None and (one["face"] & other["face"]).sum() >= LEAST_FACE:
                both = one["face"] & other["face"]
                apart = {name: spread(one["lights"][name] - other["lights"][name], both) for name in ("photo", "error")}
                faces.append(apart["error"] / apart["photo"])
    result: dict[str, float] = {"photos": len(found)}
    result |= {name: round(float(np.median([one[name] for one in found])), 3) for name in ("error", "true_normals", "harmonics")}
    result["worse"] = round(float(np.mean([one["error"] > 1 for one in found])), 3)
    if faces:
        result |= {"faces": len(faces), "face": round(float(np.median(faces)), 3)}
    print(result)
    (Path(__file__).parent / "light.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
