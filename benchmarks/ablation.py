"""Train the paper's baselines and choices as settings of our code, on the same samples for as long, judge them, print CAR's tables.

    python benchmarks/ablation.py DATA --assets ASSETS [--drawn 1000] [--epochs 4] [--work out/ablation] [--only NAME ...] [--device cpu]
        [--people 5] [--views 1] [--train | --trained] [--single]

DATA is a folder of `carve synth make` with distances. Samples are drawn once for each space and kept in the work folder (3 MiB each):
all choices learn from the same ones, several times. Whatever was stopped goes on where it was; what is finished is only read.
Judged are people that training never saw, `--views` photographs of each (`ablation_judge.py`); refinements on one of each.
A run over all variants, or with --trained over those that are trained already, writes ablation.json beside this file, and tables and
picture for docs/results.md from it (`ablation_tables.py`). With --single it is over CAR's own choices, one at a time, and writes
ablation_choices.json and their tables.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ablation_judge import REFINEMENTS, Row, Subject, judge, naked, subjects
from ablation_tables import RESULTS, SINGLE, first_views, write_results
from carve.networks.encoder import receptive_field
from carve.networks.hyper import load_hyper_net
from carve.networks.implicit import Architecture, ImplicitNet, load_implicit_net
from carve.networks.normals import load_normals_net
from carve.networks.weights import read_card, write_weights
from carve.synth.samples.surface_points import SurfacePoints
from carve.train.implicit import Params, train_implicit
from carve.train.running.log import read_log
from carve.train.running.loop import Batch
from carve.train.running.schedule import Phase, Schedule

BATCH = 4
PARAMS = Params(on=384, off=768, eikonal_off=64)
"""Fewer points than a training for use has: the encoder takes most of a step's time."""
CAR = Architecture(geometry="canonical_normal")

VARIANTS: dict[str, Architecture] = {
    "PIFu": Architecture("occupancy", "none", "photo", "posed"),
    "PIFuHD": Architecture("occupancy", "none", "both", "posed", levels=2),
    "PaMIR": Architecture("occupancy", "body_sdf", "photo", "posed"),
    "ICON": Architecture("occupancy", "all", "normals", "posed"),
    "ARCH": Architecture("occupancy", "joints", "photo", "canonical"),
    "ARCH++": Architecture("occupancy", "surface", "photo", "canonical"),
    "CAR": CAR,
    "carve": Architecture(),
    "CAR, field 1/2": replace(CAR, widths=(32, 64, 112)),
    "CAR, field 1/4": replace(CAR, widths=(32, 72), blocks=3),
    "CAR, occupancy": replace(CAR, representation="occupancy"),
    "CAR, posed": replace(CAR, space="posed"),
    "CAR, no geometry": replace(CAR, geometry="none"),
    "CAR, joints": replace(CAR, geometry="joints"),
    "CAR, body distance": replace(CAR, geometry="body_sdf"),
}
"""The models before CAR, as far as they are settings of our code, CAR's own and what ships; then one choice of CAR's at a time. An encoder
that sees less of the crop is wider or deeper, so that it costs as much."""


REFINED: dict[str, tuple[str, ...]] = {"CAR": tuple(REFINEMENTS), "carve": ("integration",)}


