"""A design on a body: cloth to be simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from carve.records import CarveError
from carve.synth.tailor.cutting import kept, openings
from carve.synth.tailor.design import Design
from carve.synth.tailor.field import BodyGrid
from carve.synth.tailor.figure import SIDES, Figure, Side, along_chain
from carve.synth.tailor.meshing import EDGE, cut_open, evened, zero_level
from carve.synth.tailor.solids import garment_field
from carve.synth.tailor.weights import cloth_weights

MOST = 12000
"""Vertices at most; larger garments get longer edges."""
_PER_VERTEX = 0.866
_BAND = {"neck": 0.05, "waist": 0.03, "head": 0.05}
"""Metres below the upper rim in which cloth is held."""


@dataclass(frozen=True)
class Garment:
    """Cloth of one design on one body at rest."""

    design: Design
    rest: np.ndarray
    """(V, 3) where it is put on."""
    cloth: np.ndarray
    """(V, 3) a shape with the cloth's own lengths."""
    faces: np.ndarray
    """(F, 3) wound outward."""
    joints: sparse.csr_matrix
    """(V, B) skinning weights."""
    held: np.ndarray
    """(V,) bool: carried by the body."""


def tailored(grid: BodyGrid, joints: sparse.csr_matrix, design: Design) -> Garment:
    """Make a garment for the body of `grid`, whose skin has the weights `joints` (S, B); raises CarveError where nothing is left of it."""
    figure = grid.figure
    vertices, faces = zero_level(grid, garment_field(grid, design))
    vertices, faces = cut_open(vertices, faces, kept(vertices, design, figure))
    if len(faces) < 200:
        raise CarveError(f"A garment of the family {design.family} has no cloth on this body; draw another design.")
    area = np.linalg.norm(np.cross(*(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2))), axis=1).sum() / 2
    vertices, faces = evened(vertices, faces, max(EDGE * max(figure.scale, 0.8), float(np.sqrt(area / (_PER_VERTEX * MOST)))))
    weights = cloth_weights(vertices, faces, figure.vertices, joints)
    arm = {side: np.asarray(weights[:, figure.arm_bones[side]].sum(1)).ravel() for side in SIDES}
    return Garment(design, vertices, slack(vertices, arm, design, figure), faces, weights, held(vertices, design, figure))


def held(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    """(N,) bool: near the neckline, the waistband or the edge around the face."""
    found = openings(points, design, figure)
    name = "waist" if not design.upper else "face" if design.hooded else "neck"
    band = _BAND["waist" if name == "waist" or design.bare else "neck"] * figure.scale
    chosen = found[name] < band
    if name == "neck" and not design.bare:
        chosen &= points[:, 1] > figure.heights["shoulder"] - 0.02 * figure.scale  # a deep neckline hangs
    if design.tucked:
        chosen |= found["hem"] < _BAND["waist"] * figure.scale
    return chosen


def slack(points: np.ndarray, arm: dict[Side, np.ndarray], design: Design, figure: Figure) -> np.ndarray:
    """(N, 3) the garment with longer sleeves, legs and trunk: what it is longer than its way falls into folds.

    `arm` (N,) is the share of each arm in the skinning weights.
    """
    longer = points.copy()
    top = figure.heights["neck"] if design.upper else figure.heights["waist"]
    longer[:, 1] = top + (1 + 0.6 * design.slack) * (points[:, 1] - top)
    if design.lower == "legs":
        below = np.clip(figure.heights["crotch"] - points[:, 1], 0, None)
        longer[:, 1] -= design.slack * below
    if design.upper and design.sleeve > 0.03 and not design.cape:
        for side in SIDES:
            chain = figure.arm(side)
            along, _ = along_chain(points, chain)
            stretched = points + 1.3 * design.slack * np.clip(along, 0, None)[:, None] * (chain[2] - chain[0])
            longer += arm[side][:, None] * (stretched - longer)
    return longer
