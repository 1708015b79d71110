"""Where one garment ends over another, or over skin, the surface steps: sleeves, collars, hems and waistbands stand out.

Normal maps blur a step of some millimetres into nothing, but labels know where it is. Each label lies so and so far out (its level); the
surface takes on what a membrane leaves of the levels, so that it steps at borders and keeps its place elsewhere.

Notation: T_l the level of label l, metres; p_l the share of l at a vertex, H = sum_l p_l^k T_l / sum_l p_l^k, k sharpens; A areas and S the
stiffness matrix of the mesh, ell a length. The shift along the normal is
    H - h,    (A + ell^2 S) h = A H.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from carve.body.clothes.part_labels import label_shares
from carve.body.finishing import finer_surface
from carve.body.zones import FEET
from carve.geometry.mesh import cotangent_laplacian, diffuse, vertex_normals
from carve.geometry.meshing.refinement import refine_where
from carve.records import LABELS, CanonicalSurface, NormalMaps, PosedSurface

LEVELS = {"skin": 0.0, "shoes": 0.002, "bottom": 0.004, "dress": 0.004, "top": 0.0075, "outer": 0.012, "headwear": 0.004, "other": 0.0075}
"""T, metres: trousers hang over shoes, tops over trousers, jackets over all."""
_ROUNDS = 24
"""Of smoothing the labels' votes."""
_SHARP = 4.0
"""k."""
_ROUNDING = 0.0025
"""Steps are as wide, metres: cloth has no sharp corners."""
_MEMBRANE = 0.03
"""ell, metres: how far from a border its step is felt."""
_SOLE = (0.004, 0.024)
"""How far a sole stands out, and how thick it is, metres."""
_STEEP = 0.001
"""Difference of H at an edge's ends from which it is split, metres."""
_SHORTEST, _SPLITS = 0.003, 4
"""Edges shorter than this stay whole, metres; how often one is halved."""
_UNLEVELLED = [LABELS.index(name) for name in ("hair", "bag", "glasses")]
_SAME_WEAR = tuple(LABELS.index(name) for name in ("bottom", "dress", "top"))
"""Labels that are taken for each other within one garment: they step only where the photo changes its colour too."""
_CONTRAST = (6.0, 14.0)
"""Differences of colour (CIE Lab) at which such a border is none and is one altogether."""
_TALL = 480
"""Pixels of the person's longer side at which colours are compared."""
_BESIDE = 6.0
"""Width of the strips whose colours are compared, pixels of that size."""
_NEAR_BOTH, _ENOUGH = 0.25, 40
"""Share of each label around a pixel from which it lies at their border; pixels of a border from which its colours tell something."""


@dataclass(frozen=True)
class Stepped:
    """The surface with its garments' edges."""

    canonical: CanonicalSurface
    """With more vertices along the edges; the old ones come first."""
    posed: np.ndarray
    """(V', 3) camera frame."""
    shares: np.ndarray | None = None
    """(V', L) 0 to 1 how much of each label a vertex is; None where maps hold none."""


def garment_edges(posed: PosedSurface, maps: NormalMaps, pixels: np.ndarray, height: float) -> Stepped:
    """Let the surface step where labels meet.

    Args:
        posed: in the photo's pose.
        maps: with labels; without, nothing is done.
        pixels: (H, W, 3) uint8 the photo.
        height: factor of the levels; 0 leaves the surface as it is.
    """
    shares = label_shares(posed, maps, _ROUNDS)
    surface, places = posed.canonical, posed.vertices
    if shares is None or height == 0:
        return Stepped(surface, places, shares)
    levels = _levels(maps, pixels)
    for _ in range(_SPLITS):
        steps = _step_at(shares, levels) + _soles(surface, shares)

        def steep(now: np.ndarray, edges: np.ndarray, steps: np.ndarray = steps) -> np.ndarray:
            long = np.linalg.norm(now[edges[:, 0]] - now[edges[:, 1]], axis=1) > _SHORTEST
            return long & (np.abs(steps[edges[:, 0]] - steps[edges[:, 1]]) > _STEEP)

        finer, places = refine_where(places, surface.faces, steep, levels=1)
        surface, shares = finer_surface(surface, finer.operator, finer.faces), finer.operator @ shares
    steps = height * (_step_at(shares, levels) + _soles(surface, shares))
    operators = cotangent_laplacian(places, surface.faces)
    # Hair, bags and glasses have volumes of their own.
    known = 1 - np.clip(2 * shares[:, _UNLEVELLED].sum(1) / np.maximum(shares.sum(1), 1e-9), 0, 1)
    shift = _membrane((steps - _membrane(steps, *operators, _MEMBRANE)) * known, *operators, _ROUNDING)
    moved = places + shift[:, None] * vertex_normals(diffuse(places, surface.faces, 2), surface.faces)
    return Stepped(surface, moved, shares)


