"""How often clothes change, and that nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.synth.photo.repainting import repaint
from carve.synth.records import PARTS, View
from synth.views import make_view, person_scene


@pytest.fixture(scope="module")
def somebodys_view(anny_body: AnnyBody) -> View:
    return make_view(person_scene(anny_body, 3))


def test_a_third_of_the_garments_change_and_nothing_else_does(somebodys_view: View) -> None:
    changed = {"top": 0, "bottom": 0}
    for seed in range(60):
        fresh = repaint(somebodys_view, np.random.default_rng(seed))
        np.testing.assert_array_equal(fresh, repaint(somebodys_view, np.random.default_rng(seed)))
        differs = (fresh != somebodys_view.albedo).any(-1)
        assert not differs[somebodys_view.coverage == 0].any()
        for name in changed:
            changed[name] += bool(differs[somebodys_view.part == PARTS.index(name)].any())
        skin = somebodys_view.part == PARTS.index("skin")
        assert np.abs(fresh[skin].astype(float).mean(0) - somebodys_view.albedo[skin].mean(0)).max() < 50
    assert 10 <= changed["top"] <= 34
    assert 10 <= changed["bottom"] <= 34


def test_prints_are_strong(somebodys_view: View) -> None:
    top = somebodys_view.part == PARTS.index("top")
    before = somebodys_view.albedo[top].astype(float).std(0).max()
    after = [repaint(somebodys_view, np.random.default_rng(s))[top].astype(float).std(0).max() for s in range(60)]
    assert sum(spread > before + 20 for spread in after) >= 5
