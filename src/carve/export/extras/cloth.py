"""Skirts and coats: weights that blend between the legs, and on request chains of bones that let them swing.

Loose is what lies further off the body than trousers do, from the hips down to the hem of what bridges the legs; l in 0..1 says how loose,
smooth along the surface. Weights are diffused along the surface and taken over by l, so a fold between the legs belongs to both. A chain's
bones hang from the hips in a ring; the looser and the lower a vertex, the more it follows them instead of the legs.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.export.extras.chains import JOINTS, Chains
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
CHAINS = 8
"""Chains around the hips."""
MOST = 0.9
"""Share of a hem's weight that the chains take."""


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


def skirt_chains(vertices: np.ndarray, loose: np.ndarray, root: int, hips: np.ndarray) -> Chains:
    """Chains for loose cloth on rest vertices (V, 3); they hang from the bone `root`, which begins at `hips` (3,)."""
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
    return Chains("skirt", root, heads, share, angle / (2 * np.pi) * CHAINS, np.clip(level * JOINTS - 0.5, 0, JOINTS - 1))
