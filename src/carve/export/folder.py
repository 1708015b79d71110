"""A finished output folder, read back for exporting: the records of its stages and its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from carve.files.fence import fence
from carve.files.text import read_json
from carve.io.archive import load_record
from carve.records import Avatar, BodyFit, CanonicalSurface, CarveError, NormalMaps, Observation, Photo, PosedSurface, TexturedSurface

STAGE_RECORDS: dict[str, type] = {
    "observe": Observation,
    "fit_body": BodyFit,
    "refit_body": BodyFit,
    "fit_face": BodyFit,
    "canonical": CanonicalSurface,
    "refine": PosedSurface,
    "texture": TexturedSurface,
}
"""What each stage that an export needs has stored."""


class _Stages(Mapping[str, Any]):
    """The records of a folder by name, read when they are first asked for."""

    def __init__(self, folder: Path, photo: Photo) -> None:
        self._folder = folder
        empty = np.zeros((0, 0), np.float16)
        nothing = NormalMaps(empty[..., None], empty[..., None], empty, empty.astype(bool))  # an export needs no maps
        self._read: dict[str, Any] = {"photo": photo, "normals": nothing, "evidence": nothing}

    def __getitem__(self, name: str) -> Any:
        stage = "observe" if name == "seen" else name
        if stage not in self._read:
            self._read[stage] = load_record(self._folder / f"{stage}.npz", STAGE_RECORDS[stage], self)
        return self._read[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def read_avatar(folder: Path) -> Avatar:
    """The avatar of a finished output folder, without photo and normals. Raises CarveError if the folder is not one or is damaged."""
    stages = folder / "stages"
    with fence(str(folder), "run `carve reconstruct` again"):
        if not (stages / "rig.npz").is_file() or not (folder / "report.json").is_file():
            raise CarveError(f"{folder} is no finished output folder of `carve reconstruct` (stages/rig.npz and report.json are needed).")
        report = read_json(folder / "report.json", f"The report of {folder}")
        try:
            photo = Photo(np.zeros((1, 1, 3), np.uint8), None, None, str(report["photo"]["name"]))
            avatar = load_record(stages / "rig.npz", Avatar, _Stages(stages, photo))
        except (KeyError, TypeError) as error:
            raise CarveError(
                f"{folder} cannot be read: a stage's record is damaged or of another version; run `carve reconstruct` again."
            ) from error
    return replace(avatar, report=report)
