"""Train every choice of the implicit model with the same small budget and print CAR's ablations (its Tables 3 and 4) for our data.

    python benchmarks/ablation.py DATA --assets ASSETS [--drawn 288] [--epochs 3] [--work out/ablation] [--only NAME ...] [--device cpu]

DATA is a folder of `carve synth make` with distances. Samples are drawn once and kept in the work folder (5 MiB each): all choices learn
from the same ones, several times. A run that was stopped goes on where it was; one that is finished is only read.
`iou`: of the stored points, inside or not; `angle`: degrees between gradient and normal on the true surface; `mm`: mean signed distance
that is found on the true surface, which an occupancy does not give. All on people that training never saw: `true` with their own body and
normals, `fitted` with a body as a fit gives it and predicted normals. Results go to ablation.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from carve.networks.implicit import Architecture
from carve.synth.samples.surface_points import SurfacePoints
from carve.train.implicit import train_implicit
from carve.train.running.log import read_log
from carve.train.running.loop import Batch
from carve.train.running.schedule import Phase, Schedule

HERE = Path(__file__).parent
PLAIN = Architecture(geometry="canonical_normal")

VARIANTS: dict[str, Architecture] = {
    "default": Architecture(),
    "CAR: canonical, sdf, canonical normal": PLAIN,
    "geometry: none": Architecture(geometry="none"),
    "geometry: joints": Architecture(geometry="joints"),
    "geometry: body sdf": Architecture(geometry="body_sdf"),
    "occupancy": Architecture(geometry="canonical_normal", representation="occupancy"),
    "image: photo": Architecture(geometry="canonical_normal", image="photo"),
    "image: both": Architecture(geometry="canonical_normal", image="both"),
    "space: posed": Architecture(geometry="canonical_normal", space="posed"),
    "kind of PIFu": Architecture("occupancy", "none", "photo", "posed"),
    "kind of PaMIR and ICON": Architecture("occupancy", "body_sdf", "normals", "posed"),
    "kind of ARCH": Architecture("occupancy", "joints", "photo", "canonical"),
}
"""The paper's choices, one at a time against its own model, and the kinds of the models before it."""

SHOWN = ("true_iou", "true_angle", "true_mm", "fitted_iou", "fitted_angle", "fitted_mm")


class Kept:
    """Some samples of a data set, each drawn once and kept in a folder."""

    def __init__(self, points: SurfacePoints, folder: Path, count: int) -> None:
        self._points, self._folder = points, folder
        self._chosen = np.random.default_rng(0).permutation(len(points))[:count]

    def __len__(self) -> int:
        return len(self._chosen)

    def draw(self, i: int, epoch: int) -> Batch:
        """Sample i, the same in every epoch."""
        path = self._folder / f"{i:05d}.safetensors"
        if not path.is_file():
            part = path.with_suffix(".part")
            save_file({k: v.contiguous() for k, v in self._points.draw(int(self._chosen[i]), 0).items()}, part)
            part.replace(path)
        return load_file(path)


def figures(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one variant, or read what a finished training found."""
    steps = arguments.drawn * arguments.epochs // 4
    schedule = Schedule((Phase(256, steps, 4),), learning_rate=1.5e-3, warmup=min(100, steps // 4))
    folder = arguments.work / "".join(c if c.isalnum() else "_" for c in name)
    space = VARIANTS[name].space
    kept = arguments.work / f"samples_{space}"
    kept.mkdir(parents=True, exist_ok=True)

    def source(points: SurfacePoints) -> Kept:
        # Drawn with the photo, whether this variant looks at it or not.
        seeing = Architecture(image="both", space=space)
        drawn = SurfacePoints(
            arguments.data, "train", arguments.assets, seeing, mixture=points.mixture, counts=points.counts, verify=False
        )  # fmt: skip
        return Kept(drawn, kept, arguments.drawn)

    run = train_implicit(
        arguments.data,
        arguments.assets,
        folder,
        schedule,
        architecture=VARIANTS[name],
        validation=arguments.validation,
        evaluate_every=schedule.steps,
        device=arguments.device,
        verify=False,
        source=source,
    )
    found = read_log(folder / "evaluation.csv")[-1]
    shown = [k for k in SHOWN if VARIANTS[name].representation == "sdf" or not k.endswith("mm")]
    return {**{k: round(found[k], 4) for k in shown}, "body_iou": round(found["true_body_iou"], 4), "minutes": round(run.seconds / 60, 1)}


def main() -> None:
    """One line a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=288, help="samples that are drawn")
    parser.add_argument("--epochs", type=int, default=3, help="how often each is learned from")
    parser.add_argument("--validation", type=int, default=24)
    parser.add_argument("--work", type=Path, default=Path("out/ablation"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", choices=sorted(VARIANTS), metavar="NAME")
    arguments = parser.parse_args()
    table: dict[str, dict[str, Any]] = {}
    print(f"{'':40}" + "".join(f"{k:>14}" for k in SHOWN))
    for name in arguments.only or VARIANTS:
        table[name] = figures(name, arguments)
        print(f"{name:40}" + "".join(f"{table[name].get(k, ''):>14}" for k in SHOWN), flush=True)
    if not arguments.only:
        note = {
            "drawn": arguments.drawn,
            "epochs": arguments.epochs,
            "people": json.loads((arguments.data / "dataset.json").read_text())["people"],
        }
        (HERE / "ablation.json").write_text(json.dumps({**note, "variants": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
