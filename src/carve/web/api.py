"""The REST interface. Its functions only translate: jobs are the store's, files the folder's, checks the doorman's."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from carve import __version__
from carve.app.cli import PRESETS, STAGES
from carve.web import files
from carve.web.guarding.clients import COOKIE, SESSION_SECONDS, Clients
from carve.web.guarding.doorman import Doorman, photo_checked
from carve.web.guarding.limits import Limits
from carve.web.guarding.uploads import Sent, corrections_checked, options_checked, saved, shown_name, take_over, taken_apart
from carve.web.jobs.layout import AvatarFolder, DataFolder, new_id
from carve.web.jobs.queue import Queue
from carve.web.jobs.store import Job, Store
from carve.web.jobs.supervisor import Supervisor
from carve.web.options import FLAGS, LISTS, VALUES, merged
from carve.web.schema import Accepted, AvatarState, Gallery, Key, Problem, SessionState, state_of

GALLERY = 200
"""Avatars in one answer."""
POLL_SECONDS = 0.4
HEARTBEAT_SECONDS = 15.0

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The request makes no sense.",
        401: "A key is needed.",
        403: "A change from another page.",
        404: "There is no such avatar of yours.",
        405: "Not with this method.",
        408: "The request came too slowly.",
        413: "Too large.",
        422: "The photo, a file or an option is unusable.",
    }.items()
}
BUSY: dict[int | str, dict[str, Any]] = {429: {"model": Problem, "description": "Too many jobs; try again later."}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "Not in the avatar's present state."}}


@dataclass(frozen=True)
class Services:
    """What the interface stands on."""

    data: DataFolder
    store: Store
    queue: Queue
    doorman: Doorman
    supervisor: Supervisor
    clients: Clients
    limits: Limits


def _field(name: str) -> dict[str, Any]:
    if name in FLAGS:
        return {"type": "boolean"}
    if name in LISTS:
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "string"}


def _form(required: tuple[str, ...], names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The OpenAPI description of a form with these files and all options of the command line."""
    described = {name: {"type": "string", "format": "binary"} for name in names}
    described |= {name: _field(name) for name in (*VALUES, *LISTS, *FLAGS)} | more
    schema = {"type": "object", "properties": described, "required": list(required), "additionalProperties": False}
    return {"requestBody": {"required": bool(required), "content": {"multipart/form-data": {"schema": schema}}}}


AvatarId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="As `POST /v1/avatars` gave it.")]
FileName = Annotated[str, Path(json_schema_extra={"enum": list(files.ARTEFACTS)}, description="One of the avatar's `files`.")]


router = APIRouter(prefix="/v1", responses=PROBLEMS)


def services_of(request: Request) -> Services:
    """What `web.server` gave the application."""
    return cast(Services, request.app.state.services)


Here = Annotated[Services, Depends(services_of)]


def client_of(request: Request) -> str:
    """Who asks; `web.guarding.guard` has made sure."""
    return cast(str, request.state.client)


Client = Annotated[str, Depends(client_of)]


def job_of(avatar: AvatarId, client: Client, here: Here) -> Job:
    """The client's own job of that id."""
    job = here.store.get(avatar, client)
    if job is None:
        raise HTTPException(404, "There is no such avatar.")
    return job


Own = Annotated[Job, Depends(job_of)]


def shown(job: Job, here: Services) -> AvatarState:
    """A job as its client sees it."""
    waiting = here.store.place(job) if job.state == "queued" else None
    return state_of(job, here.data.avatar(job.id), waiting)


@router.post("/avatars", status_code=202, responses=BUSY, openapi_extra=_form(("photo",), ("photo", "mask", "landmarks")), tags=["avatars"])
async def create(request: Request, client: Client, here: Here) -> Accepted:
    """Send a photo; its avatar is made as soon as it is its turn. Options are those of `carve reconstruct`."""
    unfinished, kept = here.store.count_of(client)
    if unfinished >= here.limits.jobs_client or here.store.counts()["queued"] >= here.limits.queue:
        raise _busy()
    if kept >= here.limits.kept_client:
        raise HTTPException(429, f"{here.limits.kept_client} avatars are the most; delete some.")
    sent = await taken_apart(request, ("photo", "mask", "landmarks"))
    if "photo" not in sent.files:
        raise HTTPException(422, "The field 'photo' is missing.")
    options = merged({}, sent.options)
    job = new_id()
    folder = here.data.avatar(job)
    folder.make()
    try:
        await options_checked(options, here.doorman)
        size = await _photo_taken(sent, folder, here)
        await corrections_checked(sent, folder, size, here.doorman)
        taken = here.store.add(job, client, shown_name(sent.files["photo"]), options, size, here.limits.jobs_client, here.limits.queue)
        if not taken:
            raise _busy()
    except BaseException:
        folder.remove()
        raise
    here.queue.put(job)
    return _accepted(job)


async def _photo_taken(sent: Sent, folder: AvatarFolder, here: Services) -> tuple[int, int]:
    await saved(sent.files["photo"], folder.photo)
    return await here.doorman.ask(photo_checked, folder.photo, folder.shown / "photo.webp", here.limits.pixels)


@router.get("/avatars", tags=["avatars"])
def gallery(client: Client, here: Here) -> Gallery:
    """Your avatars, the newest first."""
    return Gallery(avatars=[shown(job, here) for job in here.store.of_client(client, GALLERY)])


@router.get("/avatars/{avatar}", tags=["avatars"])
def state(job: Own, here: Here) -> AvatarState:
    """How far an avatar is, and what there is of it."""
    return shown(job, here)


