"""Shoes on feet that no picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.geometry.unwrapping.atlas import Texels
from carve.stages.unseen_feet import SHOE, shod
from people import capsule_avatar


@pytest.mark.parametrize(("left", "right", "wears"), [(0.0, 0.0, True), (0.8, 0.0, False), (0.0, 0.3, False)])
def test_only_feet_that_are_both_unseen_get_shoes(left: float, right: float, wears: bool) -> None:
    surface = capsule_avatar().surface.canonical
    count = len(surface.faces)
    grid = Texels(1024, np.arange(count), np.arange(count, dtype=np.int32), np.full((count, 3), 1 / 3, np.float32))
    colours, weight = np.full((count, 3), 200.0), np.ones(count)
    on = {side: (surface.region[surface.faces] == REGIONS.index(f"{side}_foot")).mean(1) > 0.5 for side in ("left", "right")}
    weight[on["left"]], weight[on["right"]] = left, right
    feet = on["left"] | on["right"]
    found = shod(colours, weight, grid, surface)
    assert feet.any() and (found[~feet] == 200).all()
    assert (found[feet] == (SHOE if wears else 200.0)).all()
