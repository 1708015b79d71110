"""What stands before every request: whose host it asks for, where a change comes from, who sends it, how much it sends and how fast.

All is decided on the head, before the body is read; the body is then counted while it comes. Answers get the headers that browsers heed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carve.web.guarding.clients import COOKIE, LOCAL, Clients
from carve.web.guarding.limits import Limits

SMALL_BODY = 64 << 10
"""Bytes of a request that uploads nothing."""
UPLOADS = ("/v1/avatars", "/rerun")
OPEN = ("/v1/session",)
"""Paths under /v1 that ask for no key."""
CLOSED = ("/v1", "/metrics")
"""Paths that ask for one where there are keys."""
SAFE = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; font-src 'self'; "
    "manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, clients: Clients, limits: Limits, hosts: Iterable[str] | None, metrics: CollectorRegistry) -> None:
        """`hosts` are the names that the server goes by; None takes any, for servers with keys."""
        self._app, self._clients, self._limits = app, clients, limits
        self._hosts = None if hosts is None else frozenset(hosts)
        self._answers = Counter("carve_http_answers", "Answers by method and status", ["method", "status"], registry=metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    fields.setdefault(name, value)
                if scope["path"].startswith(CLOSED):
                    fields.setdefault("Cache-Control", "no-store")
                self._answers.labels(scope["method"] if len(scope["method"]) < 8 else "other", str(message["status"])).inc()
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(answered, *refusal)
            return
        await self._app(scope, self._counted(scope, receive), answered)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence if the head alone is enough to say no."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or (self._hosts is not None and _hostname(host) not in self._hosts):
            return 400, "This server does not go by that name."
        if scope["method"] not in SAFE and not _same_origin(headers, host):
            return 403, "Changes are taken from this server's own page only."
        path = scope["path"]
        client = self._client(headers)
        scope.setdefault("state", {})["client"] = client
        if client is None and path.startswith(CLOSED) and path not in OPEN:
            return 401, "A key is needed: send it as Authorization: Bearer KEY."
        declared = headers.get("content-length", "0")
        if len(headers.getlist("content-length")) > 1 or not (declared.isascii() and declared.isdigit()):
            return 400, "The length of the request makes no sense."
        if int(declared[:20]) > self._most(scope):
            return 413, f"That is too much: {self._most(scope) / 2**20:.4g} MiB are the most."
        return None

    def _client(self, headers: Headers) -> str | None:
        """Who asks, by key or session; None if nobody that is known."""
        if not self._clients.with_keys:
            return LOCAL
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._clients.by_key(key.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return None if cookie is None else self._clients.by_session(cookie.value)

    def _most(self, scope: Scope) -> int:
        upload = scope["method"] == "POST" and scope["path"].rstrip("/").endswith(UPLOADS)
        return self._limits.upload_bytes if upload else SMALL_BODY

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """The body as it comes, within bounds of bytes and seconds."""
        most, begun = self._most(scope), time.monotonic()
        taken, complete = 0, False

        async def counted() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            left = min(self._limits.idle_seconds, begun + self._limits.body_seconds - time.monotonic())
            try:
                async with asyncio.timeout(max(left, 0.01)):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The request came too slowly.", {"Connection": "close"}) from error
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > most:
                raise HTTPException(413, f"That is too much: {most / 2**20:.4g} MiB are the most.", {"Connection": "close"})
            return message

        return counted


def _hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a change comes from our own page, or from a program that is no browser."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return False
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
