"""Hair styles as numbers: where hair grows, how long, which way it is combed, how it hangs, what it is gathered into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Comb = Literal["down", "back", "forward", "up", "out", "parted"]
Gathered = Literal["loose", "bun", "tail", "braid", "two braids", "dreads"]
Worn = Literal["women", "men", "both"]


@dataclass(frozen=True)
class Style:
    """One way to wear one's hair. Ranges are drawn from; metres."""

    top: tuple[float, float]
    """Length on the crown and above the forehead."""
    sides: tuple[float, float]
    """Length over the ears and in the nape."""
    comb: Comb = "down"
    """Which way the top is combed; sides and nape go down."""
    worn: Worn = "both"
    curl: Literal["straight", "wavy", "curly"] = "straight"
    gathered: Gathered = "loose"
    high: float = 0.0
    """How high a bun or tail sits: 0 in the nape, 1 on the crown."""
    fringe: bool = False
    """Front hair falls over the forehead and is cut above the eyes."""
    receding: float = 0.0
    """How far the hairline lies behind the usual one above the temples, metres."""
    lift: tuple[float, float] = (0.15, 0.4)
    """Share of the direction away from the scalp that hair grows in."""
    limp: float = 18.0
    """How fast hair bends downwards, 1 / metres."""


STYLES: dict[str, Style] = {
    "buzz": Style((0.004, 0.009), (0.003, 0.006), "out", "men", lift=(0.8, 1.0), limp=0.0),
    "crew": Style((0.014, 0.028), (0.006, 0.012), "up", "men", lift=(0.6, 0.9), limp=0.0),
    "fade": Style((0.02, 0.05), (0.002, 0.006), "forward", "men", lift=(0.3, 0.6), limp=2.0),
    "undercut": Style((0.07, 0.13), (0.004, 0.008), "back", "men", lift=(0.3, 0.55), limp=4.0),
    "undercut parted": Style((0.07, 0.13), (0.004, 0.01), "parted", "both", lift=(0.3, 0.5), limp=7.0),
    "quiff": Style((0.035, 0.06), (0.006, 0.014), "up", "men", lift=(0.3, 0.6), limp=6.0),
    "slicked back": Style((0.08, 0.16), (0.04, 0.08), "back", "both", lift=(0.05, 0.2), limp=6.0),
    "short parted": Style((0.05, 0.09), (0.015, 0.03), "parted", "men", lift=(0.2, 0.45), limp=7.0),
    "caesar": Style((0.03, 0.05), (0.012, 0.025), "forward", "men", fringe=True, limp=6.0),
    "curtains": Style((0.12, 0.19), (0.05, 0.1), "parted", "both", lift=(0.3, 0.5)),
    "tousled": Style((0.06, 0.11), (0.03, 0.06), "down", "both", "wavy", lift=(0.4, 0.7), limp=6.0),
    "short curls": Style((0.05, 0.09), (0.02, 0.05), "out", "both", "curly", lift=(0.6, 0.9), limp=3.0),
    "receding": Style((0.02, 0.05), (0.012, 0.03), "back", "men", receding=0.05, limp=4.0),
    "receding parted": Style((0.05, 0.08), (0.02, 0.04), "parted", "men", receding=0.035, limp=7.0),
    "pixie": Style((0.05, 0.09), (0.03, 0.05), "forward", "women", fringe=True, limp=9.0),
    "bowl": Style((0.12, 0.16), (0.08, 0.12), "down", "both", fringe=True),
    "bob": Style((0.24, 0.32), (0.14, 0.22), "parted", "women"),
    "bob with fringe": Style((0.24, 0.32), (0.14, 0.22), "down", "women", fringe=True),
    "shoulder length": Style((0.34, 0.44), (0.24, 0.34), "parted", "both"),
    "shoulder length wavy": Style((0.34, 0.44), (0.24, 0.34), "parted", "women", "wavy", lift=(0.3, 0.5)),
    "long straight": Style((0.5, 0.68), (0.4, 0.58), "parted", "women"),
    "long fringe": Style((0.5, 0.66), (0.4, 0.56), "down", "women", fringe=True),
    "long wavy": Style((0.46, 0.6), (0.38, 0.52), "parted", "women", "wavy", lift=(0.2, 0.4)),
    "long curly": Style((0.36, 0.5), (0.3, 0.44), "parted", "women", "curly", lift=(0.3, 0.55), limp=14.0),
    "low bun": Style((0.3, 0.3), (0.3, 0.3), "back", "women", gathered="bun", high=0.15, lift=(0.03, 0.12)),
    "high bun": Style((0.3, 0.3), (0.3, 0.3), "back", "both", gathered="bun", high=0.95, lift=(0.03, 0.15)),
    "low tail": Style((0.3, 0.3), (0.3, 0.3), "back", "both", gathered="tail", high=0.1, lift=(0.03, 0.12)),
    "high tail": Style((0.3, 0.3), (0.3, 0.3), "back", "women", "wavy", gathered="tail", high=0.75, lift=(0.03, 0.12)),
    "braid": Style((0.3, 0.3), (0.3, 0.3), "back", "women", gathered="braid", high=0.12, lift=(0.03, 0.1)),
    "two braids": Style((0.3, 0.3), (0.3, 0.3), "parted", "women", gathered="two braids", lift=(0.03, 0.1)),
    "small afro": Style((0.03, 0.06), (0.025, 0.05), "out", "both", "curly", lift=(1.0, 1.0), limp=0.0),
    "large afro": Style((0.08, 0.13), (0.07, 0.11), "out", "both", "curly", lift=(1.0, 1.0), limp=0.0),
    "short dreads": Style((0.1, 0.16), (0.08, 0.13), "down", "men", gathered="dreads", lift=(0.5, 0.7), limp=16.0),
    "long dreads": Style((0.34, 0.5), (0.28, 0.42), "back", "both", gathered="dreads", lift=(0.25, 0.4), limp=14.0),
}


