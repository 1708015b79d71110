"""Packages that carve does without: tests that need one skip by its name where it is missing, and fail where CI is set."""

from __future__ import annotations

import os
from importlib import util

import pytest


def needs(package: str) -> None:
    """Skip the test if the package is missing; fail if CI is set, unless it says that this one may be (CARVE_MISSING, as .ci/run does)."""
    if util.find_spec(package) is not None:
        return
    told = f"the package {package} is missing: pip install 'carve[export]'"
    if os.environ.get("CI") == "true" and package not in os.environ.get("CARVE_MISSING", "").split():
        pytest.fail(told)
    pytest.skip(told)
