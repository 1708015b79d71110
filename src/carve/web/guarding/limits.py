"""What a server allows."""

from __future__ import annotations

from dataclasses import dataclass

from carve.io.image import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """Bounds that hold for every client."""

    upload_bytes: int = 64 << 20
    """Of one request, all its files together."""
    pixels: int = MAX_PIXELS
    """Of a photo."""
    jobs_client: int = 8
    """Queued and running, of one client."""
    queue: int = 200
    """Jobs that wait, of all clients."""
    kept_client: int = 1000
    """Avatars of one client that lie here."""
    job_seconds: float = 1800.0
    """A job that runs longer is stopped."""
    keep_seconds: float | None = None
    """A finished job and its uploads are deleted after this; None keeps them."""
    idle_seconds: float = 15.0
    """A client that sends nothing for so long in the middle of a request is let go."""
    body_seconds: float = 300.0
    """A request's body has to be there after this."""
    header_seconds: float = 10.0
    """A request's head has to be there after this."""
    connections: int = 512
    """At a time."""
