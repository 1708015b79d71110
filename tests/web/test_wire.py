"""What is sent by clients that speak HTTP badly, slowly or without end: each gets one sentence, and the server stays up."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx

from web.test_recovery import Running, running
from web.uploads import WIRE, on_the_wire

__all__ = ["running"]


def test_bad_and_slow_requests_are_refused_with_one_sentence(running: Running) -> None:
    with ThreadPoolExecutor(len(WIRE)) as pool:
        answers = dict(zip(WIRE, pool.map(lambda name: on_the_wire(running.port, name), WIRE), strict=True))
    wrong = {name: answers[name] for name, (_, _, right) in WIRE.items() if answers[name][0] not in right}
    assert not wrong
    for name, (_, body) in answers.items():
        detail = json.loads(body)["detail"]
        assert detail.endswith(".") and "\n" not in detail, name
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    assert not list((running.data / "avatars").iterdir())
