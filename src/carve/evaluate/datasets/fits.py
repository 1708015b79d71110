"""Parameter files of data sets: .npz and .json. Pickles are not opened: opening one can run any code.

No permissive, well-kept library reads the arrays of a pickle without that risk, so whoever trusts a file's source converts it once:

    python -c "import sys, numpy; [numpy.savez(f[:-4] + '.npz', **numpy.load(f, allow_pickle=True)) for f in sys.argv[1:]]" FILE.pkl ...
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from carve.files.arrays import check_total, read_member
from carve.files.fence import fence
from carve.files.text import check_file, read_json
from carve.records import CarveError

MAX_BYTES = 256 << 20
"""Of a file's arrays."""


def read_fit(stem: Path, what: str) -> dict[str, np.ndarray] | None:
    """The arrays of STEM.npz or STEM.json; None if there is neither, nor a pickle.

    Raises CarveError for a file that cannot be read, and where only a pickle is there.
    """
    archive, text, pickled = (stem.with_name(stem.name + ending) for ending in (".npz", ".json", ".pkl"))
    if archive.is_file():
        return _arrays(archive)
    if text.is_file():
        document = read_json(text, f"The file {text}", MAX_BYTES)
        with fence(f"The file {text}"):
            return {str(key): np.asarray(value, float) for key, value in document.items() if _numbers(value)}
    if pickled.is_file():
        raise CarveError(
            f"{what} is there as {pickled} alone, and carve opens no pickles, which can run code: convert it once to {archive.name} "
            "(docs/datasets.md has the line)."
        )
    return None


def need_fit(stem: Path, what: str) -> dict[str, np.ndarray]:
    """As `read_fit`; raises CarveError where nothing is there."""
    fit = read_fit(stem, what)
    if fit is None:
        raise CarveError(f"{what} is missing: {stem}.npz or {stem.name}.json.")
    return fit


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with fence(f"The file {path}"):
        check_file(path, MAX_BYTES)
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            check_total(archive, keys, MAX_BYTES)
            return {key: read_member(archive, key, MAX_BYTES) for key in keys}


def _numbers(value: object) -> bool:
    """Whether a JSON value is a number or a (nested) list of numbers."""
    if isinstance(value, list):
        return all(_numbers(inner) for inner in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numbers(fit: dict[str, np.ndarray], key: str, shape: tuple[int, ...], what: str) -> np.ndarray:
    """The array `key` with as many numbers as `shape` takes. Raises CarveError if it is missing or has another size."""
    if key not in fit:
        raise CarveError(f"{what} has no '{key}'.")
    array = np.asarray(fit[key], float)
    if array.size != int(np.prod(shape)) or not np.isfinite(array).all():
        raise CarveError(f"{what}: '{key}' holds {array.size} numbers and not {int(np.prod(shape))}, or something that is none.")
    return array.reshape(shape)
