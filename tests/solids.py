"""Closed triangle meshes whose measures are known: a sphere and a box."""

from __future__ import annotations

import itertools

import numpy as np

from carve.geometry.mesh import unique_edges

Solid = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) and outward faces (F, 3)."""

Triple = tuple[float, float, float]


def box(size: Triple = (1.0, 1.0, 1.0), centre: Triple = (0.0, 0.0, 0.0)) -> Solid:
    """An axis-aligned box: 8 vertices, 12 faces."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return corners * size + centre, np.array(faces)


def sphere(radius: float = 1.0, centre: Triple = (0.0, 0.0, 0.0), splits: int = 3) -> Solid:
    """An icosahedron whose edges are halved `splits` times, projected to the sphere: 10 * 4^splits + 2 vertices."""
    golden = (1 + 5**0.5) / 2
    points = np.array([np.roll([0.0, s, t * golden], k) for k in range(3) for s in (-1, 1) for t in (-1, 1)])
    near = np.linalg.norm(points[:, None] - points, axis=2) < 2.1
    faces = np.array([f for f in itertools.combinations(range(12), 3) if near[np.ix_(f, f)].all()])
    inward = np.einsum("fi,fi->f", np.cross(*(points[faces[:, k]] - points[faces[:, 0]] for k in (1, 2))), points[faces].mean(1)) < 0
    faces[inward] = faces[inward][:, ::-1]
    for _ in range(splits):
        edges = unique_edges(faces)
        number = {(int(a), int(b)): len(points) + i for i, (a, b) in enumerate(edges)}
        points = np.concatenate([points, points[edges].mean(1)])
        middle = np.array([[number[min(f[k], f[k - 2]), max(f[k], f[k - 2])] for k in range(3)] for f in faces.tolist()])
        a, b, c = faces.T
        ab, bc, ca = middle.T
        faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True) + centre, faces
