"""How the fingers of a hand bend: as 21 landmarks of the hand show it, or at ease where nobody sees them.

Notation: a hand's frame has x from the wrist to the knuckles' middle, y from the little finger's knuckle to the index finger's, and p
towards the palm; a finger flexes about x cross p, from x towards p, and spreads in the plane of x and y. All in the canonical pose,
where every bone's own axes are those of the body frame. Landmarks are mediapipe's: 0 the wrist, then four a finger from the thumb on.
"""

from __future__ import annotations

import numpy as np
import torch

from carve.geometry.rotations import matrix_from_rotvec
from carve.records import Skeleton

FINGERS = ("Index", "Middle", "Ring", "Little")
JOINTS = ("Proximal", "Intermediate", "Distal")
THUMB = ("ThumbMetacarpal", "ThumbProximal", "ThumbDistal")

FLEXION = ((-15.0, 90.0), (0.0, 105.0), (0.0, 75.0))
"""Degrees that the joints of a finger bend, from the straight hand: knuckle, middle, last."""
SPREAD = 14.0
"""Degrees that a finger leaves the hand's direction sideways, at most."""
THUMB_TURN = 45.0
"""Degrees that a joint of the thumb turns against the rest pose, at most."""
AT_EASE = (22.0, 32.0, 16.0)
"""Flexion of a hand that does nothing, degrees; the little finger bends a third more than the index finger."""
EASE_SPREAD = 0.35
"""Share of the rest pose's spread that the fingers of a hand at ease keep."""
EASE_THUMB = 12.0
"""Degrees that the thumb at ease turns to the palm."""


def finger_rotations(skeleton: Skeleton, side: str, seen: np.ndarray | None) -> dict[int, np.ndarray]:
    """Bone -> (3, 3) local rotation against the canonical pose; empty for a skeleton without fingers.

    Args:
        skeleton: in the canonical pose.
        side: `left` or `right`.
        seen: (21, 3) landmarks of the hand in any right-handed frame and unit, or None for a hand at ease.
    """
    wanted = [f"{side}{finger}{joint}" for finger in FINGERS for joint in JOINTS] + [f"{side}{name}" for name in THUMB] + [f"{side}Hand"]
    if not set(wanted) <= set(skeleton.humanoid):
        return {}
    bone = lambda name: skeleton.names.index(skeleton.humanoid[f"{side}{name}"])  # noqa: E731
    head = lambda name: skeleton.heads[bone(name)]  # noqa: E731
    own = _frame(head("Hand"), head("IndexProximal"), head("LittleProximal"), side)
    there = None if seen is None else (seen - seen[0]) @ _frame(seen[0], seen[5], seen[17], side)
    rotations: dict[int, np.ndarray] = {}
    for number, finger in enumerate(FINGERS):
        at = np.array([head(f"{finger}{joint}") for joint in JOINTS])
        rest = np.diff(at, axis=0) @ own
        rest = np.vstack([rest, rest[1:]])  # the last bone goes on as the one before
        ease = np.array(AT_EASE) * (1 + 0.11 * number)
        bent = _angles(rest) if there is None else _angles(np.diff(there[5 + 4 * number : 9 + 4 * number], axis=0))
        spread = bent[0] * EASE_SPREAD if there is None else np.clip(bent[0], -SPREAD, SPREAD)
        flexion = ease if there is None else np.clip(bent[1:], *np.transpose(FLEXION))
        now = _angles(rest)
        turns = [_about(own, flexion[0] - now[1], now[0] - spread), *(_about(own, flexion[k] - now[1 + k], 0.0) for k in (1, 2))]
        rotations |= {bone(f"{finger}{joint}"): turn for joint, turn in zip(JOINTS, turns, strict=True)}
    return rotations | _thumb(skeleton, side, own, there)


def _frame(wrist: np.ndarray, index: np.ndarray, little: np.ndarray, side: str) -> np.ndarray:
    """(3, 3) columns x, y, p of a hand."""
    along = (index + little) / 2 - wrist
    along = along / np.linalg.norm(along)
    across = index - little
    across = across - along * (across @ along)
    across = across / np.linalg.norm(across)
    return np.stack([along, across, np.cross(along, across) * (1.0 if side == "left" else -1.0)], 1)


def _angles(segments: np.ndarray) -> np.ndarray:
    """(4,) degrees of a finger's three segments (3, 3) in the hand's frame: sideways towards y, then the flexion of each joint."""
    sideways = np.arctan2(segments[0, 1], max(np.hypot(segments[0, 0], segments[0, 2]), 1e-9))
    down = np.unwrap(np.arctan2(segments[:, 2], segments[:, 0]))
    return np.degrees([sideways, down[0], *np.diff(down)])


def _about(frame: np.ndarray, flexion: float, inward: float) -> np.ndarray:
    """(3, 3) a turn by `flexion` degrees towards the palm after one by `inward` degrees away from y."""
    along, across, palm = frame.T
    sideways = _rotation(np.cross(along, across), -inward)
    return _rotation(np.cross(along, palm), flexion) @ sideways


def _rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    turned: np.ndarray = matrix_from_rotvec(torch.as_tensor(axis / np.linalg.norm(axis) * np.radians(degrees))).numpy()
    return turned


def _thumb(skeleton: Skeleton, side: str, own: np.ndarray, there: np.ndarray | None) -> dict[int, np.ndarray]:
    """The same for the thumb, whose joints turn freely: the least turn from each segment's rest direction to the one that is seen."""
    bones = [skeleton.names.index(skeleton.humanoid[f"{side}{name}"]) for name in THUMB]
    rest = np.diff(skeleton.heads[bones], axis=0)
    rest = np.vstack([rest, rest[1:]])
    if there is None:
        towards = _rotation(np.cross(rest[0], own[:, 2]), EASE_THUMB)
        return {bones[0]: towards, bones[1]: np.eye(3), bones[2]: np.eye(3)}
    wanted = np.diff(there[1:5], axis=0) @ own.T
    above = np.eye(3)
    rotations = {}
    for bone, segment, direction in zip(bones, rest, wanted, strict=True):
        local = _least_turn(segment, above.T @ direction)
        rotations[bone] = local
        above = above @ local
    return rotations


def _least_turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) the turn about a cross b that takes a's direction to b's, by `THUMB_TURN` at most."""
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    angle = float(np.degrees(np.arctan2(sine, a @ b)))
    return np.eye(3) if sine < 1e-9 else _rotation(axis, min(angle, THUMB_TURN))
