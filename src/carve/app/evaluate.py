"""The command `carve evaluate`: methods judged on cases whose geometry is known."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_evaluate(command: argparse.ArgumentParser, presets: tuple[str, ...]) -> None:
    """The arguments of `carve evaluate`."""
    command.add_argument("cases", type=Path, help="a folder of cases (docs/evaluation.md)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="runs, figures, tables; goes on where it was stopped")
    command.add_argument(
        "--methods",
        default="carve,body",
        metavar="LIST",
        help="carve, body (the same runs without clothes), NAME=FOLDER with another program's outputs (default: carve,body)",
    )
    command.add_argument("--preset", choices=presets, default="standard", help="of carve's own runs (default: standard)")
    command.add_argument("--only", nargs="+", default=[], metavar="CASE", help="these cases alone")
    command.add_argument("--quiet", action="store_true", help="print the table alone")


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate, print the table; exit code 1 if something could not be scored."""
    import importlib.util

    from rich.console import Console

    from carve.records import CarveError

    if importlib.util.find_spec("skimage") is None:
        raise CarveError("carve evaluate needs scikit-image: pip install 'carve[evaluate]'.")
    from carve.evaluate.benchmark import evaluate, parse_methods
    from carve.evaluate.tables import as_text, rows
    from carve.pipeline import reconstruct
    from carve.settings import make_settings

    settings = make_settings(arguments.preset)
    console = Console(stderr=True, quiet=arguments.quiet, highlight=False)

    def run(photo: Path, folder: Path) -> None:
        with console.status(f"reconstructing {photo.parent.name}", refresh_per_second=2):
            reconstruct(photo, settings, out=folder, existing="resume" if folder.exists() else "refuse")

    def tell(line: str) -> None:
        console.print(line, markup=False)

    results = evaluate(arguments.cases, parse_methods(arguments.methods), arguments.out, run, frozenset(arguments.only), tell)
    print(as_text(rows(results)), end="")
    return 1 if any(result.problem for result in results) else 0
