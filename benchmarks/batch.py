"""Measures `carve batch` against single runs back to back, and a Ray cluster of this machine against its own processes.

    python benchmarks/batch.py single local ray --shared ../shared --preset fast --out out/batch
    python benchmarks/batch.py local one --count 4 --out out/batch4        `one`: one process at a time, with all threads

Half the photos are those of SHARED/photos, half those of the cases of SHARED/bench/dev. What has been measured stands in
OUT/figures.json: the same command again goes on with what is missing (single runs by photo, the rest as a whole). Ends with 1 if a figure
that must be reached was not. The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MUST = {"local_over_single": 1.2, "ray_over_local": 0.9}
WAYS = ("single", "local", "one", "ray")


def pictures(shared: Path, count: int) -> dict[str, Path]:
    """So many photos by the name of their output folder, of both kinds in turn."""
    photos = [(path.stem, path) for path in sorted((shared / "photos").glob("*.jpg"))]
    cases = [(path.parent.name, path) for path in sorted((shared / "bench" / "dev").glob("*/photo.png"))]
    chosen = [entry for pair in zip(photos, cases, strict=False) for entry in pair][:count]
    if len(chosen) < count:
        sys.exit(f"{shared} holds {len(chosen)} photos, {count} are asked for")
    return dict(chosen)


def carve(words: Sequence[str]) -> float:
    """Seconds of a command."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "carve", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def single(chosen: dict[str, Path], arguments: argparse.Namespace, figures: dict[str, Any], save: Any) -> None:
    """One command a photo, back to back."""
    seconds = figures.setdefault("single_seconds", {})
    for name, photo in chosen.items():
        if name not in seconds:
            out = arguments.out / "single" / name
            shutil.rmtree(out, ignore_errors=True)
            seconds[name] = round(carve(["reconstruct", str(photo), f"--out={out}", f"--preset={arguments.preset}", "--quiet"]), 2)
            save()
    figures["seconds"]["single"] = round(sum(seconds.values()), 2)


def many(way: str, chosen: dict[str, Path], arguments: argparse.Namespace) -> float:
    """All photos by `carve batch`; seconds."""
    out = arguments.out / way
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with (out / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("photo", "out"), *((photo.resolve(), name) for name, photo in chosen.items())])
    words = ["batch", str(out / "list.csv"), f"--out={out}", f"--preset={arguments.preset}"]
    if way != "ray":
        return carve([*words, *(["--workers=1"] if way == "one" else [])])
    import ray

    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    try:
        return carve([*words, f"--ray={ray.get_runtime_context().gcs_address}"])
    finally:
        ray.shutdown()


def same(way: str, chosen: dict[str, Path], out: Path) -> int:
    """How many avatars are those of the single runs, byte by byte."""
    sums = [[hashlib.sha256((out / w / name / "avatar.glb").read_bytes()).digest() for name in chosen] for w in ("single", way)]
    return sum(a == b for a, b in zip(*sums, strict=True))


def main() -> None:
    """Measure what is asked for and missing, and print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="+", choices=WAYS)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--preset", default="fast", choices=["fast", "standard", "best"])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen, file = pictures(arguments.shared, arguments.count), arguments.out / "figures.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"preset": arguments.preset, "photos": list(chosen)}
    if figures["preset"] != arguments.preset or figures["photos"] != list(chosen):
        sys.exit(f"{file} was measured with another preset or other photos; choose another --out")

    def save() -> None:
        file.write_text(json.dumps(figures, indent=2) + "\n")

    seconds = figures.setdefault("seconds", {})
    for way in arguments.ways:
        if way == "single":
            single(chosen, arguments, figures, save)
        elif way not in seconds:
            seconds[way] = round(many(way, chosen, arguments), 2)
        if way != "single" and "single" in seconds:
            figures[f"same_as_single_{way}"] = same(way, chosen, arguments.out)
        save()
    for fast, slow in (("local", "single"), ("ray", "local"), ("one", "single")):
        if {fast, slow} <= seconds.keys():
            figures[f"{fast}_over_{slow}"] = round(seconds[slow] / seconds[fast], 3)
    save()
    print(json.dumps(figures, indent=2))
    sys.exit(any(figures.get(name, most) < most for name, most in MUST.items()))


if __name__ == "__main__":
    main()
