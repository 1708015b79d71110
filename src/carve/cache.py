"""Where carve keeps what it has made or fetched once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$CARVE_CACHE`, else `$XDG_CACHE_HOME/carve`, else `~/.cache/carve`."""
    return Path(os.environ.get("CARVE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carve")
