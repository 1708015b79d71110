"""What the REST interface says, as the OpenAPI document describes it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from carve.web.files import ARTEFACTS, found
from carve.web.jobs.layout import AvatarFolder
from carve.web.jobs.store import Job, State

WEIGHTS = {
    "observe": 5.0,
    "fit_body": 6.0,
    "evidence": 2.0,
    "refit_body": 2.0,
    "fit_face": 2.0,
    "normals": 2.0,
    "canonical": 10.0,
    "refine": 10.0,
    "texture": 9.0,
    "rig": 0.5,
    "outputs": 4.0,
}
"""About how long each stage takes beside the others; `outputs` writes the files."""


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="One sentence for people.")


class StageDone(BaseModel):
    """A stage that is done."""

    stage: str
    seconds: float | None = Field(description="None if it was kept from an earlier run.")
    kept: bool
    picture: str | None = Field(description="Where its picture lies.")


class Person(BaseModel):
    """Someone in the photo; the numbers are shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


class File(BaseModel):
    """A file of an avatar."""

    name: str
    url: str
    bytes: int
    type: str
    title: str
    download: bool = Field(description="Whether it is a result, not a picture for the page.")


class AvatarState(BaseModel):
    """An avatar that is wanted, in the making, or made."""

    id: str
    name: str = Field(description="What the photo's file was called.")
    state: State
    created: float = Field(description="Seconds since 1970.")
    finished: float | None
    version: int = Field(description="Rises with every run; the addresses of files carry it.")
    waiting: int | None = Field(description="How many jobs are before it in the queue.")
    progress: float = Field(description="0 to 1.")
    stage: str | None = Field(description="What runs now.")
    stages: list[StageDone]
    people: list[Person] = Field(description="Everyone in the photo, the largest first.")
    person: int | None = Field(description="Whose avatar it is, an index of `people`.")
    message: str = Field(description="Why it failed, one sentence.")
    options: dict[str, Any]
    corrected: list[str] = Field(description="`mask` and `landmarks` where a corrected one was given.")
    width: int
    height: int
    files: list[File]


class Accepted(BaseModel):
    """A job that was taken."""

    id: str
    url: str
    events: str


class Gallery(BaseModel):
    """A client's avatars, the newest first."""

    avatars: list[AvatarState]


class SessionState(BaseModel):
    """Who asks, and what the server allows."""

    client: str | None
    keys: bool = Field(description="Whether a key is needed.")
    version: str
    stages: list[str]
    presets: list[str]
    upload_bytes: int
    pixels: int
    keep_seconds: float | None


class Key(BaseModel):
    """A client's key."""

    key: str = Field(min_length=1, max_length=512)


class Health(BaseModel):
    """Whether the server can work."""

    status: str = Field(description="`ok`, or `starting` while no worker is there.")
    workers: int
    queued: int
    running: int


def state_of(job: Job, folder: AvatarFolder, waiting: int | None) -> AvatarState:
    """A job as clients see it."""
    base = f"/v1/avatars/{job.id}/files"
    drawn = {s["stage"]: f"{base}/{s['picture']}?v={job.runs}" for s in job.stages if s["picture"]}
    stages = [StageDone(stage=s["stage"], seconds=s["seconds"], kept=s["kept"], picture=drawn.get(s["stage"])) for s in job.stages]
    return AvatarState(
        id=job.id,
        name=job.name,
        state=job.state,
        created=job.created,
        finished=job.finished,
        version=job.runs,
        waiting=waiting,
        progress=_progress(job),
        stage=job.stage,
        stages=stages,
        people=[Person(**box) for box in job.people],
        person=job.person,
        message=job.message,
        options=job.options,
        corrected=[name for name in ("mask", "landmarks") if getattr(folder, name).exists()],
        width=job.width,
        height=job.height,
        files=[
            File(name=name, url=f"{base}/{name}?v={job.runs}", bytes=size, type=a.type, title=a.title, download=a.download)
            for name, size in found(folder).items()
            for a in (ARTEFACTS[name],)
        ],
    )


def _progress(job: Job) -> float:
    if job.state == "done":
        return 1.0
    done = sum(WEIGHTS.get(entry["stage"], 0.0) for entry in job.stages)
    running = WEIGHTS.get(job.stage or "", 0.0) * job.share
    return round(min((done + running) / sum(WEIGHTS.values()), 1.0), 4)
