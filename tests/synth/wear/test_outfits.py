"""Who wears what: sexes, ages, splits, and the order of the layers."""

from __future__ import annotations

import numpy as np
import pytest

from carve.synth.people.bodies import FullBody, Traits, sample_traits
from carve.synth.wear.choice import choose_outfit
from carve.synth.wear.outfits import LONG_HAIR, Outfit
from carve.synth.wear.wardrobe import Wardrobe, held_out


def somebody(body: FullBody, seed: int, years: float | None = None, female: bool | None = None) -> Traits:
    rng = np.random.default_rng(seed)
    while True:
        traits = sample_traits(body, rng)
        if (female is None or traits.female == female) and (years is None or (traits.years < years) == (years < 18)):
            return traits


@pytest.fixture(scope="module")
def many(full_body: FullBody, wardrobe: Wardrobe) -> list[tuple[Traits, Outfit]]:
    """Forty people and what they wear."""
    people = [somebody(full_body, seed) for seed in range(40)]
    return [(traits, choose_outfit(wardrobe, traits, "train", np.random.default_rng(seed))) for seed, traits in enumerate(people)]


def test_splits_share_no_garment_of_a_kind_with_choice(wardrobe: Wardrobe) -> None:
    for kind in ("top", "bottom", "dress", "suit", "shoes", "hair", "hat"):
        train, val = set(wardrobe.names(kind, "train")), set(wardrobe.names(kind, "val"))
        assert train
        assert val
        assert not train & val
    assert wardrobe.names("coat", "train") == wardrobe.names("coat", "val")


def test_held_out_names_do_not_depend_on_order() -> None:
    names = [f"fabric{k}" for k in range(40)]
    assert held_out(names) == held_out(names[::-1])
    assert len(held_out(names)) == 7
    assert held_out(["a", "b"]) == set()


@pytest.mark.parametrize("seed", range(6))
def test_children_wear_nothing_that_is_for_adults(full_body: FullBody, wardrobe: Wardrobe, seed: int) -> None:
    outfit = choose_outfit(wardrobe, somebody(full_body, seed, years=13), "train", np.random.default_rng(seed))
    assert not any(piece.asset.adult_only for piece in outfit.pieces)


@pytest.mark.parametrize("seed", range(8))
def test_everybody_is_covered(full_body: FullBody, wardrobe: Wardrobe, seed: int) -> None:
    traits = somebody(full_body, 100 + seed)
    outfit = choose_outfit(wardrobe, traits, "train", np.random.default_rng(seed))
    kinds = {piece.kind for piece in outfit.pieces}
    assert kinds & {"dress", "suit"} or {"top", "bottom"} <= kinds
    if not traits.female:
        assert not any(piece.kind == "dress" or piece.skirt for piece in outfit.pieces)
        assert not any(piece.asset.gender == "female" and piece.kind in ("top", "bottom", "suit") for piece in outfit.pieces)


def test_what_is_outer_comes_last(many: list[tuple[Traits, Outfit]]) -> None:
    found = set()
    for _, outfit in many:
        order = [piece.kind for piece in outfit.pieces]
        found |= set(order)
        if "coat" in order:
            assert order[-1] == "coat"
        for number, piece in enumerate(outfit.pieces):
            if piece.kind == "shoes":
                boots = "boot" in piece.name.lower()
                legs = [k for k, other in enumerate(outfit.pieces) if other.kind in ("bottom", "suit")]
                assert all((number > k) == boots for k in legs)
    assert {"top", "bottom", "shoes"} <= found


def test_hats_go_on_short_hair_and_women_have_no_beards(many: list[tuple[Traits, Outfit]]) -> None:
    hats = beards = 0
    for traits, outfit in many:
        if outfit.hat is not None:
            hats += 1
            assert outfit.hair not in LONG_HAIR
        if outfit.beard is not None:
            beards += 1
            assert not traits.female
    assert hats
    assert beards


def test_a_given_piece_is_worn(full_body: FullBody, wardrobe: Wardrobe) -> None:
    woman = somebody(full_body, 0, female=True)
    skirt, coat = wardrobe.items("miniskirt")["bottom"], wardrobe.items("Coat")["coat"]
    for given in (skirt, coat):
        outfit = choose_outfit(wardrobe, woman, "train", np.random.default_rng(1), given)
        assert any(piece is given for piece in outfit.pieces)
    below = choose_outfit(wardrobe, woman, "train", np.random.default_rng(2), coat).pieces
    assert not any(piece.skirt for piece in below if piece is not coat)


def test_outfits_are_functions_of_the_generator(full_body: FullBody, wardrobe: Wardrobe) -> None:
    traits = somebody(full_body, 3)
    first, second = (choose_outfit(wardrobe, traits, "train", np.random.default_rng(9)) for _ in range(2))
    assert first.changes == second.changes
    assert [p.name for p in first.pieces] == [p.name for p in second.pieces]
    for a, b in zip(first.pieces, second.pieces, strict=True):
        np.testing.assert_array_equal(a.pattern.offsets, b.pattern.offsets)
