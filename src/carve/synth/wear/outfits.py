"""What somebody wears: outfits that make sense for their sex and age, each piece varied in length and width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from carve.synth.people.bodies import ShapedBody, Traits
from carve.synth.people.hair_styles import TRAIN_VARIANTS, VAL_VARIANTS, hair_name, style_names
from carve.synth.wear.garments import Pattern
from carve.synth.wear.variations import (
    cut_hem,
    cut_sleeves,
    displaced,
    lengthened,
    loosened,
    open_front,
    widened_legs,
    widened_skirt,
    widened_sleeves,
)
from carve.synth.wear.wardrobe import Item, Split, Wardrobe


@dataclass(frozen=True)
class Outfit:
    """Pieces from the inside out."""

    pieces: tuple[Item, ...]
    """Clothes and shoes in the order in which they lie on one another."""
    hair: str | None
    """Asset of the hair style, or a cut of `carve.synth.people.hair_styles`; none is a bald head."""
    beard: str | None
    """Style of `carve.synth.hair.beards.beard_pattern`."""
    hat: Item | None
    glasses: Item | None
    changes: dict[str, dict[str, float]]
    """What was changed on each piece."""


BAREFOOT = 0.06
"""Share of the people in tailor's garments who wear no shoes."""
ASSETS_SHARE = 0.3
"""Share of their shoes and hats that come from the assets, where these have some."""
SHORT_HAIR = ("short02", "short04")
"""Hair that fits below a hat."""
GROWN_HAIR = 0.72
"""Share of the hair that is grown and not an asset."""
LONG_HAIR = ("bob01", "bob02", "braid01", "long01", "ponytail01")


def pick(rng: np.random.Generator, names: list[str]) -> str | None:
    """One of the names, if there are any."""
    return str(names[rng.integers(len(names))]) if names else None


def varied(item: Item, wardrobe: Wardrobe, traits: Traits, rng: np.random.Generator) -> tuple[Item, dict[str, float]]:
    """A piece shorter or longer, looser or tighter, wider at legs, hem or sleeves; what was changed, in metres or shares."""
    changes: dict[str, float] = {}
    reference = wardrobe.reference_of(item.asset)
    frame, pattern = item.frame, item.pattern

    def renew() -> None:
        nonlocal frame, item
        item = wardrobe.item(pattern, item.kind, item.name)
        frame = item.frame

    low = float(frame.where[:, 1].min())
    legs = item.kind in ("bottom", "suit") and not item.skirt
    if item.skirt and rng.random() < 0.6:
        if rng.random() < 0.5:
            changes["lengthened"] = float(rng.uniform(1.05, 1.9))
            pattern = lengthened(pattern, frame, changes["lengthened"], reference)
        elif frame.hip - low > 0.34:
            changes["hem"] = float(rng.uniform(low, frame.hip - 0.3))
            pattern = cut_hem(pattern, frame, changes["hem"])
        renew()
    if item.skirt and item.kind != "coat" and rng.random() < 0.4:
        changes["widened"] = float(rng.uniform(0.02, 0.16))
        pattern = widened_skirt(pattern, frame, changes["widened"], reference)
        renew()
    if legs and low < frame.ankle + 0.15:
        if rng.random() < 0.28:
            knee = 0.5 * (frame.hip + frame.ankle)
            changes["hem"] = float(rng.uniform(frame.ankle + 0.05, knee) if rng.random() < 0.4 else rng.uniform(knee, frame.hip - 0.18))
            pattern = cut_hem(pattern, frame, changes["hem"])
            renew()
        if rng.random() < 0.45:
            changes["legs"], flare = float(rng.uniform(0.005, 0.06)), float(rng.uniform(0.2, 1.0))
            pattern = widened_legs(pattern, frame, changes["legs"], flare, reference)
            renew()
    reach = float(frame.along_arm.max())
    if reach > 0.5 and rng.random() < 0.35:
        changes["sleeves_cut"] = float(rng.uniform(0.2, 0.92))
        pattern = cut_sleeves(pattern, frame, changes["sleeves_cut"])
        renew()
    if reach > 0.2 and rng.random() < 0.3:
        changes["sleeves"] = float(rng.uniform(0.005, 0.05))
        pattern = widened_sleeves(pattern, frame, changes["sleeves"], reference)
        renew()
    if item.kind == "top" and frame.hip - low < 0.02 and rng.random() < 0.35:
        stretch = float(rng.uniform(0.02, 0.12))
        changes["hem_lower"] = stretch
        pattern = lowered_hem(item, stretch, reference)
        renew()
    if item.kind == "coat" and rng.random() < 0.6:
        changes["open"] = float(rng.uniform(0.02, 0.2))
        pattern = open_front(pattern, frame, changes["open"], float(rng.uniform(frame.hip, frame.waist + 0.35)))
        renew()
    if rng.random() < 0.55:
        changes["looser"] = float(rng.uniform(-0.004, 0.022) if item.kind != "bottom" else rng.uniform(-0.003, 0.008))
        pattern = loosened(pattern, frame, changes["looser"], reference)
        renew()
    return item, changes


