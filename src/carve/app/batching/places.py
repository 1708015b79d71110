"""Where the results of a batch lie: a folder, or an address that fsspec knows (s3://, gs://, sftp://, memory://, ...).

A run is made in a folder of the machine that works on it. At an address its outputs are put afterwards: `stages/run.json` first, which
marks the place as carve's, report.json late, and the note that all of it is there last. The stages themselves stay away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from carve.files.fence import fence
from carve.files.text import parse_json, read_text
from carve.files.whole import write_whole, writing
from carve.records import CarveError

NOTE = "stages/batch.json"
"""Below an output folder: the line of the batch that made it, by which a job that was finished is known when its line got lost."""
MARK = "stages/run.json"
MAX_TEXT = 64 << 20
"""Bytes of a table or note that are read."""
_REMEDY = "check the address and what you may do there"


def is_address(place: Path | str) -> bool:
    """Whether it is an address, not a folder."""
    return isinstance(place, str) and "://" in place


class Place:
    """A folder or an address. Every method raises CarveError where it cannot be reached."""

    def __init__(self, place: Path | str) -> None:
        self.name = str(place)
        self._files: Any = None
        self._path = ""
        if is_address(place):
            self._files, self._path = _opened(self.name)
        self._folder = Path(place)

    def begin(self) -> None:
        """Make the folder."""
        with _reaching(self):
            if self._files is not None:
                self._files.makedirs(self._path, exist_ok=True)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)

    def has(self, name: str) -> bool:
        """Whether a file lies in it."""
        with _reaching(self):
            return (self._folder / name).is_file() if self._files is None else bool(self._files.isfile(f"{self._path}/{name}"))

    def read(self, name: str) -> str:
        """The text of a file in it; empty if there is none, it is no text or larger than any that carve writes there."""
        if not self.has(name):
            return ""
        if self._files is None:
            try:
                with fence(name):
                    return read_text(self._folder / name, MAX_TEXT)
            except CarveError:
                return ""
        with _reaching(self):
            path = f"{self._path}/{name}"
            return bytes(self._files.cat_file(path, 0, MAX_TEXT)).decode("utf-8", "replace")

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all where the system can."""
        with _reaching(self):
            if self._files is not None:
                self._files.pipe_file(f"{self._path}/{name}", text.encode("utf-8", "backslashreplace"))
                return
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / name, text)

    def note(self) -> dict[str, Any]:
        """What was noted when it was finished; empty if it was not."""
        try:
            with fence(NOTE):
                noted = parse_json(self.read(NOTE) or "{}")
        except CarveError:
            return {}
        return noted if isinstance(noted, dict) and self.has("report.json") else {}

    def check_free(self) -> None:
        """Raise CarveError if an address holds something that is not a run's."""
        with _reaching(self):
            files = self._files
            if files is not None and files.exists(self._path) and files.ls(self._path) and not files.isfile(f"{self._path}/{MARK}"):
                raise CarveError(f"{self.name} holds something that is no run of carve's; choose another --out.")

    def take(self, made: Path) -> None:
        """Put the outputs of a finished run to an address."""
        assert self._files is not None
        with _reaching(self):
            for gone in (NOTE, "report.json"):
                if self._files.isfile(f"{self._path}/{gone}"):
                    self._files.rm_file(f"{self._path}/{gone}")
            self._files.makedirs(f"{self._path}/stages", exist_ok=True)
            outputs = sorted(file for file in made.iterdir() if file.is_file() and file.name != "report.json")
            for file in (made / MARK, *outputs, made / "report.json"):
                self._files.put_file(str(file), f"{self._path}/{file.relative_to(made).as_posix()}")


def _opened(url: str) -> tuple[Any, str]:
    """fsspec's file system of an address and the path in it."""
    from fsspec.core import url_to_fs

    with fence(url, _REMEDY):
        try:
            files, path = url_to_fs(url)
        except ImportError as error:  # it names the package that is missing
            raise CarveError(f"{url} cannot be reached: {' '.join(str(error).split()).rstrip('.')}.") from error
        except ValueError as error:
            raise CarveError(f"{url} is no address that can be written to: {str(error).rstrip('.')}.") from error
    return files, str(path).rstrip("/")


@contextmanager
def _reaching(place: Place) -> Iterator[None]:
    """Around whatever is done there: each kind of storage has errors of its own."""
    if not is_address(place.name):
        with writing(Path(place.name)):
            yield
        return
    with fence(place.name, _REMEDY):
        yield
