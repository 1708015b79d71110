"""Hair is no cap: its surface has locks, and stands off the skin where it begins.

Normal maps hold little of a lock and nothing of the back of a head. Where the photo shows hair its light and dark do: what lies deep is
dark ("dark is deep", Beeler et al., "High-Quality Single-Shot Capture of Facial Geometry", SIGGRAPH 2010, section 4). Elsewhere there are
locks as wide and as high that follow the way hair falls: from the crown, and down.

Notation: A areas of the vertices; K stiffness matrix that conducts along the hair, and across it as much less as locks are narrower
than their length ell; w
how far a vertex is seen; b white noise or the logarithm of the photo's light. A lock is what is narrower than WIDE of
    (A + ell^2 K) x = A b.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from carve.body.finishing import finer_surface
from carve.body.zones import HEAD
from carve.geometry.mesh import cotangent_laplacian, diffuse, face_normals, vertex_normals
from carve.geometry.meshing.diffusion import stiffness
from carve.geometry.meshing.refinement import refine_where
from carve.geometry.pictures.sampling import sample_image
from carve.geometry.sparse import factorise
from carve.geometry.visibility import visibility
from carve.records import LABELS, CanonicalSurface, PosedSurface
from carve.stages.refining.garment_edges import Stepped

_HAIR = LABELS.index("hair")
_EDGE, _SPLITS, _MOST = 0.005, 3, 9000
"""Longer edges within hair are halved, metres, so often at most; vertices of hair for which that length is right."""
_LONG, _FALLS = (0.022, 0.06), (0.25, 0.5)
"""ell, metres, of short and of long hair, and over how much height they reach, metres."""
_ACROSS, _WIDE = 0.0035, 0.008
"""The same across, metres, and half of the greatest width of a lock."""
_SHORT = 0.4
"""ell for the photo's light, as a share of that for noise: what it shows has its own ways."""
_HIGH, _HIGHEST = 0.0011, 2.5
"""Standard deviation of the locks' height, metres, and how many of them the highest has."""
_CONTRAST = 0.15
"""Standard deviation of the logarithm of light from which on the photo shows locks."""
_LIFT, _MEMBRANE = 0.004, 0.02
"""How far hair stands off the skin where it begins, metres, and how far from there this is felt."""
_DOWN = 0.4
"""What counts down against what counts away from the crown."""
_DARK = 0.02
"""Light, linear, that is added to what a photo shows: the noise of black hair is no form."""
_TALL = 900.0
"""Pixels of the person's longer side at which visibility is tested."""


def hair_locks(posed: PosedSurface, shares: np.ndarray | None, bare: np.ndarray, pixels: np.ndarray, factor: float) -> Stepped:
    """Give hair its locks.

    Args:
        posed: in the photo's pose.
        shares: (V, L) 0 to 1 how much of each label a vertex is; None leaves the surface as it is.
        bare: (V,) 0 to 1 where there is a face, whatever labels say.
        pixels: (H, W, 3) uint8 the photo.
        factor: of the locks' height; 0 leaves the surface as it is.
    """
    surface, places = posed.canonical, posed.vertices
    if shares is None or factor == 0:
        return Stepped(surface, places, shares)
    hair = shares[:, _HAIR] / np.maximum(shares.sum(1), 1e-9) * (1 - bare)
    if not (hair > 0.5).any() or not (surface.region == HEAD).any():
        return Stepped(surface, places, shares)
    areas = np.linalg.norm(face_normals(places, surface.faces), axis=1) / 2
    long = max(_EDGE, (float(areas @ hair[surface.faces].mean(1)) / _MOST) ** 0.5)
    operator, faces = sparse.identity(len(places), format="csr"), surface.faces
    for _ in range(_SPLITS):

        def coarse(now: np.ndarray, edges: np.ndarray, hair: np.ndarray = hair) -> np.ndarray:
            return (np.linalg.norm(now[edges[:, 0]] - now[edges[:, 1]], axis=1) > long) & (hair[edges].min(1) > 0.3)

        finer, places = refine_where(places, faces, coarse, levels=1)
        operator, faces, hair = finer.operator @ operator, finer.faces, finer.operator @ hair
    surface, shares = finer_surface(surface, operator.tocsr(), faces), operator @ shares
    here = hair[surface.faces].max(1) > 0.02
    used, local = np.unique(surface.faces[here], return_inverse=True)
    faces = local.reshape(-1, 3)
    light, seen = _light(PosedSurface(surface, posed.pose, posed.camera, places, (), None), pixels, used)
    height = _locks(surface.vertices[used], faces, _flow(surface, used), light, seen, hair[used])
    shift = factor * (_HIGH * height * np.clip(2 * hair[used] - 0.5, 0, 1) + _lift(places[used], faces, hair[used]))
    moved = places.copy()
    moved[used] += shift[:, None] * vertex_normals(diffuse(places, surface.faces, 3), surface.faces)[used]
    return Stepped(surface, moved, shares)


