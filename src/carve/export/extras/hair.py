"""Hair, collars and scarves around the neck: weights without a jump, and chains of bones that let long hair swing.

What lies off the skin there takes its weights from whatever skin is nearest: a lock from the head, its end from the shoulder, its inside
from the neck. l in 0..1 says how far off a vertex lies. With w' these weights, w the new ones solve, on the surface,
    min_w integral |grad w|^2 + |w - w'|^2 / (E l)^2,
one sparse system; where l = 0 they stay as they are. So a lock follows the head at its root and what it lies on at its end.

Hair is what hangs from the scalp below the mouth and shows the scalp's colour rather than the clothes' or the face's; where clothes have
the hair's colour nothing is taken for hair.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from carve.body.zones import TORSO, above_nape, eyes_of, face_zone
from carve.export.extras.chains import JOINTS, Chains
from carve.geometry.mesh import adjacency, cotangent_laplacian, diffuse
from carve.geometry.skin_weights import four_smoothly
from carve.geometry.skinning import strongest_weights
from carve.geometry.sparse import factorise
from carve.records import BodyFit, CanonicalSurface, TexturedSurface

ON, OFF = 0.008, 0.02
"""Metres off the skin at which l begins and is 1."""
ASIDE, BELOW = 0.2, 0.1
"""Where l ends: metres beside the neck, and below the chest's joint."""
ROUNDS = 8
"""By which l is smoothed along the surface."""
SCALE = 0.08
"""E in the notation, metres."""
HANGS, FREE = 0.012, 0.03
"""Metres off the skin at which hair begins to swing and does so altogether."""
MOUTH = 0.065
"""Metres below the eyes of an adult where hair begins to hang."""
SHORTEST = 0.06
"""Metres below the mouth that hair must reach to swing."""
SMOOTH = 25
"""Rounds by which it is smoothed along the surface."""
UNLIKE = 40.0
"""Colours nearer than this, of 255, are not told apart."""
CLEARLY = 0.7
"""Hair is nearer to the scalp's colour than so much of the way to the clothes'."""
MOST = 0.8
"""Share of the weight that the chains take at the ends."""
PLACES = np.radians([-120.0, -60.0, 0.0, 60.0, 120.0])
"""Of the chains around the head, from the middle of its back."""
REACH = np.radians(40.0)
"""Around a chain, of the hair that says where it runs."""


def around_neck(surface: CanonicalSurface, body: BodyFit) -> np.ndarray:
    """(V,) l of the notation, canonical pose."""
    bone = {vrm: surface.skeleton.heads[surface.skeleton.names.index(name)] for vrm, name in surface.skeleton.humanoid.items()}
    if not {"chest", "head"} <= set(bone):
        return np.zeros(len(surface.vertices))
    aside = ASIDE - np.abs(surface.vertices[:, 0] - bone["head"][0])
    above = surface.vertices[:, 1] - bone["chest"][1] + BELOW
    loose = _ramp(_off(surface, body, (aside > 0) & (above > 0)), ON, OFF)
    loose *= np.clip(4 * aside / ASIDE, 0, 1) * np.clip(above / BELOW, 0, 1)
    return np.where(loose > 0, diffuse(loose[:, None], surface.faces, ROUNDS)[:, 0], 0.0)


def _off(surface: CanonicalSurface, body: BodyFit, where: np.ndarray) -> np.ndarray:
    """(V,) metres from the body's vertices, zero but `where` (V,)."""
    off = np.zeros(len(surface.vertices))
    if where.any():
        off[where] = cKDTree(body.canonical).query(surface.vertices[where])[0]
    return off


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)


