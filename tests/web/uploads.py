"""Requests that nobody sends who means well, by seed: each has to be refused with one sentence and to leave nothing behind."""

from __future__ import annotations

import io
import json
import random
import socket
import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from fuzz.mutations import damaged

BOUNDARY = "carve-test-boundary"
Part = tuple[str, str | None, bytes]
"""Field, file name (None: no file) and content."""


def picture(kind: str = "JPEG", size: tuple[int, int] = (80, 120)) -> bytes:
    """A small photo-like picture."""
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def form(*parts: Part) -> bytes:
    """A multipart body, written by hand so that it can be wrong."""
    body = b""
    for name, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        body += head.encode("utf-8", "surrogateescape") + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header declares a large picture and which holds but zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def cut_short(rng: random.Random) -> bytes:
    """A photo that ends too early."""
    data = picture(rng.choice(["JPEG", "PNG", "WEBP"]))
    return data[: rng.randrange(4, len(data) // 2)]


def no_picture(rng: random.Random) -> bytes:
    """A file that is something else."""
    return rng.choice(
        [
            b"",
            b"\0" * 5000,
            b"%PDF-1.7\n" + rng.randbytes(300),
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            b"PK\x03\x04" + rng.randbytes(400),
            b"#!/bin/sh\nrm -rf /\n",
            b"GIF89a" + rng.randbytes(20),
            b"RIFF\xff\xff\xff\xffWEBPVP8 " + rng.randbytes(64),
            b"%!PS-Adobe-3.0 EPSF-3.0\n(run) show\n",
            json.dumps({"a": [[]] * 10}).encode(),
            rng.randbytes(rng.randrange(1, 4000)),
        ]
    )


BAD_OPTIONS: list[tuple[str, str]] = [
    ("preset", "../../etc/passwd"),
    ("height", "nine"),
    ("height", "-1"),
    ("height", "9" * 3000),
    ("person", "-1"),
    ("person", "1e9"),
    ("seed", "99999999999999999999"),
    ("focal", "nan"),
    ("set", "texture.size=1e300"),
    ("set", "refine.__class__=1"),
    ("set", "=\0"),
    ("set", "observe={}"),
    ("skeleton", "\u202e"),
    ("compress", "zip"),
    ("triangles", "0x10"),
    ("texture_size", "7"),
    ("vrm", "maybe"),
    ("vrm", "true"),
    ("settings", "/etc/passwd"),
    ("out", "/tmp/x"),
    ("body_model", "/etc/passwd"),
    ("resume", "true"),
    ("rest", "--help"),
]
BAD_NAMES = [
    "../../../etc/passwd",
    "..\\..\\x.jpg",
    "/dev/null",
    "a\0b.jpg",
    "x" * 5000 + ".jpg",
    "CON",
    "%2e%2e%2fx",
    "\udcff.jpg",
    ".",
    "",
]
"""Names of files; what stands in such a file is no photo either."""


def hostile(seed: int) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of one request to POST /v1/avatars."""
    rng = random.Random(seed)
    photo: Part = ("photo", "a.jpg", picture())
    kind = seed % 10
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    if kind == 0:
        body = form(("photo", "a.jpg", no_picture(rng)))
    elif kind == 1:
        body = form(("photo", "a.jpg", cut_short(rng)))
    elif kind == 2:
        body = form(("photo", "a.png", png_bomb(rng.choice([20_000, 9_000, 2**31 - 1]), rng.choice([20_000, 12_000, 1]))))
    elif kind == 3:
        name, value = BAD_OPTIONS[seed // 10 % len(BAD_OPTIONS)]
        body = form(photo, (name, None, value.encode()))
    elif kind == 4:
        body = form(("photo", BAD_NAMES[seed // 10 % len(BAD_NAMES)], no_picture(rng)))
    elif kind == 5:
        doubled: list[Part] = rng.choice([[photo, photo], [photo, ("preset", None, b"fast"), ("preset", None, b"best")], [photo] * 9])
        body = form(*doubled)
    elif kind == 6:
        wrong = rng.choice([b"[1]", b"{" * 5000, b'{"a": {"pixel": [1e999, 0]}}', rng.randbytes(200), b"{}"])
        extra: Part = rng.choice(
            [("mask", "m.png", no_picture(rng)), ("mask", "m.png", picture("PNG", (33, 77))), ("landmarks", "l.json", wrong)]
        )
        body = form(photo, extra)
    elif kind == 7:
        body = rng.choice([b"", form(photo)[: rng.randrange(10, 300)], form(("picture", "a.jpg", picture())), rng.randbytes(500)])
    elif kind == 8:
        body = form(("photo", None, picture()), ("mask", None, b"x"))
    else:
        headers["Content-Type"] = rng.choice(
            ["multipart/form-data", "application/json", "text/plain", "multipart/form-data; boundary=" + "x" * 300]
        )
        body = form(photo)
    if kind in (0, 1) and rng.random() < 0.3:
        body = damaged(form(("photo", "a.jpg", no_picture(rng))), rng)
    return body, headers


HEAD = b"POST /v1/avatars HTTP/1.1\r\nHost: 127.0.0.1\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"
WIRE: dict[str, tuple[bytes, bytes, set[int]]] = {
    "huge header": (HEAD + b"X-Name: " + b"x" * 200_000 + b"\r\n\r\n", b"", {400, 431}),
    "many headers": (HEAD + b"".join(b"X-%d: y\r\n" % k for k in range(20_000)) + b"\r\n", b"", {400, 431}),
    "huge address": (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"", {400, 414}),
    "no request": (b"\x16\x03\x01\x02\x00" + b"\0" * 500 + b"\r\n\r\n", b"", {400}),
    "length that lies": (HEAD + MULTIPART + b"Content-Length: 99999999999\r\n\r\n", b"", {413}),
    "negative length": (HEAD + MULTIPART + b"Content-Length: -5\r\n\r\n", b"", {400}),
    "two lengths": (HEAD + MULTIPART + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"", {400}),
    "two hosts": (HEAD + b"Host: evil.example\r\nContent-Length: 0\r\n\r\n", b"", {400}),
    "path trick": (b"GET /v1/avatars/..%2f..%2fjobs.sqlite HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"", {404, 422}),
    "page path trick": (b"GET /page/..%2f..%2fserver.py HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"", {404}),
    "slow head": (HEAD, b"X-A: b\r\n", {408}),
    "slow body": (HEAD + MULTIPART + b"Content-Length: 5000\r\n\r\n", b"", {408}),
    "slow chunks": (HEAD + MULTIPART + b"Transfer-Encoding: chunked\r\n\r\n2\r\n--\r\n", b"", {408}),
}
"""What one sends at once, what then every second, and the statuses that are right."""


def on_the_wire(port: int, name: str, patience: float = 60.0) -> tuple[int, bytes]:
    """Status and body of the answer to one of WIRE; 0 if the server lets the connection go without a word."""
    first, again, _ = WIRE[name]
    told, end = b"", time.monotonic() + patience
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection, suppress(OSError):
        with suppress(OSError):
            connection.sendall(first)  # the server may have said no before all of it is sent
        connection.settimeout(1.0)
        while time.monotonic() < end:
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                connection.sendall(again)
                continue
            if not piece:
                break
            told += piece
            head, _, body = told.partition(b"\r\n\r\n")
            if body and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0):
                break
    head, _, body = told.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def one_sentence(answer: Any) -> bool:
    """Whether an answer's JSON is one line that says why."""
    detail = answer.json()["detail"]
    return isinstance(detail, str) and 5 < len(detail) < 1000 and "\n" not in detail and "Traceback" not in detail
