"""Headless Chromium that loads avatars with the libraries that people use, for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "browser"


def in_the_browser(scenario: str, *files: Path) -> dict[str, Any]:
    """What a scenario of tests/browser/scenarios.mjs reports of the files; skips where the browser is missing, fails where CI is set."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if shutil.which("node") is None or chromium is None or not (FOLDER / "node_modules" / "three").is_dir():
        missing = "the browser tests need node, `npm ci` in tests/browser, and Chromium (Debian: apt install chromium)"
        if os.environ.get("CI") == "true" and "chromium" not in os.environ.get("CARVE_MISSING", "").split():
            pytest.fail(missing)
        pytest.skip(missing)
    command = ["node", "run.mjs", chromium, scenario, *(str(file.resolve()) for file in files)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    return report
