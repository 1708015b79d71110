"""Khronos' glTF validator, run by node on files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "validator"


def assert_valid(*files: Path) -> None:
    """Fail unless the validator finds neither errors nor warnings; skip where it is not installed, except in CI."""
    if shutil.which("node") is None or not (FOLDER / "node_modules" / "gltf-validator").is_dir():
        missing = "the glTF validator is missing: install node and run `npm ci` in tests/validator"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    command = ["node", "validate.mjs", *(str(file.resolve()) for file in files)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)
    for name, found in json.loads(done.stdout).items():
        issues = found["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), (name, issues["messages"])
