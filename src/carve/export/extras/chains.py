"""Chains of bones for what hangs: a skirt's hem, long hair. VRM programs let them swing; others see them follow their root.

Notation: a vertex at (a, d), a its place among the chains and d that along them, gives the share s of its weight to the four bones around
(a, d), bilinearly, and keeps 1 - s for what it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from carve.export.records import Asset, Bones, Chain, Hanging
from carve.export.rest_pose import frame
from carve.geometry.skin_weights import four_smoothly

JOINTS = 3
"""Bones in each chain."""
DOWN = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Chains:
    """Chains that hang from one bone, in the rest pose, and how the skin follows them."""

    kind: Hanging
    root: int
    """The bone that they hang from."""
    heads: np.ndarray
    """(C, JOINTS, 3) metres, each chain from its fixed end."""
    share: np.ndarray
    """(V,) 0..1 of a vertex's weight that they take."""
    around: np.ndarray
    """(V,) a in the notation: 0 to C - 1, or to C where the last chain is followed by the first."""
    down: np.ndarray
    """(V,) d in the notation: 0 to JOINTS - 1."""

    @property
    def size(self) -> int:
        """Number of bones."""
        return self.heads.shape[0] * self.heads.shape[1]


def hung(chains: Sequence[Chains], bones: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bones and weights (V, K), at most four of them not zero, of a skin (both (V, 4)) with the chains' bones, numbered from `count` on."""
    for chain in chains:
        number = len(chain.heads)
        first = np.minimum(np.floor(chain.around).astype(int), number - 1)
        joint = np.minimum(np.floor(chain.down).astype(int), JOINTS - 2)
        weights = weights * (1 - chain.share)[:, None]
        for step in (0, 1):
            for deeper in (0, 1):
                toward = np.abs(1 - step - (chain.around - first)) * np.abs(1 - deeper - (chain.down - joint))
                bones = np.column_stack([bones, count + (first + step) % number * JOINTS + joint + deeper])
                weights = np.column_stack([weights, chain.share * toward])
        count += chain.size
    return bones, four_smoothly(weights)


def chain_parents(chains: Sequence[Chains], count: int) -> np.ndarray:
    """Parents of the chains' bones in a skeleton of `count` bones before them."""
    parents = []
    for chain in chains:
        number = np.arange(chain.size)
        parents.append(np.where(number % JOINTS == 0, chain.root, count + number - 1))
        count += chain.size
    return np.concatenate(parents)


def with_chains(asset: Asset, chains: Sequence[Chains], heads: np.ndarray) -> Asset:
    """The asset whose weights already name the chains' bones, with these bones (heads (n, 3) in its rest pose) in its skeleton."""
    bones = asset.skeleton
    names: list[str] = []
    axes: list[np.ndarray] = []
    found: list[Chain] = []
    for chain in chains:
        middle = bones.heads[chain.root]
        for number in range(len(chain.heads)):
            own = heads[len(names) : len(names) + JOINTS]
            outward = (own[0] - middle) * [1, 0, 1]
            for j in range(JOINTS):
                along = own[j + 1] - own[j] if j + 1 < JOINTS else own[j] - own[j - 1]
                axes.append(frame(along if np.linalg.norm(along) > 1e-6 else DOWN, outward))
            found.append(Chain(chain.kind, tuple(f"{chain.kind}_{number + 1}_{j + 1}" for j in range(JOINTS))))
            names += found[-1].bones
    skeleton = Bones(
        bones.names + tuple(names),
        bones.sources + tuple(names),
        np.concatenate([bones.parents, chain_parents(chains, len(bones.names))]),
        np.concatenate([bones.heads, heads]),
        np.concatenate([bones.axes, np.stack(axes)]),
        bones.humanoid,
        bones.twists,
        bones.root,
    )
    return replace(asset, skeleton=skeleton, chains=tuple(found))
