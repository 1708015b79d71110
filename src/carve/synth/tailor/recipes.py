"""Drawing designs from the families, and outfits of designs that go together."""

from __future__ import annotations

from typing import Any

import numpy as np

from carve.synth.tailor.design import Design
from carve.synth.tailor.families.every import FAMILIES
from carve.synth.tailor.families.family import FABRICS, Slot

WHOLE_PIECE = 0.4
"""Share of the women in dresses and jumpsuits."""
OVER = {"mid": 0.2, "outer": 0.28, "wrap": 0.06}
"""How often something is worn over a top or a dress."""


def sample_design(family: str, rng: np.random.Generator) -> Design:
    """One design of a family."""
    data = FAMILIES[family]
    values: dict[str, Any] = dict(data.fixed)
    for name, (low, high) in data.ranges.items():
        value = float(rng.uniform(low, high))
        values[name] = round(value) if name == "pleats" else value
    fabric = FABRICS[data.fabrics[rng.integers(len(data.fabrics))]]
    values["density"], values["bend"] = (float(np.exp(rng.uniform(*np.log(r)))) for r in (fabric.density, fabric.bend))
    details = data.details + tuple(name for name, share in data.perhaps.items() if rng.random() < share)
    return Design(family, data.kind, details=details, seed=int(rng.integers(2**31)), **values)


def families_of(slot: Slot, female: bool, adult: bool) -> list[str]:
    """The families that somebody wears in a slot, in the table's order."""
    return [
        name
        for name, family in FAMILIES.items()
        if family.slot == slot and (adult or not family.adult) and (family.wearer == "anybody" or (family.wearer == "women") == female)
    ]


def _pick(slot: Slot, female: bool, adult: bool, rng: np.random.Generator) -> Design | None:
    names = families_of(slot, female, adult)
    if not names:
        return None
    odds = np.array([FAMILIES[name].often for name in names])
    return sample_design(names[rng.choice(len(names), p=odds / odds.sum())], rng)


def sample_outfit(female: bool, adult: bool, rng: np.random.Generator) -> tuple[Design, ...]:
    """Designs from the inside out."""
    pieces: list[Design | None] = []
    if rng.random() < (WHOLE_PIECE if female else 0.04):
        pieces.append(_pick("whole", female, adult, rng))
    else:
        bottom, top = _pick("bottom", female, adult, rng), _pick("top", female, adult, rng)
        over = top is not None and bottom is not None and not top.tucked and bottom.family != "dungarees"
        pieces += [bottom, top] if over else [top, bottom]
    bulky = any(piece is not None and (piece.layer > 2 or piece.hooded) for piece in pieces)
    cape = False
    for slot, share in OVER.items():
        if rng.random() < share and not (slot == "mid" and bulky) and not cape:
            over_all = _pick(slot, female, adult, rng)  # type: ignore[arg-type]
            if over_all is not None and not (over_all.hooded and any(piece is not None and piece.hooded for piece in pieces)):
                pieces.append(over_all)
                cape = slot == "outer"
    return tuple(piece for piece in pieces if piece is not None)
