"""Folds in cloth that is skinned, not simulated: heights along the normals that follow from the pose and from how clothes hang.

Notation: C, P rest and posed vertices (V, 3); F = dP/dC on a triangle with principal stretches s1 >= s2; e = 1 / s2 - 1 the excess of
cloth across a fold; T = sum e d d^T the slack tensor, d the unit direction of compression; L wavelength; a crest height.

1. Slack: T of every triangle by its strain, spread over the cloth around it, plus the slack that worn clothes have where they are too
   long or hang from something (`folds.sources`): sleeves and trouser legs that stack up, elbows, knees, armpits, the crotch, the waist.
2. Strokes: lines of folds run across the greatest slack. They are traced as evenly spaced streamlines (Jobard & Lefer, "Creating
   evenly-spaced streamlines of arbitrary density", 1997), in three sizes, each with a length of its own.
3. Heights: along each stroke a ridge with a valley on either side. A sine wave of excess length e has a = L sqrt(e) / pi
   (arc length L (1 + (pi a / L)^2) to second order), which sets the height.
4. Limits: clearance to what is below, slope, and triangles that would turn over.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from carve.geometry.mesh import vertex_normals
from carve.synth.wear.folds.limbs import axes, group_weights, groups, radii
from carve.synth.wear.folds.limits import limited, rims
from carve.synth.wear.folds.neighbours import diffuse, longest_edges, neighbours
from carve.synth.wear.folds.params import Params
from carve.synth.wear.folds.slack import aligned, fold_lines, noise_waves, strain
from carve.synth.wear.folds.sources import sources_of
from carve.synth.wear.folds.strokes import strokes

STEEPEST = 0.25
"""Largest height of a fold as a share of its wavelength."""

DEEPEST = 0.012
"""Largest height of a fold, metres."""

EDGES_PER_WAVE = 2.6
"""Shortest wavelength in lengths of the longest edge at a vertex."""


def wrinkles(
    canonical: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    bones: np.ndarray,
    weights: np.ndarray,
    heads: np.ndarray,
    posed_heads: np.ndarray,
    parents: np.ndarray,
    humanoid: Mapping[str, int],
    clearance: np.ndarray,
    params: Params,
    rng: np.random.Generator,
) -> np.ndarray:
    """Heights (V,), metres, of the folds of one garment along `vertex_normals(posed, faces)`.

    Args:
        canonical: (V, 3) the unstressed shape with the limbs apart, canonical or better at rest; +Y up, facing +Z.
        posed: (V, 3) the same vertices in the pose, +Y against gravity.
        faces: (F, 3) wound outward.
        bones: (V, 4) indices.
        weights: (V, 4) rows sum to 1.
        heads: (B, 3) bone heads in the pose of `canonical`.
        posed_heads: (B, 3).
        parents: (B,) -1 for the root, parents before children.
        humanoid: VRM 1.0 bone -> index of a bone; slack by design needs the bones of `folds.limbs.CHAINS`, that from strain needs none.
        clearance: (V,) free metres below the cloth; at most USED_CLEARANCE of it is taken.
        params: from `folds.params.sample_params`.
        rng: source of chance; equal states give equal folds.
    """
    count = len(canonical)
    if params.strength == 0.0 or count == 0:
        return np.zeros(count)
    start, neighbour, uses = neighbours(faces, count)
    normal = vertex_normals(canonical, faces)
    group = groups(parents, humanoid)
    share = group_weights(bones, weights, group)
    longest = longest_edges(canonical, start, neighbour)
    radius = radii(canonical, share, *axes(heads, humanoid))
    wave = np.clip(params.wavelength * (0.016 + 0.3 * radius), 0.022, 0.11)
    sources = sources_of(canonical, share, heads, posed_heads, humanoid, params, rng)
    waves = noise_waves(rng)
    bending = strain(canonical, posed, faces, params.prestretch)
    wave = diffuse(np.ascontiguousarray(wave[:, None]), start, neighbour, 6)[:, 0]
    # Shirts and jackets slide over the shoulders where skinning squeezes them.
    tensor = diffuse(bending, start, neighbour, 8)
    tensor[:, :6] *= params.pose * (1 - 0.45 * share[:, :1])
    rim, damping = rims(canonical, start, neighbour, uses)
    fold, slack = fold_lines(canonical, normal, tensor, share, sources, waves, params.tilt, params.patches)
    fold = aligned(fold, normal, start, neighbour, 3)
    height = _heights(canonical, normal, start, neighbour, rim, fold, slack, wave, longest, params, rng)
    height *= params.strength * damping
    most = np.minimum(STEEPEST * np.maximum(wave, EDGES_PER_WAVE * longest), DEEPEST)
    height = most * np.tanh(height / most)
    return limited(height, canonical, posed, faces, start, neighbour, clearance)


def _heights(
    canonical: np.ndarray,
    normal: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    rim: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    wave: np.ndarray,
    longest: np.ndarray,
    params: Params,
    rng: np.random.Generator,
) -> np.ndarray:
    """(V,) heights of strokes in three sizes about the wavelengths `wave` (V,), before anything limits them."""
    count = len(canonical)
    height = np.zeros(count)
    for scale, share_of_height in ((1.8, 0.55), (1.0, 1.0), (0.6, params.fine)):
        wanted = wave * scale
        length = np.maximum(wanted, EDGES_PER_WAVE * longest)
        # Folds that the triangles are too long for are left to the larger sizes.
        seen = np.clip(3 * wanted / length - 2, 0, 1) if scale < 1 else np.ones(count)
        amount = slack * share_of_height**2 * seen
        key = rng.random(count) ** (1 / np.maximum(np.sqrt(amount), 1e-6))
        order = np.argsort(-key)
        chance = rng.random((count, 8))
        manner = (params.length, params.skew, params.creases)
        height += strokes(canonical, normal, start, neighbour, rim, fold, amount, length, longest, order, chance, *manner)
    return height
