"""`carve serve`: the page in the browser and the REST interface."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("fastapi", "uvicorn", "huey", "multipart", "prometheus_client")
"""Packages of the extra `web`."""


def _between(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, as an argument's type."""

    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return value

    return number


def add_serve(parser: argparse.ArgumentParser) -> None:
    """The arguments of `carve serve`."""
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=_between(1, 65535), default=8765, metavar="N", help="default: 8765")
    parser.add_argument("--data", type=Path, default=Path("carve-avatars"), metavar="DIR", help="its folder (default: carve-avatars)")
    parser.add_argument("--api-keys", type=Path, metavar="FILE", help="a line name:key for each client; needed beyond this machine")
    parser.add_argument("--workers", type=_between(1, 64), default=1, metavar="N", help="avatars made at a time (default: 1)")
    parser.add_argument("--keep", type=_between(1, 24 * 3650), metavar="HOURS", help="delete uploads and avatars then (default: never)")
    parser.add_argument("--max-upload", type=_between(1, 1024), default=64, metavar="MIB", help="size of a request (default: 64)")
    parser.add_argument("--max-pixels", type=_between(1, 100), default=100, metavar="MP", help="megapixels of a photo (default: 100)")
    parser.add_argument("--jobs-per-client", type=_between(1, 10000), default=8, metavar="N", help="unfinished at a time (default: 8)")
    parser.add_argument("--queue", type=_between(1, 100000), default=200, metavar="N", help="jobs that may wait (default: 200)")
    parser.add_argument("--job-time", type=_between(10, 86400), default=1800, metavar="S", help="seconds a job may take (default: 1800)")


def serve(arguments: argparse.Namespace) -> int:
    """Serve, if what that needs is installed."""
    from carve.records import CarveError

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CarveError(f"The server needs {', '.join(missing)}; install what it is made of with: pip install 'carve[web]'.")
    from carve.web.server import run_serve

    return run_serve(arguments)