class Kept:
    """Some samples of a data set, each drawn once and kept in a folder; the maps in half precision."""

    def __init__(self, points: SurfacePoints, folder: Path, count: int) -> None:
        self._points, self._folder, self._count = points, folder, count
        self._order = np.random.default_rng(0).permutation(len(points))

    def __len__(self) -> int:
        return self._count

    def draw(self, i: int, epoch: int) -> Batch:
        """Sample i, the same in every epoch: the views of the data set one after the other, each time drawn anew."""
        path = self._folder / f"{i:05d}.safetensors"
        if not path.is_file():
            part = path.with_suffix(".part")
            item = self._points.draw(int(self._order[i % len(self._order)]), i // len(self._order))
            save_file({k: (v.half() if k == "maps" else v).contiguous() for k, v in item.items()}, part)
            part.replace(path)
        item = load_file(path)
        return {**item, "maps": item["maps"].float()}


def run_folder(arguments: argparse.Namespace, name: str) -> Path:
    """Where a variant's training lies."""
    folder: Path = arguments.work / "".join(c if c.isalnum() else "_" for c in name)
    return folder


def trained(name: str, arguments: argparse.Namespace) -> tuple[ImplicitNet, dict[str, Any]]:
    """One variant's network, trained or read, and what its training says."""
    folder = run_folder(arguments, name)
    if not (folder / "implicit.json").is_file():
        _train(VARIANTS[name], folder, arguments)
    found = read_log(folder / "evaluation.csv")[-1]
    shown = [k for k in found if k.endswith(("iou", "angle")) or (VARIANTS[name].representation == "sdf" and k.endswith("mm"))]
    return load_implicit_net(folder), {**{k: round(found[k], 4) for k in shown}, "minutes": round(found["seconds"] / 60, 1)}


def _train(architecture: Architecture, folder: Path, arguments: argparse.Namespace) -> None:
    """Train, or go on with it, and write the weights."""
    steps = arguments.drawn * arguments.epochs // BATCH
    schedule = Schedule((Phase(256, steps, BATCH),), learning_rate=1.5e-3, warmup=min(100, steps // 4))
    kept = arguments.work / f"samples_{architecture.space}"
    kept.mkdir(parents=True, exist_ok=True)

    def source(points: SurfacePoints) -> Kept:
        # Drawn with the photo, whether this variant looks at it or not.
        seeing = Architecture(image="both", space=architecture.space)
        drawn = SurfacePoints(
            arguments.data, "train", arguments.assets, seeing, mixture=points.mixture, counts=points.counts, verify=False
        )  # fmt: skip
        return Kept(drawn, kept, arguments.drawn)

    run = train_implicit(
        arguments.data,
        arguments.assets,
        folder,
        schedule,
        params=PARAMS,
        architecture=architecture,
        validation=arguments.validation,
        evaluate_every=schedule.steps,
        device=arguments.device,
        verify=False,
        source=source,
        report=lambda done, total, line: print(f"{folder.name} {done}/{total} {line}", flush=True) if line else None,
    )
    write_weights(folder, "implicit", run.average, {"architecture": architecture.as_json(), "samples": steps * BATCH})


def judged(name: str, network: ImplicitNet | None, people: list[Subject], arguments: argparse.Namespace) -> list[Row]:
    """One variant's rows, or the naked body's if there is no network: judged, or read where that is done."""
    path = run_folder(arguments, name) / "judged.json"
    weights = network and read_card("implicit", path.parent)["sha256"]
    found = json.loads(path.read_text()) if path.is_file() else {}
    known = {(row["key"], row["track"]): row for row in found.get("rows", ()) if found["weights"] == weights}
    hyper, firsts, rows = load_hyper_net(), first_views(s.person.key for s in people), []
    path.parent.mkdir(parents=True, exist_ok=True)
    for subject in people:
        chosen = REFINED.get(name, ()) if subject.person.key in firsts else ()
        row = known.get((subject.person.key, subject.track))
        if row is None or any(kind not in row for kind in chosen):
            row = naked(subject) if network is None else judge(subject, network, chosen, hyper)
            print(name, row, flush=True)
        rows.append(row)
        known[subject.person.key, subject.track] = row
        path.write_text(json.dumps({"weights": weights, "rows": list(known.values())}))
    return rows


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=1000, help="samples that are drawn")
    parser.add_argument("--epochs", type=int, default=4, help="how often each is learned from")
    parser.add_argument("--validation", type=int, default=20, help="views that a training's own figures are of")
    parser.add_argument("--people", type=int, default=5, help="held-out people whose meshes are judged")
    parser.add_argument("--views", type=int, default=1, help="photographs of each")
    parser.add_argument("--work", type=Path, default=Path("out/ablation"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", choices=sorted(VARIANTS), metavar="NAME")
    parser.add_argument("--single", action="store_true", help="CAR and what differs from it in one choice")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--train", action="store_true", help="train only")
    what.add_argument("--trained", action="store_true", help="judge what is trained already")
    arguments = parser.parse_args()
    people: list[Subject] = []
    if not arguments.train:
        people = list(subjects(arguments.data, arguments.assets, arguments.people, arguments.views, load_normals_net()))
    variants: dict[str, Any] = {}
    for name in arguments.only or [n for n in VARIANTS if n.startswith("CAR") or not arguments.single]:
        if arguments.trained and not (run_folder(arguments, name) / "implicit.json").is_file():
            continue
        network, training = trained(name, arguments)
        print(name, training, flush=True)
        if not arguments.train:
            a = network.architecture
            variants[name] = {
                "architecture": a.as_json(),
                "receptive_field": receptive_field(a.widths, a.blocks) * a.levels,
                "weights": sum(p.numel() for p in network.parameters()),
                "training": training,
                "rows": judged(name, network, people, arguments),
            }
    if arguments.only or arguments.train:
        return
    header = json.loads((arguments.data / "dataset.json").read_text())
    found = {
        "data": {"seed": header["seed"], "people": header["people"], **{k: header["settings"][k] for k in ("views", "close", "drapes")}},
        "drawn": arguments.drawn,
        "samples": arguments.drawn * arguments.epochs,
        "judged": {"people": arguments.people, "views": arguments.views},
        "body": judged("naked body", None, people, arguments),
        "variants": variants,
    }
    (SINGLE if arguments.single else RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    write_results(found, arguments.single)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