def _membrane(values: np.ndarray, stiffness: sparse.csr_matrix, area: np.ndarray, scale: float) -> np.ndarray:
    """(V,) what a membrane over values (V,) shows, `scale` metres wide: h of the module's head."""
    area = np.maximum(area, 1e-12)
    system = sparse.diags(area) + scale**2 * stiffness
    found, _ = cg(system, area * values, x0=values, rtol=1e-3, maxiter=200, M=sparse.diags(1 / system.diagonal()))
    return np.asarray(found)


def _step_at(shares: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(V,) H, metres, of shares (V, L) and levels (L,)."""
    sharp = (shares / np.maximum(shares.max(1, keepdims=True), 1e-9)) ** _SHARP
    height: np.ndarray = (sharp @ levels) / np.maximum(sharp.sum(1), 1e-9)
    return height


def _soles(surface: CanonicalSurface, shares: np.ndarray) -> np.ndarray:
    """(V,) metres by which soles stand out beyond the uppers of shoes, by the shares (V, L) of the labels: canonical feet stand flat."""
    out = np.zeros(len(shares))
    shoe = shares[:, LABELS.index("shoes")] / np.maximum(shares.sum(1), 1e-9)
    for foot in FEET:
        on = np.flatnonzero((surface.region == foot) & (shoe > 0.5))
        if len(on):
            above = surface.vertices[on, 1] - np.quantile(surface.vertices[on, 1], 0.05)
            out[on] = _SOLE[0] * np.clip((_SOLE[1] - above) / _ROUNDING + 0.5, 0, 1)
    return out


def _levels(maps: NormalMaps, pixels: np.ndarray) -> np.ndarray:
    """(L,) T, metres. Labels that may be one garment taken for two get one level if their border has one colour on both sides."""
    levels = np.array([LEVELS.get(name, 0.0) for name in LABELS])
    for one, other in combinations(_SAME_WEAR, 2):
        share = np.interp(_contrast(maps.label, pixels, one, other), _CONTRAST, (0, 1))
        lower, upper = sorted((one, other), key=lambda k: levels[k])
        levels[upper] = levels[lower] + share * (levels[upper] - levels[lower])
    return levels


def _contrast(label: np.ndarray | None, pixels: np.ndarray, one: int, other: int) -> float:
    """Median difference of colour, CIE Lab, across the border of two labels of a map (H, W); infinite if they hardly meet."""
    if label is None:
        return np.inf
    rows = np.flatnonzero(label.any(1))
    scale = min(1.0, _TALL / max(len(rows) and rows[-1] - rows[0] + 1, 1))
    size = (max(round(label.shape[1] * scale), 1), max(round(label.shape[0] * scale), 1))
    small = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    lab = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    means, near = [], []
    for which in (one, other):
        there = (small == which).astype(np.float32)
        weight = cv2.GaussianBlur(there, (0, 0), _BESIDE / 2)
        means.append(cv2.GaussianBlur(lab * there[..., None], (0, 0), _BESIDE / 2) / np.maximum(weight, 1e-6)[..., None])
        near.append(weight)
    border = (np.minimum(*near) > _NEAR_BOTH) & np.isin(small, (one, other))
    if border.sum() < _ENOUGH:
        return np.inf
    return float(np.median(np.linalg.norm(means[0] - means[1], axis=-1)[border]))
