"""A naked body on the tests' way through the export, made once."""

from __future__ import annotations

import pytest

from carve.body.anny import AnnyBody
from carve.export.asset import Exported, make_asset
from carve.export.extras.face import with_face
from carve.export.records import Asset
from carve.records import Avatar
from naked_bodies import naked_avatar


@pytest.fixture(scope="session")
def naked(anny_body: AnnyBody) -> Avatar:
    return naked_avatar(anny_body)


@pytest.fixture(scope="session")
def exported(naked: Avatar) -> Exported:
    return make_asset(naked)


@pytest.fixture(scope="session")
def with_shapes(naked: Avatar, exported: Exported) -> Asset:
    return with_face(exported.asset, naked)


@pytest.fixture(scope="session")
def exported_asset(exported: Exported) -> Asset:
    return exported.asset
