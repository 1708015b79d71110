"""The fitted face on a surface that was made around the neutral body: the photo's expression, and where the features are."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from carve.body.head.face_points import INNER, face_points
from carve.body.model import REGIONS
from carve.geometry.queries import MeshQueries
from carve.records import BodyFit, CanonicalSurface

_FEATURES = (0.008, 0.016)
"""Distances from the inner points of the face mesh, metres, within which a vertex is a feature's, and from which it is not."""
_ON, _OFF = 0.003, 0.02
"""Distances from the body's skin, metres, up to which a vertex moves as the skin does, and from which it does not move at all."""
_VIEWS = np.array([[np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)] for a in (-0.7, 0.0, 0.7) for e in (-0.6, 0.0, 0.6)])
"""(9, 3) unit directions to those who stand before a face, body frame."""
_BEFORE = 0.3
"""How far before it nothing may bar the way, metres."""


def expression_on(surface: CanonicalSurface, body: BodyFit) -> np.ndarray | None:
    """(V, 3) metres, canonical pose: what the photo's expression adds to the surface's vertices; None if the body has none."""
    if body.expression is None or not np.abs(body.expression).max() > 0:
        return None
    head = REGIONS.index("head")
    own = np.flatnonzero(body.region == head)
    wanted = np.flatnonzero(surface.region == head)
    distance, near = cKDTree(body.canonical[own]).query(surface.vertices[wanted], k=4)
    # A vertex that the surface has from the body finds itself: lips that touch do not mix.
    share = 1 / (distance**2 + 1e-9)
    share /= share.sum(1, keepdims=True)
    fade = np.clip((_OFF - distance[:, 0]) / (_OFF - _ON), 0, 1)
    moved = np.zeros_like(surface.vertices)
    moved[wanted] = fade[:, None] * np.einsum("nk,nkc->nc", share, body.expression[own[near]])
    return moved


def features_on(surface: CanonicalSurface, body: BodyFit, whole: bool = False) -> np.ndarray:
    """(V,) 1 on the features of a face that was fitted to a face mesh, or on all of it, 0 elsewhere and where there was none."""
    features = np.zeros(len(surface.vertices))
    if body.expression is None or "face" not in body.residuals:
        return features
    wanted = np.flatnonzero(surface.region == REGIONS.index("head"))
    points = face_points().on(body.canonical)
    distance, _ = cKDTree(points if whole else points[INNER]).query(surface.vertices[wanted])
    near, far = _FEATURES
    features[wanted] = np.clip((far - distance) / (far - near), 0, 1)
    return features


def concealed(points: np.ndarray, queries: MeshQueries) -> np.ndarray:
    """(N,) bool: points (N, 3) of the body frame, canonical pose, that nobody before the face sees, from any side: the inside of the mouth.

    `queries` is of the surface. A point on it must be held a little away from it.
    """
    found = np.ones(len(points), bool)
    for direction in _VIEWS:
        rows = np.flatnonzero(found)
        hit, _ = queries.first_hit(points[rows], np.tile(direction, (len(rows), 1)), _BEFORE)
        found[rows[hit < 0]] = False
    return found
