"""Observe and fit the bodies of the evaluation cases and print how far they are from the truth: a few seconds a case.

    python benchmarks/body.py --shared ../shared [--sets dev dev_moving dev_draped] [--work DIR] [--from STAGE] [--set STAGE.X=Y ...]

Runs the stages observe, fit_body, evidence and refit_body alone and keeps them in the work folder: `--from STAGE` keeps what lies before
STAGE. Joints are root-aligned and Procrustes-aligned, millimetres, as the scorer has them; `depth` and `flat` are the root mean squares of
the root-aligned error along and across the viewing axis; lean and pitch are signed errors in degrees (the trunk's slope and the camera's);
Chamfer is that of the naked body; `wrong` names joints more than 15 cm off in depth against their neighbour.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from body_truth import load_truth, measure
from carve.body.anny import load_anny
from carve.io.image import read_photo
from carve.io.run_folder import RunFolder
from carve.networks.normals import load_normals_net
from carve.networks.weights import identity
from carve.records import BodyFit, CarveError, NormalMaps, Observation
from carve.runner import Deferred, StageRunner
from carve.settings import Settings, make_settings
from carve.stages.fit_body import fit_body, refit_body
from carve.stages.normals import predict_evidence
from carve.stages.observe import observe

FIGURES = ("root_mm", "procrustes_mm", "depth_mm", "flat_mm", "lean_deg", "pitch_deg", "chamfer_cm", "aligned_cm", "side_iou")
STAGES = ("observe", "fit_body", "evidence", "refit_body")


def fits(photo: Path, settings: Settings, out: Path, start: str | None, model: Deferred, network: Deferred) -> tuple[BodyFit, BodyFit, Any]:
    """Both fits of one photo, and the seconds of each stage."""
    begun = start if start and (out / "stages").is_dir() else None
    with RunFolder(out, "resume" if begun else "overwrite") as folder:
        run = StageRunner(settings.seed, folder, begun)  # type: ignore[arg-type]
        picture = read_photo(photo)
        run.give("photo", picture)
        seen = run("observe", Observation, observe, picture, settings.observe, None, None)
        first = run("fit_body", BodyFit, fit_body, seen, model, settings.fit_body)
        maps = run("evidence", NormalMaps, predict_evidence, seen, first, network, settings.normals)
        second = run("refit_body", BodyFit, refit_body, seen, first, maps, model, settings.fit_body)
    return first, second, run.seconds


def main() -> None:
    """Print one line a case, then medians of each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sets", nargs="+", default=["dev", "dev_moving", "dev_draped"])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--work", type=Path, default=Path("out/body"))
    parser.add_argument("--from", dest="start", choices=STAGES)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = make_settings("standard", None, options.set)
    loaded, net = load_anny(), load_normals_net()
    model, network = Deferred("anny", lambda: loaded), Deferred(identity("normals"), lambda: net)
    results: dict[str, dict[str, Any]] = {}
    for group in options.sets:
        cases = sorted(path.parent for path in options.shared.glob(f"bench/{group}/*/outer.npz"))
        for case in cases:
            if options.only and case.name not in options.only:
                continue
            begin = time.process_time()
            try:
                first, second, seconds = fits(case / "photo.png", settings, options.work / case.name, options.start, model, network)
            except CarveError as error:
                results.setdefault(group, {})[case.name] = {"error": str(error)}
                print(f"{case.name:<22} {error}", flush=True)
                continue
            spent, truth = time.process_time() - begin, load_truth(case)
            figures = {"first": measure(first, truth), "second": measure(second, truth), "seconds": seconds, "cpu": spent}
            results.setdefault(group, {})[case.name] = figures
            print(f"{case.name:<22}", _line(figures["first"]), "->", _line(figures["second"]), *figures["second"]["wrong"], flush=True)
        print_medians(group, results.get(group, {}))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _line(figures: dict[str, Any]) -> str:
    joints = "{root_mm:3.0f}/{procrustes_mm:3.0f} z{depth_mm:3.0f} lean{lean_deg:+3.0f} pitch{pitch_deg:+3.0f}".format(**figures)
    return joints + " {chamfer_cm:.2f}/{aligned_cm:.2f} {side_iou:.3f}".format(**figures)


def print_medians(group: str, cases: dict[str, Any]) -> None:
    """Medians of both fits over the cases that could be fitted; of signed figures, the median size."""
    done = [case for case in cases.values() if "error" not in case]
    for which in ("first", "second") if done else ():
        figures = {name: np.array([abs(case[which][name]) for case in done]) for name in FIGURES}
        middle = " ".join(f"{name} {np.median(values):.3g}" for name, values in figures.items())
        mean = " ".join(f"{values.mean():.3g}" for values in figures.values())
        people, joints = (sum(count(case[which]["wrong"]) for case in done) for count in (bool, len))
        print(f"{group:<10} {which:<6} of {len(done)}: {middle} | {people} people, {joints} limbs wrong | means {mean}")
    if done:
        print(f"{group:<10} processor seconds a case: {np.median([case['cpu'] for case in done]):.1f}", flush=True)


if __name__ == "__main__":
    main()
