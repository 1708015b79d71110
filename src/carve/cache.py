"""Where carve keeps what it has made or fetched once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def is_there(path: Path) -> bool:
    """Whether a path leads to something; False also where the folders above it may not be looked into."""
    try:
        return path.exists()
    except OSError:
        return False


def cache_folder() -> Path:
    """`$CARVE_CACHE`, else `$XDG_CACHE_HOME/carve`, else `~/.cache/carve`."""
    try:
        home = Path.home()
    except RuntimeError:  # nobody's home is known
        home = Path(tempfile.gettempdir()) / "carve-without-a-home"
    return Path(os.environ.get("CARVE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "carve")
