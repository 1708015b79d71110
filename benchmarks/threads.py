"""Same input, same avatar: reconstructs photos with 1, 2 and 4 threads and compares what comes out.

    python benchmarks/threads.py PHOTO ... --out out/threads [--preset standard] [--threads 1 2 4]

Each run is a process of its own, told its number of threads by OMP_NUM_THREADS, NUMBA_NUM_THREADS, MKL's and OpenBLAS'. A line a photo:
the largest distance between the vertices of posed.glb, millimetres, and which outputs differ in any byte (report.json without what varies).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from carve.gltf.reader import read_glb
from kills import outputs

VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def reconstruct(photo: Path, out: Path, preset: str, threads: int) -> None:
    """One run; what is finished is not made again."""
    if (out / "report.json").is_file():
        return
    environment = os.environ | dict.fromkeys(VARIABLES, str(threads))
    command = [sys.executable, "-m", "carve.app.entry", "reconstruct", str(photo), "--out", str(out), "--preset", preset, "--quiet"]
    subprocess.run([*command, "--overwrite"], env=environment, check=True)


def difference(first: Path, second: Path) -> float:
    """Largest distance between vertices of the posed surfaces, millimetres; infinite if they have not as many."""
    one, other = (read_glb(folder / "posed.glb").vertices for folder in (first, second))
    return 1000 * float(np.linalg.norm(one - other, axis=1).max()) if one.shape == other.shape else float("inf")


def main() -> int:
    """Print one line a photo; 0 if no surface differs by over a tenth of a millimetre."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    worst = 0.0
    for photo in arguments.photos:
        name = photo.stem if photo.stem != "photo" else photo.parent.name
        folders = [arguments.out / f"{name}_{threads}" for threads in arguments.threads]
        for folder, threads in zip(folders, arguments.threads, strict=True):
            reconstruct(photo, folder, arguments.preset, threads)
        apart = max(difference(folders[0], folder) for folder in folders)
        first = outputs(folders[0])
        differing = sorted({key for folder in folders for key, value in outputs(folder).items() if first.get(key) != value})
        worst = max(worst, apart)
        print(f"{name:<24} {apart:.4f} mm; {', '.join(differing) or 'no byte'} differs", flush=True)
    return int(worst > 0.1)


if __name__ == "__main__":
    sys.exit(main())
