"""How garments fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLOTH = ("top", "bottom", "dress", "suit", "coat")
"""Parts (`carve.synth.records.PARTS`) that fold; all others get no strength."""


@dataclass(frozen=True)
class Params:
    """How one garment folds."""

    strength: float
    """Factor on all heights; 0 is smooth."""
    wavelength: float
    """Factor on all wavelengths: about 0.7 for thin, soft cloth, 1.4 for stiff."""
    pose: float
    """Factor on the slack that bending makes."""
    prestretch: float
    """Compression that stretched cloth takes up before it folds."""
    joints: float
    """Slack at elbows and knees, as are all that follow."""
    stacks: float
    """Slack above the ends of long sleeves and trouser legs."""
    pulls: float
    """Slack that radiates from armpits, crotch and buttons."""
    drape: float
    """Slack around the body that hangs in soft vertical folds."""
    waist: float
    """Slack along the body at the waist."""
    tilt: float
    """Largest deviation of the folds from their ideal direction, radians."""
    patches: float
    """0: folds everywhere alike; 1: in groups with smooth cloth between them."""
    length: float
    """Factor on the lengths of folds."""
    skew: float
    """How much steeper one side of a fold is than the other, 0..0.6."""
    creases: float
    """Share of strokes that are valleys."""
    fine: float
    """Height of the small folds relative to the main ones."""


def sample_params(rng: np.random.Generator, part: str, tightness: float) -> Params:
    """Draw how a garment folds.

    Args:
        rng: source of chance.
        part: one of `carve.synth.records.PARTS`; those that are not cloth get no strength.
        tightness: 0 wide, 1 skin-tight.
    """
    loose = 1.0 - float(np.clip(tightness, 0.0, 1.0))
    spread = lambda sigma: float(np.exp(sigma * rng.standard_normal()))  # noqa: E731
    stiff = {"coat": 1.3, "suit": 1.1, "bottom": 1.05}.get(part, 1.0) * spread(0.16)
    return Params(
        strength=float(np.clip(1.0 * spread(0.25), 0.45, 1.5)) * (part in CLOTH),
        wavelength=float(np.clip((0.78 + 0.3 * loose) * stiff, 0.6, 1.6)),
        pose=0.8 * spread(0.2),
        prestretch=0.06 * (1 - loose) * spread(0.3),
        joints=(0.10 + 0.08 * loose) * spread(0.4),
        stacks=(0.12 + 0.15 * loose) * spread(0.4),
        pulls=(0.08 + 0.06 * loose) * spread(0.4),
        drape=0.10 * loose * spread(0.5),
        waist=(0.05 + 0.07 * loose) * spread(0.5),
        tilt=float(rng.uniform(0.25, 0.6)),
        patches=float(rng.uniform(0.5, 1.0)),
        length=spread(0.2),
        skew=float(rng.uniform(0.0, 0.5)),
        creases=float(rng.uniform(0.0, 0.3)),
        fine=float(rng.uniform(0.2, 0.6)),
    )
