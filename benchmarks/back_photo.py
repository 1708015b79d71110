"""What a back photo adds: base colour of the back of evaluation cases, with and without one.

    PYTHONPATH=src python benchmarks/back_photo.py CASES BEFORE WORK [--only NAME ...] [--json FILE]

BEFORE holds an output folder NAME of each case's photo. The case's own view from behind (albedo, 512 pixels, parallel), twice as large and
on grey, stands in for a back photo: it has no light and no perspective, and it is what the back is then compared with, so the figures say
how well registration, tones and seams do, not what a photograph in another light would give. WORK/NAME becomes a copy of BEFORE/NAME, run
again from `texture` with it. Of each: PSNR after the best gain of each channel and SSIM of the back and of the mean of the four views. What
the file holds of other cases stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from carve.evaluate.cases import Case, find_cases, read_case
from carve.evaluate.scoring import read_projection, read_shape, score
from carve.io.image import read_photo
from carve.pipeline import reconstruct
from carve.records import Photo

BACK = 2
"""Index of the view from behind among a case's."""
ENLARGED = 2
GREY = 128.0


def stand_in(case: Case) -> Photo:
    """The view from behind as a photo."""
    assert case.views is not None and case.views.albedo is not None
    albedo, mask = 255 * case.views.albedo[BACK], case.views.masks[BACK].astype(np.float32)[..., None]
    # Colours go on beyond the outline, so that enlarging mixes no background into it.
    near, mass = cv2.GaussianBlur(albedo * mask, (0, 0), 2), cv2.GaussianBlur(mask, (0, 0), 2)[..., None]
    whole = np.where(mask > 0, albedo, near / np.maximum(mass, 1e-3))
    size = (ENLARGED * albedo.shape[1], ENLARGED * albedo.shape[0])
    large = cv2.resize(whole.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    share = np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), 0, 1)[..., None]
    pixels = np.clip(large * share + GREY * (1 - share), 0, 255)
    return Photo(np.rint(pixels).astype(np.uint8), None, None, f"{case.name}_behind")


def colours(case: Case, out: Path) -> dict[str, float]:
    """The figures of an output folder."""
    found = score(case, read_shape(out / "posed.glb"), read_projection(out / "camera.json"))["aligned"]["albedo"]
    names = ("psnr_gain_db", "ssim")
    return {f"back_{name}": round(found["views"]["back"][name], 3) for name in names} | {name: round(found[name], 3) for name in names}


def measured(folder: Path, before: Path, work: Path) -> dict[str, Any]:
    """Both runs of one case."""
    case, out = read_case(folder), work / folder.name
    if not out.exists():
        shutil.copytree(before / folder.name, out)
    report = reconstruct(read_photo(folder / "photo.png"), out=out, start="texture", back_photo=stand_in(case)).report
    return {"before": colours(case, before / folder.name), "with": colours(case, out), "back_photo": report["back_photo"]}


def main() -> None:
    """Table and file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("before", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(arguments.json.read_text("utf-8"))["cases"] if arguments.json.exists() else {}
    for folder in find_cases(arguments.cases, frozenset(arguments.only)):
        if (arguments.before / folder.name).is_dir():
            found[folder.name] = measured(folder, arguments.before, arguments.work)
            print(folder.name, json.dumps(found[folder.name]), flush=True)
    medians = {
        run: {name: round(float(np.median([case[run][name] for case in found.values()])), 3) for name in next(iter(found.values()))[run]}
        for run in ("before", "with")
    }
    print(json.dumps(medians, indent=1))
    arguments.json.write_text(json.dumps({"cases": found, "median": medians}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
