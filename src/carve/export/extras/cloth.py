"""Skirts and coats: weights that blend between the legs, and on request chains of bones that let them swing.

Loose is what lies further off the body than trousers do, from the hips down to the hem of what bridges the legs; l in 0..1 says how loose,
smooth along the surface. Weights are diffused along the surface and taken over by l, so a fold between the legs belongs to both. A chain's
bones hang from the hips in a ring; the looser and the lower a vertex, the more it follows them instead of the legs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.export.records import Asset, Bones
from carve.export.rest_pose import frame
from carve.geometry.mesh import adjacency
from carve.geometry.skinning import strongest_weights
from carve.records import BodyFit, CanonicalSurface

NEAR, OFF = 0.025, 0.05
"""Metres off the body at which cloth begins to be loose and is wholly so."""
HEM = 0.05
"""Metres over which looseness ends below the hem."""
SMOOTH = 15
"""Rounds by which looseness is smoothed."""
ROUNDS = 60
"""Of diffusion; each reaches one edge further."""
CHAINS, JOINTS = 8, 3
"""Chains around the hips, bones in each."""
MOST = 0.9
"""Share of a hem's weight that the chains take."""
DOWN = np.array([0.0, -1.0, 0.0])


def skirt(surface: CanonicalSurface, body: BodyFit) -> np.ndarray:
    """(V,) 0..1 how loose a skirt's or coat's cloth is, all zero where nothing bridges the legs. Canonical pose."""
    heads = {vrm: surface.skeleton.heads[surface.skeleton.names.index(bone)] for vrm, bone in surface.skeleton.humanoid.items()}
    none = np.zeros(len(surface.vertices))
    if not {"hips", "leftUpperLeg", "leftLowerLeg"} <= set(heads):
        return none
    y = surface.vertices[:, 1]
    parts = [REGIONS.index(f"{side}_{part}_leg") for side in ("left", "right") for part in ("upper", "lower")] + [REGIONS.index("torso")]
    below = np.isin(surface.region, parts) & (y < heads["hips"][1])
    off = none.copy()
    off[below] = cKDTree(body.canonical).query(surface.vertices[below])[0]
    thigh = heads["leftUpperLeg"][1] - heads["leftLowerLeg"][1]
    bridge = (off > OFF) & (np.abs(surface.vertices[:, 0]) < 0.03) & (y < heads["leftUpperLeg"][1] - 0.5 * thigh)
    if bridge.sum() < 10:
        return none
    hem = np.percentile(y[bridge], 5)
    loose = np.clip((off - NEAR) / (OFF - NEAR), 0, 1) * np.clip((y - hem) / HEM + 1, 0, 1)
    mean = _neighbours(surface.faces, np.arange(len(loose)), len(loose))
    for _ in range(SMOOTH):
        loose = 0.5 * loose + 0.5 * (mean @ loose)
    return np.where(loose > 0.02, loose, 0.0)


def _neighbours(faces: np.ndarray, rows: np.ndarray, count: int) -> sparse.csr_matrix:
    """(n, V) the mean over the neighbours of vertices `rows` (n,)."""
    links = adjacency(faces, count)[rows]
    return (sparse.diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links).tocsr()


