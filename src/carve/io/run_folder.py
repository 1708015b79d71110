"""The output folder of a run: who may write into it, finished stages, and files that appear all at once.

OUT/                  the contract's files, moved into place together when the run is complete
OUT/stages/run.json   marks the folder as carve's
OUT/stages/.lock      says which process is writing, while it does
OUT/stages/NAME.npz   a finished stage's record with the fingerprint of what it was made from
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from carve.files.whole import write_whole, writing
from carve.io.archive import as_plain, load_meta, load_record, save_record
from carve.io.folder_lock import FolderLock, refuse_if_locked
from carve.records import CarveError

Record = TypeVar("Record")

Existing = Literal["refuse", "resume", "overwrite"]
"""What to do with an output folder that holds something: refuse it, go on with its finished stages, or write over it."""

OUTPUT_FILES = (
    "avatar.glb",
    "posed.glb",
    "body.glb",
    "pose.json",
    "camera.json",
    "normals_front.png",
    "normals_back.png",
    "mask.png",
    "seen.png",
    "seen_back.png",
    "preview.png",
    "thumbnail.png",
    "avatar.obj",
    "avatar.mtl",
    "avatar.png",
    "avatar.ply",
    "report.json",
)
"""Every file that a run may put beside `stages`; report.json comes last, so a folder that has it is complete."""

EXPORTS = ("avatar.vrm", "avatar.usdz", "avatar.fbx", "avatar_lod0.glb", "avatar_lod1.glb", "avatar_lod2.glb")
"""Files of other programs that a run writes on request (docs/assets.md)."""


def check_folder(path: Path, existing: Existing) -> None:
    """Raise a CarveError if a run may not write into `path`; changes nothing."""
    with writing(path):
        if path.exists() and not path.is_dir():
            raise CarveError(f"{path} is a file; --out needs a folder.")
        if lost := next((folder for folder in (path, *path.absolute().parents) if folder.is_symlink() and not folder.exists()), None):
            raise CarveError(f"{lost} is a link that leads nowhere; choose another --out.")
        nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise CarveError(f"{nearest} is a file, so {path} cannot be made; choose another --out.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        refuse_if_locked(path / "stages")
        if existing == "overwrite" or not path.exists() or not any(path.iterdir()):
            return
    if not (path / "stages" / "run.json").exists():
        raise CarveError(f"{path} is not empty and no folder of carve's; choose another, or --overwrite.")
    if existing == "refuse":
        raise CarveError(f"{path} holds an earlier run; use --resume to go on with it, --overwrite, or another folder.")


class RunFolder:
    """An output folder that is open for one run; use it in a `with` statement."""

    def __init__(self, path: Path, existing: Existing = "refuse") -> None:
        check_folder(path, existing)
        self.path = path
        self.existing = existing
        self.stages = path / "stages"
        self._pending = self.stages / ".pending"
        self._lock = FolderLock(self.stages)
        self._made = [folder for folder in (self.stages, path, *path.parents) if not folder.exists()]

    def __enter__(self) -> RunFolder:
        with writing(self.path):
            try:
                self.stages.mkdir(parents=True, exist_ok=True)
                self._lock.take()
                self._clear_pending()
                self.write_json("run.json", {"folder": "carve"})
            except BaseException:
                self._lock.release()
                self._leave_nothing()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._clear_pending()
        nothing = kind is not None and not any(self.stages.glob("*.npz"))
        self._lock.release()
        if nothing:
            self._leave_nothing()

    def _clear_pending(self) -> None:
        shutil.rmtree(self._pending, ignore_errors=True)
        for leftover in self.stages.glob(".carve-*"):
            leftover.unlink(missing_ok=True)

    def _leave_nothing(self) -> None:
        """Take back what this run made when not even its first stage finished."""
        with suppress(OSError):
            if self.stages in self._made:
                (self.stages / "run.json").unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()

    def _file(self, stage: str) -> Path:
        return self.stages / f"{stage}.npz"

    def save(self, stage: str, record: Any, meta: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        """Keep a finished stage; `known` are the records that need not be stored inside it."""
        with writing(self.path):
            save_record(self._file(stage), record, meta, known)

    def meta(self, stage: str) -> dict[str, Any] | None:
        """What `save` was told about a stage, or None if it is not there or damaged."""
        return load_meta(self._file(stage))

    def holds(self, stage: str) -> bool:
        """Whether there is a file of a finished stage, be it damaged."""
        return self._file(stage).exists()

    def load(self, stage: str, kind: type[Record], known: Mapping[str, Any]) -> Record | None:
        """The record of a finished stage, or None if its file is damaged or of another version of the record."""
        try:
            return load_record(self._file(stage), kind, known)
        except CarveError:
            return None

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file beside the stages' records, whole or not at all."""
        write_whole(self.stages / name, to_json(value))

    @contextmanager
    def publishing(self) -> Iterator[Path]:
        """Give a folder to write the outputs into; if the block ends well they all move into place, else none does."""
        with writing(self.path):
            self._pending.mkdir()
            try:
                yield self._pending
                written = sorted(self._pending.iterdir(), key=lambda file: (*EXPORTS, *OUTPUT_FILES).index(file.name))
                for stale in {self.path / name for name in (*EXPORTS, *OUTPUT_FILES)} - {self.path / file.name for file in written}:
                    stale.unlink(missing_ok=True)
                (self.path / OUTPUT_FILES[-1]).unlink(missing_ok=True)
                for file in written:
                    file.replace(self.path / file.name)
            finally:
                self._clear_pending()


def to_json(value: Any) -> str:
    """Indented JSON that every parser reads: values that are not finite become null."""
    return json.dumps(_finite(as_plain(value)), indent=2, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # of names that are no text
    return None if isinstance(value, float) and value - value != 0 else value
