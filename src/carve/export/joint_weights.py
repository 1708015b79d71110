"""Skinning weights that keep the volume of wrists and elbows.

Linear blending lets the skin between two bones shrink: turned by t, a vertex of shares c and 1 - c keeps 1 - 2 c (1 - c) (1 - cos t) of its
cross-section. The narrower the band in which both bones have a share, the less is lost. An elbow loses more, since its joint lies near the
back of the arm: of a slice along the arm, with the band's middle at p behind and q in front of the joint, the bend adds
(|p|^2 - |q|^2) sin(t) / 2. So behind the joint, where the forearm's bone reaches past it, the band's middle lies further up the arm.

Notation: c the share of a joint's outer bones, y how far a vertex lies behind the joint over `ARM`, `FRONT`..1; c becomes
1 / (1 + exp(-k (log(c / (1 - c)) + s y))), and within the inner and the outer bones the shares keep their proportions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.records import Skeleton

ARM = 0.04
"""Metres from the joint to the back of an elbow or a sleeve, where y is 1."""
FRONT = -0.4
"""Least y: further in front are only sleeves, whose band is not to move down the arm."""


@dataclass(frozen=True)
class Band:
    """How the shares of a joint's two sides are changed."""

    sharper: float
    """k in the module's notation."""
    slanted: float
    """s in the module's notation."""


BANDS = {"LowerArm": Band(1.5, 2.0), "Hand": Band(4.0, 0.0)}
HALFWAY = Band(2.5, 0.0)
"""Of the bone between forearm and hand that takes half of a twist, if there is one."""


def sharpened(bones: np.ndarray, weights: np.ndarray, vertices: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(V, 4) weights with other bands at elbows, forearms and wrists.

    Args:
        bones: (V, 4) bones of `skeleton`.
        weights: (V, 4) their shares; rows sum to 1.
        vertices: (V, 3) canonical, metres.
        skeleton: in the canonical pose, where the arms lie along x.
    """
    result = weights.copy()
    for place, band in _joints(skeleton):
        outer = np.zeros(len(skeleton.names), bool)
        outer[place] = True
        for bone in range(place + 1, len(outer)):
            outer[bone] = outer[bone] or (skeleton.parents[bone] >= 0 and bool(outer[skeleton.parents[bone]]))
        beyond = outer[bones]
        c = (result * beyond).sum(1)
        mixed = (c > 1e-6) & (c < 1 - 1e-6)
        share = c[mixed]
        behind = np.clip((skeleton.heads[place, 2] - vertices[mixed, 2]) / ARM, FRONT, 1)
        wanted = 1 / (1 + np.exp(-band.sharper * (np.log(share / (1 - share)) + band.slanted * behind)))
        result[mixed] *= np.where(beyond[mixed], (wanted / share)[:, None], ((1 - wanted) / (1 - share))[:, None])
    return result


def _joints(skeleton: Skeleton) -> list[tuple[int, Band]]:
    """The bones that begin at a joint with a band of its own."""
    index = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    found = []
    for side in ("left", "right"):
        arm, hand = index.get(f"{side}LowerArm"), index.get(f"{side}Hand")
        found += [(index[f"{side}{joint}"], band) for joint, band in BANDS.items() if f"{side}{joint}" in index]
        if arm is not None and hand is not None and skeleton.parents[hand] != arm:
            found.append((int(skeleton.parents[hand]), HALFWAY))
    return found
