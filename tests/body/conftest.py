from __future__ import annotations

import pytest

from carve.body.anny import AnnyBody, load_anny


@pytest.fixture(scope="session")
def anny_body() -> AnnyBody:
    """The body from the compact cache, which is built if there is none."""
    return load_anny()
