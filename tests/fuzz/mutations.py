"""Damage to files: bytes anywhere, and values inside containers whose checksums and lengths still fit."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from typing import Any

NUMBERS = [
    b"1e300",
    b"-1",
    b"0",
    b"nan",
    b"inf",
    b"99999999999999999999",
    b"1e-320",
    b"2147483648",
    b"-0.0",
    b"1,5",
    b"0x10",
    b"true",
    b'"x"',
    b"[]",
]
WORDS = [b"\x00" * 4, b"\xff" * 4, struct.pack("<I", 2**31), struct.pack(">I", 2**31 - 1), struct.pack("<I", 2**24), b"\x00\x00\xff\xff"]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes of a file after one to four changes anywhere."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not content:
            return rng.randbytes(rng.randrange(64))
        at = rng.randrange(len(content))
        length = rng.choice((1, 2, 4, 16, 64, 1024))
        kind = rng.randrange(9)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at] = rng.randrange(256)
        elif kind == 2:
            del content[at : at + length]
        elif kind == 3:
            content[at:at] = content[at : at + length]
        elif kind == 4:
            content[at:at] = rng.randbytes(length)
        elif kind == 5:
            del content[at:]
        elif kind == 6:
            word = rng.choice(WORDS)
            content[at : at + len(word)] = word
        elif kind == 7:
            other = rng.randrange(len(content))
            content[at : at + length] = content[other : other + length]
        else:
            numbers = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(content[:200_000])))
            if numbers:
                chosen = rng.choice(numbers)
                content[chosen.start() : chosen.end()] = rng.choice(NUMBERS)
    return bytes(content)


def damaged_value(value: Any, rng: random.Random) -> Any:
    """A JSON value with one place in it replaced, removed or nested."""
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, (dict, list)):
            keys = list(node) if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            stack += [node[key] for key in keys]
    if not places:
        return rng.choice(_values(rng))
    node, key = rng.choice(places)
    if rng.random() < 0.2 and isinstance(node, dict):
        del node[key]
    elif rng.random() < 0.2 and isinstance(node, dict):
        node[rng.choice(("", "x" * 300, "\ud800", "[red]", str(key).upper()))] = node.pop(key)
    else:
        node[key] = rng.choice(_values(rng))
    return value


def _values(rng: random.Random) -> list[Any]:
    deep: Any = []
    for _ in range(rng.choice((10, 200, 900))):
        deep = [deep]
    return [
        -1,
        0,
        1,
        2**31,
        2**63,
        10**30,
        1e300,
        float("nan"),
        float("inf"),
        1e-320,
        0.5,
        True,
        None,
        "",
        "x",
        "\n",
        [],
        {},
        [0] * 50,
        deep,
    ]


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """JSON with one value changed."""
    return json.dumps(damaged_value(json.loads(data), rng)).encode()


def damaged_zip(data: bytes, rng: random.Random) -> bytes:
    """An archive of which one member is damaged, renamed, doubled or gone, with checksums that fit."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = source.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = source.read(name)
            if name == chosen:
                kind = rng.randrange(5)
                if kind == 0:
                    continue
                if kind == 1:
                    name = rng.choice(names)
                elif name.endswith(".json"):
                    content = damaged_json(content, rng)
                elif kind == 2 and len(content) > 128:
                    content = _other_header(content, rng)
                else:
                    content = damaged(content[:256], rng) + content[256:]
            target.writestr(name, content)
    return out.getvalue()


def _other_header(content: bytes, rng: random.Random) -> bytes:
    """An .npy whose header says something else."""
    end = content.index(b"\n") if b"\n" in content[:512] else 127
    header = content[10:end].decode("latin-1")
    changed = rng.choice(
        [
            re.sub(r"\(.*?\)", rng.choice(("(10000000000,)", "(-1, 3)", "(0,)", "(3", "((),)", "(1e9,)", "(4, 4, 4, 4)")), header),
            re.sub(r"'descr': '.*?'", rng.choice(("'descr': '|O'", "'descr': '<f8'", "'descr': '<U9999999'", "'descr': 'V0'")), header),
            header.replace("{", "(" * rng.choice((1, 90)), 1),
            header + "\n'''",
        ]
    )[: end - 10]
    return content[:10] + changed.ljust(end - 10).encode("latin-1") + content[end:]


def damaged_glb(data: bytes, rng: random.Random) -> bytes:
    """A GLB whose JSON or buffer is changed, with lengths that fit."""
    length = struct.unpack("<I", data[12:16])[0]
    tree, rest = json.loads(data[20 : 20 + length]), data[20 + length :]
    for _ in range(rng.choice((1, 1, 2))):
        tree = damaged_value(tree, rng)
    if rng.random() < 0.3 and len(rest) > 16:
        at = rng.randrange(8, len(rest) - 4)
        rest = rest[:at] + rng.choice(WORDS) + rest[at + 4 :]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<II", 2, 20 + len(text) + len(rest)) + struct.pack("<I", len(text)) + b"JSON" + text + rest


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """A PNG with a chunk damaged or doubled, or of another length than it says, with checksums that fit."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    chosen = rng.randrange(len(chunks))
    kind, content = chunks[chosen]
    chunks[chosen] = (kind, damaged(content, rng))
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    lengths = [struct.pack(">I", len(content)) for _, content in chunks]
    if rng.random() < 0.1:
        lengths[rng.randrange(len(chunks))] = rng.choice(WORDS)
    told = zip(lengths, chunks, strict=True)
    return data[:8] + b"".join(length + k + c + struct.pack(">I", zlib.crc32(k + c)) for length, (k, c) in told)
