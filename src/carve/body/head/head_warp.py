"""What remains between a fitted face and its points in a photo, taken up by the smoothest movement of the skin that does.

Notation: d (V, 3) movement of the vertices in the camera frame, parallel to the picture's plane; B the points as means of vertices; r the
remaining error of the points, metres; L the cotangent Laplacian divided by the areas.

    minimise  sum_i ((B d)_i - r_i)^2 / sigma_i^2 + stiffness * area * |L d|^2 + |d|^2 / reach^2
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from carve.geometry.mesh import components, cotangent_laplacian
from carve.geometry.skinning import blended_transforms, skin
from carve.geometry.sparse import factorise
from carve.records import BodyFit

_LENGTH = 0.03
"""Movements longer than this, metres, are free; shorter ones cost."""
_REACH = 0.02
"""Movements of this size cost as much as an error of a point by its spread, metres."""
_TRUST = 0.15
"""Share of its weight that a point keeps whose skin is turned away."""


def warp_to_points(
    body: BodyFit,
    canonical: np.ndarray,
    expression: np.ndarray,
    maps: np.ndarray,
    corners: np.ndarray,
    bary: np.ndarray,
    pixels: np.ndarray,
    sigma: np.ndarray,
    toward: np.ndarray,
    farthest: float,
) -> np.ndarray:
    """(V, 3) canonical vertices moved so that the posed points come to their pixels.

    Args:
        body: whose camera, skinning and faces count.
        canonical: (V, 3) neutral.
        expression: (V, 3) what the photo's expression adds to it.
        maps: (B, 3, 4) bone maps.
        corners: (P, 3) vertices of each point.
        bary: (P, 3) their weights.
        pixels: (P, 2) of the photo.
        sigma: (P,) metres.
        toward: (P,) 0 for points on skin that is turned away, 1 for those before the camera.
        farthest: bound of the movement, metres.
    """
    posed = skin(canonical + expression, maps, body.bones, body.weights)
    at = np.einsum("pk,pkc->pc", bary, posed[corners])
    metre = body.camera.focal / -at[:, 2]
    error = (pixels - body.camera.project(at)) / metre[:, None] * [1.0, -1.0]
    share = np.maximum(toward, _TRUST)
    count = len(posed)
    rows = np.repeat(np.arange(len(corners)), 3)
    mean = sparse.csr_matrix((bary.ravel(), (rows, corners.ravel())), shape=(len(corners), count))
    stiffness, area = cotangent_laplacian(canonical, body.faces)
    area = np.maximum(area, 1e-9)
    bending = stiffness.T @ sparse.diags(1 / area) @ stiffness
    weight = sparse.diags((share / sigma) ** 2)
    density = 80 / len(corners)
    system = (
        density * mean.T @ weight @ mean
        + (_LENGTH**2 / np.median(sigma) ** 2) * bending
        + sparse.diags(area / (_REACH**2 * area[corners].mean() * 60))
    )
    solver = factorise(system, pivots=True)
    flat = solver.solve(density * np.asarray(mean.T @ weight @ error))
    moved = _with_inner_pieces(np.column_stack([flat, np.zeros(count)]), canonical, body.faces)
    size = np.linalg.norm(moved, axis=1, keepdims=True)
    moved *= np.tanh(size / farthest) * farthest / np.maximum(size, 1e-12)
    head = np.isin(body.region, [int(np.bincount(body.region[corners].ravel()).argmax())])
    blended = blended_transforms(maps, body.bones, body.weights)[..., :3]
    back = np.linalg.solve(blended[head], moved[head][..., None])[..., 0]
    out = canonical.copy()
    out[head] += back
    return out


def _with_inner_pieces(moved: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) movements in which eyeballs, teeth and tongue go with the skin around them, each as one."""
    label = components(faces, len(vertices))
    main = int(np.bincount(label).argmax())
    outer = np.flatnonzero(label == main)
    tree = cKDTree(vertices[outer])
    moved = moved.copy()
    for piece in np.setdiff1d(np.unique(label), main):
        own = label == piece
        _, near = tree.query(vertices[own], k=3)
        moved[own] = moved[outer[np.unique(near)]].mean(0)
    return moved
