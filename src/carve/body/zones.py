"""Parts of the canonical body that colours depend on: limb axes, mirrored regions, the face.

All positions in the body frame, canonical pose, metres.
"""

from __future__ import annotations

import numpy as np

from carve.body.model import REGIONS
from carve.records import CanonicalSurface, Skeleton

MIRRORED = np.array(
    [REGIONS.index(name.replace("left_", "*").replace("right_", "left_").replace("*", "right_")) for name in REGIONS], np.uint8
)
"""Region -> the region on the other side of the body."""

TORSO = REGIONS.index("torso")
HEAD = REGIONS.index("head")
HANDS = (REGIONS.index("left_hand"), REGIONS.index("right_hand"))
FEET = (REGIONS.index("left_foot"), REGIONS.index("right_foot"))
UPPER_ARMS = (REGIONS.index("left_upper_arm"), REGIONS.index("right_upper_arm"))
LOWER_ARMS = (REGIONS.index("left_lower_arm"), REGIONS.index("right_lower_arm"))
LEGS = tuple(REGIONS.index(f"{side}_{part}") for side in ("left", "right") for part in ("upper_leg", "lower_leg"))


def _pairs(pairs: list[tuple[str, str]]) -> np.ndarray:
    """(14, 14) symmetric table that holds for each region itself and for the given pairs, on both sides of the body."""
    table = np.eye(len(REGIONS), dtype=bool)
    for first, second in pairs:
        for side in ("left_", "right_"):
            i, j = (REGIONS.index(name.replace("*", side)) for name in (first, second))
            table[i, j] = table[j, i] = True
    return table


_ALONG = [
    ("*upper_arm", "*lower_arm"),
    ("*lower_arm", "*hand"),
    ("torso", "*upper_leg"),
    ("*upper_leg", "*lower_leg"),
    ("*lower_leg", "*foot"),
]

ALIGNED = _pairs(_ALONG)
"""(14, 14) bool: regions that continue each other, so that a place on one has its height on the other."""

ATTACHED = _pairs([*_ALONG, ("torso", "head"), ("torso", "*upper_arm"), ("left_upper_leg", "right_upper_leg")])
"""(14, 14) bool: regions that grow out of each other; others can only touch."""

_AXIS_OF_REGION = {
    "arm": ("UpperArm", "Hand"),
    "hand": ("LowerArm", "Hand"),
    "leg": ("UpperLeg", "Foot"),
}
"""What a region's name ends with -> the bones between whose heads its axis runs."""


def limb_axes(skeleton: Skeleton) -> np.ndarray:
    """(14, 3) unit axis of each region: upright for trunk and head, along the limbs, forward for the feet."""
    axes = np.tile(np.array([0.0, 1.0, 0.0]), (len(REGIONS), 1))
    for region, name in enumerate(REGIONS):
        side, _, part = name.partition("_")
        if part == "foot":
            axes[region] = (0.0, 0.0, 1.0)
        elif part:
            first, last = _AXIS_OF_REGION[part.rsplit("_", 1)[-1]]
            along = _bone_head(skeleton, side + last) - _bone_head(skeleton, side + first)
            axes[region] = along / max(float(np.linalg.norm(along)), 1e-9)
    return axes


def limb_coordinates(vertices: np.ndarray, member: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(V, 3) position of canonical vertices (V, 3) along a region's unit axis, metres, and cosine and sine of the angle around its middle.

    The middle is that of the region's own vertices, `member` (V,) bool, in slices of 2 cm.
    """
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    along, x, y = vertices @ axis, vertices @ first, vertices @ second
    low = along[member].min()
    slices = ((along[member] - low) / 0.02).astype(int)
    count = np.bincount(slices)
    filled = count > 0
    at = low + 0.02 * (np.flatnonzero(filled) + 0.5)
    offset = [values - np.interp(along, at, (np.bincount(slices, values[member]) / np.maximum(count, 1))[filled]) for values in (x, y)]
    radius = np.maximum(np.hypot(*offset), 1e-9)
    return np.stack([along, offset[0] / radius, offset[1] / radius], axis=1)


def face_zone(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: in front of the ears, between chin and hairline of an ordinary head."""
    eyes, unit = eyes_of(surface.skeleton)
    offset = (surface.vertices - eyes) / unit
    front = (offset[:, 2] > -0.055) & (offset[:, 1] > -0.125) & (offset[:, 1] < 0.07)
    return (surface.region == HEAD) & front


def above_nape(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: vertices of the head higher than the mouth, where hair rather than the neck's skin covers the back."""
    eyes, unit = eyes_of(surface.skeleton)
    return (surface.region == HEAD) & (surface.vertices[:, 1] - eyes[1] > -0.065 * unit)


def neck(surface: CanonicalSurface) -> tuple[np.ndarray, np.ndarray]:
    """(V,) bool twice: the head's rear below the ears, and its sides below the chin, where only long hair is."""
    eyes, unit = eyes_of(surface.skeleton)
    offset = (surface.vertices - eyes) / unit
    below = (surface.region == HEAD) & (offset[:, 1] < -0.065)
    return below & (offset[:, 2] < -0.1), below & (offset[:, 1] < -0.1) & (np.abs(offset[:, 0]) > 0.05)


def crown(surface: CanonicalSurface) -> np.ndarray:
    """(V,) bool: vertices of the head above the forehead."""
    eyes, unit = eyes_of(surface.skeleton)
    return (surface.region == HEAD) & (surface.vertices[:, 1] - eyes[1] > 0.075 * unit)


def eyes_of(skeleton: Skeleton) -> tuple[np.ndarray, float]:
    """Midpoint of the eyes and the head's size against an adult's; from the head bone where the skeleton has no eyes."""
    if "leftEye" in skeleton.humanoid and "rightEye" in skeleton.humanoid:
        left, right = _bone_head(skeleton, "leftEye"), _bone_head(skeleton, "rightEye")
        return (left + right) / 2, float(np.clip(np.linalg.norm(left - right) / 0.064, 0.6, 1.2))
    return _bone_head(skeleton, "head") + np.array([0.0, 0.07, 0.08]), 1.0


def _bone_head(skeleton: Skeleton, humanoid: str) -> np.ndarray:
    """(3,) head of a humanoid bone."""
    return skeleton.heads[skeleton.names.index(skeleton.humanoid[humanoid])]
