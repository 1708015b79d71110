"""What large photos cost: a photo is enlarged to so many megapixels, reconstructed, and the memory of the process read from outside.

    python benchmarks/large.py PHOTO --out out/large [--megapixels 24 100] [--preset standard] [--mode RGB RGBA progressive]

A line a picture: its size, the peak of resident memory (read every 10 ms; carve resets the system's mark before each stage) and what
report.json says of it, GiB, and seconds of processor time. `RGBA` is a PNG with transparency, `progressive` a JPEG in ten scans.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

from measuring import run_measured


def enlarged(photo: Path, megapixels: float, mode: str, folder: Path) -> Path:
    """The photo with so many pixels, with a little noise's worth of sharpness lost: what counts is its size."""
    target = folder / f"{photo.stem}_{megapixels:g}_{mode}.{'png' if mode == 'RGBA' else 'jpg'}"
    if not target.exists():
        with Image.open(photo) as picture:
            scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
            size = (int(picture.width * scale), int(picture.height * scale))
            large = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        if mode == "RGBA":
            alpha = Image.new("L", large.size, 255)
            alpha.paste(0, (0, 0, large.width // 50, large.height // 50))
            large.putalpha(alpha)
            large.save(target, compress_level=1)
        else:
            large.save(target, quality=90, progressive=mode == "progressive")
    return target


def main() -> int:
    """Print one line a picture; 0 if all runs ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[24, 99.9])
    parser.add_argument("--mode", nargs="+", choices=("RGB", "RGBA", "progressive"), default=["RGB"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for megapixels in arguments.megapixels:
        for mode in arguments.mode:
            picture = enlarged(arguments.photo, megapixels, mode, arguments.out)
            out = arguments.out / picture.stem
            command = [sys.executable, "-m", "carve.app.entry", "reconstruct", str(picture), "--out", str(out)]
            run = run_measured([*command, "--preset", arguments.preset, "--overwrite", "--quiet"])
            failed += run.exit_code != 0
            told = json.loads((out / "report.json").read_text())["peak_memory_mib"] if run.exit_code == 0 else {"whole": float("nan")}
            said = f"measured {run.peak_mib / 1024:.2f} GiB, report.json {told['whole'] / 1024:.2f} GiB, {run.cpu_seconds:.0f} s"
            print(f"{megapixels:g} megapixels {mode}: exit code {run.exit_code}, {said} {run.message}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
