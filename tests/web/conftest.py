"""Servers for the tests: one inside this process without workers, and real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the web tests need the extra `web`")
pytest.importorskip("huey", reason="the web tests need the extra `web`")
pytest.importorskip("httpx", reason="the web tests need httpx")

from starlette.testclient import TestClient

from carve.web.api import Services
from carve.web.guarding.doorman import Doorman
from carve.web.guarding.limits import Limits
from carve.web.server import make_app, make_services

KEYS = {"ann": "key-of-ann-0123456789", "bob": "key-of-bob-0123456789"}


@pytest.fixture(scope="session")
def doorman() -> Iterator[Doorman]:
    """One process that looks at uploads, for all tests."""
    keeper = Doorman()
    yield keeper
    keeper.close()


@pytest.fixture
def services(tmp_path: Path, doorman: Doorman) -> Services:
    made = make_services(tmp_path, Limits(jobs_client=3, queue=50, upload_bytes=2 << 20), None, 0)
    return Services(made.data, made.store, made.queue, doorman, made.supervisor, made.clients, made.limits)


@pytest.fixture
def client(services: Services) -> TestClient:
    """A client of a server without keys; nothing works on the queue."""
    return TestClient(make_app(services, ["127.0.0.1"]), base_url="http://127.0.0.1:8765", raise_server_exceptions=False)


@pytest.fixture
def keyed(tmp_path: Path, doorman: Doorman) -> tuple[TestClient, Services]:
    """A server with the keys of Ann and Bob."""
    made = make_services(tmp_path, Limits(jobs_client=50), KEYS, 0)
    made = Services(made.data, made.store, made.queue, doorman, made.supervisor, made.clients, made.limits)
    return TestClient(make_app(made, None), base_url="https://avatars.example", raise_server_exceptions=False), made
