"""What is worn over a shirt. Lengths are metres on somebody of 1.70 m."""

from __future__ import annotations

from carve.synth.tailor.families.family import COLLARED, CREW, LONG_SLEEVE, UPPER, Family, fits

MIDS: dict[str, Family] = {
    "cardigan": Family(
        "coat",
        "mid",
        ("knit",),
        {**UPPER, "layer": 4, "neck_sharp": 2.5},
        fits(
            CREW,
            LONG_SLEEVE,
            neck_front=(0.1, 0.2),
            sleeve_ease=(0.03, 0.045),
            cuff_ease=(0.006, 0.012),
            gathered=(0.05, 0.07),
            hem=(-0.04, 0.25),
            ease=(0.032, 0.05),
            closing=(0.1, 0.14),
            front=(0.02, 0.18),
            front_top=(0.0, 0.04),
        ),
        ("rib_hem", "cuffs", "front_band", "armhole"),
        {"hip_pockets": 0.5},
        often=1.3,
    ),
    "open_shirt": Family(
        "coat",
        "mid",
        ("cotton", "linen", "denim"),
        {**UPPER, "layer": 4},
        fits(
            COLLARED,
            LONG_SLEEVE,
            sleeve_ease=(0.028, 0.045),
            cuff_ease=(0.012, 0.02),
            gathered=(0.05, 0.07),
            hem=(0.04, 0.18),
            ease=(0.03, 0.045),
            closing=(0.1, 0.13),
            front=(0.06, 0.26),
            front_top=(0.03, 0.1),
        ),
        ("hem", "collar", "front_band", "cuffs", "armhole"),
        {"chest_pocket": 0.5},
        often=1.3,
    ),
    "waistcoat": Family(
        "coat",
        "mid",
        ("wool", "cotton"),
        {**UPPER, "layer": 4, "neck_sharp": 3.0, "rest_bend": 0.3},
        fits(
            neck_front=(0.17, 0.24),
            neck_side=(0.012, 0.02),
            neck_back=(0.004, 0.01),
            sleeve=(-0.02, 0.0),
            hem=(-0.35, -0.1),
            ease=(0.024, 0.03),
            closing=(0.08, 0.1),
            hem_curve=(-0.04, 0.0),
        ),
        ("hem", "placket", "welt_pockets", "armhole"),
        adult=True,
        often=0.5,
    ),
}
