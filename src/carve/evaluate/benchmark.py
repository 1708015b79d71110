"""Evaluating methods over a folder of cases: reconstruct, score, keep, tabulate; goes on where it was stopped.

A method is `carve` (posed.glb of carve's own run), `body` (body.glb of the same run: what clothes add is the difference), or NAME=FOLDER,
the outputs of another program: FOLDER/CASE holds posed.glb, camera.json and, if there are joints, pose.json. carve's own are judged on both
tracks: with the body that it fits itself, and with the case's own body given to it; another program's on the second from NAME@true=FOLDER.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carve import __version__
from carve.evaluate.cases import Case, find_cases, read_case
from carve.evaluate.scoring import read_joints, read_projection, read_shape, score
from carve.evaluate.tables import TRACKS, Result, Track, as_csv, as_html, as_latex, as_text, rows
from carve.files.fence import fence
from carve.files.text import MAX_JSON, parse_json, read_text
from carve.files.whole import write_whole
from carve.records import CarveError, StageError

Reconstruct = Callable[[Case, Path, Track], None]
"""Makes carve's own output of a case on a track in a folder that may hold an unfinished one."""

OWN = {"carve": "posed.glb", "body": "body.glb"}
"""Methods of carve's own run and the mesh that they judge."""
RUNS: dict[Track, str] = {"fitted": "runs", "true": "runs_true"}
SCORES: dict[Track, str] = {"fitted": "scores", "true": "scores_true"}
"""Folders of what is kept."""


@dataclass(frozen=True)
class Method:
    """What is judged."""

    name: str
    mesh: str
    """The file in an output folder."""
    outputs: Path | None
    """Where another program's output folders are; None for carve's own runs."""
    tracks: tuple[Track, ...] = TRACKS
    """On which it is judged."""


def parse_methods(text: str) -> list[Method]:
    """`carve,body,theirs=FOLDER` as methods. Raises CarveError on what is none."""
    methods = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, folder = word.partition("=")
        if equals and name.removesuffix("@true") and Path(folder).is_dir():
            track: Track = "true" if name.endswith("@true") else "fitted"
            methods.append(Method(name.removesuffix("@true"), "posed.glb", Path(folder), (track,)))
        elif word in OWN:
            methods.append(Method(word, OWN[word], None))
        else:
            raise CarveError(f"'{word}' is no method: give carve, body, or NAME=FOLDER with the outputs of another program.")
    judged = [(method.name, track) for method in methods for track in method.tracks]
    if not methods or len(set(judged)) < len(judged):
        raise CarveError("Give methods with different names, such as --methods carve,body.")
    return methods


def evaluate(
    cases: Path,
    methods: Sequence[Method],
    out: Path,
    reconstruct: Reconstruct,
    only: frozenset[str] = frozenset(),
    progress: Callable[[str], None] = lambda line: None,
    tracks: Sequence[Track] = TRACKS,
    runs: str = "",
) -> list[Result]:
    """Figures of every method on every case of a folder, written to `out` as tables too.

    What was scored before from the same files is not scored again. `runs` says what carve's own are made with, settings and code: one that
    was made with something else, or of a case with other files, is made again.
    Raises CarveError if the cases are unusable; an output that cannot be made or scored is a Result with its `problem`.
    """
    results: list[Result] = []
    pictures: dict[str, Path] = {}
    folders = find_cases(cases, only)
    for folder in folders:
        try:
            case = read_case(folder)
        except CarveError as error:
            if len(folders) == 1:
                raise
            results += [Result(folder.name, m.name, t, {}, str(error)) for m in methods for t in m.tracks if t in tracks]
            progress(str(error))
            continue
        pictures[case.name] = out / "runs" / case.name / "preview.png"
        for method, track in _asked(methods, case, tracks):
            result = _judge(case, method, track, out, reconstruct, runs)
            results.append(result)
            progress(f"{case.name} {method.name} ({track} body): {result.problem or 'scored'}")
    lines = rows(results)
    _write(out / "table.txt", as_text(lines))
    _write(out / "table.csv", as_csv(results))
    _write(out / "table.tex", as_latex(lines))
    _write(out / "index.html", as_html(lines, results, pictures))
    _write(out / "results.json", json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return results


def _asked(methods: Sequence[Method], case: Case, tracks: Sequence[Track]) -> list[tuple[Method, Track]]:
    """Who is judged on which track; carve's own runs on the second only where the case knows its body."""
    pairs = [(method, track) for method in methods for track in method.tracks if track in tracks]
    return [(method, track) for method, track in pairs if track == "fitted" or method.outputs is not None or case.knows_body]


def _judge(case: Case, method: Method, track: Track, out: Path, reconstruct: Reconstruct, runs: str) -> Result:
    """One method's figures on one case: kept ones where its files are the same, else new ones."""
    try:
        folder = out / RUNS[track] / case.name
        if method.outputs is not None:
            folder = method.outputs / case.name
        else:
            made, mark = _digest(case, runs).hexdigest(), folder.with_name(f"{case.name}.made")
            if not (folder / "report.json").is_file() or not mark.is_file() or mark.read_bytes() != made.encode():
                mark.unlink(missing_ok=True)
                reconstruct(case, folder, track)
                _write(mark, made)
        kept = out / SCORES[track] / method.name / f"{case.name}.json"
        key = _fingerprint(case, [folder / method.mesh, folder / "camera.json", folder / "pose.json"])
        figures = _kept(kept, key)
        if figures is None:
            shape, projection = read_shape(folder / method.mesh), read_projection(folder / "camera.json")
            joints = read_joints(folder / "pose.json") if (folder / "pose.json").is_file() else None
            figures = score(case, shape, projection, joints)
            _write(kept, json.dumps({"fingerprint": key, "figures": figures}, indent=1) + "\n")
    except (CarveError, StageError) as error:
        return Result(case.name, method.name, track, {}, str(error))
    return Result(case.name, method.name, track, figures)


def _digest(case: Case, more: str) -> hashlib._Hash:
    """sha256 of all files of a case, and of `more`."""
    digest = hashlib.sha256(more.encode())
    with fence(f"The case {case.name}"):
        for file in sorted(path for path in case.photo.parent.iterdir() if path.is_file()):
            digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest


def _fingerprint(case: Case, files: Sequence[Path]) -> str:
    """sha256 of what a score depends on."""
    digest = _digest(case, __version__)
    for file in files:
        digest.update(file.name.encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """Figures scored before under the same fingerprint."""
    try:
        with fence(str(path)):
            document = parse_json(read_text(path, MAX_JSON))
            figures = document["figures"] if document["fingerprint"] == key else None
    except CarveError:
        return None
    return figures if isinstance(figures, dict) else None
