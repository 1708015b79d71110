"""The asset pack and what takes seconds to make from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from carve.synth.assets.files import Assets, read_assets
from carve.synth.people.bodies import FullBody, ShapedBody, load_full_body
from carve.synth.wear.wardrobe import Wardrobe, reference_body

PACK = Path(__file__).parents[2].parent / "shared" / "assets"


@pytest.fixture(scope="session")
def full_body() -> FullBody:
    """Anny with the helper vertices."""
    return load_full_body()


@pytest.fixture(scope="session")
def woman(full_body: FullBody) -> ShapedBody:
    """An average woman."""
    return reference_body(full_body, female=True)


@pytest.fixture(scope="session")
def man(full_body: FullBody) -> ShapedBody:
    """An average man."""
    return reference_body(full_body, female=False)


@pytest.fixture(scope="session")
def pack() -> Path:
    """The folder of the asset pack."""
    if not (PACK / "garments").is_dir():
        pytest.skip("needs ../shared/assets")
    return PACK


@pytest.fixture(scope="session")
def assets(pack: Path) -> Assets:
    """What lies in it."""
    return read_assets(pack)


@pytest.fixture(scope="session")
def wardrobe(full_body: FullBody, assets: Assets) -> Wardrobe:
    """Its garments as patterns."""
    return Wardrobe(full_body, assets)
