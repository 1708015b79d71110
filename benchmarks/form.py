"""Measure how much form the synthetic photographs show: contrast of folds on plain clothes, relief of the true normals, poses.

    .venv/bin/python benchmarks/form.py --assets ../shared/assets --data out/synth/data --photographs 200

Every garment of a view gets one flat colour before the light is drawn, so that what is measured is light on geometry and no texture.
Results go to benchmarks/synth.json under `contrast`, `relief` and `poses`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from carve.synth.photo.lighting import LUMINANCE
from carve.synth.photo.photograph import photograph
from carve.synth.photo.repainting import cloth_colour
from carve.synth.photo.scenery import load_scenery
from carve.synth.records import PARTS, View
from carve.synth.store.shard_reader import ShardSet, open_shards

HERE = Path(__file__).parent
TALL = 480
"""Height that the person is scaled to, pixels."""
BANDS = ((1, 2), (2, 4), (4, 8), (8, 16))
"""Standard deviations of the Gaussians between which contrast is measured, pixels; the third is the one that folds are in."""
CLOTH = tuple(PARTS.index(name) for name in ("top", "bottom", "dress", "suit", "coat"))


def plain(view: View, rng: np.random.Generator) -> View:
    """The view in clothes of one flat colour each, on which nothing can be printed."""
    albedo = view.albedo.copy()
    for part in CLOTH:
        albedo[view.part == part] = cloth_colour(rng).astype(np.uint8)
    return replace(view, albedo=albedo, fabric=np.zeros_like(view.fabric))


def scaled(picture: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (H, W, C) and mask (H, W) 0..1 with the person TALL pixels high, and each row's height below the head in pixels."""
    rows = np.flatnonzero((mask > 0.5).any(1))
    scale = TALL / (rows[-1] - rows[0] + 1)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=way), cv2.resize(mask, size, interpolation=way), np.arange(size[1]) - rows[0] * scale


def contrast(image: np.ndarray, mask: np.ndarray) -> list[float]:
    """Standard deviation of log-luminance in each band, well inside the mask, 18 to 90 % of the way down."""
    small, cover, height = scaled(image.astype(np.float32) / 255, mask.astype(np.float32))
    luminance = np.log(np.clip(small, 0, 1) ** 2.2 @ LUMINANCE.astype(np.float32) + 0.02)
    core = ndimage.binary_erosion(cover > 0.9, np.ones((9, 9))) & ((height > 0.18 * TALL) & (height < 0.9 * TALL))[:, None]
    return [float((ndimage.gaussian_filter(luminance, a) - ndimage.gaussian_filter(luminance, b))[core].std()) for a, b in BANDS]


def relief(normal: np.ndarray, mask: np.ndarray) -> float:
    """Mean angle in degrees between normals (H, W, 3) and their own mean over a Gaussian of 6 pixels, in the body's middle."""
    small, cover, height = scaled(normal, mask.astype(np.float32))
    inside = (cover > 0.5).astype(np.float32)
    small = small / np.maximum(np.linalg.norm(small, axis=-1, keepdims=True), 1e-6) * inside[..., None]
    smooth = np.stack([ndimage.gaussian_filter(small[..., k], 6) for k in range(3)], -1)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-6)
    core = ndimage.binary_erosion(cover > 0.9, np.ones((9, 9))) & ((height > 0.18 * TALL) & (height < 0.9 * TALL))[:, None]
    return float(np.degrees(np.arccos(np.clip((small * smooth).sum(-1), -1, 1)))[core].mean())


def everybody(data: Path) -> list[tuple[ShardSet, int]]:
    """All people of both splits."""
    sets = [open_shards(data, split, framing="whole") for split in ("train", "val")]
    return [(shards, p) for shards in sets for p in range(len(shards.people()))]


def measure(data: Path, assets: Path, count: int) -> dict[str, object]:
    """The figures over `count` photographs of all people in turn."""
    scenery, people = load_scenery(assets), everybody(data)
    found: list[list[float]] = []
    reliefs: list[float] = []
    kinds: list[str] = []
    for number in range(count):
        shards, p = people[number % len(people)]
        v = number // len(people) % int(shards.header["settings"]["views"])
        view, names = shards.view(p, v), tuple(shards.person(p)["landmarks"])
        rng = np.random.default_rng([7, number])
        drawn = photograph(plain(view, rng), names, scenery, rng, view.camera.width, (), augmented=False)
        if (view.coverage[-1] > 127).mean() > 0.02:  # half a person has another scale
            continue
        found.append(contrast(drawn.image, view.coverage / 255))
        kinds.append(drawn.light)
        reliefs.append(relief(view.normal.astype(np.float32) / 127.5 - 1, view.coverage / 255))
    return {
        "photographs": len(found),
        "contrast": dict(zip([f"{a}-{b}" for a, b in BANDS], np.median(found, 0).round(4).tolist(), strict=True)),
        "lights": {k: round(float(np.median([f[2] for f, n in zip(found, kinds, strict=True) if n == k])), 4) for k in sorted(set(kinds))},
        "relief_deg": round(float(np.median(reliefs)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="write the figures to synth.json")
    arguments = parser.parse_args()
    found = measure(arguments.data, arguments.assets, arguments.photographs)
    print(json.dumps(found, indent=1))
    if arguments.keep:
        path = HERE / "synth.json"
        results = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(results | {"contrast": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
