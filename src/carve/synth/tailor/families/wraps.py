"""Scarves and cloths that are wound. Lengths are metres on somebody of 1.70 m."""

from __future__ import annotations

from carve.synth.tailor.families.family import CREW, UPPER, Family, fits

WRAPS: dict[str, Family] = {
    "poncho": Family(
        "coat",
        "wrap",
        ("wool", "knit"),
        {**UPPER, "layer": 6, "cape": True},
        fits(CREW, hem=(-0.3, 0.2), ease=(0.04, 0.05), closing=(0.16, 0.2), flare=(0.04, 0.1), flare_from=(-1.4, -1.2), slack=(0.0, 0.02)),
        ("hem", "neck_rib"),
        adult=True,
        often=0.6,
    ),
    "shawl": Family(
        "coat",
        "wrap",
        ("knit", "wool", "silk"),
        {**UPPER, "layer": 6, "cape": True},
        fits(
            neck_front=(0.03, 0.06),
            neck_side=(0.02, 0.04),
            neck_back=(0.01, 0.03),
            hem=(-1.0, -0.4),
            ease=(0.04, 0.05),
            closing=(0.16, 0.2),
            flare=(0.02, 0.06),
            flare_from=(-1.6, -1.4),
            front=(0.08, 0.3),
            front_top=(0.0, 0.04),
        ),
        ("hem",),
        adult=True,
        wearer="women",
        often=0.6,
    ),
    "hijab": Family(
        "accessory",
        "wrap",
        ("silk", "jersey", "cotton"),
        {**UPPER, "layer": 6, "cape": True, "hooded": True},
        fits(hem=(-1.75, -1.35), ease=(0.02, 0.035), closing=(0.1, 0.14), flare=(0.01, 0.05), flare_from=(-2.2, -2.0), slack=(0.02, 0.08)),
        ("hem",),
        adult=True,
        wearer="women",
        often=0.8,
    ),
}
