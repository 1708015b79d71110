"""HTTP/1.1 as uvicorn speaks it, for clients that have to be done with a request's head in time."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def _answer(status: bytes, sentence: bytes) -> bytes:
    """A refusal as the application would write it, for connections that never reach it."""
    body = b'{"detail": "%b"}' % sentence
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_TOO_SLOW = _answer(b"408 Request Timeout", b"The request came too slowly.")
_SENSELESS = _answer(b"400 Bad Request", b"The head of the request makes no sense or is too large.")


def timed_protocol(header_seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol that lets a connection go whose first request is not there after so many seconds.

    Between requests uvicorn's own `timeout_keep_alive` counts.
    """

    class TimedProtocol(H11Protocol):
        """Waits for a head only so long."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(header_seconds, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._head_timer.cancel()
            elif self._head_timer.cancelled():
                self._head_timer = self.loop.call_later(header_seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_timer.cancel()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self.transport.write(_SENSELESS)
            self.transport.close()

        def _give_up(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(_TOO_SLOW)
                self.transport.close()

    kind: Any = TimedProtocol
    return kind
