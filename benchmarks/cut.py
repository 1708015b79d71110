"""Fit the bodies of evaluation cases whose photo is cut above the knees: how far what is beyond the picture is from the truth.

    python benchmarks/cut.py --shared ../shared [--only NAME ...] [--work DIR] [--set STAGE.X=Y ...]

For each case, first -> second fit: mean joint errors of the upper body and of the legs, millimetres, hips laid on each other and the sizes
of the upper bodies made equal; `lean`: how much farther than the truth's the line from the hips to the ankles leans away, degrees, negative
if the feet are too far from the camera. The truth is turned into a camera that looks at the middle of the cut picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from body import fits
from body_truth import joints_of, load_truth
from carve.body.anny import load_anny
from carve.networks.normals import load_normals_net
from carve.networks.weights import identity
from carve.records import BodyFit
from carve.runner import Deferred
from carve.settings import make_settings

CASES = ("AIAN_F_1_Casual", "Asian_M_1_Util", "Black_F_1_Busi", "White_F_1_Casual", "d01", "d02", "d05")
HIPS = ("leftUpperLeg", "rightUpperLeg")
CUT = 0.55
"""Share of the way from the hips to the knees at which the picture ends."""


def cut_photo(case: Path, out: Path) -> dict[str, np.ndarray]:
    """Writes the cut photo; the true joints in the frame of a camera that looks at its middle."""
    projection = np.array(json.loads((case / "camera.json").read_text())["projection"], float).reshape(3, 4)
    joints = load_truth(case).joints
    row = lambda point: (projection[1] @ [*point, 1]) / (projection[2] @ [*point, 1])  # noqa: E731
    cut = round(np.mean([(1 - CUT) * row(joints[f"{side}UpperLeg"]) + CUT * row(joints[f"{side}LowerLeg"]) for side in ("left", "right")]))
    photo = Image.open(case / "photo.png").convert("RGB")
    photo.crop((0, 0, photo.width, cut)).save(out)
    focal, middle = abs(projection[1, 1] / projection[2, 2]), projection[1, 2] / projection[2, 2]
    turn = np.arctan2(cut / 2 - middle, focal)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    return {name: rotation @ place for name, place in joints.items()}


def measured(fit: BodyFit, truth: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Errors of the upper body and of the legs, millimetres, and the lean, degrees."""
    own = joints_of(fit)
    names = [name for name in truth if name in own]
    upper = np.array([not any(part in name for part in ("Leg", "Foot", "Toes")) for name in names])
    root = [names.index(name) for name in HIPS]
    found, true = (np.array([joints[name] for name in names]) for joints in (own, truth))
    found, true = found - found[root].mean(0), true - true[root].mean(0)
    found *= np.median(np.linalg.norm(true[upper], axis=1)) / np.median(np.linalg.norm(found[upper], axis=1))
    error = 1000 * np.linalg.norm(found - true, axis=1)
    feet = [names.index(f"{side}Foot") for side in ("left", "right")]
    lean = [np.degrees(np.arctan2(p[feet].mean(0)[2], -p[feet].mean(0)[1])) for p in (found, true)]
    return float(error[upper].mean()), float(error[~upper].mean()), float(lean[0] - lean[1])


def main() -> None:
    """Print a line a case, then medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--only", nargs="+", default=CASES)
    parser.add_argument("--work", type=Path, default=Path("out/cut"))
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = make_settings("standard", None, options.set)
    loaded, net = load_anny(), load_normals_net()
    model, network = Deferred("anny", lambda: loaded), Deferred(identity("normals"), lambda: net)
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.only:
        photo = options.work / f"{name}.png"
        truth = cut_photo(next(options.shared.glob(f"bench/*/{name}")), photo)
        both = fits(photo, settings, options.work / name, None, model, network)[:2]
        rows.append([measured(fit, truth) for fit in both])
        print(f"{name:<20}", " -> ".join("upper {:4.0f} legs {:4.0f} lean {:+4.0f}".format(*row) for row in rows[-1]), flush=True)
    print("median", np.median(np.abs(rows), axis=0).round(1).tolist())


if __name__ == "__main__":
    main()
