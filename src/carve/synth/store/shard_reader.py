"""Reading people and views from the shards of a finished data set, by index."""

from __future__ import annotations

import hashlib
import os
import tarfile
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from carve.files.fence import fence
from carve.files.text import parse_json
from carve.records import CarveError
from carve.synth.records import View
from carve.synth.store.shards import FORMAT, ShardRecord, Split, read_object, records_from_json
from carve.synth.store.view_codec import decode_view, members_of, unpack_arrays

_AGAIN = "make or copy the data set again"

Framing = Literal["whole", "close", "all"]
"""Views of whole people (or of their upper half), close-ups, or both."""

Span = tuple[int, int]
"""Offset and size of a member in its shard, bytes."""


@dataclass(frozen=True)
class _Entry:
    """Where one person lies."""

    shard: int
    key: str
    info: Span
    geometry: Span
    views: tuple[dict[str, Span], ...]


@dataclass(frozen=True)
class ShardSet:
    """The people of one split, readable by index.

    It may be pickled: a file is opened for each reading only, so that processes share nothing and no limit on open files is met.
    People are numbered 0 to `len(people()) - 1` in the order of the blocks.
    """

    folder: Path
    split: Split
    header: dict[str, Any]
    """dataset.json."""
    shards: tuple[str, ...]
    entries: tuple[_Entry, ...]
    starts: tuple[int, ...]
    """Index of each person's first pair, and the number of pairs at the end."""
    firsts: tuple[int, ...]
    """Each person's first view that counts as a pair."""

    def __len__(self) -> int:
        """The number of (person, view) pairs."""
        return self.starts[-1]

    def people(self) -> tuple[str, ...]:
        """The keys of the people."""
        return tuple(e.key for e in self.entries)

    def pair(self, i: int) -> tuple[int, int]:
        """Person and view of pair i.

        Raises:
            IndexError: i is not in 0 to len - 1.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"pair {i} of {len(self)}")
        p = bisect_right(self.starts, i) - 1
        return p, self.firsts[p] + i - self.starts[p]

    def views(self, p: int) -> int:
        """How many views person p has."""
        return len(self.entries[p].views)

    def person(self, p: int) -> dict[str, Any]:
        """The JSON of person p."""
        entry = self.entries[p]
        with self._fence(entry):
            info: dict[str, Any] = parse_json(self._read(entry, {"info": entry.info})["info"], finite=False)
            if not isinstance(info, dict):
                raise ValueError(f"{entry.key}.json is no object")
            return info

    def arrays(self, p: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The geometry of person p: all arrays or those of `names`.

        Raises:
            KeyError: the person has no array of that name.
        """
        entry = self.entries[p]
        return unpack_arrays(self._read(entry, {"geometry": entry.geometry})["geometry"], names)

    def view(self, p: int, v: int, fields: Collection[str] | None = None) -> View:
        """View v of person p; see `decode_view` for `fields`."""
        entry = self.entries[p]
        spans = entry.views[v]
        members = self._read(entry, {name: spans[name] for name in members_of(fields)})
        with self._fence(entry):
            return decode_view(members, fields)

    def _fence(self, entry: _Entry) -> AbstractContextManager[None]:
        return fence(f"The shard {self.folder / self.shards[entry.shard]}", _AGAIN)

    def _read(self, entry: _Entry, spans: Mapping[str, Span]) -> dict[str, bytes]:
        path = self.folder / self.shards[entry.shard]
        try:
            handle = os.open(path, os.O_RDONLY)
            try:
                found = {name: os.pread(handle, size, offset) for name, (offset, size) in spans.items()}
            finally:
                os.close(handle)
        except OSError as error:
            raise CarveError(f"{path} cannot be read ({error.strerror}); make or copy the data set again.") from error
        if any(len(found[name]) != size for name, (_, size) in spans.items()):
            raise CarveError(f"{path} is shorter than when it was opened; make or copy the data set again.")
        return found


def open_shards(folder: Path, split: Split, verify: bool = True, framing: Framing = "all") -> ShardSet:
    """Open one split of a finished data set (it may hold no people).

    Args:
        folder: with dataset.json.
        split: which people.
        verify: compare each shard's SHA-256 with dataset.json, which reads every byte once.
        framing: which views are pairs; a person's close-ups come after those that show them whole.

    Raises:
        CarveError: the folder is no finished data set of this format, or a shard is missing, damaged or not the one that was written; the
            message names the file.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        raise CarveError(f"{folder} has no dataset.json; let `carve synth` finish it or give another folder.")
    header = read_object(path)
    if header is None:
        raise CarveError(f"{path} is not a JSON object; make or copy the data set again.")
    if header.get("format") != FORMAT:
        raise CarveError(f"{path} has format {header.get('format')}, this carve reads {FORMAT}; make the data set again.")
    records = records_from_json(header.get("shards"))
    if records is None:
        raise CarveError(f"{path} has a malformed list of shards; make or copy the data set again.")
    chosen = [r for r in records if r.split == split]
    entries: list[_Entry] = []
    for number, record in enumerate(chosen):
        if verify:
            _verify(folder, record)
        entries += _index(folder, record, number)
    settings = header.get("settings")
    whole = settings.get("views") if isinstance(settings, dict) else None
    if not (whole is None or isinstance(whole, int)):
        raise CarveError(f"{path} has malformed settings; make or copy the data set again.")
    starts, firsts = [0], []
    for entry in entries:
        count = len(entry.views)
        of_person = count if whole is None else min(count, whole)
        firsts.append(of_person if framing == "close" else 0)
        starts.append(starts[-1] + {"whole": of_person, "close": count - of_person, "all": count}[framing])
    return ShardSet(folder, split, header, tuple(r.file for r in chosen), tuple(entries), tuple(starts), tuple(firsts))


def _verify(folder: Path, record: ShardRecord) -> None:
    path = folder / record.file
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CarveError(f"{path} cannot be read ({error.strerror}); make or copy the data set again.") from error
    if digest != record.sha256:
        raise CarveError(f"{path} is not the shard that was written (wrong SHA-256); make or copy it again.")


def _index(folder: Path, record: ShardRecord, number: int) -> list[_Entry]:
    """Where the shard's people lie, from the tar's headers."""
    path = folder / record.file
    spans: dict[str, Span] = {}
    with fence(f"The shard {path}", _AGAIN):
        length = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.size < 0 or member.offset_data + member.size > length:
                    raise CarveError(f"{path} is cut off: its member {member.name[:80]!r} goes on beyond its end; {_AGAIN}.")
                spans[member.name] = (member.offset_data, member.size)
        absent = next((name for name in _members(record) if name not in spans), None)
        if absent is not None:
            raise CarveError(f"{path} lacks the member '{absent}'; make or copy it again.")
        return [
            _Entry(
                shard=number,
                key=key,
                info=spans[f"{key}.json"],
                geometry=spans[f"{key}.geometry.npz"],
                views=tuple({name: spans[f"{key}.v{v}.{name}"] for name in members_of(None)} for v in range(views)),
            )
            for key, views in zip(record.keys, record.views, strict=True)
        ]


def _members(record: ShardRecord) -> Iterator[str]:
    """The names of everything that a shard must hold."""
    for key, views in zip(record.keys, record.views, strict=True):
        yield from (f"{key}.json", f"{key}.geometry.npz")
        yield from (f"{key}.v{v}.{name}" for v in range(views) for name in members_of(None))
