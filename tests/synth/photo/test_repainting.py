"""How often clothes change, and that nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.synth.photo.repainting import repaint
from carve.synth.records import PARTS, View
from synth.views import make_view, person_scene


@pytest.fixture(scope="module")
def somebodys_view(anny_body: AnnyBody) -> View:
    return make_view(person_scene(anny_body, 3))


def test_half_of_the_garments_change_and_nothing_else_does(somebodys_view: View) -> None:
    changed = {"top": 0, "bottom": 0}
    for seed in range(60):
        both = repaint(somebodys_view, np.random.default_rng(seed), back=True)
        fresh = both["albedo_front"]
        np.testing.assert_array_equal(fresh, repaint(somebodys_view, np.random.default_rng(seed))["albedo_front"])
        differs = (fresh != somebodys_view.albedo).any(-1)
        assert not differs[somebodys_view.coverage == 0].any()
        for name in changed:
            changed[name] += bool(differs[somebodys_view.part == PARTS.index(name)].any())
        skin = somebodys_view.part == PARTS.index("skin")
        assert np.abs(fresh[skin].astype(float).mean(0) - somebodys_view.albedo[skin].mean(0)).max() < 50
    assert 20 <= changed["top"] <= 42
    assert 20 <= changed["bottom"] <= 42


def test_prints_are_strong(somebodys_view: View) -> None:
    top = somebodys_view.part == PARTS.index("top")
    before = somebodys_view.albedo[top].astype(float).std(0).max()
    after = [repaint(somebodys_view, np.random.default_rng(s))["albedo_front"][top].astype(float).std(0).max() for s in range(60)]
    assert 2 <= sum(spread > before + 20 for spread in after) <= 15


def test_front_and_back_of_a_garment_get_one_dye(somebodys_view: View) -> None:
    """A view whose back is its front: whatever is drawn on it is the same on both."""
    twin = replace(somebodys_view, albedo_back=somebodys_view.albedo, part_back=somebodys_view.part, fabric_back=somebodys_view.fabric)
    for seed in range(12):
        both = repaint(twin, np.random.default_rng(seed), back=True)
        np.testing.assert_array_equal(both["albedo_front"], both["albedo_back"])


def test_prints_move_with_the_cloth(somebodys_view: View) -> None:
    """Cloth that is shifted by some metres of fabric takes a repeating print with it: the same colours where the fabric is the same."""
    shifted = replace(somebodys_view, fabric=np.where(somebodys_view.fabric > 0, somebodys_view.fabric + 400, 0).astype(np.uint16))
    for seed in range(30):
        a, b = (repaint(v, np.random.default_rng(seed))["albedo_front"] for v in (somebodys_view, shifted))
        assert np.abs(a.astype(int) - b).mean() < 0.5
