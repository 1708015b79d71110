"""The commands of `carve synth`: making synthetic people and looking at them."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from carve.app.progress import StageLines


def positive(text: str) -> int:
    """A whole number above zero."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def add_synth(command: argparse.ArgumentParser) -> None:
    """The arguments of `carve synth`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="make people as training shards")
    make.add_argument(
        "--assets", type=Path, metavar="DIR", help="garments, skins, poses; or a MakeHuman data folder (default: none at all)"
    )
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data set's folder; a run that was stopped goes on in it")
    make.add_argument("--people", type=positive, required=True, metavar="N", help="how many")
    make.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all random numbers (default: 0)")
    make.add_argument("--views", type=positive, default=4, metavar="N", help="cameras that see each person whole (default: 4)")
    make.add_argument("--close", type=int, default=2, metavar="N", help="cameras that see a part of each person closely (default: 2)")
    make.add_argument(
        "--drapes", type=int, default=100, metavar="N", help="members of the library of draped outfits, 0 for none (default: 100)"
    )
    make.add_argument("--library", type=Path, metavar="DIR", help="the library of drapes (default: drapes in the data set's folder)")
    make.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes; the result does not depend on it"
    )
    make.add_argument("--no-distances", action="store_true", help="leave the outer surface and its signed distances out; normals need none")
    make.add_argument("--skip-bad", action="store_true", help="leave garments out that are missing a file or malformed, and list them")
    make.add_argument("--quiet", action="store_true", help="print nothing but errors")
    head = actions.add_parser(
        "head", help="find anew where the face mesh's points lie on Anny, how it sees faces, and a plain face's colours"
    )
    head.add_argument("--assets", type=Path, required=True, metavar="DIR", help="skins, eyes and brows")
    head.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where face_points.json, face_reading.safetensors and head_look.json go"
    )
    head.add_argument("--people", type=positive, default=22, metavar="N", help="heads, each seen from five sides (default: 22)")
    head.add_argument("--portraits", type=positive, default=3600, metavar="N", help="heads that reading is learned from (default: 3600)")
    head.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all random numbers (default: 0)")
    drapes = actions.add_parser("drapes", help="make the library of tailor's garments, draped; it may be stopped and goes on")
    drapes.add_argument("--out", type=Path, required=True, metavar="DIR", help="the library's folder")
    drapes.add_argument(
        "--members", type=positive, required=True, metavar="N", help="bodies in a pose, each in an outfit of one to four pieces"
    )
    drapes.add_argument(
        "--assets", type=Path, metavar="DIR", help="motions to pose with are read from poses/ in here; without, people stand"
    )
    drapes.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all random numbers (default: 0)")
    drapes.add_argument("--workers", type=positive, default=1, metavar="N", help="processes (default: 1); the result does not depend on it")
    drapes.add_argument("--minutes", type=positive, metavar="M", help="begin no new member after so long")
    _add_import(actions.add_parser("import-cloth3d", help="sequences of CLOTH3D that you hold, as training shards"))
    sheet = actions.add_parser("sheet", help="contact sheets of a data set: photograph, normals, labels, canonical mesh")
    sheet.add_argument("data", type=Path, help="a folder of `carve synth make`")
    sheet.add_argument("--assets", type=Path, required=True, metavar="DIR", help="the assets, for light and backgrounds")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE", help="the pictures are FILE_1.png, FILE_2.png, ...")
    sheet.add_argument("--people", type=positive, default=50, metavar="N", help="how many (default: 50, one page)")
    sheet.add_argument("--views", type=positive, default=1, metavar="N", help="of each person, close-ups last (default: 1)")
    sheet.add_argument("--split", choices=("train", "val"), default="train")
    sheet.add_argument("--size", type=positive, default=192, metavar="PX", help="side of each picture (default: 192)")


def _add_import(command: argparse.ArgumentParser) -> None:
    """The arguments of `carve synth import-cloth3d`."""
    command.add_argument("folder", type=Path, help="CLOTH3D or CLOTH3D++ as unpacked (docs/datasets.md)")
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the data set's folder; a run that was stopped goes on in it"
    )
    command.add_argument("--body-model", type=Path, required=True, metavar="FILE", help="SMPL (.npz) that you hold a licence for")
    command.add_argument("--assets", type=Path, metavar="DIR", help="skins and eyes (default: plain skin, drawn eyes)")
    command.add_argument("--frames", type=positive, default=1, metavar="N", help="of each sequence, evenly spread (default: 1, the middle)")
    command.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these sequences alone")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all random numbers (default: 0)")
    command.add_argument("--views", type=positive, default=4, metavar="N", help="cameras that see each person whole (default: 4)")
    command.add_argument("--close", type=int, default=2, metavar="N", help="cameras that see a part of each person closely (default: 2)")
    command.add_argument("--no-distances", action="store_true", help="leave the outer surface and its signed distances out")
    command.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes; the result does not change")


def run_synth(arguments: argparse.Namespace) -> int:
    """Run one action; the exit code."""
    return {"make": _make, "drapes": _drapes, "head": _head, "sheet": _sheet, "import-cloth3d": _import}[arguments.action](arguments)


def _import(arguments: argparse.Namespace) -> int:
    from carve.app.research.cloth3d import run_import

    return run_import(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from carve.records import CarveError
    from carve.synth.assets.files import no_assets, read_assets
    from carve.synth.make import Plan, make_drapes, make_people
    from carve.synth.people.bodies import load_full_body
    from carve.synth.views.occluders import need_embree

    for name in ("drapes", "close"):
        if getattr(arguments, name) < 0:
            raise CarveError(f"--{name} cannot be negative; give 0 for none")
    plan = Plan(arguments.people, arguments.seed, arguments.views, arguments.close, arguments.drapes, distances=not arguments.no_distances)
    read = read_assets(arguments.assets, arguments.skip_bad) if arguments.assets else no_assets()
    library = arguments.library or arguments.out / "drapes"
    console = Console(stderr=True, quiet=arguments.quiet, highlight=False)
    for name, why in read.refused.items():
        console.print(f"note: {name} is left out: {why}")
    need_embree()
    load_full_body()  # written once, before the workers would all do it
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, object] = {}

        def report(phase: str, done: int, total: int, line: str) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=total)
            progress.update(tasks[phase], completed=done, total=total)  # type: ignore[arg-type]
            if line:
                progress.console.print(line)

        if plan.drapes:
            make_drapes(arguments.assets, library, plan, arguments.workers, arguments.skip_bad, report)
        used = library if plan.drapes else None
        path = make_people(arguments.assets, arguments.out, used, plan, arguments.workers, arguments.skip_bad, report)
    console.print(f"[bold]{path}[/bold]" + (f"  ({len(read.refused)} garments left out)" if read.refused else ""))
    return 0


def _head(arguments: argparse.Namespace) -> int:
    from carve.app.progress import StageLines
    from carve.body.anny import load_anny
    from carve.body.head.face_points import write_face_points
    from carve.body.head.face_reading import learn_reading, write_face_reading
    from carve.body.head.head_look import write_head_look
    from carve.synth.assets.files import read_assets
    from carve.synth.face_lesson import portraits
    from carve.synth.people.bodies import load_full_body
    from carve.synth.plain_head import find_head_look
    from carve.synth.portrait import find_face_points

    assets, body = read_assets(arguments.assets), load_full_body()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with StageLines() as lines:
        heads, faces = (partial(_share, lines, name) for name in ("heads", "portraits"))
        points = find_face_points(body, assets, arguments.people, arguments.seed, heads)
        seen, true = portraits(load_anny(), body, assets, points, arguments.portraits, arguments.seed, faces)
    write_face_points(arguments.out / "face_points.json", points)
    write_face_reading(arguments.out / "face_reading.safetensors", learn_reading(seen, true))
    write_head_look(arguments.out / "head_look.json", find_head_look(body, assets))
    return 0


def _share(lines: StageLines, name: str, done: int, total: int) -> None:
    lines.progress(name, done / total)


def _drapes(arguments: argparse.Namespace) -> int:
    import time

    import torch

    from carve.records import CarveError
    from carve.synth.cloth.library import make_tailors_library
    from carve.synth.make import split_of
    from carve.synth.people.bodies import load_full_body

    torch.set_num_threads(1)
    motions = tuple(sorted((arguments.assets / "poses").rglob("*.bvh"))) if arguments.assets else ()
    if arguments.assets and not motions:
        raise CarveError(f"{arguments.assets} has no motions poses/**/*.bvh; leave --assets out to make people who stand")
    load_full_body()
    until = time.time() + 60 * arguments.minutes if arguments.minutes else None
    wanted = [(k, split_of(k)) for k in range(arguments.members)]
    show: Callable[[int, int, str], None] = lambda done, total, line: print(f"{done}/{total} {line}", flush=True)  # noqa: E731
    make_tailors_library(arguments.out, wanted, arguments.seed, motions, arguments.workers, show, until)
    return 0


def _sheet(arguments: argparse.Namespace) -> int:
    from carve.app.progress import StageLines
    from carve.synth.sheet import write_sheets

    with StageLines() as lines:
        show: Callable[[int, int], None] = lambda done, total: lines.progress("sheets", done / total)  # noqa: E731
        for path in write_sheets(
            arguments.data, arguments.assets, arguments.out, arguments.people, arguments.split, arguments.size, show, arguments.views
        ):
            print(path)
    return 0
