"""The library of drapes, made member by member: it may be stopped at any time, and goes on where it was.

Member number k depends on the seed, the motions and k only. Pieces that failed on the way are counted in `failed.txt`, members that were
given up after some tries in `given_up.txt`, one line each.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np

from carve.synth.cloth.dressing import DressingError
from carve.synth.cloth.tailored import make_tailored
from carve.synth.people.bodies import load_full_body
from carve.synth.store.shards import full_disk
from carve.synth.store.view_codec import pack_arrays
from carve.synth.wear.wardrobe import Split

FAILED, GIVEN_UP = "failed.txt", "given_up.txt"

Line = Callable[[int, int, str], None]
"""Called with how many members there are, how many are wanted, and a line to show."""


def have(library: Path) -> set[int]:
    """Numbers of the members that are there or were given up."""
    found = {int(path.name.split("_")[0]) for path in library.glob("[0-9]*_*.json")}
    given_up = library / GIVEN_UP
    return found | ({int(line.split()[0]) for line in given_up.read_text().splitlines() if line} if given_up.exists() else set())


def write_member(folder: Path, name: str, meta: dict[str, object], arrays: dict[str, np.ndarray]) -> None:
    """Write NAME.npz (arrays) and NAME.json, the JSON last: a member without it is not there."""
    with full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for ending, data in ((".npz", pack_arrays(arrays)), (".json", json.dumps(meta, indent=1).encode())):
            partial = folder / f"{name}{ending}.part"
            partial.unlink(missing_ok=True)
            with partial.open("xb") as file:  # no link that lies there is followed
                file.write(data)
            partial.replace(folder / f"{name}{ending}")


def _append(path: Path, lines: Sequence[str]) -> None:
    with path.open("a") as file:
        file.writelines(line.replace("\n", " ") + "\n" for line in lines)


def give_up(library: Path, index: int, reasons: Sequence[str]) -> None:
    """Note that member `index` was given up, with the reason for each try."""
    _append(library / FAILED, [f"{index} {reason}" for reason in reasons])
    _append(library / GIVEN_UP, [f"{index} {reasons[-1]}"])


def make_member(library: Path, index: int, split: Split, seed: int, motions: tuple[Path, ...]) -> str:
    """Make and write one tailor's member; a line that says how it went."""
    try:
        meta, arrays, failures = make_tailored(load_full_body(), motions, index, split, seed)
    except DressingError as error:
        give_up(library, index, [line.partition(" ")[2] for line in str(error).split("; ")])
        return f"drape {index} was given up: {error}"
    _append(library / FAILED, failures)
    name = f"{index:05d}_tailor"
    traits = asdict(meta.pop("traits"))
    write_member(library, name, {"name": name, "split": split, "tailored": True, "traits": traits, **meta}, arrays)
    families = ", ".join(piece["design"]["family"] for piece in meta["pieces"])
    return f"{name}: {families}; {meta['report']['seconds']:.0f} s, {meta['pose']}, {len(failures)} failed"


def make_tailors_library(
    library: Path,
    wanted: Sequence[tuple[int, Split]],
    seed: int,
    motions: tuple[Path, ...],
    workers: int,
    line: Line,
    until: float | None = None,
) -> None:
    """Make the members `wanted` that the library lacks; `until` (seconds of `time.time()`) is when no new one is begun."""
    library.mkdir(parents=True, exist_ok=True)
    there = have(library)
    missing = [entry for entry in wanted if entry[0] not in there]
    done = len(wanted) - len(missing)
    late = lambda: until is not None and time.time() > until  # noqa: E731
    if workers == 1:
        for index, split in missing:
            if late():
                return
            done += 1
            line(done, len(wanted), make_member(library, index, split, seed, motions))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting = iter(missing)
        running = {pool.submit(make_member, library, k, split, seed, motions) for k, split in itertools.islice(waiting, workers)}
        while running:
            future = next(as_completed(running))
            running.remove(future)
            done += 1
            line(done, len(wanted), future.result())
            following = None if late() else next(waiting, None)
            if following is not None:
                running.add(pool.submit(make_member, library, following[0], following[1], seed, motions))
