"""An outfit out of the wardrobe that makes sense for somebody's sex and age."""

from __future__ import annotations

import numpy as np

from carve.synth.people.bodies import Traits
from carve.synth.people.hair_styles import fits_a_hat
from carve.synth.wear.outfits import SHORT_HAIR, Outfit, hair_for, is_boot, lowered_hem, pick, shoes_for, varied
from carve.synth.wear.wardrobe import Item, Split, Wardrobe


def choose_outfit(wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator, given: Item | None = None) -> Outfit:
    """An outfit for somebody; `given` is a piece (a draped one) that it must be built around."""
    choice = _Choice(wardrobe, traits, split, rng, given)
    if choice.whole is None and choice.top is None and choice.bottom is None:
        choice.by_style()
    choice.complete()
    shoes = shoes_for(wardrobe, traits, split, rng, choice.bottom)
    if shoes is not None:
        choice.changes[shoes.name] = {}
    pieces = choice.layered(shoes)
    hair, beard = hair_for(wardrobe, traits, split, rng)
    hat = glasses = None
    if traits.adult and (hair is None or hair in SHORT_HAIR or fits_a_hat(hair)) and rng.random() < 0.25:
        name = pick(rng, wardrobe.names("hat", split))
        hat = wardrobe.items(name)["hat"] if name else None
    if rng.random() < 0.07:
        name = pick(rng, wardrobe.names("accessory", split))
        glasses = wardrobe.items(name)["accessory"] if name else None
    return Outfit(pieces, hair, beard, hat, glasses, choice.changes)


class _Choice:
    """Clothes as they are chosen one after the other: the same chance gives the same clothes."""

    def __init__(self, wardrobe: Wardrobe, traits: Traits, split: Split, rng: np.random.Generator, given: Item | None) -> None:
        self._wardrobe, self._traits, self._split, self._rng, self._given = wardrobe, traits, split, rng, given
        self._suits = self._allowed("suit", 0.4 if traits.female else 0.0) or wardrobe.names("suit", split)
        self._tops = self._allowed("top", 0.0) + self._suits * 2
        self._bottoms = self._allowed("bottom", 0.0) + self._suits
        self._dresses = [name for name in self._allowed("dress", 0.0) if traits.female]
        kind = None if given is None else given.kind
        self.coat = given if kind == "coat" else None
        self.bottom = given if kind == "bottom" else None
        self.top = given if kind == "top" else None
        self.whole = given if kind not in (None, "coat", "bottom", "top") else None
        self.changes: dict[str, dict[str, float]] = {}

    def _allowed(self, kind: str, either: float) -> list[str]:
        """Assets of a kind for this person; with probability `either` the other sex's count too."""
        both = self._rng.random() < either
        adult, female = self._traits.adult, self._traits.female
        found = []
        for name in self._wardrobe.names(kind, self._split):
            asset = self._wardrobe.assets.garments[name]
            fits = asset.gender == "unisex" or both or asset.gender == ("female" if female else "male")
            if fits and (adult or not asset.adult_only) and not (asset.adult_only and not female):
                found.append(name)
        return found

    def _vary(self, item: Item) -> Item:
        new, changed = varied(item, self._wardrobe, self._traits, self._rng)
        self.changes[new.name] = changed
        return new

    def _piece(self, names: list[str], kind: str) -> Item | None:
        """A random piece of that kind; suits give their halves."""
        options = [name for name in names if self._wardrobe.gives(name, kind)]
        name = pick(self._rng, options)
        return self._vary(self._wardrobe.items(name)[kind]) if name else None

    def by_style(self) -> None:
        """A dress, a suit or single pieces, where nothing is given for trunk and legs."""
        if self._traits.female and self._dresses:
            style = self._rng.choice(["dress", "suit", "mix"], p=[0.25, 0.3, 0.45])
        else:
            style = self._rng.choice(["suit", "mix"], p=[0.45, 0.55])
        if style == "dress" and self.coat is None:
            self.whole = self._piece(self._dresses, "dress")
        elif style == "suit":
            name = pick(self._rng, self._suits)
            halves = self._wardrobe.items(name) if name else {}
            self.whole = self._vary(halves["suit"]) if "suit" in halves else None
            self.top, self.bottom = (self._vary(halves[kind]) if kind in halves else None for kind in ("top", "bottom"))
        if self.whole is None and self.top is None:
            self.top, self.bottom = self._piece(self._tops, "top"), self._piece(self._bottoms, "bottom")

    def complete(self) -> None:
        """What is missing to be dressed; perhaps a coat; a top that meets what is worn below."""
        tunic = self.whole is not None and self.whole.kind == "dress" and not self.whole.skirt
        if (self.whole is None or tunic) and self.bottom is None:
            free = self.coat is None and not tunic
            self.bottom = self._piece([name for name in self._bottoms if free or not _hangs(self._wardrobe, name)], "bottom")
        if self.whole is None and self.top is None:
            self.top = self._piece(self._tops, "top")
        self._add_coat()
        if self.top is None or self.bottom is None or self.top is self._given:
            return
        if not self._traits.female or not self._traits.adult or self._rng.random() < 0.85:
            self.top = _meeting(self.top, self.bottom, self._wardrobe)

    def _add_coat(self) -> None:
        alone = self.coat is None and self._given is None and self._traits.adult and self.whole is None
        if alone and self._rng.random() < 0.07 and self.bottom is not None and not self.bottom.skirt:
            self.coat = self._piece(self._wardrobe.names("coat", self._split) if self._traits.female else [], "coat")

    def layered(self, shoes: Item | None) -> tuple[Item, ...]:
        """All pieces from the inside out: boots over trousers, overalls over tops."""
        boots = shoes is not None and is_boot(shoes)
        overalls = self.bottom is not None and float(self.bottom.frame.where[:, 1].max()) > self.bottom.frame.waist + 0.2
        trunk = [self.top, self.bottom] if overalls else [self.bottom, self.top]
        order = [None if boots else shoes, *trunk, self.whole, shoes if boots else None, self.coat]
        return tuple(item for item in order if item is not None)


def _meeting(top: Item, bottom: Item, wardrobe: Wardrobe) -> Item:
    """The top long enough to cover the waistband of what is worn below; heights are compared relative to the hips, as bodies differ."""
    low = float(top.frame.where[:, 1].min()) - top.frame.hip
    band = float(np.percentile(bottom.frame.where[:, 1], 99)) - bottom.frame.hip
    gap = low - (band - 0.05)
    if gap <= 0 or band > 0.3:
        return top
    return wardrobe.item(lowered_hem(top, gap, wardrobe.reference_of(top.asset)), top.kind, top.name)


def _hangs(wardrobe: Wardrobe, name: str) -> bool:
    """The garment has a piece that hangs around both legs."""
    return any(item.skirt for item in wardrobe.items(name).values())
