"""Which limb carries a place of the cloth, and how far the cloth is from its axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from carve.geometry.compiled import compiled
from carve.synth.wear.folds.tuples import dot

GROUPS = ("torso", "left_arm", "right_arm", "left_leg", "right_leg")
"""Parts of the body whose cloth folds about one chain of bones."""

CHAINS = (
    ("hips", "spine", "chest", "upperChest", "neck"),
    ("leftUpperArm", "leftLowerArm", "leftHand"),
    ("rightUpperArm", "rightLowerArm", "rightHand"),
    ("leftUpperLeg", "leftLowerLeg", "leftFoot"),
    ("rightUpperLeg", "rightLowerLeg", "rightFoot"),
)
"""VRM bones of the groups' axes."""


def groups(parents: np.ndarray, humanoid: Mapping[str, int]) -> np.ndarray:
    """(B,) index into GROUPS: a bone's chain, else its parent's."""
    own: dict[int, int] = {}
    for index, chain in enumerate(CHAINS):
        own |= {humanoid[name]: index for name in chain if name in humanoid}
    group = np.zeros(len(parents), np.int64)
    for bone, parent in enumerate(parents):
        group[bone] = own.get(bone, group[parent] if parent >= 0 else 0)
    return group


def group_weights(bones: np.ndarray, weights: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(V, 5) skinning weight of each group."""
    share = np.zeros((len(bones), len(GROUPS)))
    for k in range(bones.shape[1]):
        share[np.arange(len(bones)), group[bones[:, k]]] += weights[:, k]
    return share


def axes(heads: np.ndarray, humanoid: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ends (5, 4, 2, 3) of the segments of each group's chain and how many of them there are (5,)."""
    ends, number = np.zeros((len(CHAINS), 4, 2, 3)), np.zeros(len(CHAINS), np.int64)
    for g, chain in enumerate(CHAINS):
        points = [heads[humanoid[name]] for name in chain if name in humanoid]
        number[g] = max(len(points) - 1, 0)
        for k in range(number[g]):
            ends[g, k] = points[k], points[k + 1]
    return ends, number


@compiled(nogil=True)
def radii(points: np.ndarray, share: np.ndarray, ends: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(V,) distance of cloth from the axes of the limbs that carry it; 0.08 m where there is no axis."""
    out = np.zeros(len(points))
    for v in range(len(points)):
        for g in range(share.shape[1]):
            if share[v, g] <= 0.0:
                continue
            nearest = 1e9
            for k in range(number[g]):
                a, b = ends[g, k, 0], ends[g, k, 1]
                ab = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
                av = (points[v, 0] - a[0], points[v, 1] - a[1], points[v, 2] - a[2])
                t = min(max(dot(ab, av) / max(dot(ab, ab), 1e-12), 0.0), 1.0)
                away = (av[0] - t * ab[0], av[1] - t * ab[1], av[2] - t * ab[2])
                nearest = min(nearest, np.sqrt(dot(away, away)))
            out[v] += share[v, g] * (min(nearest, 0.2) if number[g] > 0 else 0.08)
    return out
