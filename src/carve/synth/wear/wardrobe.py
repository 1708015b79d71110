"""What there is to wear: every garment of an asset folder as a refined pattern, parted into train and val."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from carve.synth.assets.files import Assets, GarmentAsset
from carve.synth.people.bodies import FullBody, ShapedBody, Traits, shape_body
from carve.synth.wear.garments import Pattern, coarse_pattern, refined_pattern
from carve.synth.wear.variations import Frame, frame_of, is_skirt, split_suit

Split = Literal["train", "val"]

EDGE = 0.017
"""Longest edge of a garment that is not simulated, metres on the reference body."""
SMALL_EDGE = 0.012
"""The same for shoes, hats and glasses."""

_MIDDLE = {"age": 0.7, "muscle": 0.5, "weight": 0.5, "height": 0.45, "proportions": 0.6, "cupsize": 0.5, "firmness": 0.5}

CLOTHES = ("top", "bottom", "dress", "coat", "suit")


@dataclass(frozen=True)
class Item:
    """A wearable piece: a garment, or the upper or lower half of a suit."""

    name: str
    """The asset's name, with `:top` or `:bottom` for half a suit."""
    kind: str
    """`top`, `bottom`, `dress`, `suit`, `coat`, `shoes`, `hat`, `accessory`."""
    pattern: Pattern
    frame: Frame
    skirt: bool
    """It hangs around both legs."""
    stand: float = 0.0
    """Degrees by which it holds the feet steeper than the ground: high heels."""

    @property
    def asset(self) -> GarmentAsset:
        return self.pattern.asset


def reference_body(body: FullBody, female: bool) -> ShapedBody:
    """An average adult, on whom patterns are refined and changed."""
    phenotypes = {**_MIDDLE, "gender": 1.0 if female else 0.0}
    return shape_body(body, Traits(30.0, phenotypes, (1 / 3, 1 / 3, 1 / 3), {}, {}))


def held_out(names: list[str], share: float = 1 / 6) -> set[str]:
    """The names that only validation sees: about `share` of them by hash; none of fewer than three."""
    if len(names) < 3:
        return set()
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return set(ordered[: max(1, round(share * len(names)))])


@dataclass
class Wardrobe:
    """Patterns, made when first asked for."""

    body: FullBody
    assets: Assets
    references: dict[bool, ShapedBody] = field(default_factory=dict)
    _items: dict[tuple[str, float], dict[str, Item]] = field(default_factory=dict)

    def reference(self, female: bool) -> ShapedBody:
        """The average woman or man."""
        if female not in self.references:
            self.references[female] = reference_body(self.body, female)
        return self.references[female]

    def reference_of(self, asset: GarmentAsset) -> ShapedBody:
        """The reference body that a garment was made for."""
        return self.reference(asset.gender == "female")

    def names(self, kind: str, split: Split) -> list[str]:
        """Assets of a kind that a split may use, sorted."""
        mine = sorted(name for name, asset in self.assets.garments.items() if asset.kind == kind)
        kept = held_out(mine)
        return [name for name in mine if (name in kept) == (split == "val") or not kept]

    def gives(self, name: str, kind: str) -> bool:
        """Whether `items` has a piece of that kind. Only suits must be made to know: they may come in halves."""
        own = self.assets.garments[name].kind
        return kind in self.items(name) if own == "suit" else kind == own

    def items(self, name: str, edge: float | None = None) -> dict[str, Item]:
        """The pieces of one garment by kind: one, or `top` and `bottom` of a suit."""
        asset = self.assets.garments[name]
        longest = edge or (EDGE if asset.kind in CLOTHES else SMALL_EDGE)
        if (name, longest) not in self._items:
            reference = self.reference_of(asset)
            pattern = refined_pattern(coarse_pattern(self.body, asset), reference, longest)
            parts = split_suit(self.body, pattern, reference) if asset.kind == "suit" else {asset.kind: pattern}
            self._items[name, longest] = {
                kind: self.item(piece, kind if len(parts) == 1 else f"{kind}", name if len(parts) == 1 else f"{name}:{kind}")
                for kind, piece in parts.items()
            }
        return self._items[name, longest]

    def item(self, pattern: Pattern, kind: str, name: str) -> Item:
        """A pattern with its measures."""
        frame = frame_of(self.body, pattern, self.reference_of(pattern.asset))
        return Item(name, kind, pattern, frame, kind in ("bottom", "dress", "coat") and is_skirt(pattern, frame))
