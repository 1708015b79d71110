"""What somebody wears: outfits that make sense for their sex and age, each piece varied in length and width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from carve.synth.people.bodies import ShapedBody, Traits
from carve.synth.people.hair_styles import TRAIN_VARIANTS, VAL_VARIANTS, fits_a_hat, hair_name, style_names
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


def _pick(rng: np.random.Generator, names: list[str]) -> str | None:
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
        pattern = _lowered_hem(item, stretch, reference)
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


def _lowered_hem(item: Item, amount: float, reference: ShapedBody) -> Pattern:
    """A top whose lower part is stretched downwards by `amount`, tailing off towards the chest."""
    frame = item.frame
    low, high = float(frame.where[:, 1].min()), float(frame.where[:, 1].min()) + 0.25
    ramp = np.clip((high - frame.where[:, 1]) / (high - low), 0, 1) * (frame.arm < 0.3)
    move = np.zeros_like(frame.where)
    move[:, 1] = -amount * ramp
    # Below the waist the body widens: the stretched part goes out with it, and the layering does the rest.
    return displaced(item.pattern, move, reference)


def choose_outfit(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator, given: Item | None = None) -> Outfit:
    """An outfit for somebody; `given` is a piece (a draped one) that it must be built around."""
    adult, female = traits.adult, traits.female

    def allowed(kind: str, either: float = 0.25) -> list[str]:
        """Assets of a kind for this person; with probability `either` the other sex's count too."""
        both = rng.random() < either
        found = []
        for name in wardrobe.names(kind, split):
            asset = wardrobe.assets.garments[name]
            fits = asset.gender == "unisex" or both or asset.gender == ("female" if female else "male")
            if fits and (adult or not asset.adult_only) and not (asset.adult_only and not female):
                found.append(name)
        return found

    suits = allowed("suit", either=0.4 if female else 0.0) or wardrobe.names("suit", split)
    tops = allowed("top", either=0.0) + suits * 2
    bottoms = allowed("bottom", either=0.0) + suits
    changes: dict[str, dict[str, float]] = {}

    def vary(item: Item) -> Item:
        new, changed = varied(item, wardrobe, traits, rng)
        changes[new.name] = changed
        return new

    def piece(names: list[str], kind: str) -> Item | None:
        """A random piece of that kind; suits give their halves."""
        options = [name for name in names if kind in wardrobe.items(name)]
        name = _pick(rng, options)
        return vary(wardrobe.items(name)[kind]) if name else None

    top = bottom = whole = coat = None
    if given is not None:
        if given.kind == "coat":
            coat = given
        elif given.kind == "bottom":
            bottom = given
        elif given.kind == "top":
            top = given
        else:
            whole = given
    dresses = [n for n in allowed("dress", either=0.0) if female]
    if whole is None and top is None and bottom is None:
        style = (
            rng.choice(["dress", "suit", "mix"], p=[0.25, 0.3, 0.45]) if female and dresses else rng.choice(["suit", "mix"], p=[0.45, 0.55])
        )
        if style == "dress" and coat is None:
            whole = piece(dresses, "dress")
        elif style == "suit":
            name = _pick(rng, suits)
            halves = wardrobe.items(name) if name else {}
            whole = vary(halves["suit"]) if "suit" in halves else None
            top, bottom = (vary(halves[kind]) if kind in halves else None for kind in ("top", "bottom"))
        if whole is None and top is None:
            top, bottom = piece(tops, "top"), piece(bottoms, "bottom")
    tunic = whole is not None and whole.kind == "dress" and not whole.skirt
    if (whole is None or tunic) and bottom is None:
        bottom = piece([n for n in bottoms if (coat is None and not tunic) or not _hangs(wardrobe, n)], "bottom")
    if whole is None and top is None:
        top = piece(tops, "top")
    if coat is None and given is None and adult and whole is None and rng.random() < 0.07 and bottom is not None and not bottom.skirt:
        coat = piece(wardrobe.names("coat", split) if female else [], "coat")
    if top is not None and bottom is not None and top is not given and (not female or not adult or rng.random() < 0.85):
        top = _meeting(top, bottom, wardrobe)
    shoes = _shoes(wardrobe, traits, split, rng, bottom)
    if shoes is not None:
        changes[shoes.name] = {}
    boots = shoes is not None and _is_boot(shoes)
    overalls = bottom is not None and float(bottom.frame.where[:, 1].max()) > bottom.frame.waist + 0.2
    inner = [shoes] if shoes is not None and not boots else []
    body_order = [top, bottom] if overalls else [bottom, top]
    outer = [shoes] if boots else []
    pieces = [item for item in (*inner, *body_order, whole, *outer, coat) if item is not None]
    hair, beard = _hair(wardrobe, traits, split, rng)
    hat = glasses = None
    if adult and (hair is None or hair in SHORT_HAIR or fits_a_hat(hair)) and rng.random() < 0.25:
        name = _pick(rng, wardrobe.names("hat", split))
        hat = wardrobe.items(name)["hat"] if name else None
    if rng.random() < 0.07:
        name = _pick(rng, wardrobe.names("accessory", split))
        glasses = wardrobe.items(name)["accessory"] if name else None
    return Outfit(tuple(pieces), hair, beard, hat, glasses, changes)


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
        shoes = (_shoes(wardrobe, traits, split, rng, lower[0] if lower else None) if of_assets else None) or make_shoes(low > 0.3)
    hooded = any(float(item.frame.where[:, 1].max()) > item.frame.chin for item in worn)
    hair, beard = _hair(wardrobe, traits, split, rng)
    if hooded:
        hair = None  # a style's volume would come through the cloth
    hat = glasses = None
    if traits.adult and not hooded and (hair is None or hair in SHORT_HAIR) and rng.random() < 0.25:
        name = _pick(rng, wardrobe.names("hat", split)) if rng.random() < ASSETS_SHARE else None
        hat = wardrobe.items(name)["hat"] if name else make_hat()
    if rng.random() < 0.07:
        name = _pick(rng, wardrobe.names("accessory", split))
        glasses = wardrobe.items(name)["accessory"] if name else None
    boots = shoes is not None and low > 0.3 and _is_boot(shoes)
    pieces = (*worn, shoes) if boots else (shoes, *worn)
    return Outfit(tuple(item for item in pieces if item is not None), hair, beard, hat, glasses, {})


def _meeting(top: Item, bottom: Item, wardrobe: Wardrobe) -> Item:
    """The top long enough to cover the waistband of what is worn below; heights are compared relative to the hips, as bodies differ."""
    low = float(top.frame.where[:, 1].min()) - top.frame.hip
    band = float(np.percentile(bottom.frame.where[:, 1], 99)) - bottom.frame.hip
    gap = low - (band - 0.05)
    if gap <= 0 or band > 0.3:
        return top
    return wardrobe.item(_lowered_hem(top, gap, wardrobe.reference_of(top.asset)), top.kind, top.name)


def _hangs(wardrobe: Wardrobe, name: str) -> bool:
    """The garment has a piece that hangs around both legs."""
    return any(item.skirt for item in wardrobe.items(name).values())


def _is_boot(item: Item) -> bool:
    return "boot" in item.name.lower()


def _shoes(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator, bottom: Item | None) -> Item | None:
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
    picked = _pick(rng, names or wardrobe.names("shoes", split))
    return wardrobe.items(picked)["shoes"] if picked else None


def _hair(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator) -> tuple[str | None, str | None]:
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
    return _pick(rng, wanted or names), beard