def eased(surface: CanonicalSurface, bones: np.ndarray, weights: np.ndarray, loose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones (V, 4) and weights (V, 4) on the surface, eased as far as l (V,) says; the minimum in the module's notation."""
    free = np.flatnonzero(loose > 0)
    if len(free) == 0:
        return bones, weights
    count = len(surface.skeleton.names)
    rows = np.repeat(np.arange(len(loose)), bones.shape[1])
    own = sparse.csr_matrix((weights.ravel(), (rows, bones.ravel())), shape=(len(loose), count))
    stiffness, area = cotangent_laplacian(surface.vertices, surface.faces)
    hold = sparse.diags(np.maximum(area[free], 1e-9) / (SCALE * np.maximum(loose[free], 0.02)) ** 2)
    fixed = np.flatnonzero(loose <= 0)
    across = stiffness[free]
    right = (hold @ own[free] - across[:, fixed] @ own[fixed]).toarray()
    used = np.flatnonzero(np.abs(right).max(0) > 0)
    dense = np.zeros((len(free), count))
    dense[:, used] = np.maximum(factorise(across[:, free] + hold).solve(right[:, used]), 0)
    dense /= dense.sum(1, keepdims=True)
    bones, weights = bones.copy(), weights.copy()
    bones[free], weights[free], _ = strongest_weights(four_smoothly(dense))
    return bones, weights


def hair(surface: CanonicalSurface, body: BodyFit, textured: TexturedSurface) -> np.ndarray:
    """(V,) 0..1 how freely hair hangs, all zero where it is short or cannot be told. Canonical pose."""
    none = np.zeros(len(surface.vertices))
    if not {"head", "leftEye", "rightEye"} <= set(surface.skeleton.humanoid):
        return none
    eyes, unit = eyes_of(surface.skeleton)
    head = surface.skeleton.heads[surface.skeleton.names.index(surface.skeleton.humanoid["head"])]
    x, y = (surface.vertices - eyes)[:, :2].T
    below = (y < -MOUTH * unit) & (y > -0.7 * unit) & (np.abs(x) < 0.25)
    before_the_face = (np.abs(x) < 0.05 * unit) & (surface.vertices[:, 2] > head[2])
    off = _off(surface, body, below & ~before_the_face)
    scalp = above_nape(surface) & ~face_zone(surface)
    hangs = (off > HANGS) & _of_the_scalps_colour(surface, textured, scalp)
    inside = np.flatnonzero(scalp | hangs)
    _, label = connected_components(adjacency(surface.faces, len(none))[inside][:, inside], directed=False)
    rooted = np.zeros(len(none), bool)
    rooted[inside] = np.isin(label, np.unique(label[scalp[inside]]))
    free = _ramp(off, HANGS, FREE) * (rooted & hangs)
    if (free > 0.5).sum() < 50 or -float(np.percentile(y[free > 0.5], 2)) < (MOUTH + SHORTEST) * unit:
        return none
    free = diffuse(free[:, None], surface.faces, SMOOTH)[:, 0] * np.clip(-(y / unit + MOUTH) / 0.02, 0, 1)
    return np.where(free > 0.02, free, 0.0)


def _of_the_scalps_colour(surface: CanonicalSurface, textured: TexturedSurface, scalp: np.ndarray) -> np.ndarray:
    """(V,) bool: whether the texture shows the hair of the scalp (V,), clearly nearer to its colour than to that of clothes or face."""
    size = textured.albedo.shape[0]
    column, row = np.clip((textured.uv * size).astype(int), 0, size - 1).T
    colours = np.zeros((len(surface.vertices), 3))
    colours[textured.corner] = textured.albedo[row, column]
    parts = (scalp, surface.region == TORSO, face_zone(surface))
    if min(part.sum() for part in parts) < 8:
        return np.zeros(len(colours), bool)
    of_hair, of_cloth, of_skin = (np.median(colours[part], axis=0) for part in parts)
    from_hair, from_cloth, from_skin = (np.linalg.norm(colours - tone, axis=1) for tone in (of_hair, of_cloth, of_skin))
    if np.linalg.norm(of_hair - of_cloth) < UNLIKE:
        return np.zeros(len(colours), bool)
    fair = np.linalg.norm(of_hair - of_skin) < UNLIKE
    return (from_hair < CLEARLY * from_cloth) & (fair | (from_hair < from_skin))


def hair_chains(vertices: np.ndarray, free: np.ndarray, root: int, head: np.ndarray) -> Chains:
    """Chains for hair that hangs as freely as `free` (V,) says, on rest vertices (V, 3); the head's bone `root` begins at `head` (3,)."""
    offset = vertices - head
    angle = np.arctan2(offset[:, 0], -offset[:, 2])
    hangs = free > 0.3
    top = float(vertices[hangs, 1].max())
    places, heads, ends = [], [], []
    for place in PLACES:
        here = hangs & (np.abs((angle - place + np.pi) % (2 * np.pi) - np.pi) < REACH)
        if here.sum() < 10:
            continue
        end = float(np.percentile(vertices[here, 1], 3))
        chain = []
        for level in top - np.arange(JOINTS) / JOINTS * (top - end):
            near = here & (np.abs(vertices[:, 1] - level) < 0.6 * (top - end) / JOINTS)
            middle = vertices[near if near.any() else here].mean(0)
            chain.append([middle[0], level, middle[2]])
        heads.append(chain)
        places.append(place)
        ends.append(end)
    around = np.interp(angle, places, np.arange(len(places), dtype=float))
    end = np.interp(around, np.arange(len(places)), ends)
    level = (top - vertices[:, 1]) / np.maximum(top - end, 1e-6)
    share = MOST * free * np.clip(level / 0.5, 0, 1)
    return Chains("hair", root, np.array(heads), share, around, np.clip(level * JOINTS - 0.5, 0, JOINTS - 1))
