"""A worker: a process that makes avatars, one after the other: `python -m carve.web.jobs.worker DATA`, started and replaced by the server.

It ends at once when the server is gone: it reads a pipe whose other end only the server holds.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from carve.app.cli import STAGES
from carve.files.whole import write_whole
from carve.io.image import read_photo
from carve.provenance import give_memory_back
from carve.records import CarveError, Photo, StageError
from carve.web.guarding.checks import sized_mask, told_as
from carve.web.jobs.layout import AvatarFolder, DataFolder
from carve.web.jobs.queue import Queue
from carve.web.jobs.stage_pictures import StagePictures
from carve.web.jobs.store import Job, Store
from carve.web.options import Plan, planned

WAIT_SECONDS = 0.3
"""Between looks at an empty queue."""
TELL_SECONDS = 0.4
"""Between notes of how far a stage is."""


class Worker:
    """Takes jobs out of the queue."""

    def __init__(self, data: DataFolder) -> None:
        self._data = data
        self._store = Store(data.jobs)
        self._queue = Queue(data.queue, self.make)

    def work(self) -> None:
        """Do what waits, for ever."""
        while True:
            if not self._queue.work():
                time.sleep(WAIT_SECONDS)

    def make(self, job_id: str) -> None:
        """Make one avatar. What goes wrong is the job's message; a job that waits no longer is left alone."""
        job = self._store.claim(job_id, os.getpid())
        if job is None:
            return
        message = ""
        try:
            run_job(job, self._data.avatar(job.id), self._store)
        except (CarveError, StageError) as error:
            message = str(error)
        except Exception as error:
            traceback.print_exc()
            message = f"The run failed: {type(error).__name__}."
        self._store.finish(job.id, os.getpid(), message.replace(str(self._data.path), "").strip())
        give_memory_back()


def run_job(job: Job, folder: AvatarFolder, store: Store) -> None:
    """Run the pipeline for a job, going on with what its folder holds. Raises what the pipeline raises."""
    from carve.pipeline import reconstruct

    with told_as(folder.photo, "The photo"):
        photo = replace(read_photo(folder.photo), name=job.name)
    plan = planned(job.options)
    mask = sized_mask(folder.mask, photo.size) if folder.mask.exists() else None
    _clear_foreign(folder.run)
    earlier = (folder.run / "stages" / "run.json").exists()
    notes = _Notes(job, folder, store, photo)
    with told_as(folder.landmarks, "The landmarks file"):
        reconstruct(
            photo,
            plan.settings(),
            out=folder.run,
            mask=mask,
            landmarks=folder.landmarks if folder.landmarks.exists() else None,
            existing="resume" if earlier else "refuse",
            start=_start(job, earlier),
            extras=plan.extras,
            export=plan.export,
            progress=notes.progress,
        )
    notes.outputs(plan)


def _start(job: Job, earlier: bool) -> Any:
    """The stage to begin with, if the client asked for one and this is the first try."""
    return job.start if earlier else None


def _clear_foreign(run: Path) -> None:
    """An output folder that was cut off before it was marked as carve's is begun anew."""
    if run.is_dir() and not (run / "stages" / "run.json").exists():
        AvatarFolder(run).remove()


class _Notes:
    """Writes down how far a job is, with a picture of each stage."""

    def __init__(self, job: Job, folder: AvatarFolder, store: Store, photo: Photo) -> None:
        self._job, self._folder, self._store = job, folder, store
        self._pictures = StagePictures(folder.run / "stages", folder.shown, photo)
        self._done: list[dict[str, Any]] = []
        self._begin: dict[str, float] = {}
        self._told = 0.0

    def progress(self, stage: str, share: float) -> None:
        """The pipeline's progress."""
        if stage not in STAGES:
            return
        now = time.monotonic()
        if share < 1:
            first = stage not in self._begin
            self._begin.setdefault(stage, now)
            if first or now - self._told > TELL_SECONDS:
                self._told = now
                self._change(stage=stage, share=share)
            return
        begin = self._begin.get(stage)
        picture = self._picture(stage, kept=begin is None)
        self._done.append(
            {
                "stage": stage,
                "seconds": None if begin is None else round(now - begin, 2),
                "kept": begin is None,
                "picture": picture,
            }
        )
        values: dict[str, Any] = {"stages": self._done, "stage": None, "share": 0}
        if begin is not None:
            values["deaths"] = 0
        if stage == "observe":
            with suppress(CarveError, OSError, KeyError):
                values["people"], values["person"] = self._pictures.people()
        if stage == STAGES[-1]:
            values["stage"] = "outputs"
        self._change(**values)

    def _picture(self, stage: str, kept: bool) -> str | None:
        """Draw a stage that was run, or has no picture yet; one that fails is only missing, with a line in the server's log."""
        name = f"{stage}.webp"
        if kept and (self._folder.shown / name).exists():
            return name
        try:
            return self._pictures.draw(stage)
        except Exception as error:
            print(f"no picture of {stage}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return None

    def outputs(self, plan: Plan) -> None:
        """After the run: the motions that the viewer plays, where the avatar's nodes are the viewer's."""
        from carve.web.motions import motions_document

        try:
            document = motions_document(self._folder.run / "avatar.glb") if plan.export.compress == "none" else {}
        except CarveError:
            document = {}
        write_whole(self._folder.shown / "motions.json", json.dumps(document, separators=(",", ":")))

    def _change(self, **values: Any) -> None:
        if not self._store.change(self._job.id, os.getpid(), **values):
            os._exit(3)  # the job was taken away; whoever did it starts another worker


def _end_with_the_server() -> None:
    """Wait until the pipe to the server breaks."""
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(0)


def main() -> None:
    """Be a worker for the data folder that the command line names."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    import carve.pipeline  # noqa: F401  # loaded before the first job comes

    worker = Worker(DataFolder(Path(sys.argv[1])))
    print("ready", flush=True)
    worker.work()


if __name__ == "__main__":
    main()