def lowered_hem(item: Item, amount: float, reference: ShapedBody) -> Pattern:
    """A top whose lower part is stretched downwards by `amount`, tailing off towards the chest."""
    frame = item.frame
    low, high = float(frame.where[:, 1].min()), float(frame.where[:, 1].min()) + 0.25
    ramp = np.clip((high - frame.where[:, 1]) / (high - low), 0, 1) * (frame.arm < 0.3)
    move = np.zeros_like(frame.where)
    move[:, 1] = -amount * ramp
    # Below the waist the body widens: the stretched part goes out with it, and the layering does the rest.
    return displaced(item.pattern, move, reference)


def complete_outfit(
    wardrobe: Wardrobe,
    traits: Traits,
    split: Split,
    rng: np.random.Generator,
    worn: tuple[Item, ...],
    make_shoes: Callable[[bool], Item],
    make_hat: Callable[[], Item],
) -> Outfit:
    """The outfit around clothes that are there already, from the inside out: shoes, hair, hat and glasses.

    `make_shoes`, told whether the legs are bare, and `make_hat` make what the assets do not give.
    """
    lower = [item for item in worn if item.kind in ("bottom", "dress", "suit")]
    low = min((float(item.frame.where[:, 1].min()) - item.frame.ankle for item in lower), default=1.0)
    shoes = None
    if rng.random() > BAREFOOT:
        of_assets = rng.random() < ASSETS_SHARE
        shoes = (shoes_for(wardrobe, traits, split, rng, lower[0] if lower else None) if of_assets else None) or make_shoes(low > 0.3)
    hooded = any(float(item.frame.where[:, 1].max()) > item.frame.chin for item in worn)
    hair, beard = hair_for(wardrobe, traits, split, rng)
    if hooded:
        hair = None  # a style's volume would come through the cloth
    hat = glasses = None
    if traits.adult and not hooded and (hair is None or hair in SHORT_HAIR) and rng.random() < 0.25:
        name = pick(rng, wardrobe.names("hat", split)) if rng.random() < ASSETS_SHARE else None
        hat = wardrobe.items(name)["hat"] if name else make_hat()
    if rng.random() < 0.07:
        name = pick(rng, wardrobe.names("accessory", split))
        glasses = wardrobe.items(name)["accessory"] if name else None
    boots = shoes is not None and low > 0.3 and is_boot(shoes)
    pieces = (*worn, shoes) if boots else (shoes, *worn)
    return Outfit(tuple(item for item in pieces if item is not None), hair, beard, hat, glasses, {})


def is_boot(item: Item) -> bool:
    """Whether shoes are boots, by their name."""
    return "boot" in item.name.lower()


def shoes_for(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator, bottom: Item | None) -> Item | None:
    """Shoes that go with what is worn on the legs, or none."""
    if rng.random() < 0.08:
        return None
    trousers = bottom is not None and not bottom.skirt and float(bottom.frame.where[:, 1].min()) < bottom.frame.ankle + 0.12
    names = []
    for name in wardrobe.names("shoes", split):
        asset = wardrobe.assets.garments[name]
        sex = asset.gender == "unisex" or asset.gender == ("female" if traits.female else "male")
        # Boots go over bare legs or tight trousers; a calf boot below a trouser leg would bulge.
        fits = "boot" not in name.lower() or not trousers or (bottom is not None and "tight" in bottom.name.lower())
        if sex and fits:
            names.append(name)
    picked = pick(rng, names or wardrobe.names("shoes", split))
    return wardrobe.items(picked)["shoes"] if picked else None


def hair_for(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator) -> tuple[str | None, str | None]:
    """Hair style and beard."""
    names = wardrobe.names("hair", split)
    beard = None
    if not traits.female and traits.years > 19 and rng.random() < 0.38:
        beard = str(rng.choice(["stubble", "short", "full", "moustache", "goatee"], p=[0.35, 0.25, 0.18, 0.08, 0.14]))
    if not traits.female and traits.years > 25 and rng.random() < 0.1:
        return None, beard
    if not names or rng.random() < GROWN_HAIR:
        style = str(rng.choice(style_names(traits.female)))
        return hair_name(style, int(rng.choice(TRAIN_VARIANTS if split == "train" else VAL_VARIANTS))), beard
    heavy = traits.phenotypes["weight"] > 0.75
    long_share = 0.82 if traits.female else 0.06
    long = rng.random() < long_share
    wanted = [n for n in names if (n in LONG_HAIR) == long and not (heavy and n == "long01")]
    return pick(rng, wanted or names), beard
