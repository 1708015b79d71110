"""The container of synthetic people: tar shards in WebDataset's style, versioned, checksummed, resumable, atomic.

A data set is a folder with `dataset.json`, `train-00000.tar`, `val-00000.tar`, ... A block is a fixed run of consecutive people; its
people go into at most one shard of each split, so that a shard's bytes depend on the block, the seed, the assets and the settings and on
nothing else (not on the number of workers, the clock or the user). `progress/00000.json` says that block 0 is complete.

A shard's members, per person: `KEY.json` (what the person is), `KEY.geometry.npz` (arrays) and per view N from 0 the members `KEY.vN.*` of
`carve.synth.store.view_codec`. This module writes them, `carve.synth.store.shard_reader` reads them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np

import carve
from carve.files.text import read_json
from carve.io.archive import as_plain
from carve.records import CarveError
from carve.synth.records import View
from carve.synth.store.view_codec import encode_view, pack_arrays

Split = Literal["train", "val"]
MAX_INDEX = 256 << 20
"""Bytes of dataset.json."""
FORMAT = 2
"""Version of the layout; `open_shards` reads no other."""


@dataclass(frozen=True)
class Person:
    """One person as it is written."""

    key: str
    """Unique in the data set; letters, digits, `-` and `_`."""
    info: Mapping[str, Any]
    """JSON-ready: phenotypes, garments, names of landmarks, ..."""
    arrays: Mapping[str, np.ndarray]
    """Geometry; no object arrays."""
    views: Sequence[View]


@dataclass(frozen=True)
class ShardRecord:
    """What dataset.json says about one shard."""

    file: str
    split: Split
    block: int
    sha256: str
    bytes: int
    keys: tuple[str, ...]
    """The people, in the shard's order."""
    views: tuple[int, ...]
    """How many views each has."""
    fingerprint: str
    """Of the seed, the assets and the settings that it was made with."""


def write_shard(path: Path, people: Iterable[Person], split: Split = "train", block: int = 0, fingerprint: str = "") -> ShardRecord:
    """Write the people, one after the other as they come, to a tar at `path`, which appears only when it is complete.

    Raises:
        CarveError: the disk is full.
        ValueError: a person's key is not usable or comes twice.
    """
    with full_disk(path.parent), _Tar(path) as tar:
        for person in people:
            tar.add(person)
        record = tar.complete(split, block, fingerprint)
        tar.publish()
        return record


def write_block(folder: Path, block: int, people: Iterable[tuple[Split, Person]], fingerprint: str) -> tuple[ShardRecord, ...]:
    """Write one block's people into its shards (none for a split without people) and note that the block is complete.

    Several processes may write different blocks of one folder at the same time.

    Raises:
        CarveError: the disk is full; complete blocks stay as they are and nothing of this one is left.
        ValueError: a person's key is not usable or comes twice.
    """
    progress = _progress(folder, block)
    with full_disk(folder):
        progress.parent.mkdir(parents=True, exist_ok=True)
        progress.unlink(missing_ok=True)
        tars = {split: _Tar(folder / shard_name(split, block)) for split in get_args(Split)}
        try:
            for split, person in people:
                tars[split].add(person)
            records = tuple(tar.complete(split, block, fingerprint) for split, tar in tars.items() if tar.keys)
            for tar in tars.values():
                if tar.keys:
                    tar.publish()
                else:
                    tar.path.unlink(missing_ok=True)  # of an earlier run with other settings
            _write_json(progress, {"fingerprint": fingerprint, "shards": [asdict(r) for r in records]})
        except BaseException:
            for tar in tars.values():
                tar.discard()
                tar.path.unlink(missing_ok=True)
            raise
    return records


def shard_name(split: Split, block: int) -> str:
    """The file of a block's shard."""
    return f"{split}-{block:05d}.tar"


def resume(folder: Path, fingerprint: str) -> dict[int, tuple[ShardRecord, ...]]:
    """Make the folder ready for writing; return the blocks that are complete and were made with the same fingerprint.

    What a killed run left unfinished is removed, and so is the dataset.json of other settings, since its shards are about to be replaced. A
    block whose note is unreadable or whose shards are missing or of another size counts as not made.
    """
    with full_disk(folder):
        (folder / "progress").mkdir(parents=True, exist_ok=True)
    for part in [*folder.glob("*.part"), *folder.glob("progress/*.part")]:
        part.unlink()
    header = folder / "dataset.json"
    if header.is_file() and (read_object(header) or {}).get("fingerprint") != fingerprint:
        header.unlink()
    done: dict[int, tuple[ShardRecord, ...]] = {}
    for path in sorted((folder / "progress").glob("[0-9]*.json")):
        note = read_object(path) or {}
        records = records_from_json(note.get("shards"))
        if (
            note.get("fingerprint") == fingerprint
            and records is not None
            and all(_has_size(folder, r) for r in records)
            and path.stem.isdigit()
        ):
            done[int(path.stem)] = records
    return done