@router.get(
    "/avatars/{avatar}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`state` events, each an avatar as JSON."}},
    tags=["avatars"],
)
async def events(job: Own, request: Request, here: Here) -> StreamingResponse:
    """Server-sent events: the avatar's state whenever it changes, until it is done."""
    lines = _events(job.id, job.client, request, here)
    return StreamingResponse(lines, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(job_id: str, client: str, request: Request, here: Services) -> AsyncIterator[str]:
    seen, told = "", time.monotonic()
    while not await request.is_disconnected():
        job = await asyncio.to_thread(here.store.get, job_id, client)
        if job is None:
            yield "event: gone\ndata: {}\n\n"
            return
        text = (await asyncio.to_thread(shown, job, here)).model_dump_json()
        if text != seen:
            seen, told = text, time.monotonic()
            yield f"event: state\ndata: {text}\n\n"
        elif time.monotonic() - told > HEARTBEAT_SECONDS:
            told = time.monotonic()
            yield ": still here\n\n"
        if job.state in ("done", "failed"):
            return
        await asyncio.sleep(POLL_SECONDS)


@router.get(
    "/avatars/{avatar}/files/{name}",
    response_class=FileResponse,
    responses={200: {"content": {a.type: {} for a in files.ARTEFACTS.values()}, "description": "The file."}},
    tags=["avatars"],
)
def file(job: Own, name: FileName, request: Request, here: Here) -> FileResponse:
    """A file of an avatar."""
    if name not in files.ARTEFACTS:
        raise HTTPException(404, "There is no file by that name.")
    path = files.place(here.data.avatar(job.id), name)
    if not path.is_file():
        raise HTTPException(404, "The avatar has no such file, or not yet.")
    attached = "download" in request.query_params
    return FileResponse(
        path,
        media_type=files.ARTEFACTS[name].type,
        filename=f"{job.name}_{name}" if attached else None,
        headers={"Cache-Control": "private, no-cache"},
    )


@router.post(
    "/avatars/{avatar}/rerun",
    status_code=202,
    responses=BUSY | CONFLICT,
    openapi_extra=_form(
        (),
        ("mask", "landmarks"),
        **{
            "from": {"type": "string", "enum": list(STAGES)},
            "reset": {"type": "array", "items": {"type": "string", "enum": ["mask", "landmarks"]}},
        },
    ),
    tags=["avatars"],
)
async def rerun(request: Request, job: Own, here: Here) -> Accepted:
    """Run again with corrections. Options that are not given stay; only the stages run that follow from what has changed.

    A job that waits or runs is taken back first. `from` runs a stage and all after it in any case; `reset` takes corrections back.
    """
    sent = await taken_apart(request, ("mask", "landmarks"), ("from", "reset"))
    if sent.start is not None and sent.start not in STAGES:
        raise HTTPException(422, f"There is no stage to begin from by that name; there are {', '.join(STAGES)}.")
    if not set(sent.reset) <= {"mask", "landmarks"}:
        raise HTTPException(422, "Only 'mask' and 'landmarks' can be reset.")
    if (sent.files or sent.reset) and sent.start not in (None, "observe"):
        raise HTTPException(422, "A mask or landmarks are read by the stage 'observe'; begin there or leave 'from' out.")
    options = merged(job.options, sent.options)
    folder, incoming = here.data.avatar(job.id), AvatarFolder(here.data.avatar(job.id).path / f"incoming-{new_id()}")
    incoming.make()
    try:
        await options_checked(options, here.doorman)
        await corrections_checked(sent, incoming, (job.width, job.height), here.doorman)
        await asyncio.to_thread(here.supervisor.take_back, job.id)
        take_over(incoming, folder)
        for name in sent.reset:
            getattr(folder, name).unlink(missing_ok=True)
    finally:
        incoming.remove()
    if not here.store.again(job.id, options, sent.start):
        raise HTTPException(409, "The avatar is being changed by another request; try again.")
    here.queue.put(job.id)
    return _accepted(job.id)


@router.delete("/avatars/{avatar}", status_code=204, response_class=Response, tags=["avatars"])
def delete(job: Own, here: Here) -> Response:
    """Stop an avatar's job and delete all there is of it."""
    here.supervisor.take_back(job.id, forget=True)
    here.data.avatar(job.id).remove()
    return Response(status_code=204)


@router.get("/session", tags=["session"])
def session(request: Request, here: Here) -> SessionState:
    """Who you are, and what this server allows."""
    return SessionState(
        client=request.state.client,
        keys=here.clients.with_keys,
        version=__version__,
        stages=list(STAGES),
        presets=list(PRESETS),
        upload_bytes=here.limits.upload_bytes,
        pixels=here.limits.pixels,
        keep_seconds=here.limits.keep_seconds,
    )


@router.post("/session", tags=["session"], status_code=204, response_class=Response)
def sign_in(key: Key, request: Request, here: Here) -> Response:
    """Exchange a key for the page's cookie."""
    client = here.clients.by_key(key.key)
    if client is None:
        raise HTTPException(401, "That is no key of this server.")
    answer = Response(status_code=204)
    if here.clients.with_keys:
        answer.set_cookie(
            COOKIE,
            here.clients.session(client),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return answer


@router.delete("/session", tags=["session"], status_code=204, response_class=Response)
def sign_out() -> Response:
    """Let go of the cookie."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _busy() -> HTTPException:
    return HTTPException(429, "Too many of your jobs wait already, or the queue is full; try again later.", {"Retry-After": "30"})


def _accepted(job: str) -> Accepted:
    return Accepted(id=job, url=f"/v1/avatars/{job}", events=f"/v1/avatars/{job}/events")
