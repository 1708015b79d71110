"""Compiled functions work wherever they are imported: with a cache, without one, with one that is damaged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = "from carve.geometry.compiled import compiled\n\n@compiled(nogil=True)\ndef twice(x):\n    return 2 * x\n"
CALL = "import doubling; print(doubling.twice(21), doubling.twice.stats.cache_hits.values())"


def run(folder: Path, **variables: str) -> str:
    (folder / "doubling.py").write_text(SOURCE)
    result = subprocess.run([sys.executable, "-c", CALL], cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    assert run(tmp_path) == "42 dict_values([])\n"
    kept = [p for p in (tmp_path / "__pycache__").iterdir() if p.suffix in (".nbi", ".nbc")]
    assert {p.suffix for p in kept} == {".nbi", ".nbc"}
    for path in kept:
        path.write_bytes(b"\x80\x04damaged" * 20)
    assert run(tmp_path) == "42 dict_values([])\n"
    assert run(tmp_path) == "42 dict_values([1])\n"


def test_without_a_place_to_write_there_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    nowhere = str(tmp_path / "home")
    assert run(tmp_path, HOME=nowhere, XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1") == "42 dict_values([])\n"


def test_nothing_is_compiled_with_numba_s_own_cache() -> None:
    sources = Path(__file__).parents[2] / "src"
    if not sources.is_dir():
        pytest.skip("no checkout")
    own = [path.name for path in sources.rglob("*.py") if re.search(r"n?jit\([^)]*cache=True", path.read_text(encoding="utf-8"))]
    assert not own
