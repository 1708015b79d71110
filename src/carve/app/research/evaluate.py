"""The command `carve evaluate`: methods judged on cases whose geometry is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_evaluate(command: argparse.ArgumentParser, presets: tuple[str, ...]) -> None:
    """The arguments of `carve evaluate`."""
    command.add_argument("cases", type=Path, help="a folder of cases (docs/evaluation.md), or with --dataset the data set's")
    command.add_argument(
        "--dataset",
        metavar="NAME",
        help="the folder is a data set as downloaded (docs/datasets.md): thuman2, thuman2.1, cape, cape-nfp, renderpeople, customhumans, "
        "mvp-human, buff, 4d-dress, cloth3d; its protocol's pictures become cases in OUT/cases",
    )
    command.add_argument("--body-model", type=Path, metavar="FILE", help="with --dataset: SMPL or SMPL-X, for joints and true bodies")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="runs, figures, tables; goes on where it was stopped")
    command.add_argument(
        "--methods",
        default="carve,body",
        metavar="LIST",
        help="carve, body (the same runs without clothes), NAME=FOLDER with another program's outputs, NAME@true=FOLDER with those on "
        "true bodies (default: carve,body)",
    )
    command.add_argument(
        "--tracks",
        default="fitted,true",
        metavar="LIST",
        help="fitted: the body that carve finds; true: the case's own body given to it, a run more (default: both)",
    )
    command.add_argument("--preset", choices=presets, default="standard", help="of carve's own runs (default: standard)")
    command.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these cases alone, or these people of the data set")
    command.add_argument("--quiet", action="store_true", help="print the table alone")


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate, print the table; exit code 1 if something could not be scored."""
    import functools
    import importlib.util

    from rich.console import Console

    from carve.records import CarveError

    if importlib.util.find_spec("skimage") is None:
        raise CarveError("carve evaluate needs scikit-image: pip install 'carve[evaluate]'.")
    from carve.body.anny import load_anny
    from carve.evaluate.benchmark import evaluate, parse_methods
    from carve.evaluate.cases import Case
    from carve.evaluate.tables import TRACKS, Track, as_text, rows
    from carve.evaluate.true_body import fit_true_body
    from carve.pipeline import reconstruct
    from carve.provenance import made_with
    from carve.settings import make_settings

    tracks = [track for track in TRACKS if track in arguments.tracks.split(",")]
    if not tracks or len(tracks) < len(arguments.tracks.split(",")):
        raise CarveError(f"--tracks takes {' and '.join(TRACKS)}, with a comma between them, not '{arguments.tracks}'.")
    settings, model = make_settings(arguments.preset), functools.cache(functools.partial(load_anny, anatomy=False))
    console = Console(stderr=True, quiet=arguments.quiet, highlight=False)

    def run(case: Case, folder: Path, track: Track) -> None:
        with console.status(f"reconstructing {case.name} ({track} body)", refresh_per_second=2):
            body = fit_true_body(case, model()) if track == "true" else None
            reconstruct(case.photo, settings, out=folder, body=body, existing="resume" if folder.exists() else "refuse")

    def tell(line: str) -> None:
        console.print(line, markup=False)

    methods, only, cases = parse_methods(arguments.methods), frozenset(arguments.only), arguments.cases
    if arguments.dataset is not None:
        only, cases = _staged(arguments, tell), arguments.out / "cases"
    elif arguments.body_model is not None:
        raise CarveError("--body-model goes with --dataset: cases know their joints.")
    results = evaluate(cases, methods, arguments.out, run, only, tell, tracks, f"{arguments.preset} {made_with()}")
    print(as_text(rows(results)), end="")
    return 1 if any(result.problem for result in results) else 0


def _staged(arguments: argparse.Namespace, tell: Callable[[str], None]) -> frozenset[str]:
    """Write the cases of a data set; their names."""
    from carve.body.smpl import load_smpl
    from carve.evaluate.datasets.known import DATASETS
    from carve.evaluate.staging import stage
    from carve.records import CarveError

    data = DATASETS.get(arguments.dataset.lower())
    if data is None:
        raise CarveError(f"There is no data set '{arguments.dataset}'; known are {', '.join(DATASETS)}.")
    if not arguments.cases.is_dir():
        raise CarveError(f"The folder of {data.title} {arguments.cases} does not exist.")
    model = None if arguments.body_model is None else load_smpl(arguments.body_model)
    return stage(data, arguments.cases, arguments.out / "cases", frozenset(arguments.only), model, tell)
