"""How one stage is run: skipped if its record is kept, else seeded, timed, measured, checked and stored."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from carve.io.archive import fingerprint
from carve.io.run_folder import RunFolder
from carve.provenance import give_memory_back, made_with, peak_memory, reset_peak_memory
from carve.records import CarveError, Landmarks, Photo, StageError
from carve.settings import BESIDE, SETTINGS_OF, STAGES, BackStage, StageName

Record = TypeVar("Record")

Progress = Callable[[str, float], None]
"""Called with a stage's name and the share of it that is done, 0 at its start and 1 at its end; a stage that is kept only says 1."""


def silent(stage: str, share: float) -> None:
    """The progress of callers that want none."""


@dataclass(frozen=True)
class Deferred:
    """An input that is made only if its stage runs; `identity` stands for it in fingerprints."""

    identity: str
    make: Callable[[], Any]


@dataclass
class StageRunner:
    """Runs stages one after the other and remembers what each was made from."""

    seed: int
    folder: RunFolder | None = None
    start: StageName | None = None
    """Stages before this one are taken from the folder as they are; it and those after it run."""
    progress: Progress = silent
    known: dict[str, Any] = field(default_factory=dict)
    """Records by the name of what made them (`photo`, then the stages')."""
    prints: dict[str, str] = field(default_factory=dict)
    """Fingerprints of `known`."""
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    """Peak resident memory of each stage, MiB."""
    peak: float = 0.0
    """Peak before the last new measurement began, MiB; see `peak_so_far`."""
    loading: float = 0.0
    """Seconds for inputs that were loaded when a stage needed them (the body model)."""
    kept: list[str] = field(default_factory=list)
    """Stages that were not run again."""
    warnings: list[str] = field(default_factory=list)

    def give(self, name: str, record: Any) -> None:
        """Make an input record known to the stages that follow. A photo is what it shows: under another name it is still the same."""
        content = dataclasses.replace(record, name="") if isinstance(record, Photo) else record
        self.known[name], self.prints[name] = record, fingerprint(content)

    def derive(self, name: str, record: Record, *sources: str, by: str = "") -> Record:
        """Make a record known that follows from known ones, and `by` settings in words, and is made anew every time."""
        self.known[name] = record
        parts = [name, *(self.prints[source] for source in sources), *([by] if by else [])]
        self.prints[name] = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        return record

    def forget(self, *names: str) -> None:
        """Let go of records that no later stage takes; what follows from them still does."""
        for name in names:
            self.known.pop(name, None)

    def export(self, name: str, value: Any) -> None:
        """Write a JSON file for people to edit beside the stages' records, if there is a folder."""
        if self.folder:
            self.folder.write_json(name, value)

    def peak_so_far(self) -> float:
        """Peak resident memory of the process up to now, between the stages too, MiB."""
        self.peak = max(self.peak, round(peak_memory(), 1))
        return self.peak

    def __call__(self, stage: StageName | BackStage, kind: type[Record], function: Callable[..., Record], *inputs: Any) -> Record:
        """The record of `stage`: kept if nothing that it depends on has changed, else ``function(*inputs)``."""
        upstream, given = self._dependencies(inputs)
        meta = {"stage": stage, "carve": made_with(), "seed": self.seed, "upstream": upstream, "given": given}
        record = self._kept(stage, kind, meta)
        if record is None:
            record = self._run(stage, function, inputs)
            meta |= {"seconds": self.seconds[stage], "peak_memory_mib": self.memory[stage]}
            if self.folder:
                self.folder.save(stage, record, meta, self.known)
            self.prints[stage] = _identity(meta)
        self.known[stage] = record
        self.progress(stage, 1.0)
        return record

    def _dependencies(self, inputs: tuple[Any, ...]) -> tuple[dict[str, str], list[str]]:
        """Fingerprints of the inputs: records that are known by name, and all else in order."""
        upstream: dict[str, str] = {}
        given: list[str] = []
        for value in inputs:
            name = next((n for n, record in self.known.items() if record is value), None)
            if name:
                upstream[name] = self.prints[name]
            else:
                given.append(value.identity if isinstance(value, Deferred) else fingerprint(value))
        return upstream, given

    def _kept(self, stage: StageName | BackStage, kind: type[Record], wanted: dict[str, Any]) -> Record | None:
        """The stored record if it may be used."""
        if self.folder is None or self.folder.existing != "resume":
            return None
        before = self.start is not None and STAGES.index(_main(stage)) < STAGES.index(self.start)
        if self.start is not None and not before:
            return None
        taken_as_is = before and stage not in BESIDE  # the earlier run may have had no back photo, or another
        meta = self.folder.meta(stage)
        meta = meta if meta is not None and _is_sound(meta) else None
        same = meta is not None and _identity(meta) == _identity(wanted)
        record = self.folder.load(stage, kind, self.known) if meta and (same or taken_as_is) else None
        if meta is None or record is None:
            if taken_as_is:
                raise CarveError(f"{self.folder.path} holds no finished stage '{stage}'; use --resume, or --from {stage}.")
            if same or (meta is None and self.folder.holds(stage)):
                self.warnings.append(f"The kept stage '{stage}' could not be read and was made again.")
            return None
        if meta["upstream"] != wanted["upstream"]:
            raise CarveError(f"The stage '{stage}' in {self.folder.path} was made from another input; use --resume, or --from {stage}.")
        if not same:
            self.warnings.append(f"The stage '{stage}' was kept as it was, made with other settings or another version than these.")
        self.kept.append(stage)
        self.seconds[stage], self.memory[stage] = meta["seconds"], meta["peak_memory_mib"]
        self.prints[stage] = _identity(meta)
        return record

    def _run(self, stage: StageName | BackStage, function: Callable[..., Record], inputs: tuple[Any, ...]) -> Record:
        begin = time.perf_counter()
        ready = [value.make() if isinstance(value, Deferred) else value for value in inputs]
        self.loading += time.perf_counter() - begin
        self.progress(stage, 0.0)
        np.random.seed(self.seed)  # noqa: NPY002  # for libraries that draw from the global generator
        torch.manual_seed(self.seed)
        self.peak_so_far()
        give_memory_back()  # of the stages before, which would count as this one's
        reset_peak_memory()
        begin = time.perf_counter()
        try:
            with one_thread():
                record = function(*ready)
        except CarveError:
            raise
        except StageError as error:
            raise StageError(_named(stage, str(error))) from error
        except MemoryError as error:
            raise StageError(f"The stage '{stage}' ran out of memory; try a smaller photo.") from error
        except Exception as error:
            raise StageError(f"The stage '{stage}' failed: {type(error).__name__}: {error}") from error
        check_finite(record, stage)
        self.seconds[stage] = round(time.perf_counter() - begin, 3)
        self.memory[stage] = round(peak_memory(), 1)
        return record


