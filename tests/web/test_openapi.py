"""The server keeps to its own description: schemathesis asks for what that allows and for what it forbids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from carve.web.guarding.limits import Limits
from carve.web.server import make_app, make_services

schemathesis: Any = pytest.importorskip("schemathesis", reason="the test of the OpenAPI document needs schemathesis")

PATHS = (
    "/healthz",
    "/metrics",
    "/v1/avatars",
    "/v1/avatars/{avatar}",
    "/v1/avatars/{avatar}/events",
    "/v1/avatars/{avatar}/files/{name}",
    "/v1/avatars/{avatar}/rerun",
    "/v1/session",
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    services = make_services(tmp_path_factory.mktemp("described"), Limits(), None, 0)
    yield schemathesis.openapi.from_asgi("/openapi.json", make_app(services, None))
    services.doorman.close()


def test_every_path_is_described(described: Any) -> None:
    assert tuple(sorted(described.raw_schema["paths"])) == PATHS


@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_no_request_breaks_the_server_or_its_description(described: Any, mode: Any) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    asked = 0
    for found in described.get_all_operations():
        operation = found.ok()
        try:
            strategy = operation.as_strategy(generation_mode=mode)

            @given(case=strategy)
            @settings(
                max_examples=4,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                derandomize=True,
                phases=[Phase.generate],
                database=None,
            )
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(checks=checks)

            ask()
        except Unsatisfiable:
            assert mode is schemathesis.GenerationMode.NEGATIVE  # without parameters there is nothing to be wrong with
    assert asked > 20
