"""Records to .npz files and back, without pickle.

A record's arrays become members of the archive, everything else becomes one JSON member, `record.json`. A record inside a record is packed
with it, or only named if the caller already holds it (`known`): the photo inside an observation is not stored again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter

from carve.files.arrays import read_member
from carve.files.fence import OversizeError, fence
from carve.files.text import check_file, parse_json
from carve.files.whole import whole
from carve.records import CarveError

Record = TypeVar("Record")

MAX_BYTES = 768 << 20
"""Of all arrays of a record together."""
_MAX_JSON = 4 << 20
_TREE = "record.json"
_META = "meta.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first date: equal records give equal files


def as_plain(value: Any) -> Any:
    """(Nested) dataclasses, tuples, NumPy scalars and paths as JSON-ready dicts, lists, numbers and text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): as_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def fingerprint(value: Any) -> str:
    """sha256 of the content of settings, records, arrays or anything else that `as_plain` understands."""
    digest = hashlib.sha256()
    arrays: dict[str, np.ndarray] = {}
    packed = _pack(value, "", arrays, {}) if dataclasses.is_dataclass(value) else _leaf(value, "array", arrays)
    digest.update(json.dumps(packed, sort_keys=True, separators=(",", ":")).encode())
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key}{array.dtype.str}{array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def save_record(path: Path, record: Any, meta: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> None:
    """Write a record and a JSON object `meta` to `path`, which appears only when it is complete."""
    arrays: dict[str, np.ndarray] = {}
    tree = _pack(record, "", arrays, known or {})
    with whole(path) as pending, zipfile.ZipFile(pending, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, value in ((_META, meta), (_TREE, tree)):
            archive.writestr(_entry(name), json.dumps(as_plain(value)))
        for key, array in arrays.items():
            with archive.open(_entry(f"{key}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_record(path: Path, kind: type[Record], known: Mapping[str, Any] | None = None) -> Record:
    """Read what `save_record` wrote; `known` holds the records that were only named.

    Raises:
        CarveError: the file is missing, damaged, or holds another kind or version of record.
    """
    with fence(f"The stage file {path}", "run its stage again"):
        check_file(path, MAX_BYTES)
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise OversizeError(f"declares more than {MAX_BYTES >> 20} MiB")
            return _unpack(kind, _json(archive, _TREE), archive, known or {})


def load_meta(path: Path) -> dict[str, Any] | None:
    """The JSON object that was saved with a record, or None if there is no readable archive at `path`."""
    try:
        with fence(f"The stage file {path}", "run its stage again"):
            check_file(path, MAX_BYTES)
            with zipfile.ZipFile(path) as archive:
                meta = _json(archive, _META)
    except CarveError:
        return None
    return meta if isinstance(meta, dict) else None


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    """A JSON member of an archive; inside a `fence`."""
    if archive.getinfo(name).file_size > _MAX_JSON:
        raise OversizeError(f"declares {archive.getinfo(name).file_size >> 20} MiB of JSON")
    return parse_json(archive.read(name), finite=False)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info._compresslevel = 1  # type: ignore[attr-defined]  # ZipInfo has no public name for it before Python 3.13
    return info


def _leaf(value: Any, key: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"array": key}
    return {"value": as_plain(value)}


def _pack(record: Any, prefix: str, arrays: dict[str, np.ndarray], known: Mapping[str, Any]) -> dict[str, Any]:
    """The record's fields as JSON nodes; arrays are put aside under their dotted field names."""
    tree: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            name = next((n for n, r in known.items() if r is value), None)
            tree[field.name] = {"known": name} if name else {"record": _pack(value, f"{prefix}{field.name}.", arrays, known)}
        else:
            tree[field.name] = _leaf(value, prefix + field.name, arrays)
    return tree


def _unpack(kind: type[Record], tree: Mapping[str, Any], archive: zipfile.ZipFile, known: Mapping[str, Any]) -> Record:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, node in tree.items():
        if name not in hints:
            continue  # what an earlier version kept
        if "known" in node:
            values[name] = known[node["known"]]
        elif "record" in node:
            values[name] = _unpack(_record_type(hints[name]), node["record"], archive, known)
        elif "array" in node:
            values[name] = read_member(archive, node["array"], MAX_BYTES)
        elif node["value"] is None:
            values[name] = None
        else:
            values[name] = _value(hints[name], node["value"])
    return kind(**values)


def _record_type(hint: Any) -> Any:
    """The dataclass in an annotation such as ``Landmarks`` or ``Landmarks | None``."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return next(option for option in options if dataclasses.is_dataclass(option))


def _value(hint: Any, value: Any) -> Any:
    config = None if dataclasses.is_dataclass(hint) else ConfigDict(arbitrary_types_allowed=True)
    return TypeAdapter(hint, config=config).validate_python(value)
