"""The container of synthetic people: tar shards in WebDataset's style, versioned, checksummed, resumable, atomic.

A data set is a folder with `dataset.json`, `train-00000.tar`, `val-00000.tar`, ... A block is a fixed run of consecutive people; its
people go into at most one shard of each split, so that a shard's bytes depend on the block, the seed, the assets and the settings and on
nothing else (not on the number of workers, the clock or the user). `progress/00000.json` says that block 0 is complete.

A shard's members, per person: `KEY.json` (what the person is), `KEY.geometry.npz` (arrays) and per view N from 0

| member | holds | stored as |
|---|---|---|
| KEY.vN.view.npz | camera, up, depth_range, sun_directions, landmarks | .npy members, not compressed |
| KEY.vN.albedo.png | albedo, coverage | RGBA |
| KEY.vN.normal.png, normal_back, normal_left, normal_right, body_normal, body_normal_back | the field of that name | RGB |
| KEY.vN.depth.png | depth | 16 bit grey |
| KEY.vN.bent.png | bent, occlusion | RGBA |
| KEY.vN.labels.png | part, region, each sun of sun_free | grey, one below the other |

The PNGs have the Up filter in every row and zlib level 1: on people before an empty background they decode in about half the time that
filters chosen row by row take, for some five per cent more bytes. They are written here, not by OpenCV, whose versions differ in the bytes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import cv2
import numpy as np

import carve
from carve.geometry.camera import Camera
from carve.io.archive import as_plain
from carve.records import CarveError
from carve.synth.records import View

Split = Literal["train", "val"]

FORMAT = 1
"""Version of the layout; `open_shards` reads no other."""

_COMPRESSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first date: equal arrays give equal files
_NORMALS = ("normal", "normal_back", "normal_left", "normal_right", "body_normal", "body_normal_back")
_MEMBER = {
    **{name: f"{name}.png" for name in _NORMALS},
    "albedo": "albedo.png",
    "coverage": "albedo.png",
    "depth": "depth.png",
    "bent": "bent.png",
    "occlusion": "bent.png",
    "part": "labels.png",
    "region": "labels.png",
    "sun_free": "labels.png",
}
"""The member that holds each picture of a View."""
FIELDS = tuple(_MEMBER)
"""The names that `fields` may hold."""


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
        return p, i - self.starts[p]

    def views(self, p: int) -> int:
        """How many views person p has."""
        return len(self.entries[p].views)

    def person(self, p: int) -> dict[str, Any]:
        """The JSON of person p."""
        entry = self.entries[p]
        info: dict[str, Any] = json.loads(self._read(entry, {"info": entry.info})["info"])
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
        return decode_view(self._read(entry, {name: spans[name] for name in members_of(fields)}), fields)

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


# Views to members and back.


def encode_view(view: View) -> dict[str, bytes]:
    """The members of one view by their names behind `KEY.vN.`.

    Raises:
        ValueError: a picture's size or type is not what `View` says.
    """
    h, w = view.coverage.shape
    suns = view.sun_free.shape[-1]
    shapes = dict.fromkeys((*_NORMALS, "albedo", "bent"), (h, w, 3)) | {"sun_free": (h, w, suns)}
    for name in FIELDS:
        array, kind = getattr(view, name), np.uint16 if name == "depth" else np.uint8
        if array.shape != shapes.get(name, (h, w)) or array.dtype != kind:
            raise ValueError(f"{name} is {array.shape} {array.dtype}, not {shapes.get(name, (h, w))} {np.dtype(kind)}")
    if len(view.sun_directions) != suns:
        raise ValueError(f"{len(view.sun_directions)} directions for {suns} suns")
    camera = view.camera
    numbers = {
        "camera": np.array([camera.width, camera.height, camera.focal, camera.cx, camera.cy], np.float64),
        "up": np.asarray(view.up, np.float64),
        "depth_range": np.array(view.depth_range, np.float64),
        "sun_directions": np.asarray(view.sun_directions, np.float64),
        "landmarks": np.asarray(view.landmarks, np.float64),
    }
    pictures = {f"{name}.png": getattr(view, name) for name in _NORMALS}
    pictures["albedo.png"] = np.dstack([view.albedo, view.coverage])
    pictures["depth.png"] = view.depth
    pictures["bent.png"] = np.dstack([view.bent, view.occlusion])
    pictures["labels.png"] = np.concatenate([view.part[None], view.region[None], np.moveaxis(view.sun_free, -1, 0)]).reshape(-1, w)
    return {"view.npz": pack_arrays(numbers)} | {name: encode_png(picture) for name, picture in pictures.items()}


def members_of(fields: Collection[str] | None) -> tuple[str, ...]:
    """The members that `decode_view` needs for `fields`.

    Raises:
        ValueError: a field is none of `FIELDS`.
    """
    wanted = FIELDS if fields is None else fields
    unknown = set(wanted) - set(FIELDS)
    if unknown:
        raise ValueError(f"no picture of a view: {', '.join(sorted(unknown))}")
    return ("view.npz", *dict.fromkeys(_MEMBER[name] for name in FIELDS if name in wanted))


def decode_view(members: Mapping[str, bytes], fields: Collection[str] | None = None) -> View:
    """A view from its members.

    Args:
        members: by their names behind `KEY.vN.`; those of `members_of(fields)` suffice.
        fields: the pictures that are wanted (of `FIELDS`; None is all). The others come without rows, so that a use of one fails; camera,
            up, depth_range, sun_directions and landmarks always come.

    Raises:
        CarveError: a picture is damaged.
        ValueError: a field is none of `FIELDS`.
    """
    numbers = unpack_arrays(members["view.npz"])
    width, height, *optics = numbers["camera"].tolist()
    camera = Camera(int(width), int(height), *optics)
    suns = len(numbers["sun_directions"])
    found: dict[str, np.ndarray] = {}
    for member in members_of(fields)[1:]:
        picture = _decode_png(member, members[member], (camera.height * ((2 + suns) if member == "labels.png" else 1), camera.width))
        if member == "labels.png":
            planes = picture.reshape(2 + suns, camera.height, camera.width)
            found |= {"part": planes[0], "region": planes[1], "sun_free": np.ascontiguousarray(np.moveaxis(planes[2:], 0, -1))}
        elif member == "depth.png":
            found["depth"] = picture
        else:
            name = member.removesuffix(".png")
            found[name] = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
            if picture.shape[2] == 4:
                found["coverage" if name == "albedo" else "occlusion"] = cv2.extractChannel(picture, 3)
    return View(
        camera=camera,
        up=numbers["up"],
        depth_range=(float(numbers["depth_range"][0]), float(numbers["depth_range"][1])),
        sun_directions=numbers["sun_directions"],
        landmarks=numbers["landmarks"],
        **{name: found[name] if fields is None or name in fields else _absent(name, suns) for name in FIELDS},
    )


def _absent(name: str, suns: int) -> np.ndarray:
    """A picture without rows in place of a field that was not asked for."""
    if name in ("coverage", "occlusion", "depth", "part", "region"):
        return np.zeros((0, 0), np.uint16 if name == "depth" else np.uint8)
    return np.zeros((0, 0, suns if name == "sun_free" else 3), np.uint8)


def encode_png(picture: np.ndarray) -> bytes:
    """A PNG (ISO/IEC 15948) with the Up filter in every row, of (H, W), (H, W, 3) or (H, W, 4) uint8 (R, G, B, A) or of (H, W) uint16."""
    height, width = picture.shape[:2]
    depth, colour = 8 * picture.dtype.itemsize, {1: 0, 3: 2, 4: 6}[picture.shape[2] if picture.ndim == 3 else 1]
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, _COMPRESSION)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _decode_png(name: str, data: bytes, size: tuple[int, int]) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if picture is None or picture.shape[:2] != size:
        raise CarveError(f"The picture {name} of a view is damaged; make or copy the data set again.")
    return picture


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz without compression whose bytes depend on the arrays only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def unpack_arrays(data: bytes, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays (or those of `names`) of what `pack_arrays` wrote.

    Raises:
        CarveError: the archive is damaged.
        KeyError: there is no array of that name.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            wanted = [n.removesuffix(".npy") for n in archive.namelist()] if names is None else names
            return {n: np.lib.format.read_array(io.BytesIO(archive.read(f"{n}.npy")), allow_pickle=False) for n in wanted}
    except (ValueError, RuntimeError, MemoryError, EOFError, zipfile.BadZipFile) as error:
        raise CarveError(f"The arrays of a person are damaged ({error}); make or copy the data set again.") from error


# Writing.


def write_shard(path: Path, people: Iterable[Person], split: Split = "train", block: int = 0, fingerprint: str = "") -> ShardRecord:
    """Write the people, one after the other as they come, to a tar at `path`, which appears only when it is complete.

    Raises:
        CarveError: the disk is full.
        ValueError: a person's key is not usable or comes twice.
    """
    with _full_disk(path.parent), _Tar(path) as tar:
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
    with _full_disk(folder):
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
    with _full_disk(folder):
        (folder / "progress").mkdir(parents=True, exist_ok=True)
    for part in [*folder.glob("*.part"), *folder.glob("progress/*.part")]:
        part.unlink()
    header = folder / "dataset.json"
    if header.is_file() and (_object(header) or {}).get("fingerprint") != fingerprint:
        header.unlink()
    done: dict[int, tuple[ShardRecord, ...]] = {}
    for path in sorted((folder / "progress").glob("[0-9]*.json")):
        note = _object(path) or {}
        records = _records(note.get("shards"))
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
    with _full_disk(folder):
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
            self._file = _Digested(self.part.open("wb", buffering=1 << 20))
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
def _full_disk(folder: Path) -> Iterator[None]:
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
        with part.open("w", encoding="utf-8") as file:
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


# Reading.


def open_shards(folder: Path, split: Split, verify: bool = True) -> ShardSet:
    """Open one split of a finished data set (it may hold no people).

    Args:
        folder: with dataset.json.
        split: which people.
        verify: compare each shard's SHA-256 with dataset.json, which reads every byte once.

    Raises:
        CarveError: the folder is no finished data set of this format, or a shard is missing, damaged or not the one that was written; the
            message names the file.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        raise CarveError(f"{folder} has no dataset.json; let `carve synth` finish it or give another folder.")
    header = _object(path)
    if header is None:
        raise CarveError(f"{path} is not a JSON object; make or copy the data set again.")
    if header.get("format") != FORMAT:
        raise CarveError(f"{path} has format {header.get('format')}, this carve reads {FORMAT}; make the data set again.")
    records = _records(header.get("shards"))
    if records is None:
        raise CarveError(f"{path} has a malformed list of shards; make or copy the data set again.")
    chosen = [r for r in records if r.split == split]
    entries: list[_Entry] = []
    for number, record in enumerate(chosen):
        if verify:
            _verify(folder, record)
        entries += _index(folder, record, number)
    starts = [0]
    for entry in entries:
        starts.append(starts[-1] + len(entry.views))
    return ShardSet(folder, split, header, tuple(r.file for r in chosen), tuple(entries), tuple(starts))


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
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                spans[member.name] = (member.offset_data, member.size)
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
    except OSError as error:
        raise CarveError(f"{path} cannot be read ({error.strerror}); make or copy the data set again.") from error
    except tarfile.TarError as error:
        raise CarveError(f"{path} is no tar file ({error}); make or copy it again.") from error
    except KeyError as error:
        raise CarveError(f"{path} lacks the member {error}; make or copy it again.") from error


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None if it holds none."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _records(value: Any) -> tuple[ShardRecord, ...] | None:
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
