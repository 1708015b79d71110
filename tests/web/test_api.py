"""The REST interface: what is taken, what is refused and how, and whose it is."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from carve.app import cli
from carve.web.api import Services
from carve.web.files import ARTEFACTS
from carve.web.guarding.doorman import Doorman
from carve.web.guarding.limits import Limits
from carve.web.options import FLAGS, LISTS, VALUES, planned, words
from carve.web.server import make_app, make_services
from web.conftest import KEYS
from web.uploads import hostile, one_sentence, picture


def send(client: TestClient, headers: dict[str, str] | None = None, photo: bytes | None = None, **fields: Any) -> Any:
    files = {"photo": ("Ann at the sea.jpg", picture() if photo is None else photo)}
    return client.post("/v1/avatars", files=files, data=fields, headers=headers or {})


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def left_on_disk(services: Services) -> list[Path]:
    return list(services.data.avatars.rglob("*")) if services.data.avatars.exists() else []


def test_a_photo_waits_and_can_be_looked_at(client: TestClient, services: Services) -> None:
    answer = send(client, height="5'9", preset="fast")
    assert answer.status_code == 202
    id_ = answer.json()["id"]
    state = client.get(answer.json()["url"]).json()
    assert (state["state"], state["waiting"], state["width"], state["height"]) == ("queued", 0, 80, 120)
    assert state["name"] == "Ann at the sea" and state["options"] == {"height": "5'9", "preset": "fast"}
    assert services.queue.waiting() == {id_}
    shown = client.get(state["files"][0]["url"])
    assert shown.headers["content-type"] == "image/webp" and Image.open(io.BytesIO(shown.content)).size == (80, 120)


def test_delete_leaves_nothing(client: TestClient, services: Services) -> None:
    id_ = send(client).json()["id"]
    assert client.delete(f"/v1/avatars/{id_}").status_code == 204
    assert client.get(f"/v1/avatars/{id_}").status_code == 404
    assert not left_on_disk(services) and not services.store.all_ids()


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"height": "9"}, "no person's height"),
        ({"preset": "x"}, "invalid choice"),
        ({"set": ["texture.size=5"]}, "texture.size"),
        ({"person": "-3"}, "observe.person"),
        ({"skeleton": "worm"}, "--skeleton"),
        ({"vrm": "true"}, "--vrm-author"),
        ({"body_model": "/etc/passwd"}, "no field"),
    ],
)
def test_options_are_judged_as_on_the_command_line(client: TestClient, services: Services, fields: dict[str, Any], part: str) -> None:
    answer = send(client, **fields)
    assert answer.status_code == 422 and part in answer.json()["detail"]
    assert not left_on_disk(services) and not services.store.all_ids()


def test_every_option_is_the_command_lines() -> None:
    parser = cli._parser()
    for name in VALUES + LISTS + FLAGS:
        value: Any = True if name in FLAGS else ["a.b=1"] if name in LISTS else "1"
        line = [word for word in words({name: value}) if word.startswith(f"--{name.replace('_', '-')}")]
        assert len(line) == 1
        known = [option for group in parser._subparsers._group_actions for option in group.choices["reconstruct"]._option_string_actions]  # type: ignore[union-attr]
        assert line[0].partition("=")[0] in known


def test_a_value_is_never_an_option() -> None:
    assert words({"copyright": "--out=/tmp/x"}) == ["--out=-", "--copyright=--out=/tmp/x", "--", "-"]


@pytest.mark.parametrize("seed", range(20))
def test_hostile_uploads_are_refused_and_leave_nothing(client: TestClient, services: Services, seed: int) -> None:
    body, headers = hostile(seed)
    answer = client.post("/v1/avatars", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert one_sentence(answer)
    assert str(services.data.path) not in answer.text
    assert not left_on_disk(services) and not services.store.all_ids()
    assert client.get("/healthz").status_code == 200


def test_too_many_jobs_of_one_client_are_refused(client: TestClient, services: Services) -> None:
    assert [send(client).status_code for _ in range(5)] == [202, 202, 202, 429, 429]
    assert len(services.store.all_ids()) == 3 == len(list(services.data.avatars.iterdir()))


def test_too_large_a_body_is_refused_by_its_head_and_while_it_comes(client: TestClient, services: Services) -> None:
    assert client.post("/v1/avatars", content=b"x", headers={"Content-Length": str(3 << 20)}).status_code == 413

    def endless() -> Any:
        for _ in range(100):
            yield bytes(1 << 16)

    head = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/avatars", content=endless(), headers=head)
    assert answer.status_code in (400, 413) and one_sentence(answer)
    assert not left_on_disk(services)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:9999"},
    ],
)
def test_changes_come_from_our_own_page_only(client: TestClient, headers: dict[str, str]) -> None:
    assert send(client, headers).status_code == 403


def test_our_own_page_may_change(client: TestClient) -> None:
    assert send(client, {"Origin": "http://127.0.0.1:8765", "Sec-Fetch-Site": "same-origin"}).status_code == 202


def test_another_name_of_this_machine_is_refused(client: TestClient) -> None:
    assert client.get("/v1/avatars", headers={"Host": "evil.example"}).status_code == 400


def test_answers_carry_what_browsers_heed(client: TestClient) -> None:
    for path in ("/", "/v1/session", "/page/main.js", "/v1/avatars/0000000000000000"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers


def test_without_a_key_nothing_is_told(keyed: tuple[TestClient, Services]) -> None:
    client, _ = keyed
    for path in ("/v1/avatars", "/v1/avatars/0000000000000000", "/metrics"):
        assert client.get(path).status_code == 401
    assert client.get("/v1/avatars", headers={"Authorization": "Bearer " + "x" * 20}).status_code == 401
    assert client.get("/healthz").status_code == 200


def test_a_client_sees_only_its_own(keyed: tuple[TestClient, Services]) -> None:
    client, _ = keyed
    id_ = send(client, bearer("ann")).json()["id"]
    for path in ("", "/events", "/files/photo.webp"):
        assert client.get(f"/v1/avatars/{id_}{path}", headers=bearer("bob")).status_code == 404
    assert client.delete(f"/v1/avatars/{id_}", headers=bearer("bob")).status_code == 404
    assert client.post(f"/v1/avatars/{id_}/rerun", headers=bearer("bob")).status_code == 404
    assert client.get(f"/v1/avatars/{id_}", headers=bearer("ann")).status_code == 200
    assert client.get("/v1/avatars", headers=bearer("bob")).json() == {"avatars": []}


def test_many_clients_at_once_lose_nothing_and_get_their_own(keyed: tuple[TestClient, Services]) -> None:
    client, services = keyed
    names = ["ann", "bob"] * 12

    def one(name: str) -> tuple[str, str]:
        return name, send(client, bearer(name)).json()["id"]

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(one, names))
    assert len({id_ for _, id_ in sent}) == 24 and services.queue.waiting() == {id_ for _, id_ in sent}
    for name in ("ann", "bob"):
        own = {a["id"] for a in client.get("/v1/avatars", headers=bearer(name)).json()["avatars"]}
        assert own == {id_ for owner, id_ in sent if owner == name}


def test_the_pages_cookie_is_a_session(keyed: tuple[TestClient, Services]) -> None:
    client, _ = keyed
    assert client.post("/v1/session", json={"key": "wrong" * 5}).status_code == 401
    answer = client.post("/v1/session", json={"key": KEYS["ann"]})
    said = answer.headers["set-cookie"].lower()
    assert answer.status_code == 204 and all(word in said for word in ("httponly", "samesite=strict", "secure"))
    assert client.get("/v1/session").json()["client"] == "ann"
    assert send(client).status_code == 202
    cookie = client.cookies["carve_session"]
    client.cookies.set("carve_session", cookie.replace("ann", "bob"))
    assert client.get("/v1/avatars").status_code == 401


@pytest.mark.parametrize(
    "path", ["../../jobs.sqlite", "..%2f..%2fjobs.sqlite", "run.json", "photo", "%2e%2e/upload/photo", "avatar.glb%00.png"]
)
def test_only_known_files_can_be_fetched(client: TestClient, path: str) -> None:
    id_ = send(client).json()["id"]
    answer = client.get(f"/v1/avatars/{id_}/files/{path}")
    assert answer.status_code in (404, 422) and b"SQLite" not in answer.content


def test_a_file_of_every_name_lies_inside_the_avatars_folder(services: Services) -> None:
    from carve.web.files import place

    folder = services.data.avatar("0123456789abcdef")
    for name in ARTEFACTS:
        assert place(folder, name).resolve().is_relative_to(folder.path.resolve())


def finished(services: Services, id_: str) -> None:
    """Let a job be done, with nothing made."""
    services.store.claim(id_, 1)
    services.store.finish(id_, 1)


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def test_a_rerun_takes_corrections_and_keeps_options(client: TestClient, services: Services) -> None:
    id_ = send(client, height="1.80", preset="fast").json()["id"]
    finished(services, id_)
    mask = png(np.pad(np.full((40, 20), 255, np.uint8), 10))  # half of the photo's size, as the page sends it
    landmarks = json.dumps({"nose": {"pixel": [10, 20]}}).encode()
    files = {"mask": ("m.png", mask), "landmarks": ("l.json", landmarks)}
    answer = client.post(f"/v1/avatars/{id_}/rerun", files=files, data={"height": "", "seed": "5"})
    assert answer.status_code == 202, answer.text
    state = client.get(f"/v1/avatars/{id_}").json()
    assert state["state"] == "queued" and state["options"] == {"preset": "fast", "seed": "5"}
    assert state["corrected"] == ["mask", "landmarks"]
    finished(services, id_)
    assert client.post(f"/v1/avatars/{id_}/rerun", data={"reset": ["mask"]}).status_code == 202
    assert client.get(f"/v1/avatars/{id_}").json()["corrected"] == ["landmarks"]


def test_what_was_kept_long_enough_is_deleted(tmp_path: Path, doorman: Doorman) -> None:
    made = make_services(tmp_path, Limits(keep_seconds=0.0), None, 0)
    kept = replace(made, doorman=doorman)
    client = TestClient(make_app(kept, ["127.0.0.1"]), base_url="http://127.0.0.1:8765")
    ready, waiting = (send(client).json()["id"] for _ in range(2))
    finished(kept, ready)
    kept.supervisor._clean()
    assert client.get(f"/v1/avatars/{ready}").status_code == 404 and not kept.data.avatar(ready).path.exists()
    assert client.get(f"/v1/avatars/{waiting}").status_code == 200 and kept.data.avatar(waiting).photo.exists()


def test_a_rerun_leaves_hair_and_bags_away_and_takes_that_back(client: TestClient, services: Services) -> None:
    id_ = send(client).json()["id"]
    finished(services, id_)
    assert client.post(f"/v1/avatars/{id_}/rerun", data={"without": ["hair", "bag"]}).status_code == 202
    options = client.get(f"/v1/avatars/{id_}").json()["options"]
    assert options == {"without": ["hair", "bag"]} and planned(options).settings().worn.off == ("hair", "bag")
    finished(services, id_)
    assert client.post(f"/v1/avatars/{id_}/rerun", data={"without": "hat"}).status_code == 422
    assert client.post(f"/v1/avatars/{id_}/rerun", data={"without": ""}).status_code == 202
    assert client.get(f"/v1/avatars/{id_}").json()["options"] == {}


@pytest.mark.parametrize(
    ("fields", "files"),
    [
        ({"from": "nowhere"}, {}),
        ({"reset": "photo"}, {}),
        ({"from": "texture"}, {"mask": ("m.png", png(np.full((120, 80), 255, np.uint8)))}),
        ({}, {"mask": ("m.png", png(np.zeros((120, 80), np.uint8)))}),
        ({}, {"mask": ("m.png", png(np.full((50, 80), 255, np.uint8)))}),
        ({}, {"landmarks": ("l.json", b"[]")}),
        ({}, {"photo": ("p.jpg", picture())}),
        ({"seed": "-1"}, {}),
    ],
)
def test_a_bad_correction_changes_nothing(client: TestClient, services: Services, fields: dict[str, str], files: dict[str, Any]) -> None:
    id_ = send(client).json()["id"]
    finished(services, id_)
    before = sorted(left_on_disk(services))
    answer = client.post(f"/v1/avatars/{id_}/rerun", data=fields, files=files)
    assert answer.status_code == 422 and one_sentence(answer)
    assert str(services.data.path) not in answer.text
    assert client.get(f"/v1/avatars/{id_}").json()["state"] == "done"
    assert sorted(left_on_disk(services)) == before


def test_events_tell_until_it_is_done(client: TestClient, services: Services) -> None:
    id_ = send(client).json()["id"]
    finished(services, id_)
    lines = client.get(f"/v1/avatars/{id_}/events").text.split("\n")
    assert lines[0] == "event: state" and json.loads(lines[1].removeprefix("data: "))["state"] == "done"


def test_metrics_count_jobs_and_answers(client: TestClient) -> None:
    send(client)
    text = client.get("/metrics").text
    assert 'carve_jobs{state="queued"} 1.0' in text and 'carve_http_answers_total{method="POST",status="202"} 1.0' in text


@pytest.mark.parametrize("name", ["../../x.jpg", "C:\\a\\b.png", "\u202eevil.jpg", "", ".jpg", "a" * 500])
def test_the_clients_name_is_only_shown(client: TestClient, services: Services, name: str) -> None:
    answer = client.post("/v1/avatars", files={"photo": (name or "photo", picture())})
    assert answer.status_code == 202
    shown = services.store.get(answer.json()["id"])
    assert shown is not None and 0 < len(shown.name) <= 80 and "/" not in shown.name and shown.name.isprintable()
    assert {path.name for path in left_on_disk(services)} <= {shown.id, "upload", "shown", "photo", "photo.webp"}