@contextmanager
def one_thread() -> Iterator[None]:
    """torch, BLAS and OpenMP with one thread: with two, sums differ in the last digit, of which the body's fit makes millimetres."""
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def check_finite(record: Any, stage: str) -> None:
    """Raise a StageError that names the stage and the field if a float array of the record (or of one inside it) is not finite."""
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if isinstance(value, Landmarks):
            continue  # NaN says there that a detector gave nothing
        if dataclasses.is_dataclass(value):
            check_finite(value, stage)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise StageError(f"The stage '{stage}' gave '{entry.name}' values that are not finite numbers.")


def _is_sound(meta: Mapping[str, Any]) -> bool:
    """Whether a stage's notes hold what the runner reads in them, each of its type."""
    types: dict[str, Any] = {"stage": str, "carve": str, "seed": int, "upstream": dict, "given": list}
    types |= dict.fromkeys(("seconds", "peak_memory_mib"), (int, float))
    return all(isinstance(meta.get(key), kind) for key, kind in types.items()) and all(
        isinstance(text, str) for text in (*meta["upstream"].values(), *meta["given"])
    )


def _main(stage: StageName | BackStage) -> StageName:
    """The stage itself, or the one that a back photo's comes after."""
    return next((main for name, main in BESIDE.items() if name == stage), stage)  # type: ignore[arg-type]


def _named(stage: StageName | BackStage, message: str) -> str:
    """A stage's own message under its own name: a module that serves two stages knows only one."""
    names = {*STAGES, *SETTINGS_OF, *BESIDE, "clothed"}
    head, colon, rest = message.partition(": ")
    if colon and head in names:
        return f"{stage}: {rest}"
    return message if f"'{stage}'" in message else f"{stage}: {message}"


def _identity(meta: dict[str, Any]) -> str:
    """What a stage's record was made from, as one fingerprint."""
    text = repr([meta[key] for key in ("stage", "carve", "seed", "given")] + sorted(meta["upstream"].items()))
    return hashlib.sha256(text.encode()).hexdigest()