def blended(surface: CanonicalSurface, loose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones (V, 4) and weights (V, 4) of the surface, diffused along it as far as the cloth is loose (V,)."""
    rows = np.flatnonzero(loose)
    if len(rows) == 0:
        return surface.bones, surface.weights
    used, place = np.unique(surface.bones, return_inverse=True)
    used = np.pad(used, (0, max(4 - len(used), 0)))  # there are four places a vertex, even for fewer bones
    dense = np.zeros((len(loose), len(used)))
    for k in range(surface.bones.shape[1]):
        np.add.at(dense, (np.arange(len(loose)), place.reshape(surface.bones.shape)[:, k]), surface.weights[:, k])
    own, mean = dense[rows].copy(), _neighbours(surface.faces, rows, len(loose))
    for _ in range(ROUNDS):
        dense[rows] = 0.5 * dense[rows] + 0.5 * (mean @ dense)
    share = loose[rows, None]
    dense[rows] = share * dense[rows] + (1 - share) * own
    bones, weights, _ = strongest_weights(dense)
    hangs = loose[:, None] > 0
    return np.where(hangs, used[bones], surface.bones), np.where(hangs, weights, surface.weights)


@dataclass(frozen=True)
class Chains:
    """Bones of a skirt in the rest pose, and the skin's weights with them."""

    heads: np.ndarray
    """(CHAINS * JOINTS, 3) chain by chain, from the hips down."""
    bones: np.ndarray
    """(V, 8) the new bones' numbers begin where the skeleton's end."""
    weights: np.ndarray
    """(V, 8) rows sum to 1."""


def chains_of(vertices: np.ndarray, loose: np.ndarray, bones: np.ndarray, weights: np.ndarray, count: int, hips: np.ndarray) -> Chains:
    """Chains for loose cloth on rest vertices (V, 3) of a skeleton of `count` bones whose root lies at `hips` (3,)."""
    offset = vertices - hips
    angle = np.arctan2(offset[:, 0], offset[:, 2]) % (2 * np.pi)
    radius = np.hypot(offset[:, 0], offset[:, 2])
    hangs = loose > 0.3
    top, hem = hips[1], vertices[hangs, 1].min()
    level = (top - vertices[:, 1]) / max(top - hem, 1e-6)
    heads = np.empty((CHAINS, JOINTS, 3))
    for c in range(CHAINS):
        at = 2 * np.pi * c / CHAINS
        away = np.abs((angle - at + np.pi) % (2 * np.pi) - np.pi)
        for j in range(JOINTS):
            here = hangs & (away < np.pi / CHAINS) & (np.abs(level - j / JOINTS) < 0.5 / JOINTS)
            r = radius[here].mean() if here.any() else radius[hangs].mean()
            heads[c, j] = hips + np.array([r * np.sin(at), -j / JOINTS * (top - hem), r * np.cos(at)])
    share = MOST * loose * np.clip(level / 0.5, 0, 1)
    around, down = angle / (2 * np.pi) * CHAINS, np.clip(level * JOINTS - 0.5, 0, JOINTS - 1)
    first, joint = np.floor(around).astype(int), np.minimum(np.floor(down).astype(int), JOINTS - 2)
    new_bones, new_weights = [bones], [weights * (1 - share)[:, None]]
    for step in (0, 1):
        for deeper in (0, 1):
            new_bones.append((count + (first + step) % CHAINS * JOINTS + joint + deeper)[:, None])
            toward = np.abs(1 - step - (around - first)) * np.abs(1 - deeper - (down - joint))
            new_weights.append((share * toward)[:, None])
    return Chains(heads.reshape(-1, 3), np.hstack(new_bones), np.hstack(new_weights))


def chain_parents(count: int, root: int) -> np.ndarray:
    """(CHAINS * JOINTS,) parents of the chains' bones in a skeleton of `count` bones."""
    number = np.arange(CHAINS * JOINTS)
    return np.where(number % JOINTS == 0, root, count + number - 1)


def with_chains(asset: Asset, heads: np.ndarray) -> Asset:
    """The asset whose weights already name the chains' bones, with these bones (heads in its rest pose) in its skeleton."""
    bones = asset.skeleton
    count = len(bones.names)
    names = tuple(f"skirt_{c + 1}_{j + 1}" for c in range(CHAINS) for j in range(JOINTS))
    grid = heads.reshape(CHAINS, JOINTS, 3)
    axes = []
    for chain in grid:
        outward = (chain[0] - bones.heads[0]) * [1, 0, 1]
        for j in range(JOINTS):
            along = chain[j + 1] - chain[j] if j + 1 < JOINTS else chain[j] - chain[j - 1]
            axes.append(frame(along if np.linalg.norm(along) > 1e-6 else DOWN, outward))
    skeleton = Bones(
        bones.names + names,
        bones.sources + names,
        np.concatenate([bones.parents, chain_parents(count, 0)]),
        np.concatenate([bones.heads, heads]),
        np.concatenate([bones.axes, np.stack(axes)]),
        bones.humanoid,
        bones.twists,
        bones.root,
    )
    return replace(asset, skeleton=skeleton, chains=tuple(names[c * JOINTS : (c + 1) * JOINTS] for c in range(CHAINS)))
