"""How the normals network's figures change with the amount of synthetic people, all else equal.

    python benchmarks/learning_curve.py DATA --assets ASSETS [--samples 4000] [--shares 0.125 0.25 0.5 1] [--work out/learning_curve]

Every share of the people trains a network from random weights on equally many samples; all are judged on the same people, clothes and
fabrics that training never saw. If the last doubling still brings much, more people are next; if it brings nothing, a better model or
longer training is. A run that was stopped goes on. Results go to learning_curve.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from carve.train.normals import train_normals
from carve.train.running.log import read_log
from carve.train.running.schedule import Phase, Schedule

HERE = Path(__file__).parent
SHOWN = ("front_ratio_fitted", "front_fitted", "front_none", "back_ratio_fitted", "mask_iou")


def main() -> None:
    """One line a share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--validation", type=int, default=40)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.125, 0.25, 0.5, 1.0])
    parser.add_argument("--work", type=Path, default=Path("out/learning_curve"))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    schedule = Schedule((Phase(arguments.size, arguments.samples // 8, 8),), learning_rate=3e-3, warmup=40)
    rows = []
    print(f"{'share':>8}" + "".join(f"{name:>20}" for name in SHOWN))
    for share in arguments.shares:
        folder = arguments.work / f"{share:g}"
        run = train_normals(
            [arguments.data],
            arguments.assets,
            folder,
            schedule,
            share=share,
            validation=arguments.validation,
            evaluate_every=schedule.steps,
            device=arguments.device,
            verify=False,
        )
        found = read_log(folder / "evaluation.csv")[-1]
        rows.append({"share": share, **{name: round(found[name], 4) for name in SHOWN}, "minutes": round(run.seconds / 60, 1)})
        print(f"{share:8g}" + "".join(f"{found[name]:20.4f}" for name in SHOWN), flush=True)
    people = json.loads((arguments.data / "dataset.json").read_text())["people"]
    result = {"people": people, "samples": arguments.samples, "size": arguments.size, "curve": rows}
    (HERE / "learning_curve.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
