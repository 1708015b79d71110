"""Jobs of `carve batch`: which photos there are, with which options, and where each one's avatar goes.

`OUT/batch.csv` has a line a photo: `photo`, `out`, `state` (`done`, `kept`, `failed`), `seconds`, `warnings` (their number), `message`
(what failed), and `digest`, the sha256 of the photo and its options, by which a second call knows what is done.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from carve.app.batching.places import is_address
from carve.files.fence import fence
from carve.files.text import check_file, read_text
from carve.records import CarveError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic"})
"""Endings that count as photos when a folder is given."""
OPTIONS = ("height", "person", "mask", "landmarks", "focal", "preset", "seed", "settings")
"""Columns of a list that are options of `carve reconstruct`."""
MAX_LIST = 64 << 20
"""Bytes of a list."""
FILES = frozenset({"mask", "landmarks", "settings"})
"""Those that name a file; relative ones start at the list's folder."""


@dataclass(frozen=True)
class Job:
    """One photo."""

    photo: Path
    out: Path
    """Its output folder; one that lies at an address is made anywhere and then put there."""
    options: dict[str, str] = field(default_factory=dict)
    url: str = ""
    """Where its output folder goes, if that is an address (`app.batching.places`)."""

    @property
    def place(self) -> str:
        """Its output folder's name in the table."""
        return self.url or str(self.out)

    @property
    def digest(self) -> str:
        """sha256 of the photo and the options, hexadecimal; empty if the photo cannot be read."""
        try:
            with self.photo.open("rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.sha256(json.dumps(self.options, sort_keys=True).encode())).hexdigest()
        except OSError:
            return ""


@dataclass(frozen=True)
class Line:
    """A line of batch.csv."""

    photo: str
    out: str
    state: str
    seconds: float
    warnings: int
    message: str
    digest: str


def find_jobs(inputs: Sequence[Path], out: Path | str, options: dict[str, str]) -> list[Job]:
    """Photos of files, folders and lists (.csv), each with an output folder of its own below `out`, a folder or an address.

    Raises CarveError if something is missing, a list has columns that mean nothing, or two photos would share a folder.
    """
    jobs: list[Job] = []
    for source in inputs:
        with fence(str(source)):
            jobs += _jobs_of(source, out, options)
    folders = [job.url or str(job.out.absolute()) for job in jobs]
    if double := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise CarveError(f"Two photos would be written into {double}; name their folders in a list with the columns photo and out.")
    return jobs


def _jobs_of(source: Path, out: Path | str, options: dict[str, str]) -> list[Job]:
    """The jobs of one input; inside a `fence`."""
    if source.is_dir():
        found = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURES)
        if not found:
            raise CarveError(f"The folder {source} holds no photos.")
        return [_job(photo, out, photo.stem, options) for photo in found]
    check_file(source)
    return _listed(source, out, options) if source.suffix.lower() == ".csv" else [_job(source, out, source.stem, options)]


def _listed(path: Path, out: Path | str, options: dict[str, str]) -> list[Job]:
    """The jobs of a list: a CSV file with the column `photo`, and any of `out` and OPTIONS; inside a `fence`."""
    text = read_text(path, MAX_LIST)
    try:
        if "\0" in text:
            raise csv.Error("line contains NUL")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        lines = list(reader)
    except csv.Error as error:
        raise CarveError(f"The list {path} cannot be read as CSV: {error}.") from error
    columns = [column.strip() for column in reader.fieldnames or []]
    if "photo" not in columns or (unknown := sorted(set(columns) - {"photo", "out", *OPTIONS})):
        wrong = "has no column 'photo'" if "photo" not in columns else f"has columns that mean nothing here ({', '.join(unknown)})"
        raise CarveError(f"The list {path} {wrong}; the columns are photo, out, {', '.join(OPTIONS)}.")
    jobs = []
    for line in lines:
        values = {str(k).strip(): v.strip() for k, v in line.items() if k is not None and v is not None and v.strip()}
        if "photo" not in values:
            raise CarveError(f"A line of {path} names no photo.")
        photo = path.parent / values["photo"]
        own = {k: str(path.parent / v) if k in FILES else v for k, v in values.items() if k in OPTIONS}
        jobs.append(_job(photo, out, values.get("out", photo.stem), {**options, **own}))
    return jobs


def _job(photo: Path, out: Path | str, name: str, options: dict[str, str]) -> Job:
    """A photo whose output folder lies under `name` below `out`."""
    if is_address(out):
        return Job(photo, Path(name), options, f"{str(out).rstrip('/')}/{name}")
    return Job(photo, Path(out) / name, options)


def command(job: Job) -> list[str]:
    """The words after `carve` that make one avatar; an earlier run in its folder is gone on with."""
    words = ["reconstruct", f"--out={job.out}", "--quiet"]
    words += ["--resume"] if job.out.is_dir() else []
    words += [f"--{name}={value}" for name, value in job.options.items()]
    return [*words, "--", str(job.photo)]


def finished_line(job: Job, seconds: float, warnings: int, digest: str) -> Line:
    """The line of a job that was done."""
    return Line(str(job.photo), job.place, "done", seconds, warnings, "", digest)


def failed_line(job: Job, seconds: float, message: str, digest: str = "") -> Line:
    """The line of a job that failed."""
    return Line(str(job.photo), job.place, "failed", seconds, 0, message, digest)


def lines_from(text: str) -> list[Line]:
    """The lines of a batch.csv; none if it is damaged."""
    try:
        return [_line(values) for values in csv.DictReader(io.StringIO(text, newline=""))]
    except (ValueError, KeyError, TypeError, csv.Error):
        return []


def _line(values: dict[str, str]) -> Line:
    """A line of the file; a KeyError or ValueError if it is none."""
    words = {name: values[name] for name in ("photo", "out", "state", "message", "digest")}
    return Line(**words, seconds=float(values["seconds"]), warnings=int(values["warnings"]))


def text_of(lines: Iterable[Line]) -> str:
    """The text of batch.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Line)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return text.getvalue()