def _light(posed: PosedSurface, pixels: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) logarithm of the photo's light at vertices `used` (U,), and how far it shows them, 0 to 1."""
    at = posed.camera.project(posed.vertices)
    low, high = np.floor(at.min(0)), np.ceil(at.max(0))
    scale = min(_TALL / float((high - low).max()), 1.0)
    size = [max(round(float(side) * scale), 2) for side in high - low]
    window = posed.camera.cropped(float(low[0]), float(low[1]), size[0], size[1], scale)
    seen = visibility(posed.vertices, posed.canonical.faces, window, False, margin=2.0).share[used]
    red, green, blue = (np.clip(sample_image(pixels, at[used])[:, k] / 255, 0, 1) ** 2.2 for k in range(3))
    return np.log(0.2126 * red + 0.7152 * green + 0.0722 * blue + _DARK), seen


def _flow(surface: CanonicalSurface, used: np.ndarray) -> np.ndarray:
    """(U, 3) the way that hair falls at vertices: from the crown over the head, then down."""
    head = surface.vertices[surface.region == HEAD]
    middle, top = (head.min(0) + head.max(0)) / 2, head[:, 1].max()
    crown = np.array([middle[0], top, middle[2] - 0.25 * np.ptp(head[:, 2])])
    from_crown = surface.vertices[used] - crown
    from_crown /= np.maximum(np.linalg.norm(from_crown, axis=1, keepdims=True), 1e-9)
    return np.asarray(from_crown + np.array([0.0, -_DOWN, 0.0]))


def _locks(vertices: np.ndarray, faces: np.ndarray, flow: np.ndarray, light: np.ndarray, seen: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(U,) height of the locks in their standard deviations."""
    normal = face_normals(vertices, faces)
    area = np.maximum(np.bincount(faces.ravel(), np.repeat(np.linalg.norm(normal, axis=1) / 6, 3), len(vertices)), 1e-12)
    aside = np.cross(normal, flow[faces].mean(1))
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-12)
    length = float(np.interp(np.ptp(vertices[hair > 0.5, 1]), _FALLS, _LONG))
    along = stiffness(vertices, faces, aside, (_ACROSS / length) ** 2, np.ones(len(faces)), bounded=False)
    around = cotangent_laplacian(vertices, faces)[0]

    def smoothed(values: np.ndarray, stiff: sparse.csr_matrix, length: float) -> np.ndarray:
        """x of the module's head, of columns (U, C)."""
        return np.asarray(factorise((sparse.diags(area) + length**2 * stiff).tocsc(), pivots=True).solve(area[:, None] * values))

    noise = np.random.default_rng(0).normal(size=(len(vertices), 1)) / np.sqrt(area)[:, None]
    weight = seen * hair + 1e-6
    shown = smoothed(np.column_stack([weight * light, weight]), along, _SHORT * length)
    both = np.column_stack([smoothed(noise, along, length)[:, 0], shown[:, 0] / shown[:, 1]])
    weights = np.column_stack([hair + 1e-6, weight])
    means = smoothed(np.column_stack([weights * both, weights]), around, _WIDE)
    rest = both - means[:, :2] / means[:, 2:]
    deviation = np.sqrt([np.average(rest[:, k] ** 2, weights=area * weights[:, k]) for k in range(2)])
    heights = np.clip(rest / np.maximum(deviation, [1e-9, _CONTRAST]), -_HIGHEST, _HIGHEST)
    return np.asarray(seen * heights[:, 1] + np.sqrt(1 - (seen * min(deviation[1] / _CONTRAST, 1)) ** 2) * heights[:, 0])


def _lift(places: np.ndarray, faces: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(U,) metres by which hair stands out where it begins."""
    stiff, area = cotangent_laplacian(places, faces)
    area = np.maximum(area, 1e-12)
    level = _LIFT * np.clip(1.5 * hair - 0.25, 0, 1)
    membrane = factorise((sparse.diags(area) + _MEMBRANE**2 * stiff).tocsc(), pivots=True).solve(area * level)
    return np.maximum(level - membrane, 0)
