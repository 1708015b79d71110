"""The application, and `carve serve`, which runs it."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from carve import __version__
from carve.files.text import readable
from carve.files.whole import writing
from carve.io.folder_lock import FolderLock
from carve.records import CarveError
from carve.web.api import Services, router
from carve.web.guarding.clients import Clients, read_keys, read_secret
from carve.web.guarding.doorman import Doorman
from carve.web.guarding.guard import Guard
from carve.web.guarding.limits import Limits
from carve.web.jobs.layout import DataFolder
from carve.web.jobs.queue import Queue
from carve.web.jobs.store import Store
from carve.web.jobs.supervisor import Supervisor
from carve.web.protocol import timed_protocol
from carve.web.schema import Health, Problem

PAGE = Path(str(files("carve.web"))) / "page"
REST_SECONDS = 10.0
"""Between looks at whether the doorman may go."""
SENTENCES = {404: "There is nothing at this address.", 405: "This address does not take that method."}
"""Where the framework itself refuses."""
STOP_SECONDS = 5
"""Open connections are given so long when the server stops."""


def make_services(data: Path, limits: Limits, keys: dict[str, str] | None, workers: int) -> Services:
    """What the interface stands on, over a data folder."""
    folder = DataFolder(data)
    store, queue = Store(folder.jobs), Queue(folder.queue)
    supervisor = Supervisor(folder, store, queue, limits, workers)
    return Services(folder, store, queue, Doorman(), supervisor, Clients(keys, read_secret(folder.secret)), limits)


def make_app(services: Services, hosts: list[str] | None) -> FastAPI:
    """The application: the page, the REST interface, health and metrics."""
    metrics = CollectorRegistry()
    ProcessCollector(registry=metrics)
    metrics.register(_Figures(services))
    app = FastAPI(
        title="carve",
        version=__version__,
        description="One photo of a clothed person in, a textured, rigged avatar out.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.include_router(router)
    _add_health(app, services, metrics)
    _add_errors(app)
    app.mount("/page", GZipMiddleware(StaticFiles(directory=PAGE), minimum_size=1024), name="page")
    app.add_api_route("/", lambda: FileResponse(PAGE / "index.html"), include_in_schema=False, methods=["GET", "HEAD"])
    app.add_middleware(Guard, clients=services.clients, limits=services.limits, hosts=hosts, metrics=metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.supervisor.start()
    resting = asyncio.create_task(_rest(services.doorman))
    try:
        yield
    finally:
        resting.cancel()
        services.doorman.close()
        await asyncio.to_thread(services.supervisor.stop)


async def _rest(doorman: Doorman) -> None:
    while True:
        await asyncio.sleep(REST_SECONDS)
        doorman.rest()


def _add_health(app: FastAPI, services: Services, metrics: CollectorRegistry) -> None:
    def healthz() -> Health:
        """Whether the server can work."""
        counts, workers = services.store.counts(), services.supervisor.alive()
        status = "ok" if workers else "starting"
        return Health(status=status, workers=workers, queued=counts["queued"], running=counts["running"])

    def figures() -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    refused: dict[int | str, dict[str, object]] = {400: {"model": Problem}, 405: {"model": Problem}}
    app.add_api_route("/healthz", healthz, responses=refused, tags=["server"])
    app.add_api_route(
        "/metrics",
        figures,
        response_class=Response,
        responses={**refused, 401: {"model": Problem}, 200: {"content": {"text/plain": {}}}},
        tags=["server"],
    )


def _add_errors(app: FastAPI) -> None:
    """Every refusal is one sentence under `detail`."""

    def unusable(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": readable(str(error))}, 422)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"detail": readable(f"{where}: {first['msg']}." if where else f"{first['msg']}.")[:300]}, 422)

    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        detail = SENTENCES.get(error.status_code, f"{phrase}.") if error.detail == phrase else error.detail
        return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)

    app.add_exception_handler(CarveError, unusable)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)


class _Figures(Collector):
    """The server's state for Prometheus, as it is when it is asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> list[Metric]:
        """The figures."""
        jobs = GaugeMetricFamily("carve_jobs", "Jobs by state", labels=["state"])
        for state, count in self._services.store.counts().items():
            jobs.add_metric([state], count)
        supervisor = self._services.supervisor
        workers = GaugeMetricFamily("carve_workers", "Workers that run", value=supervisor.alive())
        deaths = GaugeMetricFamily("carve_worker_deaths", "Workers that died since the server was started", value=supervisor.deaths)
        return [jobs, workers, deaths]


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until interrupted. Raises CarveError for arguments that cannot be."""
    host, port = arguments.host, arguments.port
    local = _is_loopback(host)
    if not local and arguments.api_keys is None:
        raise CarveError(f"Others can reach {host}, so the server needs keys: give --api-keys FILE with a line name:key a client.")
    keys = read_keys(arguments.api_keys) if arguments.api_keys else None
    limits = Limits(
        upload_bytes=arguments.max_upload << 20,
        pixels=arguments.max_pixels * 10**6,
        jobs_client=arguments.jobs_per_client,
        queue=arguments.queue,
        job_seconds=arguments.job_time,
        keep_seconds=None if arguments.keep is None else arguments.keep * 3600,
    )
    with writing(arguments.data):
        arguments.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FolderLock(arguments.data / ".server")
    with writing(arguments.data):
        (arguments.data / ".server").mkdir(exist_ok=True)
        lock.take()
    try:
        app = make_app(make_services(arguments.data.resolve(), limits, keys, arguments.workers), _names(host) if keys is None else None)
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=timed_protocol(limits.header_seconds),
            ws="none",
            loop="asyncio",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=limits.connections,
            h11_max_incomplete_event_size=16 << 10,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        shown = f"[{host}]" if ":" in host else host
        print(f"carve is at http://{shown}:{port}/ and keeps avatars in {readable(str(arguments.data))}; Ctrl-C ends it", flush=True)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run()
    finally:
        lock.release()
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(host: str) -> list[str]:
    """What a server that only this machine reaches is called: another name in a request is a page's that was led here (DNS rebinding)."""
    return ["localhost", "127.0.0.1", "::1", host.lower()]