@dataclass(frozen=True)
class Cut:
    """A style with its numbers drawn."""

    style: Style
    top: float
    sides: float
    lift: float
    part: float
    """Where the hair is parted, metres to the left of the middle."""
    behind: tuple[float, float]
    """How far the left and the right side's long hair hangs behind the shoulders (1) or before them (-1)."""
    tail: float
    """Length of a tail or braid; twice a bun's radius is a fifth of it."""
    fringe: float
    """Height above the eyes at which a fringe ends."""


def draw_cut(name: str, rng: np.random.Generator) -> Cut:
    """One cut of a style."""
    style = STYLES[name]
    share = rng.random()
    middle = rng.random() < 0.45
    behind = float(rng.choice([1.0, -1.0], p=[0.6, 0.4]))
    other = behind if rng.random() < 0.8 else -behind
    if style.comb == "parted" and rng.random() < 0.15:
        style = replace(style, lift=(style.lift[0] + 0.1, style.lift[1] + 0.15))
    return Cut(
        style,
        style.top[0] + share * (style.top[1] - style.top[0]),
        style.sides[0] + share * (style.sides[1] - style.sides[0]),
        float(rng.uniform(*style.lift)),
        0.0 if middle else float(rng.choice([-1, 1]) * rng.uniform(0.018, 0.04)),
        (behind, other),
        float(rng.uniform(0.2, 0.45)),
        float(rng.uniform(0.006, 0.03)),
    )


TRAIN_VARIANTS, VAL_VARIANTS = range(5), range(5, 8)
"""Cuts of each style that training and validation see."""
_PREFIX = "grown "


def style_names(women: bool) -> list[str]:
    """The styles that women (or men) wear."""
    return [name for name, style in STYLES.items() if style.worn in ("both", "women" if women else "men")]


def hair_name(style: str, variant: int) -> str:
    """What an outfit calls a cut that is grown."""
    return f"{_PREFIX}{style}:{variant}"


def parse_hair_name(name: str) -> tuple[str, int] | None:
    """Style and variant of such a name; None for an asset's."""
    if not name.startswith(_PREFIX):
        return None
    style, variant = name.removeprefix(_PREFIX).split(":")
    return style, int(variant)


def fits_a_hat(name: str) -> bool:
    """The hair is short and flat enough for a hat."""
    found = parse_hair_name(name)
    if found is None:
        return False
    style = STYLES[found[0]]
    flat = style.comb != "up" or style.top[1] <= 0.03
    return style.gathered == "loose" and style.top[1] <= 0.1 and flat and style.curl != "curly"
