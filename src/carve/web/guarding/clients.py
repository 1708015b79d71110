"""Who asks: keys of an `--api-keys` file, sessions of the page, and the one local client of a server without keys.

A key is sent as `Authorization: Bearer KEY`. The page exchanges it for a cookie that says `client.expiry.signature`, so that pictures and
downloads, which send no header of ours, are the client's too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from carve.files.fence import fence
from carve.files.text import read_text
from carve.files.whole import whole
from carve.records import CarveError

LOCAL = "local"
"""The client of a server without keys."""
COOKIE = "carve_session"
SESSION_SECONDS = 12 * 3600
MIN_KEY = 16
"""Characters of a key; shorter ones can be tried out."""
MAX_KEYS_FILE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Clients:
    """Knows the clients by what they send."""

    def __init__(self, keys: Mapping[str, str] | None, secret: bytes) -> None:
        """`keys` maps a client's name to its key; None for a server that has but one client."""
        self._digests = None if keys is None else {name: _digest(key) for name, key in keys.items()}
        self._secret = secret

    @property
    def with_keys(self) -> bool:
        """Whether a key is needed."""
        return self._digests is not None

    def by_key(self, key: str) -> str | None:
        """The client whose key it is. Every key is compared, each in constant time."""
        if self._digests is None:
            return LOCAL
        digest = _digest(key)
        found = [name for name, own in self._digests.items() if hmac.compare_digest(own, digest)]
        return found[0] if found else None

    def session(self, client: str) -> str:
        """What the cookie of a new session says."""
        text = f"{client}.{int(time.time()) + SESSION_SECONDS}"
        return f"{text}.{self._sign(text, client)}"

    def by_session(self, cookie: str) -> str | None:
        """The client of a session that is ours and not over."""
        text, _, signature = cookie.rpartition(".")
        client, _, expiry = text.partition(".")
        known = self._digests is not None and client in self._digests
        if not known or not hmac.compare_digest(self._sign(text, client), signature.encode("ascii", "replace").decode()):
            return None
        return client if expiry.isdigit() and int(expiry) > time.time() else None

    def _sign(self, text: str, client: str) -> str:
        """A signature that ends with the client's key."""
        own = b"" if self._digests is None else self._digests[client]
        return hmac.new(self._secret, own + text.encode(), hashlib.sha256).hexdigest()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def read_keys(path: Path) -> dict[str, str]:
    """Keys of a file with a line `name:key` a client; empty lines and those that begin with # mean nothing.

    Raises:
        CarveError: a line is not of that form, a name or key comes twice, or a key is too short.
    """
    with fence(f"The file of keys {path}"):
        lines = read_text(path, MAX_KEYS_FILE).splitlines()
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise CarveError(f"Line {number} of {path} is not of the form name:key; a name has letters, digits, - and _.")
        if len(key) < MIN_KEY:
            raise CarveError(f"The key of '{name}' in {path} has fewer than {MIN_KEY} characters.")
        if name in keys or key in keys.values():
            raise CarveError(f"Line {number} of {path} has a name or a key that came before.")
        keys[name] = key
    if not keys:
        raise CarveError(f"The file {path} holds no keys; write a line name:key for each client.")
    return keys


def read_secret(path: Path) -> bytes:
    """The key that signs sessions; made once, for the owner's eyes only."""
    if not path.exists():
        with whole(path) as pending:
            pending.chmod(0o600)
            pending.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()
