"""All families of garments, by name."""

from __future__ import annotations

from carve.synth.tailor.families.bottoms import BOTTOMS
from carve.synth.tailor.families.family import Family
from carve.synth.tailor.families.mids import MIDS
from carve.synth.tailor.families.outers import OUTERS
from carve.synth.tailor.families.shirts import SHIRTS
from carve.synth.tailor.families.sweaters import SWEATERS
from carve.synth.tailor.families.tees import TEES
from carve.synth.tailor.families.wholes import WHOLE
from carve.synth.tailor.families.wraps import WRAPS

FAMILIES: dict[str, Family] = {**TEES, **SHIRTS, **SWEATERS, **MIDS, **OUTERS, **BOTTOMS, **WHOLE, **WRAPS}