def finish(
    folder: Path,
    records: Iterable[ShardRecord],
    *,
    fingerprint: str,
    seed: int,
    settings: Mapping[str, Any],
    licences: Sequence[Mapping[str, str]] = (),
    credits: Sequence[str] = (),
) -> Path:
    """Write dataset.json, which makes the folder a data set; return its path.

    Args:
        folder: where the shards are.
        records: of every block.
        fingerprint: the one that the shards were made with.
        seed: of the whole run.
        settings: JSON-ready.
        licences: asset, licence, author, source of what was used.
        credits: lines that a user of the data must reproduce.

    Raises:
        CarveError: the disk is full.
        ValueError: a shard was made with another fingerprint, or two people have one key.
    """
    shards = sorted(records, key=lambda r: (r.block, r.split))
    if any(r.fingerprint != fingerprint for r in shards):
        raise ValueError("shards of different settings")
    keys = [key for r in shards for key in r.keys]
    if len(set(keys)) != len(keys):
        raise ValueError("two people have the same key")
    splits = {
        split: {
            "people": sum(len(r.keys) for r in shards if r.split == split),
            "views": sum(sum(r.views) for r in shards if r.split == split),
            "shards": sum(r.split == split for r in shards),
        }
        for split in get_args(Split)
    }
    header = {
        "format": FORMAT,
        "carve": carve.__version__,
        "fingerprint": fingerprint,
        "seed": seed,
        "settings": settings,
        "people": len(keys),
        "splits": splits,
        "licences": licences,
        "credits": credits,
        "shards": [asdict(r) for r in shards],
    }
    with full_disk(folder):
        _write_json(folder / "dataset.json", header)
    return folder / "dataset.json"


class _Tar:
    """A tar that is written to `path`.part and renamed when it is complete; nothing is left of one that is not."""

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f"{path.name}.part")
        self.keys: list[str] = []
        self.views: list[int] = []
        self._file: _Digested | None = None
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, person: Person) -> None:
        """Append a person's members."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", person.key) or person.key in self.keys:
            raise ValueError(f"{person.key!r} is no usable key or comes twice")
        self._member(f"{person.key}.json", json.dumps(as_plain(person.info), sort_keys=True, allow_nan=False).encode())
        self._member(f"{person.key}.geometry.npz", pack_arrays(person.arrays))
        for v, view in enumerate(person.views):
            for name, data in encode_view(view).items():
                self._member(f"{person.key}.v{v}.{name}", data)
        self.keys.append(person.key)
        self.views.append(len(person.views))

    def complete(self, split: Split, block: int, fingerprint: str) -> ShardRecord:
        """Write the end, down to the disk."""
        file, tar = self._open()
        tar.close()
        file.raw.flush()
        os.fsync(file.raw.fileno())
        file.raw.close()
        digest = file.sha256.hexdigest()
        return ShardRecord(self.path.name, split, block, digest, file.size, tuple(self.keys), tuple(self.views), fingerprint)

    def publish(self) -> None:
        """Give the complete file its own name."""
        self.part.replace(self.path)
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove what is not complete."""
        if self._file is not None:
            try:
                self._file.raw.close()
            except OSError as error:  # the buffer's rest finds no room either; the file goes
                if error.errno not in _NO_ROOM:
                    raise
            finally:
                self.part.unlink(missing_ok=True)

    def _open(self) -> tuple[_Digested, tarfile.TarFile]:
        if self._file is None or self._tar is None:
            self.part.unlink(missing_ok=True)
            self._file = _Digested(self.part.open("xb", buffering=1 << 20))  # no link that lies there is followed
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]  # noqa: SIM115
        return self._file, self._tar

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # time, owner and group are zero
        info.size, info.mode = len(data), 0o644
        self._open()[1].addfile(info, io.BytesIO(data))


class _Digested:
    """A file for writing that keeps its SHA-256 and its length."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw, self.sha256, self.size = raw, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.raw.write(data)
        self.sha256.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn a full disk into a CarveError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise CarveError(f"The disk of {folder} is full; make room and start again, the finished shards are kept.") from error


def _write_json(path: Path, value: Any) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("x", encoding="utf-8") as file:
            json.dump(as_plain(value), file, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _progress(folder: Path, block: int) -> Path:
    return folder / "progress" / f"{block:05d}.json"


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None if it holds none."""
    try:
        value = read_json(path, str(path), MAX_INDEX)
    except CarveError:
        return None
    return value if isinstance(value, dict) else None


def records_from_json(value: Any) -> tuple[ShardRecord, ...] | None:
    """Records from JSON, None if it is malformed."""
    if not isinstance(value, list):
        return None
    try:
        records = tuple(ShardRecord(**{**r, "keys": tuple(r["keys"]), "views": tuple(r["views"])}) for r in value)
    except (TypeError, KeyError):
        return None
    sound = all(
        isinstance(r.file, str)
        and Path(r.file).name == r.file
        and r.split in get_args(Split)
        and isinstance(r.sha256, str)
        and isinstance(r.bytes, int)
        and len(r.keys) == len(r.views)
        and all(isinstance(v, int) and v >= 0 for v in r.views)
        for r in records
    )
    return records if sound else None


def _has_size(folder: Path, record: ShardRecord) -> bool:
    path = folder / record.file
    return path.is_file() and path.stat().st_size == record.bytes
